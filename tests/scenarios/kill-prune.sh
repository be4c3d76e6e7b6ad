#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a prune that dies or meets an error at any durable call has
# taken nothing that a snapshot needs, whether packs are only deleted or live
# chunks are copied first; the next prune finishes the work, reserve and all.
. "$(dirname "$0")/../functions-faults.sh"

# Packs that nothing needs, that something needs, and that all need.
prepare() {
  local i
  new_repo "$R"
  make_noise "$T/disk" 3 1
  for i in 1 2 3 4 5; do
    make_noise "$T/part" 1 $((i + 1))
    dd if="$T/part" of="$T/disk" bs=512K seek=$((i % 4)) conv=notrunc status=none
    amberfs backup "$R" --name vm "$T/disk"
    cp "$T/disk" "$T/disk.$i"
    time[i]=$(latest vm)
    make_noise "$T/other" 1 $((i + 20))
    amberfs backup "$R" --name other "$T/other"
  done
  amberfs forget "$R" "vm/${time[1]}" "vm/${time[3]}" >/dev/null
  amberfs list --json "$R" other | jq -r '.snapshots[:-1][] | .object[10:]' |
    xargs amberfs forget "$R" >/dev/null
  for i in 2 4 5; do
    keep "vm/${time[i]}/disk" "$T/disk.$i"
  done
  keep "other/$(latest other)/other" "$T/other"
}
subject=(amberfs prune "$R" --max-unused 0 --jobs 2)
finally() {
  local rest
  rest=$(find "$R/condemned" -type f ! -name 'epoch.*')
  [ -z "$rest" ] || die "$what: condemned: $rest"
  [ "$(find "$R/condemned" -type f | wc -l)" -le 1 ] ||
    die "$what: $(ls "$R/condemned")"
  equal "$(stat -c %s "$R/reserve")" $((80 << 20)) "$what: the reserve"
  amberfs prune "$R" --max-unused 0 --json >"$T/json"
  jq -e '.unused_bytes == 0 and .deleted.packs == 0 and .missing_chunks == 0 and
    .unreadable_packs == 0' "$T/json" >/dev/null ||
    die "$what: not finished: $(cat "$T/json")"
}
faults
