#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: verify is content with a good repository and names what is
# damaged in a bad one; pack checksums need no key; other images stay readable;
# the next backup heals what its source still has.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/a" 24 1
make_noise "$T/b" 24 2
amberfs backup "$R" --name a "$T/a"
amberfs backup "$R" --name b "$T/b"
expect 0 amberfs verify "$R"
expect 0 amberfs verify "$R" --read-data
expect 0 env -u AMBERFS_KEY_FILE amberfs verify "$R" --packs
amberfs verify "$R" --read-data --json >"$T/json"
jq -e . "$T/json" >/dev/null || die "no JSON"

largest_of() {
  find "$1/packs" -type f -newer "$2" -printf '%s %p\n' | sort -n | tail -n 1 |
    cut -d' ' -f2
}
cp -a "$R" "$T/good"
pack=$(find "$R/packs" -type f -printf '%T@ %s %p\n' | sort -n |
  awk '$2 > 1000000 { print $3; exit }')

# One bit, in the first backup's data.
printf '\x00\xff\x00' |
  dd of="$pack" bs=1 seek=3000000 conv=notrunc status=none
expect 0 amberfs verify "$R"
expect 1 amberfs verify "$R" --read-data
grep -qF "$(basename "$pack" | cut -c1-16)" "$T/err" "$T/out" ||
  die "the damaged pack is not named: $(cat "$T/out" "$T/err")"
grep -q 'a/' "$T/err" "$T/out" || die "the snapshot concerned is not named"
expect 1 env -u AMBERFS_KEY_FILE amberfs verify "$R" --packs
expect 1 amberfs restore "$R" a/latest/a "$T/x"
amberfs restore "$R" b/latest/b - | cmp - "$T/b"
expect 1 amberfs verify "$R" --read-data --json
jq -e . "$T/out" >/dev/null || die "no JSON of a damaged repository"

# The source still has it: the next backup heals, also where nothing changed.
amberfs backup "$R" --name a "$T/a"
amberfs restore "$R" a/latest/a - | cmp - "$T/a" || die "not healed"
old=$(amberfs list --json "$R" a | jq -r '.snapshots[0].object | sub(".*/"; "")')
amberfs restore "$R" "a/$old/a" - | cmp - "$T/a" || die "the old one: not healed"

renew() {
  rm -rf "$R" "$AMBERFS_STATE_DIR"
  cp -a "$T/good" "$R"
}
# A pack that is gone, or cut short, or its trailer overwritten.
renew
rm "$pack"
expect 1 amberfs verify "$R"
amberfs restore "$R" b/latest/b - | cmp - "$T/b"
renew
truncate -s -100 "$pack"
expect 1 amberfs verify "$R"
expect 1 env -u AMBERFS_KEY_FILE amberfs verify "$R" --packs
amberfs restore "$R" b/latest/b - | cmp - "$T/b"

# A snapshot object: the others stay.
renew
object=$(find "$R/snapshots/a" -type f | head -n 1)
printf x | dd of="$object" bs=1 seek=60 conv=notrunc status=none
expect 1 amberfs verify "$R"
expect 3 amberfs list "$R"
grep -q '^b/' "$T/out" || die "list does not show b"
# An object put in the place of another is refused.
renew
cp "$(find "$R/snapshots/b" -type f | head -n 1)" \
  "$(find "$R/snapshots/a" -type f | head -n 1)"
expect 1 amberfs verify "$R"

# The config: a flipped bit is told as such.
renew
printf '\xff' | dd of="$R/config" bs=1 seek=40 conv=notrunc status=none
expect 1 amberfs list "$R"
one_line "$T/err"
