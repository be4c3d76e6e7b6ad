#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the guest that other tests back up comes up, writes, is
# frozen and thawed by its agent, takes a disk while it runs, discards what it
# no longer needs, and what it leaves behind can be judged.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
libvirt_start

guest_new plain
guest_disk vda qcow2 48M
guest_disk vdb raw 16M
guest_define
guest_start
guest_wait 'amber login:'
guest_wait 'GUEST AGENT'

# Frozen it is silent, thawed it goes on.
wait_for 60 virsh_do domfsfreeze plain || die "no agent that freezes"
equal "$(virsh_do qemu-agent-command plain '{"execute":"guest-fsfreeze-status"}')" \
  '{"return":"frozen"}' "the agent's answer"
before=$(guest_counter)
sleep 3
[ $(($(guest_counter) - before)) -le 1 ] || die "it writes though it is frozen"
virsh_do domfsthaw plain >&2
guest_ticks 2

guest_plug vdc qcow2 16M
guest_tell fill vda/filler 4
full=$(allocated "$(guest_file vda)")
guest_tell remove vda/filler
guest_tell trim vda
guest_tell sync
[ "$(allocated "$(guest_file vda)")" -lt $((full - (2 << 20))) ] ||
  die "what was discarded is still there"

# Its plug is pulled: the journal is replayed, nothing that was synced is lost.
guest_ticks 2
guest_off
guest_check "$(guest_file vdb)" 1 >/dev/null
qemu-img convert -f qcow2 -O raw "$(guest_file vda)" "$T/vda"
killed=$(guest_check "$T/vda" 1)
[ "$killed" -ge "$(guest_counter)" ] || die "$killed is older than its console"

# Again, without an agent; it goes on from where it was and ends by itself.
guest_define noagent
guest_start
guest_wait 'GUEST DISK vdc'
not guest_said 'GUEST AGENT' || die "there is an agent"
[ "$(guest_counter)" -gt "$killed" ] || die "it began anew"
guest_tell stop
guest_tell go
guest_ticks 1
guest_tell poweroff
wait_for 60 guest_is_off || die "it does not power off"
for disk in vda vdc; do
  qemu-img convert -f qcow2 -O raw "$(guest_file $disk)" "$T/$disk"
  guest_check "$T/$disk" >/dev/null
done
guest_check "$(guest_file vdb)" >/dev/null
guest_gone
