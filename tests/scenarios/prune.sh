#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: prune frees in one run what nothing needs any more, keeps
# every snapshot, leaves little unused, and a dry run says what will happen.
. "$(dirname "$0")/../functions.sh"
need_program jq

# Bytes of all packs.
packs_size() {
  find "$1/packs" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

compare_all() {
  local i
  for i; do
    amberfs restore "$R" "$i/latest/disk" - | cmp - "$T/$i/disk" ||
      die "$i is not as it was"
  done
}

new_repo
# Nothing to do in an empty one.
expect 0 amberfs prune "$R"
one_line "$T/out"
expect 0 amberfs prune "$R" -q
silent
amberfs prune "$R" --json | jq -e '.before.packs == 0 and .deleted.packs == 0' \
  >/dev/null

mkdir "$T"/{a,b,c}
make_noise "$T/common" 16 1
seed=30
for i in a b c; do
  make_noise "$T/$i.own" 24 $((seed++))
  cat "$T/common" "$T/$i.own" >"$T/$i/disk"
  amberfs backup "$R" --name "$i" "$T/$i/disk"
done
# A part of a changes again and again.
for i in 1 2 3; do
  make_noise "$T/part" 6 "$((20 + i))"
  dd if="$T/part" of="$T/a/disk" bs=1M seek=$((8 * i)) conv=notrunc status=none
  amberfs backup "$R" --name a "$T/a/disk"
done
before=$(packs_size "$R")

# Nothing is forgotten: there is nothing to free.
amberfs prune "$R" --json >"$T/json"
jq -e '.deleted.packs == 0 and .missing_chunks == 0 and .waiting == []' "$T/json" \
  >/dev/null || die "$(cat "$T/json")"
equal "$(packs_size "$R")" "$before" "packs after a prune with nothing to do"

mapfile -t old < <(amberfs list --json "$R" a |
  jq -r '.snapshots[:-1][] | .object[10:]')
amberfs forget "$R" "${old[@]}" b/latest
amberfs prune "$R" --dry-run --json >"$T/dry"
equal "$(packs_size "$R")" "$before" "packs after a dry run"
amberfs prune "$R" --json >"$T/real"
for key in .before.packs .before.bytes .deleted.packs .deleted.bytes .rewritten_bytes \
  .rewritten_chunks .live_chunks .missing_chunks .unused_bytes .snapshot_count; do
  equal "$(jq "$key" "$T/dry")" "$(jq "$key" "$T/real")" "dry run's $key"
done
after=$(packs_size "$R")
equal "$(jq .after.bytes "$T/real")" "$after" "the bytes reported"
jq -e '.freed_bytes > 25e6 and .waiting == [] and .condemned.packs == 0' "$T/real" \
  >/dev/null || die "$(cat "$T/real")"
jq -e '.unused_bytes <= .after.bytes * 0.05' "$T/real" >/dev/null ||
  die "too much is unused: $(cat "$T/real")"
# What it says it has freed is what the packs have lost.
equal "$(jq '.before.bytes - .freed_bytes' "$T/real")" "$after" "bytes freed"
compare_all a c
amberfs verify "$R" --read-data
[ -z "$(find "$R/condemned" -type f ! -name 'epoch.*' -print -quit)" ] ||
  die "condemned objects remain"
equal "$(stat -c %s "$R/reserve")" $((80 << 20)) "the reserve"

# As good as new.
repo=$R
new_repo "$T/fresh"
for i in a c; do
  amberfs backup "$R" --name "$i" "$T/$i/disk"
done
fresh=$(packs_size "$R")
R=$repo
[ "$after" -le $((fresh + fresh / 20 + (1 << 20))) ] ||
  die "$after bytes remain where a fresh repository has $fresh"

# A second one does nothing.
amberfs prune "$R" --json >"$T/json"
jq -e '.deleted.packs == 0 and .written_bytes == 0' "$T/json" >/dev/null ||
  die "$(cat "$T/json")"
# The next backup finds what is there.
touch "$T/a/disk"
amberfs backup "$R" --json --name a "$T/a/disk" | jq -e '.new_bytes == 0' >/dev/null ||
  die "chunks that are there were stored again"

# No more than asked for is copied, and what is allowed to be unused stays.
dd if="$T/part" of="$T/c/disk" bs=1M conv=notrunc status=none
amberfs backup "$R" --name c "$T/c/disk"
amberfs forget "$R" "c/$(amberfs list --json "$R" c | jq -r '.snapshots[0].object | sub(".*/"; "")')"
amberfs prune "$R" --max-unused 1G --json | jq -e '.rewritten_bytes == 0' >/dev/null ||
  die "copied what might stay unused"
amberfs prune "$R" --max-unused 0% --max-rewrite 1M --json |
  jq -e '.rewritten_bytes <= 1048576' >/dev/null || die "copied too much"
amberfs prune "$R" --max-unused 0 --json | jq -e '.unused_bytes == 0' >/dev/null ||
  die "something is unused"
compare_all a c

# Many small backups end in few packs.
for i in {1..17}; do
  echo "state $i" >"$T/file"
  amberfs backup "$R" --name small "$T/file"
done
amberfs prune "$R" --json >"$T/json"
jq -e '.deleted.packs >= 32 and .after.packs <= 12' "$T/json" >/dev/null ||
  die "$(cat "$T/json")"
amberfs prune "$R" --json | jq -e '.deleted.packs == 0' >/dev/null ||
  die "the same again"
equal "$(snapshot_count small)" 17 snapshots
mapfile -t old < <(amberfs list --json "$R" |
  jq -r '.snapshots[] | .object[10:]')
amberfs forget "$R" "${old[@]}"
before=$(packs_size "$R")
expect 1 amberfs prune "$R"
said 'no snapshots.*--all'
equal "$(packs_size "$R")" "$before" "bytes, as everything would go"
amberfs prune "$R" --all
equal "$(packs_size "$R")" 0 "bytes when no snapshot is left"

# Where the snapshots are is not mounted: that is not "no snapshots".
amberfs backup "$R" --name small "$T/file"
before=$(packs_size "$R")
mv "$R/snapshots" "$T/elsewhere"
ln -s "$T/elsewhere" "$R/snapshots"
equal "$(snapshot_count)" 1 "snapshots on another disk"
mv "$T/elsewhere" "$T/unmounted"
expect 1 amberfs list "$R"
said 'snapshots is missing.*mounted'
expect 1 amberfs prune "$R" --all
said 'snapshots is missing.*mounted'
equal "$(packs_size "$R")" "$before" "bytes while the snapshots are away"
mv "$T/unmounted" "$T/elsewhere"
amberfs restore "$R" small/latest/file - | cmp - "$T/file"

# Under a minimum age, packs that are younger stay, needed or not.
new_repo "$T/young"
amberfs backup "$R" --name small "$T/file"
amberfs forget "$R" small/latest
amberfs protect "$R" --min-age 1h --yes
amberfs prune "$R" --json | jq -e '.deleted.packs == 0 and .after.packs == 2' \
  >/dev/null || die "deleted what is too young"

expect 2 amberfs prune "$R" --max-unused 5x
expect 2 amberfs prune "$R" --max-unused 101%
expect 2 amberfs prune "$R" --wait soon
expect 2 amberfs prune
