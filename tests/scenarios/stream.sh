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

# expect, with a standard input.
expect_from() {
  local want=$1 got=0
  shift
  "$@" >"$T/out" 2>"$T/err" || got=$?
  equal "$got" "$want" "status of: $* ($(cat "$T/err"))"
}

# The same through a pipe that trickles, and an empty one.
head -c 75000 "$T/noise" >"$T/part"
{ head -c 5000 "$T/part"; sleep 0.3; tail -c +5001 "$T/part"; } |
  amberfs backup "$R" --name slow --stdin-name s -
amberfs restore "$R" slow/latest/s - | cmp - "$T/part"
: | expect_from 1 amberfs backup "$R" --name empty --stdin-name e -
said 'the stream was empty.*--allow-empty'
equal "$(snapshot_count empty)" 0 "snapshots of nothing"
: | amberfs backup "$R" --name empty --stdin-name e --allow-empty -
[ "$(amberfs restore "$R" empty/latest/e - | wc -c)" = 0 ] || die "not empty"

expect 2 amberfs backup "$R" --name x -
said stdin-name
expect 2 amberfs backup "$R" --stdin-name x -

# A command's output: stored only if it succeeds, whatever it has written.
from=(amberfs backup "$R" --name made --stdin-name out --stdin-from-command)
expect 0 "${from[@]}" -- cat "$T/part"
amberfs restore "$R" made/latest/out - | cmp - "$T/part"
# shellcheck disable=SC2016 # for the command's shell
for command in 'cat "$0"; exit 3' 'cat "$0"; kill -9 $$' 'exit 3' 'exit 0'; do
  expect 1 "${from[@]}" -- sh -c "$command" "$T/part"
done
said 'the stream was empty'
expect 1 "${from[@]}" -- sh -c 'echo part; exit 7'
said 'sh exited with status 7, so nothing is stored'
expect 1 "${from[@]}" -- no-such-program
said 'starting no-such-program: No such file'
equal "$(snapshot_count made)" 1 "snapshots of commands"
expect 2 amberfs backup "$R" --name made --stdin-from-command -- cat "$T/part"
expect 2 amberfs backup "$R" --name made --allow-empty "$T/part"
# Ended with us, and with what it has started.
# shellcheck disable=SC2016 # the same
(exec "${from[@]}" -- sh -c 'sleep 500 & echo $! >"$0"; echo part; wait' \
  "$T/sleeper" 2>"$T/err") &
backup=$!
wait_for 20 test -s "$T/sleeper"
kill -TERM "$backup"
wait "$backup" || :
wait_for 5 not kill -0 "$(cat "$T/sleeper")" || die "the command lives on"
equal "$(snapshot_count made)" 1 "snapshots of an interrupted command"
