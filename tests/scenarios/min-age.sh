#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: snapshots younger than the minimum age are not removed, by
# name or by rule, and the message says until when; copies count from their
# arrival; the age can be raised for all, but lowered only for future snapshots.
. "$(dirname "$0")/../functions.sh"
need_program jq faketime
export TZ=UTC

# on DAY COMMAND...: on that day of November 2026, noon.
on() {
  local day=$1
  shift
  at_time "2026-11-$day 12:00:00" "$@"
}
backup() { # DAY
  echo "$1" >"$T/file"
  on "$1" amberfs backup "$R" --name vm "$T/file" 2>/dev/null
}
name() { # DAY
  amberfs list --json "$R" | jq -r --arg day "202611$1" \
    '.snapshots[].object[10:] | select(contains($day))'
}

expect 2 amberfs init "$T/repo" --no-encryption --min-age 30
said '30d'
on 01 amberfs init "$T/repo" --no-encryption --min-age 10d
R=$T/repo
backup 01
backup 05
backup 10

# By name: refused, until when. By rule: kept, and for that reason.
expect 1 on 10 amberfs forget "$R" "$(name 05)"
said 'protected until 20261115T12000.Z \(for another 4 days 23 h|5 days\)'
expect 0 on 12 amberfs forget "$R" --keep-last 1 --json
equal "$(jq -r '.forgotten | length' "$T/out")" 1 "old enough on the 12th"
equal "$(jq -c '[.snapshots[] | [.rules[].rule]]' "$T/out")" \
  '[[],["min-age"],["last","min-age"]]' rules
jq -e '.snapshots[1].protected_until | startswith("2026-11-15T12:00")' \
  "$T/out" >/dev/null || die "until when: $(cat "$T/out")"
on 12 amberfs show "$R" "$(name 05)" | found -E '^Protected +until 20261115T' ||
  die "show"
on 12 amberfs protect "$R" >"$T/out"
grep -q 'before it is 10 days old' "$T/out" || die "$(cat "$T/out")"
grep -q '2 are protected now.* until 20261120T' "$T/out" || die "$(cat "$T/out")"
# A mixed order does what may be done.
expect 3 on 16 amberfs forget "$R" "$(name 05)" vm/latest
equal "$(snapshot_count)" 1 snapshots
# A damaged one is protected, too.
printf x | dd of="$R/snapshots/$(name 10)" bs=1 seek=40 conv=notrunc status=none
damaged=$(cd "$R/snapshots" && echo vm/*)
expect 1 on 16 amberfs forget "$R" "$damaged"
said 'protected until'
expect 0 on 21 amberfs forget "$R" "$damaged"

# Raised: at once, for what is there.
backup 21
expect 2 on 22 amberfs protect "$R" --min-age 30m
said 'mo for months'
expect 1 on 22 amberfs protect "$R" --min-age 20d
said 'not before 20261212T.*can.t be undone'
said '[-]-yes agrees to 20 days'
expect 1 on 22 amberfs forget "$R" vm/latest
said 'protected until 2026120'
expect 0 on 22 amberfs protect "$R" --min-age 20d --yes
silent
expect 1 on 30 amberfs forget "$R" vm/latest
said 'protected until 202612111?'
# Lowered: only for what comes. Also if the clock is wrong when it is done.
backup 23
expect 0 at_time '2026-01-01 00:00:00' amberfs protect "$R" --min-age 1d
said 'newest snapshot is of .* is the clock right'
backup 24
expect 0 on 28 amberfs forget "$R" --keep-within 0 --dry-run --json
equal "$(jq -c '[.snapshots[].protected_until[0:10]]' "$T/out")" \
  '["2026-12-11","2026-12-13",null]' "after lowering"
expect 0 at_time '2026-11-24 18:00:00' amberfs protect "$R" --min-age 0
expect 0 at_time '2026-11-24 18:00:00' amberfs protect "$R" --json
equal "$(jq -c '[.min_age_seconds, .longest_min_age_seconds, .protected_count, (.settings | length)]' \
  "$T/out")" '[0,1728000,3,4]' "what is in force"
expect 0 on 25 amberfs protect "$R" --min-age 0
equal "$(find "$R/retention" -type f | wc -l)" 4 "settings; no change makes none"
backup 26
expect 0 on 26 amberfs forget "$R" vm/latest
expect 1 on 28 amberfs forget "$R" "$(name 21)"

# Nothing is removed if a setting can't be read or is missing.
for damage in missing changed; do
  cp -p "$R/retention/2" "$T/saved"
  case $damage in
    missing) rm "$R/retention/2" ;;
    changed) echo x >>"$R/retention/2" ;;
  esac
  for order in "--keep-last 1" "vm/latest"; do
    # shellcheck disable=SC2086 # two words
    expect 1 at_time '2028-01-01' amberfs forget "$R" $order
    said 'retention/2'
    said 'nothing is removed'
  done
  expect 1 amberfs prune "$R"
  said 'retention/2'
  expect 1 amberfs protect "$R" --min-age 1d
  amberfs list "$R" 2>"$T/err" >"$T/out"
  said 'retention/2'
  cp -p "$T/saved" "$R/retention/2"
done
equal "$(snapshot_count)" 3 "snapshots of all that"

# A copy is as old as its stay here, whatever time it was given, here or where it
# was copied before.
age_of() { # REPO
  amberfs show --json "$1" vm/latest | jq -r '.origin.arrived[0:10]'
}
on 01 amberfs init "$T/second" --no-encryption >/dev/null
on 01 amberfs init "$T/third" --no-encryption --min-age 10d >/dev/null
on 01 amberfs init "$T/first" --no-encryption >/dev/null
echo forged >"$T/file"
at_time '2021-01-01 12:00:00' amberfs backup "$T/first" --name vm "$T/file"
at_time '2021-06-01 12:00:00' amberfs copy "$T/first" "$T/second"
on 20 amberfs copy "$T/second" "$T/third"
equal "$(age_of "$T/second") $(age_of "$T/third")" '2021-06-01 2026-11-20' arrivals
amberfs show "$T/third" vm/latest | found '^Arrived  *20261120T12' || die show
expect 1 on 29 amberfs forget "$T/third" vm/latest
said 'protected until 20261130T12'
on 29 amberfs protect "$T/third" | found '1 is protected now.* until 20261130T12' ||
  die protect
# Nor does a lower age, set by a clock that is behind, hold for it.
expect 0 on 02 amberfs protect "$T/third" --min-age 1d
expect 1 on 29 amberfs forget "$T/third" vm/latest
expect 0 at_time '2026-11-30 13:00:00' amberfs forget "$T/third" vm/latest
# A copy made again is there already, and as old as it was.
on 22 amberfs copy "$T/second" "$T/third"
on 25 amberfs copy "$T/second" "$T/third"
equal "$(age_of "$T/third")" 2026-11-22 "copied twice"

# In the end they may go, and a later repository without it is as free as ever.
expect 0 at_time '2028-01-01' amberfs forget "$R" --keep-last 1
equal "$(snapshot_count)" 1 "years later"
new_repo "$T/free"
backup 01
expect 0 amberfs protect "$R"
grep -q 'No minimum age is set' "$T/out" || die "$(cat "$T/out")"
expect 0 on 01 amberfs forget "$R" vm/latest
