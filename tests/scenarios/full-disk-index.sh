#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: if the index's disk is full to the last byte, backups,
# restores and prunes of a repository elsewhere continue; the index catches up
# as soon as there is space.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a small filesystem"
need_program jq

for disk in 'ext4 16M' 'tmpfs 4M'; do
  read -r kind size <<<"$disk"
  rm -rf "$T/repo"
  new_repo
  at=$T/$kind
  small_disk "$kind" "$size" "$at"
  make_noise "$T/old" 8 1
  make_noise "$T/more" 40 2
  cat "$T/old" "$T/more" >"$T/new"
  amberfs backup "$R" --index-dir "$at/index" --name vm "$T/old"
  fill_disk "$at"
  # ext4 keeps some blocks for itself.
  [ "$(stat -f -c %a "$at")" -lt 100 ] || die "$kind: $(stat -f "$at")"

  expect 0 amberfs backup "$R" --index-dir "$at/index" --name vm "$T/new"
  said 'index.*(space|memory|lags)'
  [ "$(wc -l <"$T/err")" -le 3 ] || die "$kind: many words: $(cat "$T/err")"
  # What was stored before is found by the index as it was.
  amberfs show --json "$R" vm/latest | jq -e '.new_bytes < 43e6' >/dev/null ||
    die "$kind: $(amberfs show --json "$R" vm/latest)"
  amberfs restore "$R" --index-dir "$at/index" vm/latest/new - |
    cmp - "$T/new" || die "$kind: restore"
  amberfs verify "$R" --index-dir "$at/index" --read-data
  # Rebuilding begins with giving up the old one, and may have room by that.
  amberfs index --rebuild "$R" --index-dir "$at/index" >/dev/null 2>"$T/err" ||
    said 'space'
  cat /dev/zero 2>/dev/null >>"$at/filler" || :
  amberfs restore "$R" --index-dir "$at/index" vm/latest/new - |
    cmp - "$T/new" || die "$kind: restore after that"
  amberfs forget "$R" --index-dir "$at/index" vm/latest
  amberfs prune "$R" --index-dir "$at/index" 2>"$T/err" ||
    die "$kind: prune: $(cat "$T/err")"
  amberfs restore "$R" --index-dir "$at/index" vm/latest/old - |
    cmp - "$T/old" || die "$kind: restore after prune"

  rm "$at/filler"
  amberfs backup "$R" --index-dir "$at/index" --name vm "$T/new"
  equal "$(amberfs index --json "$R" --index-dir "$at/index" | jq .packs)" \
    "$(find "$R/packs" -type f | wc -l)" "$kind: packs in the index"
  umount "$at"
done
