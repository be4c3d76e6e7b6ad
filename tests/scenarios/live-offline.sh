#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a disk is read by the bitmap of an earlier live backup even
# when its domain is shut off, but never by a bitmap that does not belong to its
# contents: each snapshot is what the guest would see.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
cd "$L/images"

# No guest: what it would write is written through its qemu, which says only
# what went wrong, and flushed, so that the image can be looked at.
write_live() {
  local said command
  for command in "$1" flush; do
    said=$(libvirt_do virsh qemu-monitor-command vm --hmp \
      "qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend \"$command\"")
    [ -z "$said" ] || die "qemu-io: $said"
  done
}

write_at_rest() {
  qemu-io -f qcow2 -c "$1" vda.qcow2 | grep -q wrote || die "qemu-io $1"
}

turn_off() {
  libvirt_do virsh -q destroy vm
  wait_for 20 is_off || die "it goes on"
}

is_off() {
  [ "$(libvirt_do virsh domstate vm | head -1)" = "shut off" ]
}

# backup MODE [WHY]: of vda, and what is stored is what is there.
backup() {
  expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain vm --json
  disk=$(jq -c '.snapshots[0].disks[] | select(.target == "vda")' "$T/out")
  equal "$(jq -r .mode <<<"$disk")" "$1" "mode of: $disk"
  if [ $# = 2 ]; then
    said "domain vm: disk vda is read in full: .*$2"
    jq -e --arg why "$2" '.reason | contains($why)' <<<"$disk" >/dev/null ||
      die "the reason in $disk"
  else
    [ ! -s "$T/err" ] || die "$(cat "$T/err")"
  fi
  amberfs restore "$R" vm/latest/vda.raw "$T/restored.raw" --force
  qemu-img compare -q -U -f raw -F qcow2 "$T/restored.raw" vda.qcow2 ||
    die "not what is there after: $disk"
}

# The checkpoint that a snapshot has of vda.
checkpoint() {
  amberfs show --json "$R" vm/latest |
    jq -r '.files[] | select(.name == "vda.raw") |
      .checkpoint // "none"'
}

read_less_than() {
  [ "$(jq -r .read_bytes <<<"$disk")" -lt "$1" ] || die "read too much: $disk"
}

# More than one question to an NBD server can be about.
qemu-img create -q -f qcow2 vda.qcow2 6G
for at in 0 16 32 48 64 80 96 112; do
  write_at_rest "write -P $((at + 1)) ${at}M 6M"
done
domain_define vm "$(domain_disk "$L/images/vda.qcow2" qcow2 vda)"
new_repo

# A live backup; then, shut off, what was written since.
libvirt_do virsh -q start vm
backup full
first=$(checkpoint)
[[ $first == amberfs-* ]] || die "no checkpoint: $first"
write_live 'write -P 200 1M 64k'
write_live 'write -P 201 50M 128k'
turn_off
age vda.qcow2
backup incremental
read_less_than $((40 << 20))
equal "$(checkpoint)" none "a snapshot at rest"
backup unchanged
# Also what other programs of qemu wrote, and over several snapshots.
write_at_rest 'write -P 202 100M 64k'
backup incremental
libvirt_do virsh -q start vm
write_live 'write -P 203 17M 64k'
backup incremental
[ "$(checkpoint)" != "$first" ] || die "the checkpoint stayed"
read_less_than $((80 << 20))
equal "$(libvirt_do virsh checkpoint-list vm --name | grep -c amberfs)" 1 \
  "checkpoints"
# libvirt forgets the checkpoint, the image has not.
libvirt_do virsh -q checkpoint-delete vm "$(checkpoint)" --metadata
backup incremental

# Somebody ends the job while it is read: what the exports say from then on is
# not to be trusted, so there is no snapshot; the next backup goes well.
mkdir "$T/hooks"
cat >"$T/hooks/abort" <<END
#!/bin/bash
L=$L nobody=65534
$(declare -f libvirt_do)
[ "\$AMBERFS_PHASE" != after-thaw ] || libvirt_do virsh -q domjobabort vm
END
chmod +x "$T/hooks/abort"
before=$(snapshot_count vm)
write_live 'write -P 211 33M 64k'
expect 1 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain vm \
  --hook "$T/hooks"
said 'somebody else ended its backup job'
equal "$(snapshot_count vm)" "$before" "snapshots"
equal "$(libvirt_do virsh checkpoint-list vm --name | grep -c amberfs)" 1 \
  "checkpoints after a failure"
backup incremental
turn_off

# Made smaller and as large again: its end is zeros, which its bitmap does not
# know.
qemu-img resize -q --shrink -f qcow2 vda.qcow2 114M
qemu-img resize -q -f qcow2 vda.qcow2 6G
libvirt_do virsh -q start vm
backup full 'its bitmap wrongly marks byte'
said 'ITS DIRTY BITMAP IS WRONG'
turn_off

# The image is taken back, in place, to what it was before the last snapshot.
write_at_rest 'write -P 204 20M 64k'
cp vda.qcow2 earlier.qcow2
write_at_rest 'write -P 205 70M 1M'
backup incremental
cat earlier.qcow2 >vda.qcow2
libvirt_do virsh -q start vm
write_live 'write -P 206 90M 64k'
backup incremental
turn_off
cat earlier.qcow2 >vda.qcow2
backup full missing

# qemu was killed: its bitmap is not to be trusted, at rest and live.
libvirt_do virsh -q start vm
backup full missing
turn_off
libvirt_do virsh -q start vm
write_live 'write -P 207 5M 64k'
kill -9 "$(cat "$L"/run/libvirt/qemu/run/vm.pid)"
wait_for 20 is_off || die "it goes on"
backup full closed
libvirt_do virsh -q start vm
write_live 'write -P 208 6M 64k'
backup full bitmap
write_live 'write -P 209 7M 64k'
backup incremental
turn_off

# The bitmap is in a file below: qemu-nbd would take it from there.
mv vda.qcow2 base.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 vda.qcow2
libvirt_own
write_at_rest 'write -P 210 8M 64k'
backup full 'chain has changed'

# A domain that waits in a saved state: its memory is not in the backup.
libvirt_do virsh -q start vm
libvirt_do virsh -q save vm "$L/memory" >"$T/save"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain vm --json
said 'memory is not'
jq -e '.snapshots[0].consistency == "crash"' "$T/out" >/dev/null ||
  die "$(cat "$T/out")"
libvirt_do virsh -q restore "$L/memory" >"$T/save"
libvirt_do virsh -q managedsave vm >"$T/save"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain vm
said 'memory is not'
amberfs verify "$R" --read-data
