#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: restore --damaged=zero takes out all that can be read,
# writes zeros for the rest, names each range, and ends with 3; without it,
# damage is an error and nothing gets its name.
. "$(dirname "$0")/../functions.sh"
need_program jq python3

# check ORIGINAL RESTORED: equal but for the ranges of $T/json, which are zeros
# and hold a difference each.
check() {
  python3 - "$1" "$2" "$T/json" <<'END'
import json, os, sys
ranges = json.load(open(sys.argv[3]))["damaged"]
assert ranges, "no damage told"
at = [(r["offset"], r["offset"] + r["length"]) for r in ranges]
assert all(a[1] < b[0] for a, b in zip(at, at[1:])), "not in order and joined"
assert all(r["file"] == "disk" and r["problem"]["code"] == "damaged" for r in ranges)
size = os.path.getsize(sys.argv[1])
assert os.path.getsize(sys.argv[2]) == size and at[-1][1] <= size
def data(path):
    fd, end = os.open(path, os.O_RDONLY), 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        for pos in range(start, end, 4096):
            yield pos, os.pread(fd, min(4096, end - pos), pos)
def lost(pos):
    return any(a <= pos < b for a, b in at)
hit = set()
want = {pos: b for pos, b in data(sys.argv[1]) if any(b)}
for pos, block in data(sys.argv[2]):
    if not any(block):
        continue
    assert not lost(pos), pos
    assert want.pop(pos) == block, pos
for pos in want:
    assert lost(pos), pos
    hit |= {i for i, (a, b) in enumerate(at) if a <= pos < b}
assert len(hit) == len(at), "a range without damage"
END
}

ranges() {
  jq '.damaged | length' "$T/json"
}

new_repo
make_noise "$T/noise" 20 1
truncate -s 32M "$T/disk"
cat "$T/noise" >>"$T/disk"
truncate -s 60M "$T/disk"
amberfs backup "$R" --name vm "$T/disk"
data=$(find "$R/packs" -type f -size +1M)
cp -a "$R" "$T/good"
renew() {
  rm -rf "$R"
  cp -a "$T/good" "$R"
}
flip() { # FILE OFFSET
  chmod u+w "$1"
  printf '\x00\xff\x00\xff' |
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Frames: two places in the data.
flip "$data" 3000000
flip "$data" 9000000
expect 1 amberfs restore "$R" vm/latest/disk "$T/x"
[ ! -e "$T/x" ] || die "a partial file under its name"
expect 2 amberfs restore "$R" vm/latest/disk "$T/x" --damaged=skip
said zero
amberfs restore "$R" vm/latest/disk "$T/x" --damaged zero --json \
  >"$T/json" 2>"$T/err" && die "damage with exit status 0" || equal $? 3 status
check "$T/disk" "$T/x"
equal "$(ranges)" 2 "damaged ranges"
[ "$(grep -c 'written as zeros: ' "$T/err")" = 2 ] || die "$(cat "$T/err")"
said 'repair'
[ "$(jq '[.damaged[].length] | add' "$T/json")" -lt 1000000 ] ||
  die "more is lost than two frames: $(cat "$T/json")"
status=0
amberfs restore "$R" vm/latest/disk - --damaged=zero 2>"$T/err" >"$T/stream" ||
  status=$?
equal "$status" 3 "the status of a stream"
same "$T/x" "$T/stream"
# Whole again: no word.
renew
amberfs restore "$R" vm/latest/disk "$T/y" --damaged=zero --json >"$T/json"
equal "$(ranges)" 0 "ranges where nothing is damaged"
same "$T/y" "$T/disk"

# The data's pack is gone: all data, no more.
rm "$data"
expect 3 amberfs restore "$R" vm/latest/disk "$T/z" --damaged=zero --json
cp "$T/out" "$T/json"
check "$T/disk" "$T/z"
equal "$(ranges)" 1 "ranges of a lost pack"
equal "$(allocated "$T/z")" 0 "blocks of lost data"

# A device: what was there must not shine through.
if [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ]; then
  make_noise "$T/backing" 60 9
  device=$(losetup -f --show "$T/backing")
  at_exit losetup -d "$device"
  expect 3 amberfs restore "$R" vm/latest/disk "$device" --force --damaged=zero
  cmp "$device" "$T/z" || die "old bytes on the device"
fi

# Trees: 20 GiB, three levels. The second snapshot shares with the first all
# nodes but those over its last span; when the first's are gone, it has lost
# what lies below them, and each loss is one range.
renew
rm "$T/disk" "$T/x" "$T/y" "$T/z" "$T/stream"
truncate -s 20G "$T/disk"
write() { # FILE MIB-OFFSET
  dd if="$1" of="$T/disk" bs=1M seek="$2" conv=notrunc status=none
}
make_noise "$T/one" 1 5
write "$T/one" 0
write "$T/one" 2000
write "$T/one" 4090
write "$T/one" 9000
write "$T/one" 20000
amberfs backup "$R" --name big "$T/disk"
touch "$T/stamp"
make_noise "$T/two" 1 6
write "$T/two" 20001
amberfs backup "$R" --name big "$T/disk"
lose_trees() { # find's conditions
  find "$R/packs" -type f "$@" | while read -r pack; do
    [ "$(od -An -tu1 -j9 -N1 "$pack")" -ne 2 ] || rm "$pack"
  done
}
lose_trees ! -newer "$T/stamp"
expect 1 amberfs restore "$R" big/latest/disk "$T/x"
[ ! -e "$T/x" ] || die "a partial file under its name"
expect 3 amberfs restore "$R" big/latest/disk "$T/x" --damaged=zero --json
cp "$T/out" "$T/json"
check "$T/disk" "$T/x"
# The first node of 4 GiB, and the third.
equal "$(jq -c '[.damaged[] | .offset, .length]' "$T/json")" \
  "[0,4294967296,8589934592,4294967296]" "what is lost with nodes"
# The root itself.
lose_trees
rm "$T/x"
expect 3 amberfs restore "$R" big/latest/disk "$T/x" --damaged=zero --json
cp "$T/out" "$T/json"
equal "$(jq -c '[.damaged[] | .offset, .length]' "$T/json")" "[0,21474836480]" \
  "what is lost with the root"
equal "$(allocated "$T/x")" 0 "blocks of nothing"
