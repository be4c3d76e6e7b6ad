#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a stream on standard input is stored under its name.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/noise" 20
{ cat "$T/noise"; head -c 20M /dev/zero; printf end; } >"$T/whole"
dd if="$T/whole" bs=64K status=none | amberfs backup "$R" --name pipe --stdin-name dump.img -
amberfs restore "$R" pipe/latest/dump.img - >"$T/back"
same "$T/whole" "$T/back"
size=$(stat -c %s "$T/whole")
amberfs show --json "$R" pipe/latest |
  jq -e ".files[0].name == \"dump.img\" and .files[0].size == $size" >/dev/null ||
  die "$(amberfs show --json "$R" pipe/latest)"
# Zeros in a stream are holes as well.
amberfs restore "$R" pipe/latest/dump.img "$T/sparse"
same "$T/whole" "$T/sparse"
[ "$(allocated "$T/sparse")" -lt 22000000 ] || die "not sparse"

# The same through a pipe that trickles, and an empty one.
head -c 75000 "$T/noise" >"$T/part"
{ head -c 5000 "$T/part"; sleep 0.3; tail -c +5001 "$T/part"; } |
  amberfs backup "$R" --name slow --stdin-name s -
amberfs restore "$R" slow/latest/s - | cmp - "$T/part"
: | amberfs backup "$R" --name empty --stdin-name e -
[ "$(amberfs restore "$R" empty/latest/e - | wc -c)" = 0 ] || die "not empty"

expect 2 amberfs backup "$R" --name x -
said stdin-name
expect 2 amberfs backup "$R" --stdin-name x -
