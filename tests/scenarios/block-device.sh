#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a block device is backed up completely, and never taken
# over unread, as its times do not show writes.
. "$(dirname "$0")/../functions.sh"
need_root "for a loop device"
need_program jq losetup

new_repo
make_noise "$T/backing" 16
truncate -s 48M "$T/backing"
device=$(losetup -f --show "$T/backing")
at_exit losetup -d "$device"
age "$device"
for _ in 1 2; do
  amberfs backup "$R" --json --name dev "$device" >"$T/json"
  jq -e '.unchanged_bytes == 0 and .read_bytes >= 16777216' "$T/json" >/dev/null ||
    die "$(cat "$T/json")"
done
name=$(basename "$device")
amberfs restore "$R" "dev/latest/$name" - | cmp - "$device"
printf changed | dd of="$device" bs=1 seek=5000000 conv=notrunc status=none
amberfs backup "$R" --name dev "$device"
amberfs restore "$R" "dev/latest/$name" - | cmp - "$device"
amberfs show --json "$R" dev/latest |
  jq -e '.files[0].size == 48 * 1048576' >/dev/null || die "size"

# One that the host has mounted to write, as a whole or a partition of it, is
# copied, but not passed for consistent.
mounted() { # WARNED CONSISTENCY
  expect 0 amberfs backup "$R" --name dev "$device"
  equal "$(grep -c "$device is mounted at $T/host and may be written" "$T/err" || :)" \
    "$1" "warnings in $(cat "$T/err")"
  equal "$(amberfs show --json "$R" dev/latest | jq -r .consistency)" "$2" \
    "consistency"
}
mkdir "$T/host"
mke2fs -q -F "$device"
mounted 0 null
mount "$device" "$T/host"
mounted 1 none
umount "$T/host"
mount -o ro "$device" "$T/host"
mounted 0 null
umount "$T/host"
sfdisk -q "$device" <<<'2048,40960,L' >/dev/null 2>&1 || :
partx -a "$device" 2>/dev/null || partx -u "$device" 2>/dev/null || :
if [ -b "${device}p1" ]; then
  mke2fs -q -F "${device}p1"
  mount "${device}p1" "$T/host"
  mounted 1 none
  umount "$T/host"
  partx -d "$device"
fi
