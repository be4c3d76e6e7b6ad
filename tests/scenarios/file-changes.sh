#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a file that changes while it is read is not stored as good.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/disk" 48
echo steady >"$T/steady"
(
  for i in $(seq 400); do
    printf 'x%d' "$i" |
      dd of="$T/disk" bs=1 seek=$((i * 1000)) conv=notrunc status=none
    sleep 0.02
  done
) &
writer=$!
expect 1 amberfs backup "$R" --name vm --bwlimit 24M "$T/disk" "$T/steady"
said 'chang'
said disk
kill "$writer" 2>/dev/null || :
wait "$writer" 2>/dev/null || :
equal "$(snapshot_count vm)" 0 "snapshots of a file that changed"
amberfs backup "$R" --name vm "$T/disk" "$T/steady"
amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"

# Its owner, mode and names are not its data: libvirt changes an image's owner
# when a guest starts, and others a shared backing file's.
make_noise "$T/disk" 24 3
ln "$T/disk" "$T/name"
for change in "chmod 640" "rm $T/name; chmod 600" "touch -a" \
  "setfattr -n user.x -v y"; do
  (
    wait_for 20 session_registered
    sleep 0.3
    bash -c "$change '$T/disk'"
  ) &
  changer=$!
  expect 0 amberfs backup "$R" --name meta --bwlimit 16M --force-read "$T/disk"
  said 'owner, mode or names changed.* not its data'
  wait "$changer"
  amberfs restore "$R" meta/latest/disk - | cmp - "$T/disk"
done
