#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a guest with another operation in progress is not backed
# up, and the message names the operation; the other guests are, and the
# operation is not disturbed. With --wait it is backed up as soon as it is free.
# --quiesce says what to do without an agent.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

qemu-img create -q -f raw "$L/images/other.raw" 1M
libvirt_own
domain_define other "$(domain_disk "$L/images/other.raw" raw vda)"
guest_new busy
guest_disk vda qcow2 48M
guest_define tick=300 noagent
guest_start
live_backup 0
live_right 0 1

echo "without an agent" >&2
equal "$(live_consistency)" crash "consistency without an agent"
before=$(snapshot_count busy)
live_backup 1 --quiesce=require
said 'agent|frozen|freeze'
equal "$(snapshot_count busy)" "$before" "snapshots"
live_clean
guest_tell agent on
live_backup 0 --quiesce=never
equal "$(live_consistency)" crash "consistency with --quiesce=never"
live_right 0 1
live_backup 0 --quiesce=require
equal "$(live_consistency)" filesystem "consistency with --quiesce=require"
live_right 0

echo "an agent that does not answer" >&2
guest_tell agent hang
# A first attempt fails, as qemu may not write into the guest's own directory: the
# second one does not ask the agent again, and it is told once more to thaw.
own=$(find "$L/home/.config/libvirt/qemu/lib" -name 'domain-*-busy')
chmod 500 "$own"
XDG_CONFIG_HOME=$L/home/.config LD_PRELOAD=$LIVE_SHIM SHIM_CALLS=$T/calls \
  live_backup 0
chmod 700 "$own"
equal "$(live_consistency)" crash "consistency with a hanging agent"
equal "$(grep -E "GetTime|FS|Begin" "$T/calls" | sort | uniq -c | awk '{ print $2, $1 }')" \
  "virDomainBackupBegin 2
virDomainGetTime 1" "calls with a hanging agent"
jq -e '.snapshots[0].not_frozen | test("agent.* s were spent on it")' "$T/out" \
  >/dev/null || die "$(cat "$T/out")"
guest_tell agent on
guest_ticks 2
live_right 0 1

cat >"$L/backup.xml" <<END
<domainbackup mode='pull'>
  <server transport='unix' socket='$L/images/socket'/>
  <disks><disk name='vda' backup='yes' type='file'>
    <scratch file='$L/images/scratch'/>
  </disk></disks>
</domainbackup>
END
libvirt_own

echo "somebody else's backup" >&2
virsh_do backup-begin busy "$L/backup.xml"
expect 3 amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains \
  --scratch-dir "$L/scratch" --json
said 'busy.*backup'
equal "$(jq -rc '[.snapshots[] | .source + " " + .status] | sort | join(", ")' \
  "$T/out")" "busy failed, other done" "what became of each"
not live_no_job || die "somebody else's job was ended"
[ -S "$L/images/socket" ] || die "somebody else's socket is gone"
(sleep 4; virsh_do domjobabort busy) &
live_backup 0 --wait 60s
live_right 0
wait $!

echo "a block copy" >&2
virsh_do blockcopy busy vda "$L/images/copy.qcow2" --transient-job ||
  virsh_do blockcopy busy vda "$L/images/copy.qcow2" --transient
live_backup 1
said 'busy.*copy'
virsh_do blockjob busy vda --abort
live_backup 0
live_right 0
guest_ticks 1
