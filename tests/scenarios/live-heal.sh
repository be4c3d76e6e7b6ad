#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever happens to the checkpoints of a running guest, the
# next backup is right: it reads in full what it must, gives the reason in one
# line, and the one after it is incremental again. A checkpoint that only
# libvirt has lost is redefined.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

guest_new heal
mkdir -p "$T/files"
make_noise "$T/files/noise" 24
guest_disk vda qcow2 48M "$T/files"
guest_disk vdb raw 8M
guest_disk vdc qcow2 8M
qemu-img amend -f qcow2 -o compat=0.10 "$(guest_file vdc)"
libvirt_own
guest_define tick=300
guest_start
guest_wait 'GUEST AGENT'

# changes: a backup, of vda only what has changed; always right.
changes() {
  guest_ticks 1
  live_backup 0
  live_right 0
  live_changes vda
  live_read_bounded
}

# full WHY: vda in full, and one line says WHY; the next one is incremental.
full() {
  guest_ticks 1
  live_backup 0
  live_right 0
  live_full vda "$1"
  changes
}

ours() {
  live_checkpoints | grep ^amberfs-
}

live_backup 0
live_right 0
# These two can't be tracked, ever: that is said once.
live_full vdb raw
live_full vdc 'version 2|v2|compat'
changes
! grep -E 'vd[bc]' "$T/err" >&2 || die "it is said each time"

deleted() {
  echo "the checkpoint was deleted" >&2
  virsh_do checkpoint-delete heal "$(ours)"
  full 'checkpoint'
}

forgotten_by_libvirt() {
  echo "libvirt has forgotten the checkpoint, the bitmap is there" >&2
  virsh_do checkpoint-delete heal "$(ours)" --metadata
  changes
}

redefined() {
  echo "the domain was redefined" >&2
  virsh_do undefine heal --checkpoints-metadata
  virsh_do define "$L/heal.xml"
  changes
}

bitmap_missing() {
  local node
  echo "the bitmap is missing" >&2
  node=$(virsh_do qemu-monitor-command heal '{"execute":"query-named-block-nodes"}' |
    jq -r --arg name "$(ours)" 'first(.return[] | select(any(
      ."dirty-bitmaps"[]?; .name == $name)) | ."node-name")')
  virsh_do qemu-monitor-command heal "$(jq -nc --arg node "$node" \
    --arg name "$(ours)" '{execute: "block-dirty-bitmap-remove",
      arguments: {node: $node, name: $name}}')" | found '"return"' ||
    die "the bitmap can't be removed"
  full 'bitmap|checkpoint'
}

grown() {
  echo "the disk has grown" >&2
  virsh_do blockresize heal vda 56M
  full 'size'
}

disk_added() {
  echo "a disk was added" >&2
  guest_plug vdd qcow2 8M
  live_backup 0
  live_right 0
  live_changes vda
  live_full vdd 'new'
  changes
  live_changes vdd
}

base_forgotten() {
  echo "the base was forgotten" >&2
  amberfs forget "$R" heal/latest
  guest_ticks 1
  live_backup 0
  live_right 0
  live_full vda 'checkpoint|snapshot|forgotten'
  changes
}

foreign_checkpoint() {
  echo "somebody else has a checkpoint" >&2
  virsh_do checkpoint-create-as heal foreign --diskspec vda,checkpoint=bitmap \
    --diskspec vdb,checkpoint=no --diskspec vdc,checkpoint=no
  changes
  changes
  live_checkpoints | found -x foreign || die "a foreign checkpoint was deleted"
  virsh_do checkpoint-delete heal foreign
  changes
}

for what in $(live_stages deleted forgotten_by_libvirt redefined bitmap_missing \
  grown disk_added base_forgotten foreign_checkpoint); do
  "$what"
done

echo "the disk was written behind its bitmap" >&2
qemu-img map -U --output=json -f qcow2 "$(guest_file vda)" | jq -r '.[] |
  select(.data and .length >= 4194304) |
  "\(.offset + 1048576) \(.length - 2097152)"' >"$T/places"
[ -s "$T/places" ] || die "no data in vda"
while read -r offset length; do
  dd if=/dev/urandom of="$(guest_file vda)" bs=64K seek=$((offset / 65536)) \
    count=$((length / 65536)) conv=notrunc status=none
done <"$T/places"
guest_ticks 1
live_backup 0
rm "$T/places"
live_full vda 'clean|bitmap|differ'
same "$T/truth/vda" "$(live_directory)/vda.raw"
live_clean
