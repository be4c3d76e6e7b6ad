#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: prune deletes nothing where it can't know what is needed,
# keeps damaged chunks that nobody else has, and tidies away damage that is
# mended.
. "$(dirname "$0")/../functions.sh"
need_program jq

packs() {
  (cd "$R/packs" && find . -type f | sort)
}
# The data (1) or tree (2) packs, largest first.
of_kind() {
  local pack
  find "$R/packs" -type f -printf '%s %p\n' | sort -rn | cut -d' ' -f2 |
    while read -r pack; do
      [ "$(od -An -tu1 -j9 -N1 "$pack")" -ne "$1" ] || echo "$pack"
    done
}
# One byte at OFFSET of FILE turns into another.
flip() {
  local byte
  byte=$(od -An -tu1 -j"$2" -N1 "$1")
  # shellcheck disable=SC2059 # the escape is the format
  printf "\\x$(printf %x $((byte ^ 255)))" |
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
fresh_copy() {
  rm -rf "$R"
  cp -a "$T/whole" "$R"
}
prune() {
  amberfs prune "$R" --all --json "$@" >"$T/json" || die "prune failed"
}
check() {
  jq -e "$1" "$T/json" >/dev/null || die "not $1: $(cat "$T/json")"
}

new_repo
make_noise "$T/disk" 20 1
make_noise "$T/gone" 20 2
amberfs backup "$R" --name vm "$T/disk"
amberfs backup "$R" --name gone "$T/gone"
amberfs forget "$R" gone/latest
time=$(latest vm)
cp -a "$R" "$T/whole"

# A node of a tree is damaged.
before=$(packs)
of_kind 2 | while read -r pack; do flip "$pack" 200; done
expect 1 amberfs prune "$R"
said "snapshot vm/$time, disk can't be read.*repair.*forget"
one_line "$T/err"
equal "$(packs)" "$before" "packs after a refusal"
# Without the snapshot there is no question.
amberfs forget "$R" "vm/$time"
prune
check '.after.packs == 0'
[ -z "$(ls "$R/damaged")" ] || die "records of packs that are gone remain"

# A snapshot's object.
fresh_copy
before=$(packs)
flip "$R/snapshots/vm/$time" 100
expect 1 amberfs prune "$R"
said "vm/$time.*can't be read"
equal "$(packs)" "$before" "packs after a refusal"

# A trailer: that pack is left alone, the rest is pruned, and nothing is lost by
# it that was not lost before.
fresh_copy
pack=$(of_kind 1 | sed -n 1p)
flip "$pack" $(($(stat -c %s "$pack") - 100))
expect 0 amberfs prune "$R" --json
cp "$T/out" "$T/json"
said 'kept as it is'
check '.unreadable_packs == 1'
[ -e "$pack" ] || die "a pack that can't be read was deleted"

# Damaged data that nobody else has stays as it is, condemned or not.
fresh_copy
for pack in $(of_kind 1); do flip "$pack" 5000; done
expect 1 amberfs verify "$R" --read-data
[ -n "$(ls "$R/damaged")" ] || die "no record of damage"
prune
check '.missing_chunks > 0'
equal "$(of_kind 1 | wc -l)" 1 "data packs"
expect 1 amberfs restore "$R" "vm/$time/disk" "$T/out.disk"
prune --max-unused 0
equal "$(of_kind 1 | wc -l)" 1 "data packs"
# The next backup stores anew what is damaged; then the pack and the record go.
touch "$T/disk"
amberfs backup "$R" --name vm "$T/disk"
prune
check '.missing_chunks == 0 and .deleted.packs >= 1'
[ -z "$(ls "$R/damaged")" ] || die "records of mended damage remain"
amberfs restore "$R" "vm/$time/disk" - | cmp - "$T/disk"
amberfs verify "$R" --read-data

# Damage that shows only when chunks are copied: the pack stays. (In each frame,
# since the order of the chunks in a pack is chance.)
fresh_copy
mapfile -t old < <(of_kind 1)
make_noise "$T/part" 12 3
dd if="$T/part" of="$T/disk" bs=1M seek=2 conv=notrunc status=none
amberfs backup "$R" --name vm "$T/disk"
amberfs forget "$R" "vm/$time"
for pack in "${old[@]}"; do
  for ((at = 5000; at < $(stat -c %s "$pack") - (1 << 18); at += 1 << 16)); do
    flip "$pack" "$at"
  done
done
amberfs prune "$R" --json >"$T/json" 2>"$T/err" || die "prune failed"
if jq -e '.failed_chunks > 0' "$T/json" >/dev/null; then
  said "can't be copied"
else
  die "nothing was copied: $(cat "$T/json")"
fi
prune
check '.missing_chunks > 0 and .failed_chunks == 0'
touch "$T/disk"
amberfs backup "$R" --name vm "$T/disk"
prune
check '.missing_chunks == 0 and .condemned.packs == 0'
amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"
amberfs verify "$R" --read-data

# A living session whose record can't be read may need anything.
mkfifo "$T/fifo"
amberfs backup "$R" --name stream --stdin-name s - <"$T/fifo" &
backup=$!
exec 7>"$T/fifo"
# It has said all that it has to say.
settled() {
  local before
  before=$(ls "$R/sessions")
  sleep 1.5
  [[ $before = *.lock* ]] && [ "$(ls "$R/sessions")" = "$before" ]
}
wait_for 20 settled || die "the session does not settle"
for record in "$R"/sessions/[0-9a-f]*.[0-9]*; do flip "$record" 60; done
mapfile -t all < <(amberfs list --json "$R" vm |
  jq -r '.snapshots[] | .object[10:]')
amberfs forget "$R" "${all[@]}"
before=$(packs)
prune --wait 0
check '.deleted.packs == 0 and (.waiting[0].problem.code == "unreadable")'
equal "$(packs)" "$before" "packs beside a session that can't be read"
exec 7>&-
wait "$backup" || :
prune
check '.deleted.packs > 0 and .condemned.packs == 0'
