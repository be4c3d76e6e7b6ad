#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: forget deletes the snapshots named and no other.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
for i in 1 2 3; do
  echo "state $i" >"$T/file"
  amberfs backup "$R" --name vm "$T/file"
done
amberfs backup "$R" --name other "$T/file"
mapfile -t times < <(amberfs list --json "$R" vm | jq -r '.snapshots[].object | sub(".*/"; "")')
[ ${#times[@]} = 3 ] || die "three snapshots were expected"
amberfs forget "$R" "vm/${times[0]}"
equal "$(snapshot_count vm)" 2 snapshots
amberfs restore "$R" vm/latest/file - | grep -qx 'state 3'
amberfs restore "$R" "vm/${times[1]}/file" - | grep -qx 'state 2'
expect 1 amberfs forget "$R" "vm/${times[0]}"
# A wrong name among right ones is said, and the others are forgotten.
expect 3 amberfs forget "$R" vm/20010101T000000Z "vm/${times[1]}"
said 20010101T000000Z
equal "$(snapshot_count vm)" 1 "snapshots after a wrong name"
amberfs forget "$R" vm/latest
equal "$(snapshot_count vm)" 0 snapshots
equal "$(snapshot_count other)" 1 "snapshots of the other source"
expect 2 amberfs forget "$R"
# One whose object is damaged can be removed too, by its whole name.
amberfs backup "$R" --name vm "$T/file"
time=$(latest vm)
printf x | dd of="$R/snapshots/vm/$time" bs=1 seek=40 conv=notrunc status=none
expect 1 amberfs forget "$R" vm/latest
expect 0 amberfs forget "$R" "vm/$time"
equal "$(snapshot_count vm)" 0 "snapshots after a damaged one"
amberfs verify "$R" --read-data
# The source begins anew.
amberfs backup "$R" --name vm "$T/file"
equal "$(snapshot_count vm)" 1 snapshots
