#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a mount that is held for a year of backups, rotation and
# prune shows just what there is, keeps the file that is open in it, and keeps
# no space once that is closed.
#
# YEAR_STEP: a backup every so many nights (15); 1 in the long form.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq faketime

step=${YEAR_STEP:-15}
export TZ=UTC

packs_size() {
  find "$R/packs" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}
# Packs that the mount keeps open though they are deleted.
deleted_open() {
  find "/proc/$mount/fd" -lname '*/packs/*(deleted)' | wc -l
}
none_deleted_open() {
  [ "$(deleted_open)" = 0 ]
}
shown() {
  find "$1" -mindepth 2 -maxdepth 2 ! -name latest -printf '%P\n' | sort
}
listed() {
  amberfs list --json "$R" | jq -r '.snapshots[] | .object[10:]' | sort
}
shows_what_is_there() {
  [ "$(shown "$T/mnt")" = "$(listed)" ]
}
# at NIGHT COMMAND...: as of eleven in that night.
at() {
  local day
  printf -v day '%(%F %T)T' $((1577919600 + 86400 * $1)) # 2020 on
  shift
  at_time "$day" "$@"
}

new_repo
make_noise "$T/disk" 6 1
at 0 amberfs backup "$R" --name vm "$T/disk"
cp "$T/disk" "$T/first"
mkdir "$T/mnt"
amberfs mount "$R" "$T/mnt" -f -o cache_size=8M 2>"$T/log" &
mount=$!
at_exit kill "$mount"
wait_for 20 mountpoint -q "$T/mnt" || die "no mount: $(cat "$T/log")"
# Open all the year, of a snapshot that goes after a week; read in between.
exec 8<"$T/mnt/vm/$(latest vm)/disk"
head -c 1M <&8 >"$T/read"

nights=0 compared=0 peak=0
for ((night = step; night <= 365; night += step)); do
  make_noise "$T/part" 1 $((10 + night))
  dd if="$T/part" of="$T/disk" bs=1M seek=$((night / step % 6)) conv=notrunc \
    status=none
  [ "$night" -gt 30 ] || cp "$T/disk" "$T/month"
  at "$night" amberfs backup "$R" --name vm "$T/disk"
  at "$night" amberfs forget "$R" --keep-daily 7 --keep-weekly 4 \
    --keep-monthly 3 >/dev/null
  at "$night" amberfs prune "$R" --max-unused 0 --json >"$T/json"
  jq -e '.missing_chunks == 0' "$T/json" >/dev/null || die "$(cat "$T/json")"
  nights=$((nights + 1))
  # Each eighth, and what is open, a little further.
  if [ $((nights % 8)) = 0 ]; then
    wait_for 20 shows_what_is_there ||
      die "night $night: $(shown "$T/mnt"), but there is: $(listed)"
    cmp "$T/mnt/vm/latest/disk" "$T/disk" || die "night $night: wrong bytes"
    head -c 200K <&8 >>"$T/read"
    compared=$((compared + 1))
  fi
  size=$(packs_size)
  [ "$size" -le "$peak" ] || peak=$size
done
wait_for 20 shows_what_is_there ||
  die "at the end: $(shown "$T/mnt"), but there is: $(listed)"
while read -r snapshot; do
  amberfs restore "$R" "$snapshot/disk" - | cmp - "$T/mnt/$snapshot/disk" ||
    die "$snapshot differs"
  compared=$((compared + 1))
done < <(listed)

# What was opened a year ago still has all its bytes.
[ "$(listed | wc -l)" -lt "$nights" ] || die "nothing was forgotten"
cat <&8 >>"$T/read"
same "$T/read" "$T/first"
exec 8<&-

# Now it holds nothing: all that is not in the last snapshot goes.
mapfile -t old < <(listed | sed '$d')
at 366 amberfs forget "$R" "${old[@]}"
# (The mount stands on a root for a few seconds after it was read.)
gone() { # BYTES
  at 366 amberfs prune "$R" --all --max-unused 0 --json >"$T/json"
  jq -e '.condemned.packs == 0 and .waiting == []' "$T/json" &&
    [ "$(packs_size)" -le "$1" ]
}
wait_for 30 gone $((8 << 20)) || die "the mount keeps space: $(cat "$T/json")"
wait_for 30 none_deleted_open ||
  die "deleted but open: $(find "/proc/$mount/fd" -lname '*/packs/*(deleted)' -printf '%l\n')"
cmp "$T/mnt/vm/latest/disk" "$T/disk" || die "the last one reads wrong"
# The same where all goes.
at 366 amberfs forget "$R" "$(listed)"
wait_for 30 gone 0 || die "the mount keeps space: $(cat "$T/json")"
wait_for 30 none_deleted_open || die "deleted but open: $(deleted_open)"
[ ! -s "$T/log" ] || die "the mount said: $(cat "$T/log")"
amber_umount "$T/mnt"
wait "$mount" || die "the mount ended with status $?"
echo "$nights nights in a year, $compared times compared, at most" \
  "$((peak >> 10)) KiB in packs, 0 in the end"
