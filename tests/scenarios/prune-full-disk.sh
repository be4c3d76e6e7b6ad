#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: on a disk that is full to the last byte forget and prune
# free space with nothing but the reserve, and the reserve is there again.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a small filesystem"
need_program jq

for disk in 'tmpfs 220M' 'ext4 230M'; do
  read -r kind size <<<"$disk"
  at=$T/$kind
  small_disk "$kind" "$size" "$at"
  new_repo "$at/repo"
  make_noise "$T/keep" 30 1
  make_noise "$T/go" 30 2
  # Packs of both, each half of them needed later: nothing goes uncopied.
  back_up_mixed mixed "$T/keep" "$T/go" 10
  amberfs backup "$R" --name keep "$T/keep"
  fill_disk "$at"
  for i in 0 1 2; do
    amberfs forget "$R" "mixed$i/latest" || die "$kind: forget on a full disk"
  done
  amberfs prune "$R" --json >"$T/json" || die "$kind: prune on a full disk"
  jq -e '.freed_bytes > 27e6 and .unused_bytes <= .after.bytes * 0.05' "$T/json" >/dev/null ||
    die "$kind: $(cat "$T/json")"
  amberfs restore "$R" keep/latest/keep - | cmp - "$T/keep"
  amberfs verify "$R" --read-data
  amberfs prune "$R" --json | jq -e '.deleted.packs == 0' >/dev/null ||
    die "$kind: not done at once"
  rm "$at/filler"
  amberfs prune "$R"
  equal "$(stat -c '%s' "$R/reserve")" $((80 << 20)) "$kind: the reserve"
  [ "$(allocated "$R/reserve")" -ge $((80 << 20)) ] || die "$kind: no reserve"
  umount "$at"
done
