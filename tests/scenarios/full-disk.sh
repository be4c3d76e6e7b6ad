#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a full disk fails a backup with a clear message; existing
# data stays good, and with free space the next backup works.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a small filesystem"

for disk in 'ext4 200M' 'xfs 320M' 'tmpfs 180M'; do
  read -r kind size <<<"$disk"
  at=$T/$kind
  small_disk "$kind" "$size" "$at"
  new_repo "$at/repo"
  make_noise "$T/good" 8 1
  make_noise "$T/large" 400 2
  amberfs backup "$R" --name good "$T/good"
  expect 1 amberfs backup "$R" --name large "$T/large"
  said 'space'
  [ "$(wc -l <"$T/err")" -le 4 ] || die "$kind: too many words"
  equal "$(snapshot_count large)" 0 "$kind: snapshots of what did not fit"
  amberfs restore "$R" good/latest/good - | cmp - "$T/good"
  [ -z "$(find "$R" -name '*tmp*' -print -quit)" ] || die "$kind: temporary files"
  # Full to the last byte: reading still works.
  cat /dev/zero >"$at/filler" 2>/dev/null || :
  amberfs list "$R" | found good/ || die "$kind: list on a full disk"
  amberfs restore "$R" good/latest/good - | cmp - "$T/good" ||
    die "$kind: restore from a full disk"
  amberfs verify "$R" --read-data || die "$kind: verify on a full disk"
  expect 1 amberfs backup "$R" --name more "$T/large"
  said 'space'
  rm "$at/filler"
  amberfs backup "$R" --name good "$T/good" || die "$kind: with room again"
  amberfs verify "$R" --read-data
  umount "$at"
done
# A restore to a full disk fails and leaves nothing.
mkdir "$T/little"
mount -t tmpfs -o size=10M none "$T/little"
new_repo "$T/repo"
amberfs backup "$R" --name large "$T/large"
expect 1 amberfs restore "$R" large/latest/large "$T/little/large"
said 'space'
equal "$(ls -A "$T/little")" "" "what remains of the restore"
