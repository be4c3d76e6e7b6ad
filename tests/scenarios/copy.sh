#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: snapshots copied into a repository with other keys are the
# same there, in bytes, names and metadata; a second run does nothing, a later
# snapshot reads only what changed, and what can't be copied is reported.
. "$(dirname "$0")/../functions.sh"
need_program jq faketime

new_repo
other=$T/other
make_key "$T/key2"
export AMBERFS_TO_KEY_FILE=$T/key2
amberfs init "$other" --key-file "$T/key2" >/dev/null
copy() {
  amberfs copy "$R" "$other" "$@"
}
field() { # JQ-EXPRESSION: of the last copy
  jq -r "$1" "$T/json"
}

# Three spans of which each begins with 4 MiB of noise, a hole, a last span that
# is short.
make_noise "$T/noise" 12 1
truncate -s 97M "$T/disk"
for span in 0 1 2; do
  dd if="$T/noise" of="$T/disk" bs=1M skip=$((4 * span)) seek=$((16 * span)) \
    count=4 conv=notrunc status=none
done
make_noise "$T/more" 3 2
cat "$T/more" >>"$T/disk"
truncate -s 1G "$T/empty"
echo text >"$T/note"
amberfs backup "$R" --name 'vm/1' "$T/disk" "$T/empty" "$T/note"
cp "$T/disk" "$T/disk.1"
sleep 1
# Four bytes change: one span of 16 MiB.
printf past | dd of="$T/disk" bs=1 seek=18000000 conv=notrunc status=none
amberfs backup "$R" --name 'vm/1' "$T/disk" "$T/empty" "$T/note"
amberfs backup "$R" --name single "$T/note"

first=$(amberfs list --json "$R" 'vm/1' | jq -r '.snapshots[0].object | sub(".*/"; "")')
copy --json "vm/1/$first" >"$T/json"
equal "$(field '.copied_count, .there_count, .failed_count' | xargs)" "1 0 0" "the first run"
equal "$(field .read_bytes)" $((15 * 1048576 + 5)) "bytes read"
copy --json >"$T/json"
equal "$(field '.copied_count, .there_count, .failed_count' | xargs)" "2 1 0" "the second run"
changed='.snapshots[] | select(.source == "vm/1" and .status == "copied")'
equal "$(field "$changed | .read_bytes")" 4194304 "bytes read of the changed disk"
[ "$(field "$changed | .new_bytes")" -le 300000 ] || die "new: $(field "$changed")"
copy --json >"$T/json"
equal "$(field '.copied_count, .there_count, .read_bytes, .stored_bytes' | xargs)" "0 3 0 0" "the third"

# The same there: bytes, names, times, numbers, metadata, holes.
use_other() {
  env AMBERFS_KEY_FILE="$T/key2" amberfs "$@"
}
use_other verify "$other" --read-data
for time in $(amberfs list --json "$R" | jq -r '.snapshots[].object'); do
  show() {
    jq -S 'del(.id, .origin, .predecessor) | del(.files[].root)'
  }
  snap=${time#snapshots/}
  amberfs show --json "$R" "$snap" | show >"$T/a"
  use_other show --json "$other" "$snap" | show >"$T/b"
  same "$T/a" "$T/b"
  equal "$(use_other show --json "$other" "$snap" | jq -r .origin.id)" \
    "$(amberfs show --json "$R" "$snap" | jq -r .id)" "the origin"
done
equal "$(use_other show --json "$other" vm/1/latest | jq -r .predecessor)" \
  "$(use_other show --json "$other" "vm/1/$first" | jq -r .id)" "predecessor"
use_other restore "$other" "vm/1/$first/disk" - | cmp - "$T/disk.1"
use_other restore "$other" vm/1/latest "$T/dir"
same "$T/dir/disk" "$T/disk"
same "$T/dir/note" "$T/note"
equal "$(allocated "$T/dir/empty")" 0 "blocks of a hole"

# Sources and snapshots as operands; what is not there fails, others don't.
rm -r "$other"
amberfs init "$other" --key-file "$T/key2" >/dev/null
expect 3 copy --json single nothing "vm/1/latest"
said nothing
cp "$T/out" "$T/json"
equal "$(field '.copied_count, .failed_count' | xargs)" "2 1" "copied and failed"
expect 1 copy nothing
expect 1 copy vm/1/latest/disk
said 'is a file'
# An older snapshot after a newer one: that one is the base.
copy --json >"$T/json"
equal "$(field "$changed | .read_bytes")" 4194304 "read with a later base"
use_other restore "$other" "vm/1/$first/disk" - | cmp - "$T/disk.1"

# Back again: what went out is recognised, what was forgotten returns.
amberfs forget "$R" "vm/1/$first"
AMBERFS_TO_KEY_FILE=$T/key AMBERFS_KEY_FILE=$T/key2 \
  amberfs copy "$other" "$R" --json >"$T/json"
equal "$(field '.copied_count, .there_count, .failed_count' | xargs)" "1 2 0" "back again"
amberfs restore "$R" "vm/1/$first/disk" - | cmp - "$T/disk.1"
amberfs verify "$R" --read-data

# Another snapshot in the place.
amberfs init "$T/third" --key-file "$T/key2" >/dev/null
# The name says the time, so it must be made at the same one.
export FAKETIME_DONT_FAKE_MONOTONIC=1
at=(at_time -f "$(date '+%F %T')")
AMBERFS_KEY_FILE=$T/key2 "${at[@]}" amberfs backup "$T/third" --name busy "$T/more"
AMBERFS_KEY_FILE=$T/key "${at[@]}" amberfs backup "$R" --name busy "$T/note"
equal "$(use_other show --json "$T/third" busy/latest | jq -r .time)" \
  "$(amberfs show --json "$R" busy/latest | jq -r .time)" "the time"
expect 1 amberfs copy "$R" "$T/third" busy/latest
said 'a different snapshot'
said 'forget'
expect 3 amberfs copy "$R" "$T/third"

# The same repository twice, credentials, unencrypted repositories.
cp -a "$R" "$T/twin"
AMBERFS_TO_KEY_FILE=$T/key expect 1 amberfs copy "$R" "$T/twin"
said 'same repository'
expect 1 env -u AMBERFS_TO_KEY_FILE setsid -w amberfs copy "$R" "$other"
said 'AMBERFS_TO_KEY_FILE'
said -- '--to-key-file'
expect 1 amberfs copy "$R" "$other" --to-key-file "$T/key"
env -u AMBERFS_KEY_FILE amberfs init "$T/plain" --no-encryption >/dev/null
expect 1 amberfs copy "$R" "$T/plain"
said 'not encrypted'
unset AMBERFS_TO_KEY_FILE
amberfs copy "$R" "$T/plain" 'vm/1'
(
  unset AMBERFS_KEY_FILE
  amberfs restore "$T/plain" vm/1/latest/disk - | cmp - "$T/disk"
  amberfs init "$T/fourth" --key-file "$T/key2" >/dev/null
  amberfs copy "$T/plain" "$T/fourth" --to-key-file "$T/key2" --json >"$T/json"
)
equal "$(field .copied_count)" 2 "from plain to encrypted"
use_other restore "$T/fourth" vm/1/latest/disk - | cmp - "$T/disk"
use_other verify "$T/fourth" --read-data
# Where there are no proofs, of the span that changed a few chunks are read. The
# copy has none either: lost leaves and nodes come back as they were.
jq -e '[.snapshots[] | select(.status == "copied") | .read_bytes] |
  max > 15000000 and min >= 4096 and min <= 524288' "$T/json" >/dev/null ||
  die "read: $(cat "$T/json")"
amberfs init "$T/fifth" >/dev/null
AMBERFS_TO_KEY_FILE=$T/key use_other copy "$T/fourth" "$T/fifth"
for pack in "$T/fourth/packs/"*/*; do
  [ "$(od -An -tu1 -j9 -N1 "$pack" | tr -d ' ')" = 1 ] || rm "$pack"
done
rm -rf "$AMBERFS_STATE_DIR" "$(index_of "$T/fourth")"
use_other restore "$T/fourth" vm/1/latest/disk "$T/x" 2>/dev/null &&
  die "restored without trees"
use_other repair "$T/fourth" --from "$T/fifth" --from-key-file "$T/key"
use_other verify "$T/fourth" --read-data
use_other restore "$T/fourth" vm/1/latest/disk - | cmp - "$T/disk"

# A damaged snapshot costs itself alone.
pack=$(find "$R/packs" -type f -printf '%T@ %s %p\n' | sort -n |
  awk '$2 > 1000000 { print $3; exit }')
chmod u+w "$pack"
printf '\x00\xff\x00' |
  dd of="$pack" bs=1 seek=3000000 conv=notrunc status=none
rm -rf "$T/third"
amberfs init "$T/third" --key-file "$T/key2" >/dev/null
expect 3 amberfs copy "$R" "$T/third" --to-key-file "$T/key2"
said 'damaged'
use_other restore "$T/third" single/latest/note - | cmp - "$T/note"

# One that is damaged there is told, and not silently replaced.
object=$(find "$T/third/snapshots/single" -type f)
chmod u+w "$object"
printf x | dd of="$object" bs=1 seek=60 conv=notrunc status=none
expect 1 amberfs copy "$R" "$T/third" single --to-key-file "$T/key2"
said 'snapshots/single'
