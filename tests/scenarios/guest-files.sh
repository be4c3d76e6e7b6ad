#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: files inside a partitioned guest disk are read straight
# from the mount, the way the README shows: a loop device with partitions, and
# filesystems whose journal needs replaying mounted without that.
. "$(dirname "$0")/../functions.sh"
need_root "to mount"
need_program jq sfdisk mkfs.xfs
new_repo

# Two partitions: ext4, pulled out in mid-run (its journal needs replaying), and
# xfs, frozen with a dirty log.
make_tree "$T/tree" 4
make_image_ext4 "$T/p1" 64M "$T/tree"
debugfs -w -R 'feature needs_recovery' "$T/p1" 2>/dev/null
make_image_xfs "$T/p2" 300M "$T/tree"
truncate -s 400M "$T/disk.raw"
sfdisk -q "$T/disk.raw" <<'END'
label: gpt
start=1MiB, size=64MiB, type=linux
start=80MiB, size=300MiB, type=linux
END
dd if="$T/p1" of="$T/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$T/p2" of="$T/disk.raw" bs=1M seek=80 conv=notrunc,sparse status=none
amberfs backup "$R" --name guest "$T/disk.raw"
amber_mount "$R" "$T/mnt"
image=$T/mnt/guest/latest/disk.raw
before=$(sha256sum <"$image")

# losetup -P: each partition is a device of its own. (A kernel that reads no
# partition tables is told by partx; where no udev makes the nodes, we do.)
loop=$(losetup --read-only --find --show --partscan "$image")
at_exit losetup -d "$loop"
at_exit partx -d "$loop"
parts=/sys/block/${loop#/dev/}/${loop#/dev/}p
wait_for 3 test -e "${parts}2" || partx -a "$loop"
for n in 1 2; do
  [ ! -b "${loop}p$n" ] || continue
  IFS=: read -r major minor <"$parts$n/dev"
  mknod "${loop}p$n" b "$major" "$minor"
  at_exit rm -f "${loop}p$n"
done
mkdir "$T/one" "$T/two"
mount -o ro,noload "${loop}p1" "$T/one"
mount -o ro,norecovery "${loop}p2" "$T/two"
for directory in one two; do
  diff -r --no-dereference -x lost+found "$T/tree" "$T/$directory" ||
    die "files of $directory differ"
  not touch "$T/$directory/x" 2>/dev/null || die "$directory can be written"
done
umount "$T/one" "$T/two"
partx -d "$loop"
losetup -d "$loop"

# A single filesystem needs no loop device of one's own, only its offset.
mount -o "ro,noload,loop,offset=$((1 << 20)),sizelimit=$((64 << 20))" "$image" \
  "$T/one"
same "$T/one/etc/file7.conf" "$T/tree/etc/file7.conf"
umount "$T/one"
equal "$(sha256sum <"$image")" "$before" "the image"
