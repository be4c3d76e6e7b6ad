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
  jq -e '.unchanged == 0 and .read >= 16777216' "$T/json" >/dev/null ||
    die "$(cat "$T/json")"
done
name=$(basename "$device")
amberfs restore "$R" "dev/latest/$name" - | cmp - "$device"
printf changed | dd of="$device" bs=1 seek=5000000 conv=notrunc status=none
amberfs backup "$R" --name dev "$device"
amberfs restore "$R" "dev/latest/$name" - | cmp - "$device"
amberfs show --json "$R" dev/latest |
  jq -e '.files[0].size == 48 * 1048576' >/dev/null || die "size"
