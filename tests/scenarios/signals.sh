#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: SIGINT and SIGTERM end a backup cleanly: no snapshot, no
# temporary files, no session; and what was sealed is found again.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
echo small >"$T/small"
amberfs backup "$R" --name base "$T/small"
make_noise "$T/disk" 160
pack_sealed() {
  [ -n "$(find "$R/packs" -name '[0-9a-f]*' -type f -size +20M -print -quit)" ]
}
for signal in INT TERM; do
  # The shell lets its background programs ignore SIGINT.
  env --default-signal=INT \
    amberfs backup "$R" --name vm --bwlimit 40M "$T/disk" 2>"$T/err" &
  pid=$!
  # Until a pack is sealed, so that there is something to find again.
  wait_for 30 pack_sealed || die "no pack was sealed"
  kill -"$signal" "$pid"
  status=0
  wait "$pid" || status=$?
  [ "$status" != 0 ] || die "$signal: exit status 0"
  equal "$(snapshot_count vm)" 0 "$signal: snapshots"
  [ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "$signal: session"
  [ -z "$(find "$R" -name '*tmp*' -print -quit)" ] || die "$signal: temporary"
  amberfs verify "$R" --read-data
done
amberfs backup "$R" --json --name vm "$T/disk" >"$T/json"
jq -e '.deduplicated_bytes > 16 * 1048576' "$T/json" >/dev/null ||
  die "nothing was found again: $(cat "$T/json")"
amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"

# Killed outright: the next one clears away after it.
amberfs backup "$R" --name vm2 --bwlimit 40M "$T/disk" 2>/dev/null &
pid=$!
wait_for 20 session_registered || die "it registers no session"
kill -9 "$pid"
wait "$pid" 2>/dev/null || :
amberfs backup "$R" --name base "$T/small"
[ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "a dead session"
[ -z "$(find "$R" -name '*tmp*' -print -quit)" ] || die "its temporary files"
amberfs verify "$R" --read-data
