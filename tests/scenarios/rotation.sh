#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: forget --keep-... keeps of each source what its rules say
# and no other; --dry-run tells it before; it works on a full disk.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a small filesystem"
need_program jq faketime

# at TIME SOURCE: a backup, as of that moment of UTC.
at() {
  echo "$*" >"$T/file"
  TZ=UTC at_time "$1" amberfs backup "$R" --name "$2" "$T/file" 2>/dev/null
}
# Times without their last digit: making the backup may take a second.
times() {
  amberfs list --json "$R" "$1" |
    jq -r '[.snapshots[].object | sub(".*/"; "") | sub(".Z$"; "")] | join(" ")'
}
kept() {
  jq -r '[.snapshots[] | select(.action == "keep") |
    (.time | gsub("[-:]"; "") | sub(".Z$"; "")) + ":" +
    ([.rules[] | .rule + (if .oldest then "*" else "" end)] | join(","))] |
    join(" ")' "$T/out"
}

new_repo
at '2025-12-31 23:30:00' 'a/b'
at '2026-10-04 02:30:00' 'a/b'
at '2026-11-01 23:30:00' 'a/b'
at '2026-11-02 02:30:00' 'a/b'
at '2026-11-22 02:30:00' 'a/b'
at '2026-11-22 23:30:00' 'a/b'
at '2026-11-23 02:30:00' 'a/b'
at '2026-11-22 12:00:00' other
at '2026-11-23 12:00:00' other
every='20251231T23300 20261004T02300 20261101T23300 20261102T02300'
every+=' 20261122T02300 20261122T23300 20261123T02300'
export TZ=UTC

# Worked out by hand. Nothing is changed. (The pause between October and
# November, and that before October, may be clocks that were set: the month and
# the week behind them do not count.)
expect 0 amberfs forget "$R" a/b --dry-run --json --keep-last 1 --keep-daily 2 \
  --keep-weekly 3 --keep-monthly 2 --keep-yearly 2 --keep-within 25h
equal "$(kept)" "20251231T23300:monthly,yearly 20261004T02300:monthly\
 20261101T23300:weekly 20261102T02300:weekly 20261122T02300:within\
 20261122T23300:daily,weekly,within\
 20261123T02300:last,daily,weekly,monthly,yearly,within" "by all rules"
# Where fewer years have a snapshot than are to be kept, the oldest stays.
expect 0 amberfs forget "$R" a%2Fb -n --json --keep-yearly 3
equal "$(kept)" "20251231T23300:yearly 20261123T02300:yearly" "the last of years"
expect 0 amberfs forget "$R" other -n --json --keep-yearly 3
equal "$(kept)" "20261122T12000:yearly* 20261123T12000:yearly" "the oldest"
# In Berlin (here without summer time) it is the next day, and year, already.
expect 0 env TZ=CET-1 amberfs forget "$R" a/b -n --json --keep-daily 2 \
  --keep-yearly 2
equal "$(kept)" "20251231T23300:yearly* 20261122T02300:daily\
 20261123T02300:daily,yearly" "local days"
expect 0 env TZ=CET-1 amberfs forget "$R" a/b -n --json --keep-daily 2 --utc
equal "$(kept)" "20261122T23300:daily 20261123T02300:daily" "days of UTC"
# The table: of each source, with the periods.
expect 0 env TZ=CET-1 amberfs forget "$R" --dry-run --keep-daily 1
grep -Eq '^a%2Fb/20251231T23300.Z +remove *$' "$T/out" || die "$(cat "$T/out")"
grep -Eq '^a%2Fb/20261123T02300.Z +keep +daily 2026-11-23$' "$T/out" ||
  die "$(cat "$T/out")"
grep -Eq '^other/20261123T12000.Z +keep +daily 2026-11-23$' "$T/out" ||
  die "$(cat "$T/out")"
grep -q 'time zone, CET' "$T/out" || die "the zone is not named"
grep -q 'Would keep 2 and forget 7; nothing was changed' "$T/out" ||
  die "$(cat "$T/out")"
equal "$(times a/b)" "$every" "snapshots after --dry-run"

# What can't be meant.
expect 2 amberfs forget "$R"
said 'keep-'
expect 2 amberfs forget "$R" --keep-daily 0 --keep-last 0
said 'keep nothing'
expect 2 amberfs forget "$R" --keep-daily many
expect 2 amberfs forget "$R" --keep-within 7
said '30d'
expect 1 amberfs forget "$R" --keep-last 1 nobody
said nobody
expect 3 amberfs forget "$R" --keep-last all nobody other
equal "$(times a/b)" "$every" "snapshots after mistakes"

# A damaged one is said, stays, and does not count.
mapfile -t names < <(amberfs list --json "$R" a/b |
  jq -r '.snapshots[].object')
cp "$R/${names[6]}" "$T/saved"
printf x | dd of="$R/${names[6]}" bs=1 seek=40 conv=notrunc status=none
expect 3 amberfs forget "$R" a/b --keep-last 5 --json
said "${names[6]#snapshots/}"
equal "$(jq -r '.forgotten | join(" ")' "$T/out")" "${names[0]#snapshots/}" \
  "forgotten beside a damaged one"
[ -e "$R/${names[6]}" ] || die "the damaged one was removed"
cp "$T/saved" "$R/${names[6]}"

# One source, then all of them. Silent, without a terminal.
expect 0 amberfs forget "$R" a/b --keep-daily 2
silent
equal "$(times a/b)" "20261122T23300 20261123T02300" "what a/b keeps"
equal "$(snapshot_count other)" 2 "of the other source"
expect 0 amberfs forget "$R" --keep-last 1 -v
grep -q '^Kept 2, forgot 2' "$T/out" || die "$(cat "$T/out")"
equal "$(times a/b) $(times other)" "20261123T02300 20261123T12000" "the last"
expect 0 amberfs forget "$R" --keep-last 1 --json
jq -e '.forgotten == [] and .failed_count == 0' "$T/out" >/dev/null || die "again"
amberfs restore "$R" a/b/latest/file - | grep -q '11-23 02:30' || die "content"
amberfs verify "$R" --read-data
[ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "a session remains"

# And then prune: the space is free at once, in one report.
make_noise "$T/noise" 8
amberfs backup "$R" --name noise "$T/noise"
echo little >"$T/noise"
amberfs backup "$R" --name noise "$T/noise"
expect 0 amberfs forget "$R" --keep-last 1 --prune --dry-run --json
jq -e 'has("prune") | not' "$T/out" >/dev/null || die "a dry run pruned"
expect 0 amberfs forget "$R" --keep-last 1 --prune --json
jq -e '(.forgotten | length) == 1 and .prune.freed_bytes > 8000000' "$T/out" \
  >/dev/null || die "nothing freed: $(cat "$T/out")"
expect 0 amberfs forget "$R" --keep-last 1 --prune -q
silent
amberfs verify "$R" --read-data

# Full to the last byte.
truncate -s 200M "$T/ext4"
mke2fs -q -t ext4 -m 0 "$T/ext4"
mkdir "$T/fs"
mount -o loop "$T/ext4" "$T/fs"
new_repo "$T/fs/repo"
for day in 20 21 22 23; do
  at "2026-11-$day 02:30:00" vm
done
amberfs pin "$R" vm/latest
cat /dev/zero >"$T/fs/filler" 2>/dev/null || :
sync -f "$T/fs"
cat /dev/zero >>"$T/fs/filler" 2>/dev/null || :
sync -f "$T/fs"
i=0
while echo x >"$T/fs/repo/sessions/.filler$i" &&
  sync "$T/fs/repo/sessions/.filler$i"; do
  i=$((i + 1))
done 2>/dev/null
expect 1 amberfs pin "$R" "$(amberfs list --json "$R" |
  jq -r '.snapshots[0].object[10:]')"
said space
expect 0 amberfs forget "$R" --keep-last 3 -v
said 'without one'
equal "$(times vm)" "20261121T02300 20261122T02300 20261123T02300" "3 of them"
expect 0 amberfs forget "$R" --keep-last 2
silent
equal "$(times vm)" "20261122T02300 20261123T02300" "forgotten on a full disk"
expect 0 amberfs unpin "$R" vm/latest
silent
expect 0 amberfs forget "$R" vm/latest
silent
equal "$(times vm)" "20261122T02300" "by name on a full disk"
