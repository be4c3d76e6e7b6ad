#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: with a clock that was set back, new snapshots still come
# after the old ones, and the backup says so.
. "$(dirname "$0")/../functions.sh"
need_program jq faketime

new_repo
echo one >"$T/file"
amberfs backup "$R" --name vm "$T/file"
echo two >"$T/file"
faketime '2020-01-01 00:00:00' amberfs backup "$R" --name vm "$T/file" \
  2>"$T/err"
said 'clock is [0-9]* s behind'
equal "$(snapshot_count vm)" 2 snapshots
equal "$(amberfs restore "$R" vm/latest/file -)" two "the latest"
amberfs list --json "$R" vm | jq -e '[.snapshots[].sequence] == [1, 2]' >/dev/null ||
  die "$(amberfs list "$R")"
