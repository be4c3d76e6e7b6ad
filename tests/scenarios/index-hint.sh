#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever happens to the index (deleted, cut short, bits
# flipped, zeroed, another repository's, elsewhere) costs time, never data.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/a" 12 1
make_noise "$T/b" 12 2
amberfs backup "$R" --name a "$T/a"

# A foreign index, of a repository that knows other chunks.
mine=$R
new_repo "$T/foreign"
amberfs backup "$R" --name b "$T/b"
foreign=$R R=$mine

check() {
  amberfs restore "$R" a/latest/a - | cmp - "$T/a" || die "$1: restore"
  cat "$T/a" "$T/b" >"$T/both"
  amberfs backup "$R" --json --name a "$T/a" >"$T/json" || die "$1: backup"
  amberfs restore "$R" a/latest/a - | cmp - "$T/a" || die "$1: restore of new"
  amberfs backup "$R" --name c "$T/both" || die "$1: backup of new data"
  amberfs restore "$R" c/latest/both - | cmp - "$T/both" || die "$1: new data"
  amberfs verify "$R" --read-data >/dev/null || die "$1: verify"
}

index=$(index_of "$R")
data=$index/data.mdb
check "as it is"
cp -a "$R" "$T/good"
size=$(stat -c %s "$data")

# A new copy of the repository, with an index that was made for it.
renew() {
  rm -rf "$R" "$AMBERFS_STATE_DIR" "$index"
  cp -a "$T/good" "$R"
  amberfs index "$R" >/dev/null
}

rm -rf "$index"
check "deleted"
[ -d "$index" ] || die "the index was not built again"
amberfs index "$R" --rebuild >/dev/null
check "rebuilt"

# A copy shares it, whose packs are others by now.
renew
make_noise "$T/d" 6 4
amberfs backup "$R" --name d "$T/d"
cp -a "$R" "$T/twin"
for repo in "$T/good" "$T/twin" "$R" "$T/good"; do
  amberfs restore "$repo" a/latest/a - | cmp - "$T/a" || die "a copy: $repo"
done
amberfs restore "$T/twin" d/latest/d - | cmp - "$T/d" || die "a copy: new data"
check "shared with copies"

renew
cp -a "$index" "$T/copied"
rm -rf "$index"
cp -a "$T/copied" "$index"
check "copied"

for keep in 0 100 4096 20000; do
  renew
  truncate -s "$keep" "$data"
  check "cut to $keep bytes"
done

for seed in $(seq "${INDEX_SEEDS:-6}"); do
  renew
  # Sixteen bytes, at places that depend on the seed.
  for i in $(seq 16); do
    at=$(((seed * 7919 + i * 104729 * seed) % size))
    printf '\x5a' | dd of="$data" bs=1 seek="$at" conv=notrunc status=none
  done
  check "bytes overwritten, seed $seed"
done

renew
dd if=/dev/zero of="$data" bs=4096 seek=2 count=$(((size - 8192) / 4096)) \
  conv=notrunc status=none
check "zeroed but for the first two pages"
renew
head -c "$size" /dev/urandom >"$data"
check "noise"
renew
rm -rf "$index"
cp -a "$(index_of "$foreign")" "$index"
check "another repository's"

# Elsewhere.
renew
rm -rf "$index"
mkdir "$T/elsewhere"
amberfs backup "$R" --name a "$T/b" --index-dir "$T/elsewhere"
[ -n "$(ls "$T/elsewhere")" ] || die "--index-dir holds nothing"
[ ! -e "$index" ] || die "--index-dir is not what is used"
amberfs restore "$R" a/latest/b - --index-dir "$T/elsewhere" | cmp - "$T/b"
amberfs verify "$R" --read-data --index-dir "$T/elsewhere" >/dev/null

# Stale: packs came and went while the index slept.
renew
cp -a "$index" "$T/old-index"
make_noise "$T/c" 6 3
amberfs backup "$R" --name c "$T/c"
rm -rf "$index"
cp -a "$T/old-index" "$index"
amberfs restore "$R" c/latest/c - | cmp - "$T/c"
check "rolled back"
