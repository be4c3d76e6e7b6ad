#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: several backups at once into one repository, with a mount
# and readers meanwhile, end with right snapshots.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/common" 16 1
for i in 1 2 3 4; do
  make_noise "$T/own" 12 "$((10 + i))"
  cat "$T/common" "$T/own" >"$T/disk$i"
done
amberfs backup "$R" --name base "$T/common"
mounted=no
if [ -w /dev/fuse ]; then
  amber_mount "$R" "$T/mnt"
  mounted=yes
fi
pids=()
for i in 1 2 3 4; do
  amberfs backup "$R" --name "vm$i" "$T/disk$i" &
  pids+=($!)
done
# A second one of the same source at the same moment gets another second.
amberfs backup "$R" --name vm1 "$T/disk1" &
pids+=($!)
if [ "$mounted" = yes ]; then
  for _ in 1 2 3; do
    cmp "$T/mnt/base/latest/common" "$T/common" || die "the mount reads wrong"
  done
fi
for pid in "${pids[@]}"; do
  wait "$pid" || die "a backup failed"
done
[ "$(snapshot_count)" = 6 ] || die "snapshots: $(amberfs list "$R")"
for i in 1 2 3 4; do
  amberfs restore "$R" "vm$i/latest/disk$i" - | cmp - "$T/disk$i"
done
if [ "$mounted" = yes ]; then
  wait_for 10 test -e "$T/mnt/vm4/latest/disk4" || die "vm4 does not appear"
  for i in 1 2 3 4; do
    cmp "$T/mnt/vm$i/latest/disk$i" "$T/disk$i" &
    pids+=($!)
  done
  for pid in "${pids[@]:5}"; do
    wait "$pid" || die "a reader of the mount failed"
  done
  amber_umount "$T/mnt"
fi
amberfs verify "$R" --read-data
wait_for 10 is_empty "$R/sessions" ||
  die "sessions remain: $(ls "$R/sessions")"
# The index has learned of all of it.
for i in 1 2 3 4; do
  touch "$T/disk$i"
  amberfs backup "$R" --json --name "vm$i" "$T/disk$i" |
    jq -e '.new_bytes == 0' >/dev/null || die "vm$i was stored twice"
done
