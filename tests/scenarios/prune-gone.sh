#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a file that a mount still shows by its name, but whose
# snapshot was forgotten and pruned, can't be opened, holds up no later prune,
# and leaves no record of something lost.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq
new_repo
seed=0
for name in keep gone other; do
  seed=$((seed + 1))
  make_noise "$T/$name" 4 "$seed"
  amberfs backup "$R" --name "$name" "$T/$name"
done
amber_mount "$R" "$T/mnt"
file=$(echo "$T"/mnt/gone/2*/gone)
stat "$file" >/dev/null
amberfs forget "$R" gone/latest other/latest
amberfs prune "$R" --json | jq -e '.deleted.packs >= 4' >/dev/null ||
  die "the forgotten were not pruned"
# Its name may still be known to the kernel.
! cat "$file" >/dev/null 2>&1 || die "a file that is gone was read"
for _ in 1 2 3; do
  ! cat "$file" >/dev/null 2>&1 || die "a file that is gone was read"
  amberfs prune "$R" --wait 5s || die "prune was held up"
done
[ -z "$(ls "$R/damaged")" ] || die "recorded as lost: $(ls "$R/damaged")"
cmp "$T"/mnt/keep/latest/keep "$T/keep"
amberfs verify "$R" --read-data >/dev/null
