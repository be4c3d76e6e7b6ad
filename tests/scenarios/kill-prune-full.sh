#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: on a disk that is full to the last byte a prune may die or
# meet an error while it uses the reserve: the next one, on the same full disk,
# finishes, and the reserve is restored once there is space.
. "$(dirname "$0")/../functions-faults.sh"
need_root "to mount a small filesystem"

S=$T/shim # not on the full disk, so without losses
FAULT_TRIES=${FAULT_TRIES:-8}
FAULT_ACTS=${FAULT_ACTS:-after,before,error 5,after,dead 5,before,error 28}
mount_disk() { # IMAGE
  mountpoint -q "$W" && umount "$W"
  mkdir -p "$W"
  mount -o loop "$1" "$W" || skip "no loop mounts here"
}
prepare() {
  truncate -s 200M "$F/new.img"
  mke2fs -q -t ext4 -m 0 "$F/new.img"
  mount_disk "$F/new.img"
  new_repo "$R"
  make_noise "$T/stay" 18 1
  make_noise "$T/go" 18 2
  back_up_mixed mixed "$T/stay" "$T/go" 6
  amberfs backup "$R" --name stay "$T/stay"
  fill_disk "$W"
  local i
  for i in 0 1 2; do
    amberfs forget "$R" "mixed$i/latest" >/dev/null
  done
  fill_disk "$W"
  keep "stay/$(latest stay)/stay" "$T/stay"
}
# The whole disk is kept and copied, holes and all.
save_start() {
  umount "$W"
  mv "$F/new.img" "$F/start.img"
  mkdir "$F/saved"
  sum_of_start >"$F/saved/sum"
}
sum_of_start() {
  sha256sum <"$F/start.img"
}
renew() {
  mountpoint -q "$W" && umount "$W"
  rm -rf "$S"* "$AMBERFS_STATE_DIR"
  cp --sparse=always "$F/start.img" "$F/disk.img"
  mount_disk "$F/disk.img"
}
subject=(amberfs prune "$R" --max-unused 0)
finally() {
  local size
  size=$(du -sm "$R/packs" | cut -f1)
  [ "$size" -lt 24 ] || die "$what: $size MiB of packs remain"
  rm "$W/filler"
  amberfs prune "$R" >/dev/null || die "$what: prune with room"
  [ "$(allocated "$R/reserve")" -ge $((80 << 20)) ] || die "$what: no reserve"
}
faults
