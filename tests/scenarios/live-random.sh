#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever is done to a domain and its image between backups,
# in any order (written, copied, reverted, shrunk and grown, put on another file
# and committed, killed), each snapshot is what the guest would see.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
seconds=${LIVE_SECONDS:-12} seed=${LIVE_SEED:-$(date +%s)}
RANDOM=$((seed % 32768))
echo "seed $seed" >&2
libvirt_start
cd "$L/images"
size=$((96 << 20))

is_off() {
  [ "$(libvirt_do virsh domstate vm | head -1)" = "shut off" ]
}

# Flushed, so that the image can be looked at.
live() {
  local said command
  echo "live: $1" >&2
  for command in "$1" flush; do
    said=$(libvirt_do virsh qemu-monitor-command vm --hmp \
      "qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend \"$command\"")
    [ -z "$said" ] || die "qemu-io: $said"
  done
}

at_rest() {
  echo "at rest: $1" >&2
  qemu-io -f qcow2 -c "$1" "${2:-vda.qcow2}" >/dev/null
}

backup() {
  amberfs backup "$R" --connect "$LIBVIRT_URI" --domain vm --json \
    >"$T/out" 2>"$T/err" || die "$(cat "$T/err")"
  jq -r '.snapshots[0].disks[0] | "backup: " + .mode, .reason // empty' "$T/out" >&2
  amberfs restore "$R" vm/latest/vda.raw "$T/restored.raw" --force
  qemu-img compare -q -U -f raw -F qcow2 "$T/restored.raw" vda.qcow2 ||
    die "wrong bytes, seed $seed"
}

resize_twice() {
  # Refused while a broken bitmap is in the image.
  qemu-img resize -q --shrink -f qcow2 vda.qcow2 $((60 + RANDOM % 30))M \
    2>/dev/null || return 0
  qemu-img resize -q -f qcow2 vda.qcow2 "$size"
}

commit_from_above() {
  qemu-img create -q -f qcow2 -F qcow2 -b vda.qcow2 above.qcow2
  at_rest "$1" above.qcow2
  qemu-img commit -q -f qcow2 above.qcow2
  rm above.qcow2
}

stop() {
  if [ "$1" = kill ]; then
    kill -9 "$(cat "$L"/run/libvirt/qemu/run/vm.pid)"
  else
    libvirt_do virsh -q destroy vm
  fi
  wait_for 20 is_off || die "it goes on"
  if [ "$1" = kill ]; then # leaked clusters at most
    qemu-img check -q -r leaks vda.qcow2 || :
  fi
  on=0
}

copies=0
while_it_runs() {
  case $((RANDOM % 14)) in
    [0-3]) live "write -P $value $at $len" ;;
    4) live "discard $at $len" ;;
    5) live "write -z -u $at $len" ;;
    [6-9]) backup ;;
    10 | 11) stop off ;;
    12) stop kill ;;
    13) [ "$(snapshot_count vm)" = 0 ] || [ $((RANDOM % 3)) != 0 ] ||
      amberfs forget "$R" vm/latest >/dev/null ;;
  esac
}

while_it_is_off() {
  case $((RANDOM % 14)) in
    [0-2]) at_rest "write -P $value $at $len" ;;
    [3-5]) backup ;;
    [6-8])
      libvirt_do virsh -q start vm
      on=1
      ;;
    9) cp vda.qcow2 "copy.$((copies++ % 3))" ;;
    10) [ ! -e copy.1 ] || cat "copy.$((RANDOM % 2))" >vda.qcow2 ;;
    11) resize_twice ;;
    12) commit_from_above "write -P $value $at $len" ;;
    13) [ ! -e copy.0 ] || { cp copy.0 new && mv new vda.qcow2; } ;;
  esac
  libvirt_own
}

qemu-img create -q -f qcow2 vda.qcow2 "$size"
for start in 0 16 32 48 64; do
  at_rest "write -P $((start + 1)) ${start}M 6M"
done
domain_define vm "$(domain_disk "$L/images/vda.qcow2" qcow2 vda)"
new_repo
on=0
end=$((SECONDS + seconds))
while [ "$SECONDS" -lt "$end" ]; do
  at=$((RANDOM % 90))M len=$((1 + RANDOM % 12 * 160))k
  value=$((RANDOM % 255 + 1))
  if [ $on = 1 ]; then
    while_it_runs
  else
    while_it_is_off
  fi
done
amberfs verify "$R" --read-data
