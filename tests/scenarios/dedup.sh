#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: what was stored once is not stored again, whatever file,
# source or place in the image it comes from, and the summary says so.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
mib=$((1 << 20))
make_noise "$T/a" 24
amberfs backup "$R" --json --name a "$T/a" >"$T/first.json"
jq -e ".new_bytes == 24 * $mib and .deduplicated_bytes == 0 and .stored_bytes > 24 * $mib" \
  "$T/first.json" >/dev/null || die "first: $(cat "$T/first.json")"

# The same content under another name and source.
cp "$T/a" "$T/b"
amberfs backup "$R" --json --name other "$T/b" >"$T/second.json"
jq -e ".new_bytes == 0 and .deduplicated_bytes == 24 * $mib and .stored_bytes < 65536" \
  "$T/second.json" >/dev/null || die "second: $(cat "$T/second.json")"

# Moved by blocks within the image, with a little that is new before it.
{ make_noise "$T/new" 1 99; cat "$T/new" "$T/a"; } >"$T/moved"
amberfs backup "$R" --json --name a "$T/moved" >"$T/third.json"
jq -e ".new_bytes < 5 * $mib and .deduplicated_bytes > 20 * $mib" \
  "$T/third.json" >/dev/null || die "third: $(cat "$T/third.json")"

# One byte changed costs one chunk.
cp "$T/a" "$T/changed"
printf x | dd of="$T/changed" bs=1 seek=$((9 * mib + 5)) conv=notrunc status=none
amberfs backup "$R" --json --name a "$T/changed" >"$T/fourth.json"
jq -e ".new_bytes > 0 and .new_bytes <= 768 * 1024" "$T/fourth.json" >/dev/null ||
  die "fourth: $(cat "$T/fourth.json")"

for spec in "a $T/a" "b $T/b" "moved $T/moved" "changed $T/changed"; do
  read -r name file <<<"$spec"
  amberfs list --json "$R" |
    jq -r '.snapshots[] | .object[10:]' | while read -r snapshot; do
    amberfs restore "$R" "$snapshot/$name" - 2>/dev/null | cmp -s - "$file" &&
      echo found || :
  done | found found || die "no snapshot gives back $name"
done
amberfs verify "$R" --read-data
