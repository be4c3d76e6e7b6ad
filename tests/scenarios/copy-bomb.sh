#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a forged snapshot of 128 TiB, all of it the same megabyte,
# keeps a copy busy neither for long nor for much: it is refused, and where the
# limit is lifted what it repeats is read once. One whose data is not there
# fails. What repeats itself for a good reason is copied right.
. "$(dirname "$0")/../functions.sh"
need_program jq python3 qemu-img
forge=$AMBERFS_BUILD/tests/damage/damage-forge
unset AMBERFS_KEY_FILE

amberfs init --no-encryption "$T/from" >/dev/null
amberfs init --no-encryption "$T/to" >/dev/null
echo good >"$T/good"
amberfs backup "$T/from" --name good "$T/good"
cp -a "$T/from" "$T/missing"
"$forge" "$T/from" node-bomb
"$forge" "$T/missing" node-bomb-missing
[ "$(tree_size "$T/from/packs")" -lt 4000000 ] || die "it is large itself"

expect 3 timeout 60 amberfs copy "$T/from" "$T/to" --json
said 'forged/.*says that it holds 128 TiB of data, more than 1000 times'
said -- '--max-expansion'
equal "$(jq -c '[.copied_count, .failed_count]' "$T/out")" '[1,1]' "what is copied"
expect 0 timeout 120 amberfs copy "$T/from" "$T/to" --max-expansion 0 --json
equal "$(jq -c '[.copied_count, .there_count, .failed_count]' "$T/out")" '[1,1,0]' "without a limit"
[ "$(jq .read_bytes "$T/out")" -le $((512 << 20)) ] || die "read $(jq .read_bytes "$T/out")"
# The same there, in its first bytes and in its last.
amberfs show --json "$T/to" forged/latest |
  jq -e '.files[0] | .size == 140737488355328 and .data_bytes == .size' \
    >/dev/null || die "$(amberfs show --json "$T/to" forged/latest)"
timeout 60 amberfs restore "$T/to" forged/latest/disk.raw - 2>/dev/null |
  head -c 100M >"$T/begin" || :
equal "$(stat -c %s "$T/begin")" $((100 << 20)) "bytes that were read back"
[ -z "$(tr -d x <"$T/begin" | head -c 1)" ] || die "other bytes than those"
rm "$T/begin"

expect 1 timeout 120 amberfs copy "$T/missing" "$T/to" --max-expansion 0 forged
said 'forged'

# Honest images that repeat parts of themselves, at the end too, with holes,
# copied with several threads.
make_noise "$T/span" 16
make_noise "$T/tail" 3 2
python3 - "$T" <<'END'
import sys
directory = sys.argv[1]
span = open(directory + "/span", "rb").read()
tail = open(directory + "/tail", "rb").read()
with open(directory + "/disk", "wb") as f:
    for i in range(600):
        if i % 4:
            f.seek(i << 24)
            f.write(tail[:1 << 16] if i % 4 == 2 else span[:1 << 17])
    f.seek(600 << 24)
    f.write(span[:5 << 20])
END
amberfs backup "$T/from" --name disk "$T/disk"
amberfs copy "$T/from" "$T/to" disk --jobs 5 --json >"$T/json"
[ "$(jq .read_bytes "$T/json")" -le $((20 << 20)) ] || die "read $(jq .read_bytes "$T/json")"
amberfs restore "$T/to" disk/latest/disk "$T/back"
qemu-img compare -q -f raw -F raw "$T/disk" "$T/back" || die "it differs"
for field in data_bytes clusters; do
  equal "$(amberfs show --json "$T/to" disk/latest | jq ".files[0].$field")" \
    "$(amberfs show --json "$T/from" disk/latest | jq ".files[0].$field")" "$field"
done
amberfs forget "$T/to" forged/latest
amberfs verify "$T/to"
