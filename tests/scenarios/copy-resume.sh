#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a copy that is killed again and again resumes where it
# stopped: finished snapshots are skipped, stored data is found, nothing wrong
# is ever visible, and the result is the same as without kills.
. "$(dirname "$0")/../functions.sh"
need_program jq

kills=${COPY_KILLS:-4}

new_repo
other=$T/other
make_key "$T/key2"
export AMBERFS_TO_KEY_FILE=$T/key2
amberfs init "$other" --key-file "$T/key2" >/dev/null
use_other() {
  env AMBERFS_KEY_FILE="$T/key2" amberfs "$@"
}

for n in 1 2 3 4 5; do
  make_noise "$T/new" 3 "$n"
  cat "$T/new" >>"$T/disk"
  cp "$T/disk" "$T/disk.$n"
  amberfs backup "$R" --name vm "$T/disk"
done

check() {
  use_other verify "$other" >"$T/out" 2>&1 || die "$1: $(cat "$T/out")"
}

most=0
for ((i = 1; i <= kills; i++)); do
  # Some 15 MB of reading at this rate.
  amberfs copy "$R" "$other" --bwlimit 12M &
  pid=$!
  sleep "0.$((2 + i % 4 * 2))"
  kill -9 "$pid" 2>/dev/null || :
  wait "$pid" 2>/dev/null || :
  check "killed $i times"
  now=$(use_other list --json "$other" | jq '.snapshots | length')
  [ "$now" -ge "$most" ] || die "$now snapshots were $most"
  most=$now
done
amberfs copy "$R" "$other" --json >"$T/json"
equal "$(jq .there_count "$T/json")" "$most" "snapshots that were there"
equal "$(jq '.there_count + .copied_count' "$T/json")" 5 "snapshots at the end"
use_other verify "$other" --read-data
n=0
for time in $(use_other list --json "$other" vm |
  jq -r '.snapshots[] | .object | sub(".*/"; "")'); do
  n=$((n + 1))
  use_other restore "$other" "vm/$time/disk" - | cmp - "$T/disk.$n"
done
equal "$n" 5 "snapshots"

# What the killed runs had stored was used: at most a run's open pack is lost,
# and that never got a name.
amberfs init "$T/fresh" --key-file "$T/key2" >/dev/null
amberfs copy "$R" "$T/fresh"
resumed=$(tree_size "$other/packs") fresh=$(tree_size "$T/fresh/packs")
[ "$resumed" -le $((fresh + fresh / 10)) ] ||
  die "$resumed bytes of packs, $fresh when copied at once"
[ -z "$(find "$other" -name '.tmp.*' -print -quit)" ] ||
  die "temporary files remain: $(find "$other" -name '.tmp.*')"
[ -z "$(find "$R/sessions" "$other/sessions" -type f -print -quit)" ] ||
  die "sessions remain"

# Two at once come to the same.
amberfs init "$T/two" --key-file "$T/key2" >/dev/null
amberfs copy "$R" "$T/two" &
first=$!
amberfs copy "$R" "$T/two"
wait "$first"
equal "$(use_other list --json "$T/two" | jq '.snapshots | length')" 5 "two"
use_other verify "$T/two" --read-data
