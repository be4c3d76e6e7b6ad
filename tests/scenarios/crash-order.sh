#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the order of a backup's durable calls is the one of the
# format: whatever is given its final name was fsynced before and its directory
# after, and the snapshot comes last.
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
