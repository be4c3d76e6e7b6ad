#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the nightly run is silent if all goes well; an unreachable
# libvirt, an overlap, a full disk and a kill each give a readable report on
# stderr and the right exit status, and the next run works again.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a small filesystem"
need_program jq

cron=$SOURCE_TREE/scripts/amberfs-cron
mkdir "$T/fs"
mount -t tmpfs -o size=170M none "$T/fs"
new_repo "$T/fs/repo"
unset AMBERFS_KEY_FILE
make_noise "$T/disk one" 8 1
make_noise "$T/b" 8 2
settings() {
  printf '%s\n' "# what to do" "REPOSITORY=$T/fs/repo" "KEY_FILE=$T/key" \
    "LOCK=$T/lock" "$@" >"$T/conf"
  chmod 600 "$T/conf"
}
sources() {
  AMBERFS_KEY_FILE=$T/key amberfs list --json "$R" |
    jq -r '[.snapshots[].source] | unique | join(" ")'
}

# Not by the lock, as asking for it is taking it.

# All well: files, and the domains of libvirt's own test driver, which has none
# whose disks are here.
settings DOMAINS=none "FILE=one $T/disk one" "FILE=two $T/b" "JOBS=2"
expect 0 "$cron" "$T/conf"
silent
equal "$(sources)" "one two" sources
AMBERFS_KEY_FILE=$T/key amberfs restore "$R" "one/latest/disk one" - |
  cmp - "$T/disk one"

# libvirt can't be reached: said so; the files are backed up all the same.
settings "CONNECT=qemu:///session?socket=$T/nowhere.sock" "FILE=three $T/b"
expect 3 "$cron" "$T/conf"
said 'PARTLY FAILED'
said 'libvirt|connect'
[ ! -s "$T/out" ] || die "words on stdout"
equal "$(sources)" "one three two" sources
settings "CONNECT=qemu:///session?socket=$T/nowhere.sock"
expect 1 "$cron" "$T/conf"
said 'FAILED'

# One of several files is missing.
settings DOMAINS=none "FILE=one $T/disk one" "FILE=gone $T/gone"
expect 3 "$cron" "$T/conf"
said gone

# An overlap: the second says since when the first is at work, and the first
# is not disturbed.
settings DOMAINS=none "FILE=slow $T/slow" "BWLIMIT=4M"
make_noise "$T/slow" 16 5
"$cron" "$T/conf" 2>"$T/first.err" &
first=$!
wait_for 10 session_registered
expect 1 "$cron" "$T/conf"
said 'still'
one_line <(tr -d '\n' <"$T/err"; echo)
# Also when the script was killed and only its backup is still at work.
kill -9 "$first"
wait "$first" 2>/dev/null || :
expect 1 "$cron" "$T/conf"
said 'still'
flock -w 30 "$T/lock" true || die "the lock is never freed"
settings DOMAINS=none "FILE=slow $T/slow"
expect 0 "$cron" "$T/conf"
silent

# SIGTERM (a shutdown): the backup ends cleanly and the report says why.
make_noise "$T/slow2" 24 6
settings DOMAINS=none "FILE=slow2 $T/slow2" "FILE=never $T/b" "BWLIMIT=4M"
"$cron" "$T/conf" 2>"$T/err" &
pid=$!
wait_for 20 pack_grows || die "it writes nothing"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
equal "$status" 1 "status of a run that was ended"
said 'SIGTERM'
[ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "a session remains"
case $(sources) in *never*) die "it went on after SIGTERM" ;; esac

# kill -9 of all of it: the next run needs nobody's help.
make_noise "$T/slow2" 24 7
settings DOMAINS=none "FILE=slow2 $T/slow2" "BWLIMIT=4M"
setsid "$cron" "$T/conf" 2>/dev/null &
pid=$!
wait_for 20 pack_grows || die "it writes nothing"
kill -9 -- "-$pid" 2>/dev/null || kill -9 "$pid"
wait "$pid" 2>/dev/null || :
settings DOMAINS=none "FILE=slow2 $T/slow2"
flock -w 10 "$T/lock" true || die "the lock is never freed"
expect 0 "$cron" "$T/conf"
silent

# A full disk.
make_noise "$T/large" 200 7
settings DOMAINS=none "FILE=large $T/large"
expect 1 "$cron" "$T/conf"
said 'space'
[ "$(wc -l <"$T/err")" -le 10 ] || die "too many words: $(cat "$T/err")"
settings DOMAINS=none "FILE=one $T/disk one"
expect 0 "$cron" "$T/conf"
AMBERFS_KEY_FILE=$T/key amberfs verify "$R" --read-data

# Rotation, then prune: after the backup, also where one of them failed; never
# the last good one. Silent when all is well.
times() {
  AMBERFS_KEY_FILE=$T/key amberfs list --json "$R" "$1" |
    jq -r '[.snapshots[].object | sub(".*/"; "")] | join(" ")'
}
make_noise "$T/b" 8 11
settings DOMAINS=none "FILE=two $T/b" "FILE=one $T/disk one"
expect 0 "$cron" "$T/conf"
read -r one_first one_last <<<"$(times one)"
[ -n "$one_last" ] || die "two snapshots of one were expected"
echo small >"$T/b"
settings DOMAINS=none "FILE=two $T/b" "FILE=one $T/gone" KEEP_LAST=1 PRUNE=no
expect 3 "$cron" "$T/conf"
said 'gone'
equal "$(times one)" "${one_last##* }" "what is left of one ($one_first is not)"
equal "$(times two | wc -w)" 1 "what is left of two"
before=$(tree_size "$R/packs")
settings DOMAINS=none "FILE=two $T/b" KEEP_LAST=1 KEEP_WITHIN=0s MAX_UNUSED=0% \
  KEEP_SOURCE=two KEEP_DAILY=all JOBS=2
expect 0 "$cron" "$T/conf"
silent
after=$(tree_size "$R/packs")
[ "$after" -lt $((before - 8000000)) ] ||
  die "nothing was freed: $before bytes of packs, then $after"
AMBERFS_KEY_FILE=$T/key amberfs verify "$R" --read-data
# What fails is in the report, and the backup is done all the same.
settings DOMAINS=none "FILE=two $T/b" KEEP_LAST=1 KEEP_SOURCE=nobody
expect 3 "$cron" "$T/conf"
said 'Removing old snapshots'
said nobody
settings DOMAINS=none "FILE=two $T/b" KEEP_LAST=1 MAX_UNUSED=nonsense
expect 3 "$cron" "$T/conf"
said 'Freeing space'
said nonsense
# It does not make a failed backup look better.
settings DOMAINS=none "FILE=one $T/gone" KEEP_LAST=1
expect 1 "$cron" "$T/conf"
said ' FAILED'

# Settings that can't be right.
for wrong in KEEP_LAST=many KEEP_DAILY=-1 KEEP_WITHIN=14 PRUNE=maybe \
  KEEP_SOURCE=one; do
  settings DOMAINS=none "FILE=one $T/b" "$wrong"
  expect 2 "$cron" "$T/conf"
  said "${wrong%=*}"
done
expect 2 "$cron" "$T/no-settings"
said no-settings
settings "NONSENSE=1"
expect 2 "$cron" "$T/conf"
said NONSENSE
settings DOMAINS=none
expect 2 "$cron" "$T/conf"
settings DOMAINS=none "FILE=one $T/b" "PASSPHRASE_COMMAND=x"
chmod 666 "$T/conf"
expect 2 "$cron" "$T/conf"
said 'writable'
# Nothing in it is run by a shell.
settings DOMAINS=none "FILE=one \$(touch $T/ran)" "EXCLUDE=\`touch $T/ran\`"
"$cron" "$T/conf" >/dev/null 2>&1 || :
[ ! -e "$T/ran" ] || die "the settings file was executed"
