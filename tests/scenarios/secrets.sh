#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: keys and passphrases are nowhere but in locked memory:
# not in dumps, process lists, children, messages or JSON; and what amberfs
# makes is its user's alone, wherever somebody has planted links.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq python3

word='correct horse battery staple'
hex() {
  od -An -v -tx1 | tr -d ' \n'
}

# What no one may find: the passphrase, the key file, the keys themselves.
export AMBERFS_PASSPHRASE=$word
R=$T/repo
amberfs init "$R" >/dev/null
amberfs key add "$R" --new-key-file "$T/key" 2>/dev/null
"$AMBERFS_BUILD/tests/tools/masterkey" "$R" >"$T/secrets"
{
  echo "passphrase $(printf %s "$word" | hex)"
  echo "key-file $(head -c 64 "$T/key" | hex)"
} >>"$T/secrets"
equal "$(wc -l <"$T/secrets")" 13 "secrets to look for"
search() {
  python3 "$TESTS/tools/memsearch.py" "$@" <"$T/secrets" >"$T/found" ||
    die "$(head -n 5 "$T/found")"
}
# It would find them.
printf 'x%sy' "$word" >"$T/given-away"
! (search "$T/given-away") 2>/dev/null || die "memsearch finds nothing"
sleep 60 &
! (search $!) 2>/dev/null || die "memsearch finds nothing in memory"
kill $!

# What can be seen of process $1 while it works.
watch() {
  local pid=$1
  ! tr '\0' '\n' <"/proc/$pid/cmdline" | found "$word" || die "cmdline"
  ! tr '\0' '\n' <"/proc/$pid/environ" | found "$word" || die "environ"
  # Sanitizers lock nothing, and keep what was on the stack for their reports.
  sanitized || search "$pid"
  if [ "$(ulimit -l)" != 0 ] && ! sanitized; then
    [ "$(awk '/^VmLck/ { print $2 }' "/proc/$pid/status")" -gt 0 ] ||
      die "no locked memory in process $pid"
  fi
}

# The process that has a file like $1 open.
worker() {
  { find /proc/[0-9]*/fd -lname "$1" 2>/dev/null || :; } | cut -d/ -f3 | sed 1q
}

# What can be seen of the process that reads or writes the index: LMDB believes
# what lies there, so whatever it does must find nothing.
watch_index() {
  local pid=$1
  equal "$(readlink "/proc/$pid/exe")" \
    "$AMBERFS_BUILD/repo/index/amberfs-index" "what process $pid is"
  ! tr '\0' '\n' <"/proc/$pid/cmdline" | found "$word" || die "cmdline"
  ! tr '\0' '\n' <"/proc/$pid/environ" | found AMBERFS || die "environ"
  equal "$(awk '/^Cap(Eff|Prm)/ { print $2 }' "/proc/$pid/status" | sort -u)" \
    0000000000000000 "what process $pid may"
  search "$pid"
}
reader_of() { # PROCESS
  cat "/proc/$1/task/"*/children
}

# A backup in the middle of its stream, with a passphrase command's own child.
make_noise "$T/noise" 24
mkfifo "$T/pipe"
ulimit -c unlimited
amberfs backup "$R" -v --name vm --stdin-name disk - <"$T/pipe" >"$T/out1" 2>&1 &
backup=$!
exec 7>"$T/pipe"
cat "$T/noise" >&7
wait_for 30 grep -qs . "$R"/packs/*/* "$R"/packs/*/.tmp* ||
  wait_for 10 session_registered
watch "$backup"
watch_index "$(reader_of "$backup" | awk '{ print $1 }')"
exec 7>&-
wait "$backup" || die "$(cat "$T/out1")"

# A dump of one that died, where dumps are files of the current directory.
pattern=$(cat /proc/sys/kernel/core_pattern)
case $pattern in
  '|'* | */*) ;;
  *)
    mkdir "$T/dump"
    (
      cd "$T/dump"
      exec amberfs backup "$R" --key-file "$T/key" --name vm \
        --stdin-name disk - <"$T/pipe"
    ) &
    backup=$!
    exec 7>"$T/pipe"
    cat "$T/noise" >&7
    kill -ABRT "$backup"
    wait "$backup" 2>/dev/null || :
    exec 7>&-
    [ -z "$(ls "$T/dump")" ] || sanitized || search "$T/dump"/*
    ;;
esac

# A mount, idle and after reading; it has forgotten the passphrase altogether.
amber_mount "$R" "$T/mnt"
mount=$(worker "$R/sessions/*.lock")
[ -n "$mount" ] || die "who serves the mount?"
watch "$mount"
cmp "$T/noise" "$T/mnt/vm/latest/disk"
watch "$mount"
watch_index "$(reader_of "$mount" | awk '{ print $1 }')"
amber_umount "$T/mnt"

# One that writes, stopped as soon as it has mapped the index.
python3 - "$R" >"$T/writer" <<'END'
import os, signal, subprocess, sys

def caught(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if b"\0write\0" not in f.read():
                return False
        with open(f"/proc/{pid}/maps") as f:
            if "/data.mdb" not in f.read():
                return False
        os.kill(pid, signal.SIGSTOP)
        with open(f"/proc/{pid}/stat") as f:
            while (state := f.read().rsplit(")")[1].split()[0]) not in "TZX":
                f.seek(0)
        return state == "T"
    except (OSError, IndexError):
        return False

for attempt in range(200):
    program = subprocess.Popen(["amberfs", "index", "--rebuild", sys.argv[1]],
                               stdout=subprocess.DEVNULL)
    children = f"/proc/{program.pid}/task/{program.pid}/children"
    while program.poll() is None:
        try:
            with open(children) as f:
                pids = f.read().split()
        except OSError:
            break
        for pid in pids:
            if caught(int(pid)):
                print(program.pid, pid)
                sys.exit()
sys.exit("no process that writes was caught")
END
read -r program writer <"$T/writer"
at_exit kill -CONT "$writer"
watch_index "$writer"
watch "$program"
kill -CONT "$writer"

# A restore whose reader is slow.
mkfifo "$T/slow"
amberfs restore "$R" --key-file "$T/key" vm/latest/disk - >"$T/slow" \
  2>/dev/null &
restore=$!
exec 8<"$T/slow"
head -c 1M >/dev/null <&8
watch "$restore"
exec 8<&-
wait "$restore" 2>/dev/null || :

# Adding a key: the command that prints the new passphrase gets no old one.
cat >"$T/print" <<'EOF'
#!/bin/sh
env >"$T/environment"
read -r line <"$T/pipe"
echo "$line"
EOF
chmod +x "$T/print"
amberfs key add "$R" -v --new-passphrase-command "$T/print" >"$T/out2" 2>&1 &
add=$!
exec 7<>"$T/pipe"
wait_for 20 grep -q TMPDIR "$T/environment"
watch "$add"
echo "another word" >&7
wait "$add" || die "$(cat "$T/out2")"
exec 7>&-
search "$T/environment"

# Messages and JSON.
unset AMBERFS_PASSPHRASE
export AMBERFS_KEY_FILE=$T/key
amberfs list --json "$R" >"$T/out3"
amberfs show -v --json "$R" vm/latest >"$T/out4" 2>&1
amberfs key list --json "$R" >"$T/out5"
amberfs sessions --json "$R" >"$T/out6"
amberfs verify -v --json "$R" >"$T/out7" 2>&1
amberfs index --json "$R" >"$T/out8"
search "$T"/out[0-9] "$R/config" "$R"/keys/* "$(index_of "$R")"/* \
  "$R"/snapshots/*/*

# All of it is its user's alone, whatever the umask.
for mask in 0 077; do
  (
    umask "$mask"
    rm -rf "${T:?}/home" "$T/state.amberfs"
    amberfs init "$T/r$mask" --key-file "$T/key$mask" 2>/dev/null
    export AMBERFS_KEY_FILE=$T/key$mask
    amberfs backup "$T/r$mask" --name a "$T/noise" --name a
    amberfs key add "$T/r$mask" --new-key-file "$T/more$mask" 2>/dev/null
    amberfs list "$T/r$mask" --index-dir "$T/i$mask" >/dev/null
    amberfs verify "$T/r$mask"
  )
  find "$T/r$mask" "$T/i$mask" "$T/state.amberfs" "$T/home" \
    "$T/key$mask" "$T/more$mask" \( -type d ! -perm 700 -o -type f ! -perm 600 \) \
    -printf '%m %p\n' >"$T/open"
  [ ! -s "$T/open" ] || die "with umask $mask: $(head -n 5 "$T/open")"
done

# Links planted where amberfs writes: not followed.
echo untouched >"$T/victim"
cp "$T/victim" "$T/before"
plant() {
  rm -f "$1"
  ln -s "$T/victim" "$1"
}
amberfs index "$R" >/dev/null
for file in "$(index_of "$R")"/*; do
  plant "$file"
done
amberfs backup "$R" --name b "$T/noise" 2>/dev/null || :
same "$T/victim" "$T/before"
rm -rf "$(index_of "$R")"
amberfs verify "$R"
plant "$(index_of "$R")/filter.tmp"
amberfs index "$R" --rebuild >/dev/null
same "$T/victim" "$T/before"
ln -s "$T/elsewhere" "$T/dangling"
expect 1 amberfs init "$T/fresh" --key-file "$T/dangling"
expect 1 amberfs key add "$R" --new-key-file "$T/dangling"
[ ! -e "$T/elsewhere" ] || die "a key was written through a link"
plant "$T/result"
expect 1 amberfs restore "$R" vm/latest/disk "$T/result"
same "$T/victim" "$T/before"
# With --force a link of our own is followed, but none where others make some.
mkdir -m 777 "$T/directory"
plant "$T/directory/disk"
[ "$(id -u)" != 0 ] || chown -h 65534 "$T/directory/disk"
expect 1 amberfs restore "$R" vm/latest/disk "$T/directory/disk" --force
expect 1 amberfs restore "$R" vm/latest "$T/directory" --force
same "$T/victim" "$T/before"
for file in "$T/state.amberfs"/*/*; do
  [ ! -f "$file" ] || plant "$file"
done
plant "$R/reserve"
amberfs backup "$R" --name b "$T/noise" --force-read 2>/dev/null || :
same "$T/victim" "$T/before"
