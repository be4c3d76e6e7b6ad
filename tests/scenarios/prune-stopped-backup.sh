#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup that is stopped (SIGSTOP) at any moment, while
# forget and prune run, and then goes on, ends with a snapshot that is whole.
#
# It finds what it needs in packs that nothing else needs any more.
# STOPPED_TRIES (8).
. "$(dirname "$0")/../functions.sh"
need_program jq

tries=${STOPPED_TRIES:-8}
new_repo
make_noise "$T/a" 6 1
make_noise "$T/b" 6 2
make_noise "$T/c" 6 3
stopped=0 whole=0 held=0
for ((i = 0; i < tries; i++)); do
  # What will be dead, in packs of its own; one disk has a base, one has not.
  cat "$T/a" "$T/c" >"$T/old"
  amberfs backup "$R" --name old "$T/old"
  amberfs backup "$R" --name disk "$T/b"
  make_noise "$T/new" 1 $((100 + i))
  cat "$T/a" "$T/new" "$T/b" >"$T/disk"
  name=disk
  [ $((i % 2)) = 0 ] || name=other
  amberfs backup "$R" --name "$name" --bwlimit 12M "$T/disk" &
  pid=$!
  # Over its time of a bit more than a second, and the first ones at its start.
  sleep "$(awk -v i="$i" -v n="$tries" 'BEGIN { print (i < 2 ? i * 0.02 : 1.3 * i / n) }')"
  if kill -STOP "$pid" 2>/dev/null; then
    state=$(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null) || state=''
    [ "$state" = Z ] || [ -z "$state" ] || stopped=$((stopped + 1))
  fi
  amberfs forget "$R" old/latest
  amberfs forget "$R" disk --keep-last 1 >/dev/null
  amberfs prune "$R" --max-unused 0 --wait 0 --json >"$T/json"
  jq -e '.missing_chunks == 0' "$T/json" >/dev/null || die "$(cat "$T/json")"
  jq -e '.waiting == []' "$T/json" >/dev/null || held=$((held + 1))
  # Now it answers, and prune may delete what it does not hold.
  kill -CONT "$pid" 2>/dev/null || :
  amberfs prune "$R" --max-unused 0 --json >"$T/json"
  jq -e '.missing_chunks == 0' "$T/json" >/dev/null || die "$(cat "$T/json")"
  wait "$pid" || die "a backup that was stopped failed"
  amberfs restore "$R" "$name/latest/disk" - | cmp - "$T/disk" ||
    die "the snapshot of a backup that was stopped is not whole"
  whole=$((whole + 1))
  amberfs verify "$R" --read-data
  # Whatever was held goes now; nothing of this try is left for the next.
  amberfs forget "$R" --keep-last 1 >/dev/null
  amberfs prune "$R" --max-unused 0 --json >"$T/json"
  jq -e '.condemned.packs == 0 and .waiting == []' "$T/json" >/dev/null ||
    die "what the backup held stays: $(cat "$T/json")"
  amberfs restore "$R" "$name/latest/disk" - | cmp - "$T/disk"
  mapfile -t all < <(amberfs list --json "$R" |
    jq -r '.snapshots[] | .object[10:]')
  amberfs forget "$R" "${all[@]}"
done
echo "$tries backups were stopped ($stopped while they ran), prune waited for" \
  "$held; $whole ended whole"
equal "$whole" "$tries" "whole snapshots"
[ "$stopped" -ge $((tries / 2)) ] || die "only $stopped were stopped in time"
[ "$held" -gt 0 ] || die "prune never had to wait"
