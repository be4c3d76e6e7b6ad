#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a pinned snapshot stays, by name and by rule, until it is
# unpinned; list and show say so; a pin works even if its content is damaged.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
for i in 1 2 3; do
  echo "state $i" >"$T/file"
  amberfs backup "$R" --name 'v m' "$T/file"
done
mapfile -t names < <(amberfs list --json "$R" |
  jq -r '.snapshots[].object[10:]')
pinned() {
  amberfs list --json "$R" | jq -c '[.snapshots[].pinned]'
}

locks() {
  find "$R/sessions" -name '*.lock' | wc -l
}
at_work() {
  [ "$(locks)" = 1 ]
}
two_at_work() {
  [ "$(locks)" = 2 ]
}

expect 0 amberfs pin "$R" "${names[0]}" --note 'before the move'
silent
equal "$(pinned)" '[true,false,false]' "pinned"
amberfs list "$R" | found -E "^v m/${names[0]#*/} .* pinned$" ||
  die "list shows no pin"
amberfs show "$R" "${names[0]}" | found -E '^Pinned .*: before the move$' ||
  die "show does not say why"
amberfs show --json "$R" "${names[0]}" |
  jq -e '.pinned and .pin_note == "before the move"' >/dev/null || die "JSON"
# Again: nothing changes.
expect 0 amberfs pin "$R" "${names[0]}"
expect 1 amberfs pin "$R" "${names[0]}" --note 'something else'
said 'unpin'
expect 1 amberfs pin "$R" 'v m/20010101T000000Z'
expect 1 amberfs pin "$R" 'v m/latest/file'
said 'whole snapshots'

# It stays, and it is said what to do.
expect 1 amberfs forget "$R" "${names[0]}"
said "amberfs unpin $R ${names[0]}"
expect 3 amberfs forget "$R" "${names[0]}" "${names[1]}"
expect 0 amberfs forget "$R" --keep-last 1 --dry-run
grep -Eq "^v m/${names[0]#*/} +keep +pinned$" "$T/out" || die "$(cat "$T/out")"
expect 0 amberfs forget "$R" --keep-last 1
equal "$(pinned)" '[true,false]' "left"
expect 0 amberfs forget "$R" --keep-last 1 --json
equal "$(jq -c '[.snapshots[].rules[].rule]' "$T/out")" '["pinned","last"]' rules

# The name alone has the effect.
pin=$R/pins/${names[0]}
cp "$pin" "$T/saved"
echo damaged >"$pin"
expect 1 amberfs forget "$R" "${names[0]}"
expect 0 amberfs forget "$R" --keep-last 1
equal "$(pinned)" '[true,false]' "with a damaged pin"
amberfs show "$R" "${names[0]}" | found '^Pinned' || die "not shown"
# One that was put under another's name says nothing of that one.
cp "$T/saved" "$R/pins/${names[2]}"
amberfs show "$R" "${names[2]}" | found '^Pinned.*damaged or forged' ||
  die "another snapshot's note is shown"
expect 0 amberfs unpin "$R" "${names[0]}" "${names[2]}" -v
grep -q "^Unpinned v m/${names[0]#*/}" "$T/out" || die "$(cat "$T/out")"
expect 1 amberfs unpin "$R" "${names[0]}"
said 'not pinned'
equal "$(pinned)" '[false,false]' "unpinned"

# Also of a snapshot that can't be read, or is gone; and such a pin is tidied.
amberfs pin "$R" "${names[0]}"
printf x | dd of="$R/snapshots/${names[0]}" bs=1 seek=40 conv=notrunc status=none
expect 1 amberfs forget "$R" "${names[0]}"
said unpin
expect 0 amberfs unpin "$R" "${names[0]}"
expect 0 amberfs forget "$R" "${names[0]}"
amberfs pin "$R" "${names[2]}"
mv "$R/snapshots/${names[2]}" "$T/aside"
expect 0 amberfs unpin "$R" "${names[2]}"
mv "$T/aside" "$R/snapshots/${names[2]}"
amberfs pin "$R" "${names[2]}"
rm "$R/snapshots/${names[2]}"
expect 0 amberfs forget "$R" --keep-last 1
[ -z "$(find "$R/pins" -type f -print -quit)" ] || die "a pin of nothing remains"
[ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "a session remains"

# A prune that looks at what snapshots need holds forget up. What is pinned
# meanwhile stays, although forget had decided before.
for i in 4 5; do
  echo "state $i" >"$T/file"
  amberfs backup "$R" --name 'v m' "$T/file"
done
name=$(amberfs list --json "$R" | jq -r '.snapshots[0].object[10:]')
for order in "$name" "--keep-last 1 --json"; do
  mkfifo "$T/input"
  amberfs backup "$R" --name slow --stdin-name s - <"$T/input" &
  backup=$!
  exec 8>"$T/input"
  wait_for 10 at_work
  lock=$(echo "$R"/sessions/*.lock)
  touch "${lock%.lock}.marking"
  # shellcheck disable=SC2086 # several words
  amberfs forget "$R" $order >"$T/out" 2>"$T/err" &
  forget=$!
  wait_for 10 two_at_work
  sleep 0.5
  [ -e "$R/snapshots/$name" ] || die "it did not wait for the mark"
  amberfs pin "$R" "$name"
  rm "${lock%.lock}.marking"
  status=0
  wait "$forget" || status=$?
  [ -e "$R/snapshots/$name" ] || die "forgotten although it was pinned"
  case $order in
    --*) equal "$status" 0 "status by rule" ;;
    *) equal "$status" 1 "status by name" && said 'just been pinned' ;;
  esac
  amberfs unpin "$R" "$name"
  echo some >&8
  exec 8>&-
  wait "$backup"
  rm "$T/input"
done
jq -e --arg name "$name" '[.snapshots[] | select(.snapshot == ($name | sub("%20"; " "))) |
  .action, .rules[].rule] == ["keep", "pinned"]' "$T/out" >/dev/null ||
  die "the report: $(cat "$T/out")"
