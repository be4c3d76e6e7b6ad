#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: sessions lists who is at work, since when and on what, told
# alive or dead by the kernel's lock; a killed or unreadable one blocks nobody
# and is gone after the next has begun.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq
new_repo
expect 0 amberfs sessions "$R"
equal "$(cat "$T/out")" "No sessions."

make_noise "$T/disk" 2
amberfs backup "$R" --name web "$T/disk"

# A backup that waits for its source, and a mount with an open file.
start_backup() {
  mkfifo "$T/pipe"
  amberfs backup "$R" --name "a b" --stdin-name s - <"$T/pipe" 2>"$T/err.backup" &
  backup=$!
  exec 7>"$T/pipe"
}
start_backup
amber_mount "$R" "$T/mnt"
exec 8<"$T/mnt/web/latest/disk"
shows() {
  amberfs sessions --json "$R" | jq -e "$1"
}
wait_for 10 shows '[.sessions[] | select(.kind == "backup" and .alive and
  .activity == "a b" and .pid == '"$backup"')] | length == 1' >/dev/null ||
  die "no such backup: $(amberfs sessions --json "$R")"
shows '[.sessions[] | select(.kind == "mount" and .alive and
  (.roots | length) == 1)] | length == 1' >/dev/null || die "no such mount"
now=$(date +%s)
shows "[.sessions[] | select(.started | fromdate | . > $now - 60 and . <= $now)] |
  length == 2" >/dev/null || die "started"
expect 0 amberfs sessions "$R"
found "^alive  backup  process $backup on .* since .*Z, at a b$" <"$T/out" ||
  die "$(cat "$T/out")"
found "^alive  mount  .*, at .*mnt, uses 1 image$" <"$T/out" ||
  die "$(cat "$T/out")"

kill -9 "$backup"
wait "$backup" || :
exec 7>&- 8<&-
shows '[.sessions[] | select(.kind == "backup" and (.alive | not))] |
  length == 1' >/dev/null || die "the dead backup is not shown"
expect 0 amberfs sessions "$R"
found "^dead   backup " <"$T/out" || die "$(cat "$T/out")"

# A record that nobody can read, of a dead session.
echo nonsense >"$R/sessions/00000000000000000000000000000001.0"
expect 0 amberfs sessions "$R"
found "^dead   unreadable record of session 0*1$" <"$T/out" ||
  die "$(cat "$T/out")"

amberfs backup "$R" --name web --force-read "$T/disk"
equal "$(amberfs sessions --json "$R" | jq -c '[.sessions[].kind]')" '["mount"]'
amber_umount "$T/mnt"
nobody() {
  [ "$(amberfs sessions "$R")" = "No sessions." ]
}
wait_for 10 nobody || die "$(amberfs sessions "$R")"
