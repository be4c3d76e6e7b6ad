#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: in a mount, new snapshots appear and forgotten ones vanish
# within five seconds; files that are open are read to their end all the same.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq

new_repo
amber_mount "$R" "$T/mnt"
equal "$(ls "$T/mnt")" "" "an empty repository"
[ ! -e "$T/mnt/vm" ] || die "vm is there already"

make_noise "$T/disk" 20 1
amberfs backup "$R" --name vm "$T/disk"
wait_for 5 test -e "$T/mnt/vm/latest/disk" || die "the first one does not appear"
first=$(readlink "$T/mnt/vm/latest")
same "$T/disk" "$T/mnt/vm/latest/disk"
exec 7<"$T/mnt/vm/$first/disk"
amberfs sessions "$R" >"$T/sessions" 2>&1 || die "$(cat "$T/sessions")"

make_noise "$T/second" 5 2
cp "$T/second" "$T/disk"
amberfs backup "$R" --name vm "$T/disk"
second=$(latest vm)
wait_for 5 test -d "$T/mnt/vm/$second" || die "the second one does not appear"
is_latest() {
  [ "$(readlink "$T/mnt/vm/latest")" = "$1" ]
}
wait_for 5 is_latest "$second" ||
  die "latest is $(readlink "$T/mnt/vm/latest")"
same "$T/second" "$T/mnt/vm/latest/disk"
equal "$(find "$T/mnt/vm" -mindepth 1 -maxdepth 1 | wc -l)" 3 "names in the source's directory"

# Forgotten: gone for all but those who have it open.
cd "$T/mnt/vm/$first"
amberfs forget "$R" "vm/$first"
gone() {
  [ ! -e "$T/mnt/vm/$first" ] && [ "$(find "$T/mnt/vm" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]
}
wait_for 5 gone || die "the forgotten one is still there"
! cat ./disk >/dev/null 2>&1 || die "a forgotten file can be opened"
cd "$T"
make_noise "$T/expected" 20 1
cmp "$T/expected" - <&7 || die "the open file was cut off"
exec 7<&-

# The last of a source takes its directory along.
amberfs forget "$R" "vm/$second"
all_gone() {
  [ -z "$(ls "$T/mnt")" ] && [ ! -e "$T/mnt/vm" ]
}
wait_for 5 all_gone || die "the source is still there"

# Who stands in the directory of a source that has gone sees nothing there,
# least of all what another source has.
for name in gone rest; do
  make_noise "$T/disk" 1
  amberfs backup "$R" --name "$name" "$T/disk"
done
time=$(latest gone)
wait_for 5 test -e "$T/mnt/rest/latest/disk" || die "rest does not appear"
cd "$T/mnt/gone"
exec 7<latest/disk
amberfs forget "$R" "gone/$time"
none_left() {
  [ ! -e "$T/mnt/gone" ]
}
wait_for 5 none_left || die "gone is still there"
equal "$(ls; cat latest/disk "$(latest rest)/disk" 2>/dev/null | wc -c)" 0 \
  "bytes of a source that has gone"
cd "$T"
exec 7<&-
amberfs forget "$R" "rest/$(latest rest)"

# A name that is used again shows the new snapshot, not the old.
for i in 3 4 5; do
  make_noise "$T/disk" 1 "$i"
  amberfs backup "$R" --name again "$T/disk"
  time=$(latest again)
  wait_for 5 test -e "$T/mnt/again/$time/disk" || die "$time does not appear"
  same "$T/disk" "$T/mnt/again/$time/disk"
  amberfs forget "$R" again/latest
done
amber_umount "$T/mnt"
no_session() {
  [ -z "$(find "$R/sessions" -type f)" ]
}
wait_for 30 no_session ||
  die "the mount's session remains"
