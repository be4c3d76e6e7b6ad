#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a pack that is gone is healed by the next backup from what
# its source still has: unnoticed, of files that are read again; once a reader
# has met the gap, also of files that did not change.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/still" 20 1
make_noise "$T/moving" 36 2
age "$T/still"
amberfs backup "$R" --name still "$T/still"
amberfs backup "$R" --name moving "$T/moving"
lose() {
  find "$R/packs" -type f -size +"$1" -printf '%T@ %p\n' | sort -n |
    sed -n "$2s/^[^ ]* //p" | xargs rm
}
cp -a "$R" "$T/whole"

# Nobody has noticed: what changed is read, and its other spans are healed too.
lose 1M 2
printf x | dd of="$T/moving" bs=1 seek=20000000 conv=notrunc status=none
amberfs backup "$R" --name moving "$T/moving"
amberfs restore "$R" moving/latest/moving - | cmp - "$T/moving"
expect 0 amberfs verify "$R" moving/latest

# Whoever finds a gap has it healed by the next backup, unchanged or not.
rm -r "$R"
cp -a "$T/whole" "$R"
lose 1M 1
expect 1 amberfs verify "$R"
amberfs backup "$R" --name still "$T/still"
expect 0 amberfs verify "$R"
amberfs restore "$R" still/latest/still - | cmp - "$T/still"
amberfs backup "$R" --json --name still "$T/still" >"$T/json"
jq -e '.unchanged_bytes == 20971520' "$T/json" >/dev/null ||
  die "not taken over when all is well again: $(cat "$T/json")"

# The same for the tree.
rm -r "$R"
cp -a "$T/whole" "$R"
while read -r pack; do
  [ "$(od -An -tu1 -j9 -N1 "$pack")" -ne 2 ] || rm "$pack"
done < <(find "$R/packs" -type f)
expect 1 amberfs restore "$R" still/latest/still "$T/out.still"
amberfs backup "$R" --name still "$T/still"
amberfs restore "$R" still/latest/still - | cmp - "$T/still"
