#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a clock that is wrong, in the past or in the future, does
# not hide what was backed up last, and no rotation removes anything because of
# it.
. "$(dirname "$0")/../functions.sh"
need_program jq faketime

new_repo
back_up() { # CONTENT [TIME]
  echo "$1" >"$T/file"
  ${2:+at_time "$2"} amberfs backup "$R" --name vm "$T/file" 2>"$T/err"
}
back_up one
back_up two '2021-01-01 00:00:00'
said 'clock is [0-9]* days( [0-9]* h)? behind .* one of both times is wrong'
equal "$(snapshot_count vm)" 2 snapshots
amberfs list --json "$R" vm | jq -e '[.snapshots[].sequence] == [2, 1]' >/dev/null ||
  die "$(amberfs list "$R")"
equal "$(amberfs restore "$R" vm/latest/file -)" two "made last"
expect 0 amberfs forget "$R" --keep-last 1
amberfs list "$R" | found 'vm/2021' || die "$(amberfs list "$R")"

# Ahead: it is not the latest, nothing is based on it, and no rule is applied.
back_up three
back_up ahead '2031-01-01 00:00:00'
[ ! -s "$T/err" ] || die "$(cat "$T/err")"
back_up four
said 'clock is [0-9]* days( [0-9]* h)? behind .* one of both times is wrong'
equal "$(amberfs restore "$R" vm/latest/file -)" four "the latest"
latest vm | found '^202[6-9]\|^2030' || die "it follows the one ahead"
back_up five 2>/dev/null
before=$(amberfs list "$R")
for rule in '--keep-last 1' '--keep-within 60d' '--keep-daily 14'; do
  # shellcheck disable=SC2086 # words
  expect 1 amberfs forget "$R" $rule
  said 'dated more than a day ahead .*--trust-clock'
done
equal "$(amberfs list "$R")" "$before" "the snapshots"
amberfs init "$T/other" >/dev/null
expect 3 amberfs copy "$R" "$T/other" --to-key-file "$T/key"
said '2031.*ahead.*not copied'
not found /2031 < <(amberfs list "$T/other") || die "it was copied"
expect 0 amberfs forget "$R" --keep-last 1 --trust-clock --dry-run
grep -q '^vm/2031.* keep .*time in doubt$' "$T/out" || die "$(cat "$T/out")"
grep -q '^vm/20.* keep .*last$' "$T/out" || die "$(cat "$T/out")"
# Its clock went on while the program started.
expect 0 amberfs forget "$R" "$(sed -n 's|^\(vm/2031[^ ]*\) .*|\1|p' "$T/out")"
expect 0 amberfs forget "$R" --keep-last 1
equal "$(amberfs restore "$R" vm/latest/file -)" five "the latest"
