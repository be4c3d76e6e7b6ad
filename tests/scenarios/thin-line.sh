#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an image goes in and comes out again bit for bit, by the
# commands of daily use.
. "$(dirname "$0")/../functions.sh"
need_program mke2fs jq

make_tree "$T/tree"
make_image_ext4 "$T/disk.img" 64M "$T/tree"
chmod 640 "$T/disk.img"
touch -d '2026-03-04 05:06:07.123456789' "$T/disk.img"
new_repo

expect 0 amberfs backup "$R" --name web "$T/disk.img"
silent
amberfs list "$R" | found '^web/' || die "list does not show the snapshot"
amberfs list "$R" web | found web/ || die "list of one source is empty"
expect 0 amberfs list "$R" nobody
[ "$(snapshot_count nobody)" = 0 ] || die "a snapshot of nobody"
time=$(latest web)
[[ $time =~ ^[0-9]{8}T[0-9]{6}Z$ ]] || die "not a time: $time"
amberfs show "$R" "web/$time" | found disk.img || die "show: no disk.img"
id=$(amberfs show --json "$R" web/latest | jq -r .id)
equal "$(amberfs show --json "$R" "${id:0:12}" | jq -r .id)" "$id" id

expect 0 amberfs restore "$R" web/latest/disk.img "$T/back.img"
same "$T/disk.img" "$T/back.img"
equal "$(stat -c '%a %Y' "$T/disk.img")" "$(stat -c '%a %Y' "$T/back.img")" \
  "mode and time"
[ "$(allocated "$T/back.img")" -le "$(($(allocated "$T/disk.img") + 65536))" ] ||
  die "the restored image is not as sparse"
e2fsck -fn "$T/back.img" >/dev/null 2>&1 || die "e2fsck finds errors"

expect 0 amberfs verify "$R"
expect 0 amberfs verify "$R" --read-data
[ -z "$(find "$R" -name '*tmp*' -print -quit)" ] || die "temporary files remain"
[ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "a session remains"
