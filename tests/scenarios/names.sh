#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: names with spaces, quotes, control characters, non-ASCII,
# bytes that are not UTF-8, and too long ones go in and out, and never reach a
# terminal raw.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
names=('two words' "quote's" 'double"quote' 'Grüße.img' $'tab\there'
  $'line\nbreak' $'esc\e[31m' '-dash' '.hidden' 'per%cent' 'co:lon'
  $'bad\xff\xfeutf8' "$(printf 'l%.0s' {1..200})"
  "$(printf 'ä%.0s' {1..100})")
for i in "${!names[@]}"; do
  name=${names[$i]}
  mkdir "$T/d$i"
  echo "content $i" >"$T/d$i/$name"
  amberfs backup "$R" --name "$name" "$T/d$i/$name" || die "backup of '$name'"
done
equal "$(snapshot_count)" "${#names[@]}" snapshots
amberfs list "$R" >"$T/list"
! grep -q $'\e' "$T/list" || die "an escape reached the terminal"
equal "$(wc -l <"$T/list")" "$(amberfs list "$R" | grep -c /)" "one line each"
amberfs list --json "$R" |
  jq -r '.snapshots[] | .object[10:]' >"$T/specs"
n=0
while read -r spec; do
  n=$((n + 1))
  amberfs show "$R" "$spec" >"$T/show" || die "show $spec"
  ! grep -q $'\e' "$T/show" || die "an escape reached the terminal"
  amberfs restore "$R" "$spec" "$T/out$n" || die "restore of $spec"
  grep -rq '^content' "$T/out$n" || die "no content in $spec"
done <"$T/specs"
equal "$(cat "$T"/out*/* "$T"/out*/.[!.]* 2>/dev/null | sort -u | wc -l)" \
  "${#names[@]}" "distinct contents"
# The name as it was given finds the source again.
amberfs list "$R" 'two words' | found / || die "a source by its raw name"
