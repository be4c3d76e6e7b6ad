#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the backup job of a running guest shows one moment while
# the guest keeps running, and ends without a trace; whatever dies or fails at
# any time, the guest ends up running and thawed, without a job or files left.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
libvirt_start
S=$T/scratch
mkdir -m 711 "$S"
PATH=$AMBERFS_BUILD/tests/tools:$PATH

# hand WORD...: tests/tools/live-job.c
hand() {
  live-job "$LIVE_URI" web "$SCRATCH" "$@"
}
SCRATCH=$S
LIVE_URI=$LIBVIRT_URI

# hand_on WORD...: the same in the background, up to its "wait"; hand_off lets
# it go on and sets $status.
mkfifo "$T/go"
exec 7<>"$T/go"
hand_on() {
  : >"$T/out"
  live-job "$LIVE_URI" web "$SCRATCH" "$@" >"$T/out" 2>"$T/err" <"$T/go" &
  pid=$!
  wait_for 60 hand_waits || die "it does not come so far: $*"
}
hand_waits() {
  grep -q waiting "$T/out" || not kill -0 $pid
}
hand_off() {
  echo >&7
  status=0
  wait $pid || status=$?
}

# Nothing is left, soon: no job, no file, no guard; the guest writes.
no_job() {
  [ -z "$(ls -A "$SCRATCH")" ] && virsh_do domjobinfo web | found 'None'
}
undone() {
  wait_for 20 no_job || {
    find "$SCRATCH" >&2
    virsh_do domjobinfo web >&2
    die "not undone: $*"
  }
  guest_ticks 1
}

guest_new web
guest_disk vda qcow2 48M
guest_disk vdb raw 64M
guest_define
guest_start
guest_wait 'GUEST AGENT'

# What is served is the guest as it was when it was frozen; it does not change.
expect 0 hand require disk vda:track disk vdb prepare begin amberfs-1 \
  read vda "$T/first" read vda "$T/again" read vdb "$T/vdb" stop end holder
grep -q '^begun frozen [0-9.]*: $' "$T/out" || die "not frozen"
grep -q '^holder nobody' "$T/out" || die "still busy"
same "$T/first" "$T/again"
for disk in first vdb; do
  guest_check "$T/$disk" >/dev/null
done
undone "a job that was ended"

# The next one knows what was written since; twice in one directory.
guest_tell fill vda/some 2
expect 0 hand never disk vda:amberfs-1 prepare begin - dirty vda stop begin - \
  dirty vda
dirty=$(sed -n 's/^dirty //p' "$T/out" | head -n 1)
[ "$dirty" -ge $((2 << 20)) ] && [ "$dirty" -le $((12 << 20)) ] ||
  die "$dirty bytes are dirty"
grep -q 'not 0.000: --quiesce=never' "$T/out" || die "frozen all the same"
undone "a job that was left to the end"

# What libvirt refuses, and where there is no room.
expect 1 hand never disk vda:none prepare begin -
said '^begin: -116: .*none'
expect 1 hand never disk vdb:track prepare begin amberfs-2
said '^begin: -95: .*raw'
SCRATCH=$T/nothing expect 1 hand disk vda prepare
said '^prepare: .*nothing'
long=$T/$(printf '%080d' 0)
mkdir "$long"
SCRATCH=$long expect 1 hand disk vda prepare
said 'too many for a socket.*--scratch-dir'
small_disk tmpfs 8M "$T/tiny"
SCRATCH=$T/tiny expect 1 hand disk vda prepare
said '^prepare: -28: .*at least 16'
mkdir -m 700 "$T/closed"
SCRATCH=$T/closed/s
mkdir -m 700 "$SCRATCH"
expect 1 hand auto disk vda prepare begin -
said '^begin: -5: .*ermission denied.*must be able to access.*--scratch-dir'
undone "a directory that qemu can't reach"
SCRATCH=$S
undone "refusals"

# Somebody else has it.
virsh_do blockcopy web vdb "$L/copy" --transient-job
expect 1 hand require disk vda prepare begin -
said '^begin: -16: it is busy with a block copy of disk vdb'
virsh_do blockjob web vdb --abort
cat >"$L/foreign.xml" <<END
<domainbackup mode='pull'>
  <server transport='unix' socket='$L/foreign'/>
  <disks><disk name='vda' backup='yes' type='file'>
    <scratch file='$L/foreign.scratch'/>
  </disk></disks>
</domainbackup>
END
libvirt_own
virsh_do backup-begin web "$L/foreign.xml" >&2
expect 0 hand holder leftovers holder
equal "$(sort -u "$T/out")" "holder a backup job that amberfs did not start"
virsh_do domjobabort web
undone "foreign jobs"

# Somebody ends ours: what was read meanwhile does not count. (Nobody connects
# just then: qemu 7.2 would hang, in nbd-server-stop.)
hand_on never disk vda disk vdb prepare begin - wait read vda "$T/vda"
virsh_do domjobabort web
wait_for 20 eval 'virsh_do domjobinfo web | found None'
hand_off
equal $status 1 "reading what is no more"
hand_on never disk vda disk vdb prepare begin - read vda "$T/vda" wait stop
virsh_do domjobabort web
hand_off
equal $status 1 "ending a job that somebody else has ended"
said 'somebody else ended its backup job'
undone "a job that somebody else ended"

# It dies at every point; its guard puts things right.
for where in before-freeze frozen begin begun; do
  guest_mark
  LIVE_JOB_DIE=$where hand require disk vda disk vdb prepare begin - wait \
    >"$T/out" 2>"$T/err" </dev/null && die "it lives on: $where"
  undone "death: $where"
  wait_for 10 grep -q 'the backup of domain web died' "$T/err" ||
    die "nobody says that it died: $where"
done
hand_on require disk vda prepare begin - wait
kill -9 $pid
wait $pid || :
undone "death while it reads"

# They die together; the next run puts things right.
for where in frozen begun; do
  LIVE_JOB_DIE_ALL=1 LIVE_JOB_DIE=$where hand require disk vda prepare begin - \
    >"$T/out" 2>"$T/err" </dev/null && die "it lives on: $where"
  [ -n "$(ls "$S")" ] || die "somebody has cleaned up: $where"
  expect 0 hand leftovers
  said "an earlier backup of domain .* died: ended its job and removed "
  undone "death of both: $where"
done
LIVE_JOB_DIE_ALL=1 LIVE_JOB_DIE=begun hand never disk vda prepare begin - \
  2>/dev/null </dev/null && die "it lives on"
rm -r "$S"/amberfs-*
expect 0 hand holder leftovers holder
grep -q 'holder another backup by amberfs' "$T/out" || die "no job was left"
undone "a job without a directory"
# A living one is nobody's leftover.
hand_on never disk vda prepare begin - wait read vda "$T/vda" stop
hand leftovers
hand_off
equal $status 0 "a job that somebody took for a leftover"

# The guard is out of a terminal's reach, holds nothing, and its death is not
# that of the backup.
hand_on auto disk vda prepare begin - wait stop end holder
guard=$(tr -d " " <"/proc/$pid/task/$pid/children")
[ "$(ps -o sid= -p "$guard")" != "$(ps -o sid= -p $pid)" ] || die "one session"
[ "$(find "/proc/$guard/fd" -lname "$S/*/state" | wc -l)" = 0 ] ||
  die "the watchdog holds the lock of the backup"
kill -9 "$guard"
hand_off
equal $status 0 "a backup without its guard"
undone "a guard that was killed"

# Stopped while the guest is frozen: it is thawed in time, and what is read
# then does not pass for frozen.
LIVE_JOB_PAUSE=begin live-job "$LIVE_URI" web "$SCRATCH" auto disk vda prepare \
  begin - >"$T/out" 2>"$T/err" </dev/null &
pid=$!
wait_for 60 grep -q '^State:.*stopped' "/proc/$pid/status"
wait_for 60 grep -q 'is being thawed' "$T/err" || die "still frozen"
guest_ticks 1
kill -CONT $pid
wait $pid || die "it fails because it was stopped"
grep -q '^begun not .* thawed before' "$T/out" || die "it passes for frozen"
undone "a pause"
# Or by somebody else.
LIVE_JOB_PAUSE=begin live-job "$LIVE_URI" web "$SCRATCH" auto disk vda prepare \
  begin - >"$T/out" 2>"$T/err" </dev/null &
pid=$!
wait_for 60 grep -q '^State:.*stopped' "/proc/$pid/status"
virsh_do domfsthaw web
kill -CONT $pid
wait $pid || die "it fails because somebody thawed the guest"
grep -q '^begun not .* thawed' "$T/out" || die "it passes for frozen"
undone "somebody else's thaw"

# Without an agent that answers.
guest_tell agent hang
expect 0 hand auto disk vda prepare begin -
grep -q '^begun not 0.000: the guest agent' "$T/out" || die "frozen?"
guest_tell agent off
expect 1 hand require disk vda prepare begin -
said '^begin: -1: .*--quiesce=require.*not connected'
undone "no agent"

# The scratch directory runs full: the guest does not notice.
small_disk tmpfs 32M "$T/small"
chmod 711 "$T/small"
SCRATCH=$T/small
guest_tell release vdb
write() {
  virsh_do qemu-monitor-command web --hmp \
    "qemu-io -d /machine/peripheral/virtio-disk1/virtio-backend \"$1\"" \
    >/dev/null
}
log=$L/home/.cache/libvirt/qemu/log/web.log
write 'write -P 1 0 48M'
hand_on never disk vdb prepare begin - wait read vdb "$T/vdb"
for ((i = 0; i < 48; i++)); do
  write "write -P 2 ${i}M 1M"
done
hand_off
equal $status 1 "reading on after that"
not grep -q 'write failed' "$log" || die "the guest's writes fail"
equal "$(virsh_do domstate web)" running
hand_on never disk vdb prepare begin - wait stop
for ((i = 0; i < 48; i++)); do
  write "write -P 3 ${i}M 1M"
done
hand_off
said 'ran out of space.*--scratch-dir'
not grep -q 'write failed' "$log" || die "the guest's writes fail"
undone "a full scratch directory"
SCRATCH=$S

# libvirtd is started anew meanwhile.
hand_on never disk vda prepare begin - wait read vda "$T/vda" stop end holder
libvirt_restart
hand_off
[ $status = 0 ] || grep -q '^holder: ' "$T/err" || {
  cat "$T/err" >&2
  die "a new libvirtd is too much for it"
}
undone "a new libvirtd"

# The guest goes away.
hand_on never disk vda prepare begin - wait stop
guest_off
hand_off
equal $status 1 "ending a job that is gone"
said 'was shut off during the backup'
[ -z "$(ls "$S")" ] || die "files are left"
expect 1 hand never disk vda prepare begin -
said '^(disk|prepare|begin): -'
