#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a prune beside a backup, a mount, a restore and a verify
# takes nothing that they use, says for whom it waits, and a later one frees it.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq

packs_size() {
  find "$R/packs" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

prune() {
  amberfs prune "$R" --all --json "$@" >"$T/json" || die "prune failed"
}
check() {
  jq -e "$1" "$T/json" >/dev/null || die "not $1: $(cat "$T/json")"
}
frees() {
  prune
  jq -e '.condemned.packs == 0 and .unused_bytes <= .after.bytes * 0.05' "$T/json" &&
    [ "$(packs_size)" -le "$1" ]
}

new_repo
make_noise "$T/one" 40 1
make_noise "$T/two" 24 2
make_noise "$T/three" 24 3
amberfs backup "$R" --name one "$T/one"
amberfs backup "$R" --name two "$T/two"

# 1 A backup that has found chunks which nothing else needs any more.
mkfifo "$T/fifo"
amberfs backup "$R" --name stream --stdin-name s - <"$T/fifo" &
backup=$!
exec 7>"$T/fifo"
head -c 36M "$T/one" >&7
wait_for 20 is_idle "$backup" || die "the backup does not settle"
amberfs forget "$R" one/latest
before=$(packs_size)
prune --dry-run
check '.deleted.packs == 2'
prune
check '.deleted.packs < 2 and .condemned.packs > 0'
check '.waiting[0].kind == "backup" and .waiting[0].packs > 0'
check ".waiting[0].pid == $backup and .condemned.bytes >= .waiting[0].bytes"
amberfs prune "$R" -v --wait 0 >"$T/text"
found "will be deleted by a later run" <"$T/text" || die "$(cat "$T/text")"
found "because of the backup stream (process $backup" <"$T/text" ||
  die "$(cat "$T/text")"
# One that does not answer keeps everything.
kill -STOP "$backup"
amberfs forget "$R" two/latest
before=$(packs_size)
prune --wait 1s
check '.deleted.packs == 0 and .condemned.packs >= 3'
check '.waiting[0].problem.code == "no-answer"'
[ "$(packs_size)" -ge "$before" ] || die "something was deleted"
kill -CONT "$backup"
# It goes on, and so does the next prune.
tail -c +$((36 * 1024 * 1024 + 1)) "$T/one" >&7
prune
exec 7>&-
wait "$backup" || die "the backup failed"
amberfs restore "$R" stream/latest/s - | cmp - "$T/one"
prune
check '.condemned.packs == 0 and .waiting == [] and .missing_chunks == 0'
amberfs restore "$R" stream/latest/s - | cmp - "$T/one"
[ "$(packs_size)" -lt 43000000 ] || die "$(packs_size) bytes remain for 40 MiB"

# 2 An open file of a mount, and a restore, of a forgotten snapshot, parts of
# whose packs are dead.
cat "$T/one" "$T/three" >"$T/both"
amberfs backup "$R" --name both "$T/both"
amberfs forget "$R" stream/latest
amberfs backup "$R" --name three "$T/three"
amber_mount "$R" "$T/mnt" -o cache_size=16M
exec 8<"$T/mnt/both/latest/both"
mkfifo "$T/pipe"
amberfs restore "$R" both/latest/both - >"$T/pipe" &
restore=$!
exec 9<"$T/pipe"
head -c 1M <&9 >"$T/begin"
amberfs forget "$R" both/latest
prune
check '.missing_chunks == 0'
cmp "$T/both" - <&8 || die "the mount reads wrong bytes"
cat "$T/begin" - <&9 | cmp - "$T/both" || die "restore wrote wrong bytes"
wait "$restore" || die "restore failed"
exec 8<&- 9<&-
wait_for 20 frees 27000000 || die "what is closed stays: $(cat "$T/json")"
cmp "$T/three" "$T/mnt/three/latest/three"

# 3 Packs are rewritten and deleted under readers and writers, again and again.
{ while [ ! -e "$T/stop" ]; do
  amberfs verify "$R" --read-data || exit 1
  amberfs restore "$R" three/latest/three - | cmp - "$T/three" || exit 1
  cmp "$T/three" "$T/mnt/three/latest/three" || exit 1
done; } &
readers=$!
for i in 1 2 3 4; do
  make_noise "$T/part" 6 "$((10 + i))"
  dd if="$T/part" of="$T/two" bs=1M seek=$((4 * i)) conv=notrunc status=none
  amberfs backup "$R" --name two "$T/two" &
  backup=$!
  prune --max-unused 0
  wait "$backup" || die "a backup failed"
  mapfile -t old < <(amberfs list --json "$R" two |
    jq -r '.snapshots[:-1][] | .object[10:]')
  [ ${#old[@]} = 0 ] || amberfs forget "$R" "${old[@]}"
done
prune --max-unused 0
touch "$T/stop"
wait "$readers" || die "a reader failed"
prune --max-unused 0
check '.unused_bytes == 0 and .condemned.packs == 0'
amberfs restore "$R" two/latest/two - | cmp - "$T/two"
amberfs verify "$R" --read-data
amber_umount "$T/mnt"

# 4 Only one at a time.
mkfifo "$T/fifo2"
amberfs backup "$R" --name stream --stdin-name s - <"$T/fifo2" &
backup=$!
exec 7>"$T/fifo2"
head -c 20M "$T/three" >&7
wait_for 20 is_idle "$backup" || die "the backup does not settle"
amberfs forget "$R" three/latest
kill -STOP "$backup"
amberfs prune "$R" --wait 1h &
first=$!
claimed() {
  expect 1 amberfs prune "$R" && said prune
}
waits() {
  [ -n "$(find "$R/condemned" -type f ! -name 'epoch.*' -print -quit)" ]
}
wait_for 20 waits || die "nothing was condemned"
claimed
# Interrupted while it waits: the next one goes on.
kill -TERM "$first"
! wait "$first" || die "an interrupted prune says that it is done"
kill -CONT "$backup"
exec 7>&-
wait "$backup"
prune
check '.condemned.packs == 0'
head -c 20M "$T/three" >"$T/part"
amberfs restore "$R" stream/latest/s - | cmp - "$T/part"
amberfs verify "$R" --read-data

# 5 A backup that begins and ends between prune's two marks: what it found in
# packs that are condemned then is copied out of them.
amberfs forget "$R" stream/latest
make_noise "$T/late" 20 9
make_noise "$T/stays" 80 10
cat "$T/late" "$T/stays" >"$T/both"
amberfs backup "$R" --name both "$T/both"
amberfs backup "$R" --name stays "$T/stays"
amberfs forget "$R" both/latest
amberfs prune "$R" --max-unused 0 --json >"$T/json" &
prune=$!
until [ -n "$(find "$R/packs" -name '.tmp*' -print -quit)" ]; do
  kill -0 "$prune" || die "prune copied nothing, or too fast"
done
kill -STOP "$prune"
[ -z "$(find "$R/condemned" -type f ! -name 'epoch.*' -print -quit)" ] ||
  die "stopped too late"
amberfs backup "$R" --name late "$T/late" --json >"$T/backup"
jq -e '.deduplicated_bytes > 19000000' "$T/backup" >/dev/null ||
  die "it was stored again: $(cat "$T/backup")"
kill -CONT "$prune"
wait "$prune" || die "prune failed: $(cat "$T/json")"
check '.deleted.packs > 0 and .condemned.packs == 0'
amberfs restore "$R" late/latest/late - | cmp - "$T/late"
amberfs verify "$R" --read-data
