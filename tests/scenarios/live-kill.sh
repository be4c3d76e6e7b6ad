#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a live backup is killed at any moment, and so is a guest's
# qemu: the guest keeps running, thawed, within seconds, no job is left, and the
# next backup succeeds, is right and incremental where possible.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

guest_new kill
mkdir -p "$T/files"
make_noise "$T/files/noise" 16
guest_disk vda qcow2 48M "$T/files"
guest_disk vdb raw 8M
guest_define tick=300
guest_start
guest_wait 'GUEST AGENT'
live_backup 0
live_right 0

frozen() {
  [ "$(virsh_do qemu-agent-command kill \
    '{"execute":"guest-fsfreeze-status"}')" = '{"return":"frozen"}' ]
}

# goes_on SECONDS: thawed and without a job by then, and the guest writes.
goes_on() {
  wait_for "$1" live_no_job || die "a job is left"
  wait_for "$1" not frozen || die "the guest is frozen"
  guest_ticks 2
}

nothing_left() {
  [ -z "$(find "$L/scratch" -mindepth 1)" ]
}

# next: it is right, leaves nothing, and is incremental: what was killed cost
# nothing.
next() {
  live_backup 0
  live_right 0
  live_changes vda
  live_read_bounded
}

backup=(amberfs backup "$R" --connect "$LIBVIRT_URI" --domain kill
  --scratch-dir "$L/scratch")

# killed CALL before|after: it was killed there.
killed() {
  local got=0
  rm -f "$T/done"
  env LD_PRELOAD="$LIVE_SHIM" SHIM_CALL="$1" SHIM_ACT="$2" SHIM_DONE="$T/done" \
    "${backup[@]}" >"$T/out" 2>"$T/err" </dev/null || got=$?
  equal "$got" 137 "status when killed $2 $1 ($(cat "$T/err"))"
}

# Each instant at which the guest is frozen or has a job, and the end: before
# the job is ended, before the snapshot is there, and after that, when the old
# checkpoint is still there, too.
mapfile -t instants < <(live_stages virDomainFSFreeze/before \
  virDomainFSFreeze/after virDomainBackupBegin/before \
  virDomainBackupBegin/after virDomainFSThaw/before virDomainFSThaw/after \
  virDomainAbortJob/before virDomainAbortJob/after)
for instant in "${instants[@]}"; do
  echo "killed at $instant" >&2
  before=$(snapshot_count kill)
  killed "${instant%/*}" "${instant#*/}"
  goes_on 10
  equal "$(snapshot_count kill)" "$before" "snapshots"
  next
done
echo "killed after the commit" >&2
before=$(snapshot_count kill)
killed virDomainCheckpointDelete before
goes_on 10
equal "$(snapshot_count kill)" $((before + 1)) "snapshots"
next

# Starts one that takes long, and returns when it copies.
mid_copy() {
  local before
  before=$(snapshot_count kill)
  guest_tell poke /mnt/vda/noise 64 64
  "${backup[@]}" "$@" --bwlimit 1M >"$T/out" 2>"$T/err" </dev/null &
  backup_pid=$!
  wait_for 60 not live_no_job || die "no job: $(cat "$T/err")"
  guest_ticks 2
  not frozen || die "the guest is frozen while it is copied"
  equal "$(snapshot_count kill)" "$before" "snapshots"
}

echo "killed in mid-copy" >&2
mid_copy
kill -9 "$backup_pid"
wait "$backup_pid" || :
goes_on 10
wait_for 10 nothing_left || die "left: $(ls -R "$L/scratch")"
next

echo "interrupted in mid-copy" >&2
mid_copy
kill -INT "$backup_pid"
wait "$backup_pid" || :
live_clean
next

# A killed cgroup takes the guard, too: what is left stays until the next run.
# First the guard, so that there is none when its parent dies.
marked() {
  { grep -lzxF "LIVE_MARK=$T" /proc/[0-9]*/environ 2>/dev/null || :; } |
    tr -dc '0-9\n' | sort -rn
}
for call in virDomainFSThaw/before virDomainAbortJob/before; do
  echo "killed with its guard at $call" >&2
  rm -f "$T/done"
  env LIVE_MARK="$T" LD_PRELOAD="$LIVE_SHIM" SHIM_CALL="${call%/*}" \
    SHIM_ACT="${call#*/}" SHIM_SIGNAL=19 SHIM_DONE="$T/done" \
    "${backup[@]}" >"$T/out" 2>"$T/err" </dev/null &
  backup_pid=$!
  wait_for 60 test -e "$T/done" || die "not reached: $(cat "$T/err")"
  both_marked() {
    marked >"$T/pids"
    [ "$(wc -l <"$T/pids")" -ge 2 ]
  }
  wait_for 20 both_marked || die "there is no watchdog"
  xargs kill -9 <"$T/pids"
  wait "$backup_pid" || :
  [ "$call" != virDomainFSThaw/before ] || frozen || die "it was not frozen"
  not live_no_job || die "there was no job"
  next
  said 'an earlier backup of domain .* died'
  guest_ticks 2
done

echo "qemu is killed in mid-copy" >&2
mid_copy
guest_kill
status=0
wait "$backup_pid" || status=$?
[ "$status" = 0 ] || [ -s "$T/err" ] || die "it failed and said nothing"
equal "$(find "$L/scratch" -mindepth 1)" '' "the scratch directory"
guest_start
live_backup 0
live_right 0
live_full vda 'bitmap|broken|checkpoint'
next
