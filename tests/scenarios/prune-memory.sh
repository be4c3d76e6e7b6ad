#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: with little memory prune looks in slices and comes to the
# same result; what it says it took is within what it was given.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo "$T/repo" --chunk-average 16K
# Some 5,000 chunks in each file.
for i in 1 2 3; do
  make_noise "$T/disk$i" 64 "$i"
  amberfs backup "$R" --name "vm$i" "$T/disk$i"
done
make_noise "$T/part" 20 9
dd if="$T/part" of="$T/disk2" bs=1M seek=13 conv=notrunc status=none
amberfs backup "$R" --name vm2 "$T/disk2"
amberfs forget "$R" vm1/latest \
  "vm2/$(amberfs list --json "$R" vm2 | jq -r '.snapshots[0].object | sub(".*/"; "")')"
cp -a "$R" "$T/other"
amberfs prune "$R" --json --max-unused 0 >"$T/much"
jq -e '.slices == 1' "$T/much" >/dev/null || die "$(cat "$T/much")"
amberfs prune "$T/other" --json --memory 64K --max-unused 0 >"$T/little"
jq -e '.slices >= 2' "$T/little" >/dev/null ||
  die "no slices: $(cat "$T/little")"
# Beside the slice: the tree's nodes and the roots.
jq -e '.memory_bytes <= 65536 + 40000' "$T/little" >/dev/null || die "$(cat "$T/little")"
for key in .live_chunks .missing_chunks .unused_bytes .snapshot_count .before; do
  equal "$(jq -c "$key" "$T/little")" "$(jq -c "$key" "$T/much")" "$key"
done
jq -e -n --slurpfile a "$T/much" --slurpfile b "$T/little" \
  '($a[0].after.bytes - $b[0].after.bytes | fabs) < $a[0].after.bytes / 100' \
  >/dev/null || die "other sizes: $(cat "$T/much" "$T/little")"
for repo in "$R" "$T/other"; do
  for i in 2 3; do
    amberfs restore "$repo" "vm$i/latest/disk$i" - | cmp - "$T/disk$i"
  done
  expect 0 amberfs verify "$repo"
done
expect 2 amberfs prune "$R" --memory 1K
