#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: every command prints one JSON document with --json, also if it
# fails, and amberfs-json(5) has all of its fields, and no others.
. "$(dirname "$0")/../functions.sh"
need_program jq python3

# documents KIND STATUS COMMAND...: COMMAND --json ends with STATUS and prints such a
# document, kept as $T/json.
documents() {
  expect "$2" amberfs "${@:3}" --json
  cp "$T/out" "$T/json"
  jq -se 'length == 1' "$T/json" >/dev/null || die "$*: $(cat "$T/json")"
  documented "$1" "$T/json" >>"$T/seen" || die "$*: $(cat "$T/json")"
}
# is FILTER: the last document satisfies it.
is() {
  jq -e "$1" "$T/json" >/dev/null || die "not $1: $(cat "$T/json")"
}

R=$T/repo
make_key "$T/key"
export AMBERFS_KEY_FILE=$T/key
documents init 0 init "$R" --min-age 1d
is '.min_age_seconds == 86400 and .encrypted'
make_noise "$T/disk" 2
source=$'b\xfcro s\xc3\xbcd'
documents backup 0 backup "$R" --name 'büro süd' "$T/disk"
is '.snapshots[0] | .source == "büro süd" and (has("source_encoded") | not) and
  (.snapshot | startswith("büro süd/")) and .read_bytes == 2097152'
documents backup 0 backup "$R" --name 'büro süd' "$T/disk"
documents backup 0 backup "$R" --name "$source" "$T/disk"
is '.snapshots[0] | .source == "b\\xFCro süd" and
  .source_encoded == "b%FCro%20s%C3%BCd"'
documents backup 1 backup "$R" --name none "$T/missing"
is '.snapshots[0] | .status == "failed" and .error.code == "not-found"'

# What a document calls a snapshot, its time too, is understood.
documents list 0 list "$R"
is '.snapshots | length == 3'
mapfile -t names < <(jq -r '.snapshots[].snapshot' "$T/json")
for name in "${names[@]}"; do
  documents snapshot 0 show "$R" "$name"
done
time=$(jq -r .time "$T/json")
documents snapshot 0 show "$R" "büro süd/$(amberfs show --json "$R" \
  'büro süd/latest' | jq -r .time)"
[ "$(date -u -d "$time" +%s)" -gt "$(($(date +%s) - 600))" ] || die "$time"
expect 1 amberfs show "$R" "büro süd/20261123T040000Zabc"

documents restore 0 restore "$R" 'büro süd/latest' "$T/restored"
documents pin 0 pin "$R" 'büro süd/latest' --note why
documents pin 3 pin "$R" 'büro süd/latest' none/latest
is '.failed_count == 1 and (.errors | length) == 1 and .errors[0].code == "not-found"
  and .errors[0].object == "none/latest"'
documents snapshot 0 show "$R" 'büro süd/latest'
is '.pin_note == "why"'
documents forget 0 forget "$R" --keep-last 1 --dry-run
documents forget 0 forget "$R" --keep-last 1 --prune
documents forget 1 forget "$R" 'büro süd/latest'
is '.errors[0].code == "refused"'
documents pin 0 unpin "$R" 'büro süd/latest'
documents protect 0 protect "$R"
is '.protected_count == 3 and (.protected_until | fromdate) > 0'
documents 'key list' 0 key list "$R"
documents 'key add' 0 key add "$R" --new-key-file "$T/key2" --label 'the büro'
is '.added.label == "the büro"'
documents 'key remove' 0 key remove "$R" "$(jq -r .added.slot "$T/json")"
documents index 0 index "$R"
documents prune 0 prune "$R"
documents verify 0 verify "$R"
amberfs init "$T/second" >/dev/null
documents copy 0 copy "$R" "$T/second" --to-key-file "$T/key"

# A session, for which prune waits.
mkfifo "$T/fifo"
amberfs backup "$R" --name slow --stdin-name s - <"$T/fifo" >"$T/slow" 2>&1 &
exec 7>"$T/fifo"
wait_for 10 session_registered "$R"
documents sessions 0 sessions "$R"
is '.sessions | length == 1 and .[0].kind == "backup" and (.[0].started | fromdate) > 0'
exec 7>&-
wait $! || :

# Damage.
pack=$(find "$T/second/packs" -type f -size +1M | head -n 1)
printf x | dd of="$pack" bs=1 seek=500000 conv=notrunc status=none
documents verify 1 verify "$T/second" --read-data
is '.problems[0] | .code == "damaged" and (.object | type) == "string"'
documents repair 1 repair "$T/second" --read-data
is '(.ok | not) and .damage[0].problem.code == "damaged"'
documents restore 3 restore "$T/second" 'büro süd/latest' "$T/zeros" --damaged zero
is '.damaged[0].problem.code == "damaged"'
snapshot=$(find "$T/second/snapshots" -type f | head -n 1)
printf x | dd of="$snapshot" bs=1 seek=40 conv=notrunc status=none
documents list 3 list "$T/second"
is '.errors[0].code == "damaged"'
documents repair 1 repair "$T/second"

# Whatever fails early is a document too, and said on standard error.
# fails STATUS CODE COMMAND...
fails() {
  documents 'no document' "$1" "${@:3}"
  is ".error.code == \"$2\" and (.error.message | length) > 5"
  [ -s "$T/err" ] || die "$*: nothing for people"
}
make_key "$T/other"
fails 1 wrong-key list "$R" --key-file "$T/other"
is ".error.object == \"$R\""
fails 1 not-found list "$T/nowhere"
fails 1 not-found show "$R" none/latest
fails 2 usage list
fails 2 usage list "$R" --nonsense
fails 2 usage nonsense
fails 2 usage prune "$R" --wait 1y
fails 1 not-found backup "$T/nowhere" --name a "$T/disk"
fails 1 not-found verify "$T/nowhere"
expect 2 amberfs list "$R" --progress bars
said json

# Progress, as lines of JSON; on standard error also off a terminal.
amberfs backup "$R" --name again --json --progress json "$T/disk" \
  >"$T/json" 2>"$T/err"
documented backup "$T/json" >/dev/null
found '^{.*"progress"' <"$T/err" || die "no progress: $(cat "$T/err")"
sed -n 's/^{/{/p' "$T/err" | while read -r line; do
  echo "$line" >"$T/line"
  documented 'progress line' "$T/line" >>"$T/seen" || die "$line"
done

# The other way round: the page names no field that no program writes.
while IFS=. read -r _ field; do
  found -rF "\"$field\"" "$SOURCE_TREE"/{repo,ingest} --include='*.c' ||
    die "amberfs-json(5) has $field, which nothing prints"
done < <(documented --fields)
# Of what this test can make, all is seen (the rest is of domains, or passing).
other='consistency|uuid|checkpoint|format|target|acknowledged|activity|held'
for kind in snapshot file backup list decision prune verify slot session copy; do
  documented --fields | grep "^$kind\\." | grep -vE "\\.($other)\$"
done | sort -u >"$T/wanted"
missing=$(sort -u "$T/seen" | comm -23 "$T/wanted" -)
[ -z "$missing" ] || die "in amberfs-json(5), and never printed: $missing"
# Of each command some test looks at its document.
for page in "$SOURCE_TREE"/{repo,ingest}/commands/amberfs-*.1; do
  command=$(basename "$page" .1)
  command=${command#amberfs-}
  found -F 'Fl \-json' <"$page" || continue
  case $command in show) kind=snapshot ;; unpin) kind=pin ;; *) kind=$command ;; esac
  found -rE "document(s|ed) '?$kind\\b" "$TESTS/scenarios" ||
    die "no test looks at the JSON of $command"
done
