#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: every form of restore; nothing is overwritten without
# --force, and nothing partial stands under the final name.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/noise" 12
truncate -s 40M "$T/disk"
dd if="$T/noise" of="$T/disk" bs=1M seek=8 conv=notrunc status=none
echo hello >"$T/note.txt"
amberfs backup "$R" --name vm "$T/disk" "$T/note.txt"

# A directory: a new one, and into one that is there.
amberfs restore "$R" vm/latest "$T/new"
same "$T/disk" "$T/new/disk"
same "$T/note.txt" "$T/new/note.txt"
mkdir "$T/there"
amberfs restore "$R" vm/latest "$T/there"
same "$T/disk" "$T/there/disk"
expect 1 amberfs restore "$R" vm/latest "$T/there"
said 'exists|--force'
expect 0 amberfs restore "$R" vm/latest "$T/there" --force

# A file, by name and into a directory.
amberfs restore "$R" vm/latest/disk "$T/file"
same "$T/disk" "$T/file"
mkdir "$T/into"
amberfs restore "$R" vm/latest/disk "$T/into"
same "$T/disk" "$T/into/disk"
echo precious >"$T/file"
expect 1 amberfs restore "$R" vm/latest/disk "$T/file"
said '--force'
equal "$(cat "$T/file")" precious "the file that was there"
amberfs restore "$R" vm/latest/disk "$T/file" --force
same "$T/disk" "$T/file"
amberfs restore "$R" vm/latest/note.txt - | cmp - "$T/note.txt"
expect 1 amberfs restore "$R" vm/latest/nothing "$T/x"
said 'nothing'
expect 1 amberfs restore "$R" nobody/latest "$T/x"
[ ! -e "$T/x" ] || die "something was made for nothing"
expect 1 amberfs restore "$R" vm/latest/disk "$T/no/such/directory/x"

# Interrupted: nothing under the name, nothing left beside it.
make_noise "$T/large" 96
amberfs backup "$R" --name large "$T/large"
mkdir "$T/out-dir"
env --default-signal=INT \
  amberfs restore "$R" large/latest/large "$T/out-dir/large" &
pid=$!
wait_for 10 not is_empty "$T/out-dir" || :
kill -INT "$pid" 2>/dev/null || :
status=0
wait "$pid" || status=$?
if [ "$status" != 0 ]; then
  equal "$(ls -A "$T/out-dir")" "" "what an interrupted restore leaves"
else
  same "$T/large" "$T/out-dir/large"
fi
amberfs restore "$R" large/latest/large "$T/out-dir/killed" &
pid=$!
sleep 0.1
kill -9 "$pid" 2>/dev/null || :
wait "$pid" 2>/dev/null || :
[ ! -e "$T/out-dir/killed" ] || same "$T/large" "$T/out-dir/killed"

# A damaged repository: the restore fails, and nothing stands there.
cp -a "$R" "$T/damaged"
for pack in "$T"/damaged/packs/*/*; do
  size=$(stat -c %s "$pack")
  [ "$size" -gt 1000000 ] || continue
  printf damage | dd of="$pack" bs=1 seek=$((size / 2)) conv=notrunc status=none
done
expect 1 amberfs restore "$T/damaged" large/latest/large "$T/damaged.out"
[ ! -e "$T/damaged.out" ] || die "a partial file under the final name"
said 'pack|damage|corrupt'

# A block device: its whole content, zeros too.
if [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ]; then
  head -c 40M /dev/urandom >"$T/backing"
  device=$(losetup -f --show "$T/backing")
  at_exit losetup -d "$device"
  expect 1 amberfs restore "$R" vm/latest/disk "$device"
  said '--force'
  amberfs restore "$R" vm/latest/disk "$device" --force
  same "$T/disk" "$device"
  head -c 20M /dev/urandom >"$T/small"
  losetup -d "$device"
  device=$(losetup -f --show "$T/small")
  expect 1 amberfs restore "$R" vm/latest/disk "$device" --force
  said 'larger device'
  cmp "$device" "$T/small" || die "a device that is too small was written"
  losetup -d "$device"
fi

# What is neither a file nor a block device is never replaced.
mkfifo "$T/pipe"
nodes=("$T/pipe")
if mknod "$T/null" c 1 3 2>/dev/null; then nodes+=("$T/null"); fi
for node in "${nodes[@]}"; do
  expect 1 amberfs restore "$R" vm/latest/disk "$node"
  expect 1 amberfs restore "$R" vm/latest/disk "$node" --force
  said 'not a file or block device'
  [ ! -f "$node" ] || die "$node was replaced"
done

# A link to where the file should go is followed only with --force, and stays.
mkdir "$T/real"
echo precious >"$T/real/web"
ln -s real/web "$T/link"
ln -s real/none "$T/dangling"
for link in link dangling; do
  expect 1 amberfs restore "$R" vm/latest/disk "$T/$link"
  said 'symbolic link; --force'
  equal "$(cat "$T/real/web")" precious "the link's target"
done
for link in link dangling; do
  amberfs restore "$R" vm/latest/disk "$T/$link" --force
  [ -L "$T/$link" ] || die "the link was replaced"
done
same "$T/disk" "$T/real/web"
same "$T/disk" "$T/real/none"
ln -s "$T/real" "$T/way"
amberfs restore "$R" vm/latest/disk "$T/way/disk"
same "$T/disk" "$T/real/disk"

if [ "$(id -u)" = 0 ]; then
  # But none that another user can make.
  mkdir "$T/theirs"
  ln -s "$T/real/web" "$T/theirs/link"
  ln -s "$T/real" "$T/theirs/way"
  chown 65534 "$T/theirs"
  echo precious >"$T/real/web"
  for way in theirs/link theirs/way/web; do
    expect 1 amberfs restore "$R" vm/latest/disk "$T/$way" --force
    said 'a symbolic link in a directory that other users can change'
  done
  equal "$(cat "$T/real/web")" precious "a file that a user's link leads to"
  # And no file below /dev.
  expect 1 amberfs restore "$R" vm/latest/disk /dev/amberfs-test
  said 'below /dev'
  [ ! -e /dev/amberfs-test ] || die "a file in /dev"
fi

# What a qemu has open is not replaced, alone or with the rest of the snapshot.
if command -v qemu-nbd >/dev/null; then
  mkdir "$T/used"
  cp "$T/note.txt" "$T/used/note.txt"
  truncate -s 40M "$T/used/disk"
  qemu-nbd -f raw -t -k "$T/nbd" "$T/used/disk" &
  at_exit kill $!
  wait_for 10 test -S "$T/nbd"
  before=$(stat -c %i:%Z "$T/used"/*)
  expect 1 amberfs restore "$R" vm/latest/disk "$T/used/disk" --force
  said 'is in use'
  expect 1 amberfs restore "$R" vm/latest "$T/used" --force
  said 'is in use'
  equal "$(stat -c %i:%Z "$T/used"/*)" "$before" "files of a running guest"
fi

# What a killed restore leaves is removed by the next one there, but not what
# belongs to one at work.
left() { find "$T/leave" -name '.amberfs-restore.*'; }
has_left() { [ -n "$(left)" ]; }
begin_stopped() { # NAME: sets pid; stopped while its file grows
  amberfs restore "$R" large/latest/large "$T/leave/$1" &
  pid=$!
  until has_left || ! kill -0 "$pid" 2>/dev/null; do :; done
  kill -STOP "$pid" 2>/dev/null && has_left
}
mkdir "$T/leave"
tries=0
until begin_stopped one; do
  rm -f "$T/leave/"* && [ $((tries += 1)) -lt 20 ] ||
    die "never caught at work"
done
amberfs restore "$R" vm/latest/note.txt "$T/leave" 2>"$T/err"
[ ! -s "$T/err" ] && has_left || die "it took away what was in use: $(cat "$T/err")"
kill -9 "$pid"
wait "$pid" || :
expect 0 amberfs restore "$R" vm/latest/disk "$T/leave"
said 'removed .amberfs-restore.*a restore that was killed left it'
equal "$(left)" "" "what is left"
