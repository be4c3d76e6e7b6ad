#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a damaged frame gives EIO for the reads that touch it and
# a log line with pack and frame; all else stays readable, and no wrong byte is
# ever seen.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program python3

new_repo
make_noise "$T/disk" 24 1
make_noise "$T/good" 8 2
amberfs backup "$R" --name vm "$T/disk"
first=$(find "$R/packs" -type f -size +1M)
amberfs backup "$R" --name other "$T/good"
# One byte, in the middle of the data pack.
python3 - "$first" <<'END'
import os, sys
path = sys.argv[1]
os.chmod(path, 0o600)
with open(path, "r+b") as f:
    at = os.path.getsize(path) // 2
    f.seek(at)
    b = f.read(1)
    f.seek(at)
    f.write(bytes([b[0] ^ 1]))
END

mkdir "$T/mnt"
amberfs mount "$R" "$T/mnt" -f 2>"$T/log" &
pid=$!
at_exit kill "$pid"
wait_for 20 mountpoint -q "$T/mnt" || die "no mount: $(cat "$T/log")"
for _ in 1 2; do
  python3 - "$T/disk" "$T/mnt/vm/latest/disk" <<'END'
import errno, os, sys
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
os.posix_fadvise(b, 0, 0, os.POSIX_FADV_RANDOM)
size = os.fstat(a).st_size
bad = []
for at in range(0, size, 4096):
    try:
        got = os.pread(b, 4096, at)
    except OSError as e:
        assert e.errno == errno.EIO, e
        bad.append(at)
        continue
    assert got == os.pread(a, 4096, at), at
assert bad, "the damage was not noticed"
# One frame, no more.
assert bad[-1] - bad[0] < 1 << 20, (bad[0], bad[-1])
assert len(bad) == (bad[-1] - bad[0]) // 4096 + 1, "not one run"
END
done
same "$T/good" "$T/mnt/other/latest/good"
! cat "$T/mnt/vm/latest/disk" >/dev/null 2>&1 || die "cat succeeds"
pack=$(basename "$first")
grep -q "$pack" "$T/log" || die "the log does not name the pack: $(cat "$T/log")"
grep "$pack" "$T/log" | found -E 'frame [0-9]+' ||
  die "the log does not name the frame: $(cat "$T/log")"
[ "$(wc -l <"$T/log")" -le 30 ] || die "$(wc -l <"$T/log") lines of log"
amber_umount "$T/mnt"
wait "$pid" || die "the mount ended with status $?"

# A snapshot's own record that is damaged takes only itself away.
record=$(find "$R/snapshots/vm" -type f)
chmod u+w "$record"
printf 'x' | dd of="$record" bs=1 seek=100 conv=notrunc status=none
mkdir -p "$T/mnt"
amber_mount "$R" "$T/mnt"
[ "$(ls "$T/mnt/vm")" != "" ] || die "the name is gone"
! ls "$T/mnt/vm/latest/" 2>"$T/err" || die "a damaged snapshot is shown"
grep -q 'Input/output error' "$T/err" || die "$(cat "$T/err")"
same "$T/good" "$T/mnt/other/latest/good"
