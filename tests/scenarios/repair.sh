#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: repair lists what is damaged and whose bytes that touches,
# brings back what a copy has, be it a byte copy or one with other keys, and
# never makes anything up; afterwards verify --read-data is content.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
other=$T/other twin=$T/twin
make_key "$T/key2"
export AMBERFS_FROM_KEY_FILE=$T/key2
amberfs init "$other" --key-file "$T/key2" >/dev/null

# Two levels of tree, so that leaves and nodes are different things.
make_noise "$T/one" 4 1
make_noise "$T/two" 3 2
cp "$T/one" "$T/a"
truncate -s 70M "$T/a"
cat "$T/two" >>"$T/a"
cp "$T/a" "$T/a.1"
amberfs backup "$R" --name a "$T/a"
first=$(latest a)
touch "$T/stamp"
make_noise "$T/three" 2 3
dd if="$T/three" of="$T/a" bs=1M seek=40 conv=notrunc status=none
amberfs backup "$R" --name a "$T/a"
make_noise "$T/b" 3 4
amberfs backup "$R" --name b "$T/b"
amberfs copy "$R" "$other" --to-key-file "$T/key2"

expect 0 amberfs repair "$R" --read-data
one_line "$T/out"
amberfs repair "$R" --json >"$T/json"
jq -e '.ok and (.damage | length) == 0' "$T/json" >/dev/null || cat "$T/json"
rm "$R/reserve"
cp -a "$R" "$T/good"
cp -a "$R" "$twin"
rm -rf "$twin"/sessions/*

renew() {
  rm -rf "$R" "$AMBERFS_STATE_DIR"
  cp -a "$T/good" "$R"
}
kind_of() { # PACK: 1 data, 2 tree
  od -An -tu1 -j9 -N1 "$1" | tr -d ' '
}
packs() { # KIND [find's conditions]: the oldest first
  local kind=$1 pack
  shift
  find "$R/packs" -type f "$@" -printf '%T@ %p\n' | sort -n | cut -d' ' -f2 |
    while read -r pack; do
      [ "$(kind_of "$pack")" != "$kind" ] || echo "$pack"
    done
}
flip() { # FILE OFFSET
  chmod u+w "$1"
  printf '\x00\xff\x00\xff\x00\xff' |
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
size() {
  stat -c %s "$1"
}
damage() { # WHAT
  local pack
  renew
  case $1 in
    frame) pack=$(packs 1 | sed -n 1p); flip "$pack" $(($(size "$pack") / 2)) ;;
    trailer) pack=$(packs 1 | sed -n 1p); flip "$pack" $(($(size "$pack") - 60)) ;;
    pack) packs 1 | sed -n 1p | xargs rm ;;
    tree-frame) for pack in $(packs 2); do flip "$pack" 90; done ;;
    tree-trailer)
      for pack in $(packs 2); do flip "$pack" $(($(size "$pack") - 60)); done ;;
    tree-packs) packs 2 ! -newer "$T/stamp" | xargs rm ;;
    all) find "$R/packs" -type f -delete ;;
  esac
}
whole() { # WHAT
  amberfs verify "$R" --read-data || die "$1: verify"
  [ -z "$(ls "$R/damaged")" ] || die "$1: records remain: $(ls "$R/damaged")"
  amberfs restore "$R" "a/$first/a" - | cmp - "$T/a.1" || die "$1: a, the first"
  amberfs restore "$R" a/latest/a - | cmp - "$T/a" || die "$1: a"
  amberfs restore "$R" b/latest/b - | cmp - "$T/b" || die "$1: b"
}

for what in frame trailer pack tree-frame tree-trailer tree-packs all; do
  # Without help: listed, nothing is made up, nothing gets lost by that.
  damage "$what"
  expect 1 amberfs repair "$R" --read-data --dry-run --json
  cp "$T/out" "$T/json"
  jq -e '(.ok | not) and (.lost | length) > 0' "$T/json" >/dev/null ||
    die "$what: $(cat "$T/json")"
  jq -e '.damage[].ranges[] | select(.snapshot == "a/'"$first"'" and
    .file == "a" and .length > 0)' "$T/json" >/dev/null ||
    die "$what: what it touches is not told: $(cat "$T/json")"
  if [ "$what" = frame ]; then
    jq -e '.damage | length == 1 and .[0].kind == "frame" and
      .[0].chunks > 0 and .[0].elsewhere == 0 and
      ([.[0].ranges[] | .length] | max) <= 262144 and
      ([.[0].ranges[] | .snapshot] | unique | length) == 2' "$T/json" \
      >/dev/null || die "$what: $(cat "$T/json")"
  fi
  case $what in
    frame | tree-packs)
      expect 1 amberfs repair "$R"
      said 'next backup'
      said "snapshot a/$first, a, bytes"
      ;;
  esac
  # From the copy with other keys.
  expect 0 amberfs repair "$R" --read-data --from "$other"
  expect 0 amberfs verify "$R"
  amberfs restore "$R" "a/$first/a" - | cmp - "$T/a.1" || die "$what: a copy"
  case $what in
    frame | trailer | tree-frame | all)
      amberfs prune "$R" --max-unused 0
      whole "$what, from a copy"
      ;;
  esac
  # From the byte copy, with the same key: its packs, not second copies.
  damage "$what"
  expect 0 amberfs repair "$R" --read-data --from "$twin" --json \
    --from-key-file "$T/key"
  diff -r "$R/packs" "$T/good/packs" || die "$what: other packs than before"
  [ -z "$(ls "$R/damaged")" ] || die "$what: records: $(ls "$R/damaged")"
done
whole "the last, from a byte copy"
[ -z "$(find "$twin/damaged" -type f)" ] || die "damage recorded in the copy"
[ -z "$(find "$T" -maxdepth 1 -name 'amberfs-repair*')" ] || die "litter"

# A byte copy that is damaged itself, elsewhere in the same pack: chunk by chunk.
damage frame
pack=$(packs 1 | sed -n 1p)
flip "$twin/packs/${pack#"$R/packs/"}" 100
unset AMBERFS_FROM_KEY_FILE
expect 0 amberfs repair "$R" --read-data --from "$twin"
amberfs restore "$R" "a/$first/a" - | cmp - "$T/a.1"
amberfs prune "$R"
whole "a damaged byte copy"
# A snapshot's object from it.
renew
object=$(find "$R/snapshots/b" -type f)
flip "$object" 60
expect 1 amberfs repair "$R"
said 'snapshots/b/'
expect 0 amberfs repair "$R" --from "$twin"
whole "a snapshot's object"

# Records that are no longer true go: an unreadable frame that can be read, a
# lost pack that is back, a pack that is gone for good.
damage frame
expect 1 amberfs verify "$R" --read-data
rm -r "$R/packs"
cp -a "$T/good/packs" "$R"
rm -rf "$T/lost"
mkdir "$T/lost"
mv "$(packs 1 | sed -n 1p)" "$T/lost"
expect 1 amberfs verify "$R"
[ "$(find "$R/damaged" -type f | wc -l)" -ge 2 ] || die "$(ls "$R/damaged")"
rm -r "$R/packs"
cp -a "$T/good/packs" "$R"
expect 0 amberfs repair "$R" --dry-run
[ "$(find "$R/damaged" -type f | wc -l)" -ge 2 ] || die "a dry run writes"
expect 0 amberfs repair "$R"
whole "untrue records"

# The source's next backup heals; repair then says so.
damage pack
expect 1 amberfs repair "$R"
cp "$T/a.1" "$T/a.old"
amberfs backup "$R" --name a "$T/a.old"
amberfs backup "$R" --name a "$T/a"
expect 0 amberfs repair "$R"
amberfs restore "$R" "a/$first/a" - | cmp - "$T/a.1"

# Another repository with the same names gives nothing, and nothing wrong.
damage pack
cp -a "$other" "$T/liar"
amberfs init "$T/strange" --no-encryption --json >/dev/null 2>&1 ||
  env -u AMBERFS_KEY_FILE amberfs init "$T/strange" --no-encryption >/dev/null
env -u AMBERFS_KEY_FILE amberfs backup "$T/strange" --name a "$T/b"
expect 1 amberfs repair "$R" --from "$T/strange"
expect 1 amberfs restore "$R" "a/$first/a" "$T/x"
expect 1 amberfs repair "$R" --from "$R"
said 'itself'
expect 1 amberfs repair "$R" --from "$T/nowhere"
said nowhere
expect 1 setsid -w amberfs repair "$R" --from "$other"
said 'AMBERFS_FROM_KEY_FILE'

# A disk that can't read a pack: mended too, but what it may read again stays.
if ! sanitized; then
  renew
  pack=$(packs 1 | sed -n 1p)
  failing=(env "SHIM_DIR=$R" "SHIM_STATE=$T/shim" "SHIM_READ=${pack#"$R"/}"
    "LD_PRELOAD=$AMBERFS_BUILD/tests/shim/killshim.so")
  expect 1 "${failing[@]}" amberfs repair "$R"
  said "$(basename "$pack")"
  said "snapshot a/$first, a, bytes"
  expect 0 "${failing[@]}" amberfs repair "$R" --from "$other" \
    --from-key-file "$T/key2"
  [ -e "$pack" ] || die "a pack was removed that may be read again"
  "${failing[@]}" amberfs restore "$R" "a/$first/a" - | cmp - "$T/a.1"
  expect 0 amberfs repair "$R"
  whole "a disk that can be read again"
fi
