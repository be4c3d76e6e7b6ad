#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an ext4 and an xfs image in a mounted snapshot are
# loop-mounted and their files compared; qemu's tools read them.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_root "to loop-mount"
need_program mke2fs mkfs.xfs losetup qemu-img qemu-io

make_tree "$T/tree" 12
make_image_ext4 "$T/ext4.img" 128M "$T/tree"
make_image_xfs "$T/xfs.img" 320M "$T/tree"
new_repo
(cd "$T" && amberfs backup "$R" --name vm ext4.img xfs.img)
amber_mount "$R" "$T/mnt"
snap=$T/mnt/vm/latest

mkdir "$T/disk"
for kind in ext4 xfs; do
  options=ro,loop
  [ $kind = ext4 ] && options+=,noload || options+=,norecovery
  mount -t $kind -o $options "$snap/$kind.img" "$T/disk" ||
    die "can't loop-mount the $kind image"
  # mke2fs adds lost+found.
  diff -r --no-dereference -x lost+found "$T/tree" "$T/disk" ||
    die "files in the $kind image differ"
  umount "$T/disk"
done

for image in ext4 xfs; do
  qemu-img compare -f raw -F raw "$T/$image.img" "$snap/$image.img" ||
    die "qemu-img compare: $image"
  qemu-img convert -f raw -O qcow2 "$snap/$image.img" "$T/out.qcow2"
  qemu-img compare -f raw -F qcow2 "$T/$image.img" "$T/out.qcow2" ||
    die "qemu-img convert to qcow2: $image"
  qemu-img convert -f raw -O raw "$snap/$image.img" "$T/out.raw"
  same "$T/$image.img" "$T/out.raw"
done
# Through the page cache and past it (O_DIRECT).
sum=$(dd if="$T/ext4.img" bs=64K skip=16 count=16 status=none | sha256sum)
for cache in writeback none; do
  qemu-io -r -f raw -t "$cache" -c 'read -v 1M 1M' "$snap/ext4.img" |
    found 'read 1048576/1048576 bytes' || die "qemu-io -t $cache"
done
equal "$(dd if="$snap/ext4.img" bs=64K skip=16 count=16 iflag=direct status=none |
  sha256sum)" "$sum" "O_DIRECT"
equal "$(qemu-img map -f raw --output=json "$snap/xfs.img" |
  grep -c '"data": true')" \
  "$(qemu-img map -f raw --output=json "$T/out.raw" | grep -c '"data": true')" \
  "data extents as qemu sees them"
