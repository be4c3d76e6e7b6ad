#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the order of the durable calls of a backup and of a prune is
# that of the format: whatever is given its final name was fsynced before and its
# directory after, the snapshot comes last, and no condemned object goes before
# its pack is gone durably.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
shim=$AMBERFS_BUILD/tests/shim/killshim.so
[ -e "$shim" ] || die "no $shim"

# A new key file is durable, with its name, before the repository relies on it.
mkdir "$T/keys"
SHIM_DIR=$T/keys SHIM_STATE=$T/state SHIM_LOG=$T/log LD_PRELOAD=$shim \
  amberfs init "$T/other" --key-file "$T/keys/key" >/dev/null
awk '{ print $2, $3 }' "$T/log" | grep fsync >"$T/syncs"
equal "$(cat "$T/syncs")" "fsync $T/keys/key
fsync $T/keys" "what is made durable"
rm -r "$T/log" "$T"/state*

new_repo
make_noise "$T/disk" 80
make_tree "$T/tree"
make_image_ext4 "$T/fs.img" 64M "$T/tree"
SHIM_DIR=$R SHIM_STATE=$T/state SHIM_LOG=$T/log LD_PRELOAD=$shim \
  amberfs backup "$R" --name vm "$T/disk" "$T/fs.img"

awk -v repo="$R/" '
  function parent(p) { sub("/[^/]*$", "", p); return p }
  function bad(text) { print "call " $1 ": " text; failed = 1 }
  function kind(p) { p = substr(p, length(repo) + 1); sub("/.*", "", p); return p }
  $2 ~ /write/ { dirty[$3] = 1; written++ }
  $2 ~ /sync/ { delete dirty[$3]; delete open_directory[$3] }
  ($2 == "rename" || $2 == "link") {
    if ($3 in dirty) bad("renamed before its fsync: " $3)
    open_directory[parent($4)] = $4
    if (kind($4) == "packs") packs++
    if (kind($4) == "snapshots") {
      snapshots++
      for (f in open_directory)
        if (f != parent($4)) bad("snapshot before the fsync of " f)
      for (d in dirty)
        if (kind(d) == "packs") bad("snapshot before the fsync of " d)
      last_snapshot = $1
    }
  }
  kind($3) == "packs" && $2 ~ /write|create|fallocate/ && snapshots {
    bad("a pack is written after the snapshot") }
  END {
    for (f in open_directory) if (kind(f "/x") == "packs" ||
      kind(f "/x") == "snapshots") { print "never fsynced: " f; failed = 1 }
    if (packs < 3 || snapshots != 1 || !written) {
      print packs + 0 " packs, " snapshots + 0 " snapshots"; failed = 1 }
    exit failed
  }' "$T/log" >"$T/order" || { cat "$T/order"; die "crash order"; }

# A prune of many packs: they are condemned durably before the epoch, and
# deleted durably before their condemned objects. Each directory is fsynced once
# for all, not once per pack.
rm -r "$T"/state*
for i in $(seq 12); do
  make_noise "$T/small" 1 "$i"
  amberfs backup "$R" --name other "$T/small" >/dev/null
done
amberfs forget "$R" other --keep-last 1 >/dev/null
SHIM_DIR=$R SHIM_STATE=$T/state SHIM_LOG=$T/prune LD_PRELOAD=$shim \
  amberfs prune "$R" --max-unused 0
awk -v repo="$R/" '
  function parent(p) { sub("/[^/]*$", "", p); return p }
  function leaf(p) { sub(".*/", "", p); return p }
  function bad(text) { print "call " $1 ": " text; failed = 1 }
  $2 ~ /write$/ { dirty[$3] = 1 }
  $2 ~ /sync/ {
    delete dirty[$3]; delete unsynced[$3]; syncs[$3]++
    if ($3 == repo "condemned") delete condemned }
  $2 ~ /^(rename|link)$/ {
    if ($3 in dirty) bad("renamed before its fsync: " $3)
    if ($4 ~ "/condemned/epoch\\.") for (p in condemned)
      bad("an epoch before the fsync of condemned/" p)
    else if (parent($4) == repo "condemned") { condemned[leaf($4)] = 1; marked++ } }
  $2 == "unlink" && $3 ~ "/packs/../[0-9a-f]*$" {
    gone[leaf($3)] = 1; deleted++
    if (!(parent($3) in unsynced)) shards++
    unsynced[parent($3)] = 1 }
  $2 == "unlink" && leaf($3) in gone && parent($3) == repo "condemned" {
    if (repo "packs/" substr(leaf($3), 1, 2) in unsynced)
      bad("condemned object before the fsync of its deleted pack: " $3)
    cleared++ }
  END {
    for (d in syncs) if (d ~ "/packs/..$") shard_syncs += syncs[d]
    if (deleted < 20 || marked != deleted || cleared != deleted)
      { print marked + 0, deleted + 0, cleared + 0; failed = 1 }
    # Of new packs too; the condemned: a batch, the epochs, the end.
    if (shard_syncs > shards + 20 || syncs[repo "condemned"] > 6) {
      print shard_syncs " fsyncs of " shards " shards, " \
        syncs[repo "condemned"] " of condemned"; failed = 1 }
    exit failed
  }' "$T/prune" >"$T/order" || { cat "$T/order"; die "order of a prune"; }
