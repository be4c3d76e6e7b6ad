#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: progress and a summary on a terminal, silence elsewhere,
# and --json prints one object and nothing else.
. "$(dirname "$0")/../functions.sh"
need_program jq script

new_repo
make_noise "$T/disk" 24
expect 0 amberfs backup "$R" --name quiet "$T/disk"
silent
touch "$T/disk"
expect 0 amberfs backup "$R" --name v -v "$T/disk"
[ -s "$T/out" ] || [ -s "$T/err" ] || die "-v says nothing"
make_noise "$T/other" 24 9
script -qec "amberfs backup '$R' --name tty --bwlimit 12M '$T/other'" \
  "$T/tty" >/dev/null </dev/null
grep -q '%' "$T/tty" || die "no progress on a terminal: $(cat -v "$T/tty")"
grep -qi 'iB' "$T/tty" || die "no summary on a terminal: $(cat -v "$T/tty")"
touch "$T/disk"
expect 0 amberfs backup "$R" --name j --json "$T/disk"
[ ! -s "$T/err" ] || die "--json: words on stderr"
jq -se 'length == 1 and (.[0].snapshots | length) == 1' "$T/out" >/dev/null ||
  die "not one object: $(cat "$T/out")"
jq -e '.snapshots[0] | .source == "j" and (.time | fromdate > 0)
  and (.id | length) >= 32' "$T/out" >/dev/null || die "$(cat "$T/out")"
jq -e '[.read_bytes, .hole_bytes, .unchanged_bytes, .deduplicated_bytes, .new_bytes, .stored_bytes, .seconds] |
  all(type == "number")' "$T/out" >/dev/null || die "$(cat "$T/out")"
for command in "list" "show" "verify"; do
  case $command in show) spec=j/latest ;; *) spec='' ;; esac
  # shellcheck disable=SC2086 # no SPEC, no argument
  amberfs "$command" --json "$R" $spec | jq -se 'length == 1' >/dev/null ||
    die "$command --json: not one object"
done

# Off a terminal, one line sums up what was done, unless -q.
for command in verify repair prune; do
  expect 0 amberfs "$command" "$R"
  one_line "$T/out"
  expect 0 amberfs "$command" "$R" --quiet
  silent
done
expect 0 amberfs restore "$R" quiet/latest "$T/out.d"
one_line "$T/out"
rm -r "$T/out.d"
expect 0 amberfs restore "$R" quiet/latest "$T/out.d" -q
silent
amberfs init "$T/second" >/dev/null
expect 0 amberfs copy "$R" "$T/second" --to-key-file "$T/key"
one_line "$T/out"
