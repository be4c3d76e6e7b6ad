#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a guest was killed, shut off, moved to other files or
# redefined as another domain between two backups: each backup is right, those
# that need not read everything do not, and tracking continues afterwards.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

guest_new heal
mkdir -p "$T/files"
make_noise "$T/files/noise" 16
guest_disk vda qcow2 48M "$T/files"
guest_disk vdb qcow2 8M
guest_disk vdc qcow2 8M
guest_define tick=300
guest_start
guest_wait 'GUEST AGENT'

# backup [FULL WHY]: these disks in full for that reason, the others not.
backup() {
  local disk full=" ${1:-} "
  guest_ticks 1
  live_backup 0
  live_right 0
  for disk in vda vdb vdc; do
    case $full in
      *" $disk "*) live_full $disk "$2" ;;
      *) live_changes $disk ;;
    esac
  done
  live_read_bounded
}

live_backup 0
live_right 0
backup

killed() {
  echo "qemu was killed: its bitmaps are in use for ever" >&2
  guest_kill
  guest_start
  live_backup 0
  live_right 0
  live_full vda 'broken|bitmap'
  backup
}

off_right() {
  local disk directory
  directory=$(live_directory)
  for disk in vda vdb vdc; do
    qemu-img compare -q -f qcow2 -F raw "$(guest_file $disk)" \
      "$directory/$disk.raw" || die "$disk is not what the guest would see"
    guest_check "$directory/$disk.raw" 0 >/dev/null
  done
}

off() {
  local disk
  echo "shut off in good order: the image carries the bitmap" >&2
  guest_ticks 1
  guest_tell poweroff
  wait_for 60 guest_is_off || die "it does not power off"
  age "$(guest_file vda)" "$(guest_file vdb)" "$(guest_file vdc)"
  live_backup 0
  equal "$(live_consistency)" offline "consistency of a guest that is off"
  off_right
  for disk in vda vdb vdc; do
    live_changes $disk
    [ "$(live_disk $disk .read_bytes)" -lt $((3 << 20)) ] || die "$(cat "$T/out")"
  done
  echo "nothing changed: nothing is read" >&2
  live_backup 0
  off_right
  for disk in vda vdb vdc; do
    equal "$(live_disk $disk .mode)" unchanged "$disk"
  done
  echo "started again: the bitmap went on" >&2
  guest_start
  backup
}

swapped() {
  local b c
  echo "two disks have changed places, one is a copy" >&2
  guest_tell poweroff
  wait_for 60 guest_is_off || die "it does not power off"
  b=$(guest_file vdb) c=$(guest_file vdc)
  libvirt_do cp "$(guest_file vda)" "$L/images/copy"
  libvirt_do mv "$L/images/copy" "$(guest_file vda)"
  sed "s|$b|X|; s|$c|$b|; s|'X'|'$c'|" "$L/heal.xml" >"$L/heal-swapped.xml"
  libvirt_own
  virsh_do define "$L/heal-swapped.xml"
  guest_start
  backup 'vda vdb vdc' 'different file|chain'
  backup
}

other_domain() {
  echo "defined as another domain" >&2
  guest_tell poweroff
  wait_for 60 guest_is_off || die "it does not power off"
  virsh_do dumpxml heal --inactive >"$L/heal-other.xml"
  virsh_do undefine heal --checkpoints-metadata
  guest_uuid=$(cat /proc/sys/kernel/random/uuid)
  sed -i "s|<uuid>.*</uuid>|<uuid>$guest_uuid</uuid>|" "$L/heal-other.xml"
  virsh_do define "$L/heal-other.xml"
  guest_start
  live_backup 1
  said 'belongs to domain .*--adopt'
  live_backup 0 --adopt
  live_right 0
  live_full vda 'another domain|last checkpoint'
  backup
}

paused() {
  echo "paused: consistent as after a crash; and it stays paused" >&2
  virsh_do suspend heal
  live_backup 0
  equal "$(live_consistency)" crash "consistency of a paused guest"
  live_right 0 1
  equal "$(virsh_do domstate heal)" paused "state"
  virsh_do resume heal
  backup
}

saved() {
  echo "saved: its disks as they are, and its memory is not kept" >&2
  virsh_do managedsave heal
  live_backup 0
  equal "$(live_consistency)" crash "consistency of a saved guest"
  said 'memory'
  virsh_do start heal
  backup
}

# In this order.
for what in $(live_stages killed off swapped other_domain paused saved); do
  "$what"
done
