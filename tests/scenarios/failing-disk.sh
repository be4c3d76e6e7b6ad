#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: if the disk can't read a pack any more (EIO), another copy
# is read if there is one; else restore, verify and mount report what is
# unreadable, give no wrong byte and everything else, and a backup heals it.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq python3
shim=$AMBERFS_BUILD/tests/shim/killshim.so

new_repo
make_noise "$T/disk" 12 1
make_noise "$T/good" 3 2
age "$T/disk"
amberfs backup "$R" --name other "$T/good"
cp -a "$R" "$T/twin"
largest() {
  find "$1/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 |
    cut -d ' ' -f 2
}
amberfs backup "$R" --name vm "$T/disk"
first=$(largest "$R")
# With this in front a program can't read some packs.
unreadable() { # PATTERN [BYTE]
  rm -rf "$T"/shim*
  with=(env "SHIM_DIR=$R" "SHIM_STATE=$T/shim" "SHIM_READ=$1"
    "SHIM_READ_BYTE=${2:-}" "LD_PRELOAD=$shim")
}

check_bad() { # WHERE
  expect 1 "${with[@]}" amberfs restore "$R" vm/latest/disk "$T/restored"
  said 'input/output error'
  said "$(basename "$first")"
  [ ! -e "$T/restored" ] || die "$1: half a file"
  "${with[@]}" amberfs list "$R" | found vm/ || die "$1: list"
  "${with[@]}" amberfs restore "$R" other/latest/good - | cmp - "$T/good" ||
    die "$1: the other snapshot"
  expect 1 "${with[@]}" amberfs verify "$R" --read-data
  grep -q "$(basename "$first")" "$T/out" "$T/err" ||
    die "$1: verify does not name the pack: $(cat "$T/out" "$T/err")"
  amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk" ||
    die "$1: when the disk is well again"
}
unreadable "${first#"$R"/}"
check_bad "all of a pack"
size=$(stat -c %s "$first")
unreadable "${first#"$R"/}" $((size / 2))
check_bad "a sector"

# The mount: only what is on the bad sector is missing.
if [ -w /dev/fuse ]; then
  mkdir "$T/mnt"
  "${with[@]}" amberfs mount "$R" "$T/mnt" -f 2>"$T/log" &
  pid=$!
  at_exit kill "$pid"
  wait_for 20 mountpoint -q "$T/mnt" || die "no mount: $(cat "$T/log")"
  python3 - "$T/disk" "$T/mnt/vm/latest/disk" <<'END'
import errno, os, sys
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
os.posix_fadvise(b, 0, 0, os.POSIX_FADV_RANDOM)
bad = []
for at in range(0, os.fstat(a).st_size, 4096):
    try:
        got = os.pread(b, 4096, at)
    except OSError as e:
        assert e.errno == errno.EIO, e
        bad.append(at)
        continue
    assert got == os.pread(a, 4096, at), at
assert bad and bad[-1] - bad[0] < 1 << 20, bad
END
  same "$T/good" "$T/mnt/other/latest/good"
  grep -q "$(basename "$first")" "$T/log" || die "$(cat "$T/log")"
  amber_umount "$T/mnt"
  wait "$pid" || die "the mount ended with status $?"
fi

# A second copy of everything, as two backups at once may leave it.
AMBERFS_STATE_DIR=$T/state2 amberfs backup "$T/twin" --name vm "$T/disk"
second=$(largest "$T/twin")
cp "$second" "$R/${second#"$T/twin"/}"
amberfs index "$R" >/dev/null
second=$R/${second#"$T/twin"/}
for one in "$first" "$second"; do
  unreadable "${one#"$R"/}"
  "${with[@]}" amberfs restore "$R" vm/latest/disk - 2>"$T/err" |
    cmp - "$T/disk" || die "the other copy was not read: $(cat "$T/err")"
  unreadable "${one#"$R"/}" 2000000
  "${with[@]}" amberfs restore "$R" vm/latest/disk - 2>"$T/err" |
    cmp - "$T/disk" || die "the other copy of a chunk: $(cat "$T/err")"
done
rm "$second"

# The source still has it: the next backup stores it anew.
cp -a "$R" "$T/before"
for byte in "" $((size / 2)); do
  rm -rf "$R"
  cp -a "$T/before" "$R"
  unreadable "${first#"$R"/}" "$byte"
  "${with[@]}" amberfs verify "$R" --read-data >/dev/null 2>&1 || :
  "${with[@]}" amberfs backup "$R" --name vm "$T/disk" 2>"$T/err" ||
    die "no backup: $(cat "$T/err")"
  "${with[@]}" amberfs restore "$R" vm/latest/disk - 2>"$T/err" |
    cmp - "$T/disk" || die "not healed, ${byte:-all}: $(cat "$T/err")"
done

# Nothing can be read at all: each command says so and ends.
unreadable '*'
for command in list verify sessions prune "restore vm/latest/disk -" \
  "backup --name vm $T/disk" "forget vm/latest"; do
  read -ra words <<<"$command"
  expect 1 "${with[@]}" amberfs "${words[0]}" "$R" "${words[@]:1}"
  said 'input/output error'
done
amberfs verify "$R" --read-data
