#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: holes are seen through the mount: SEEK_DATA and SEEK_HOLE
# are right at every edge, and cp makes equally sparse copies.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program python3

new_repo
# data 0-64K, hole, data around the edge of a span, hole to the end
make_noise "$T/noise" 1
truncate -s 70000000 "$T/disk"
dd if="$T/noise" of="$T/disk" bs=64K count=1 conv=notrunc status=none
dd if="$T/noise" of="$T/disk" bs=4K count=8 seek=4092 conv=notrunc status=none
dd if="$T/noise" of="$T/disk" bs=4K count=1 seek=10000 conv=notrunc status=none
cp --sparse=always "$T/disk" "$T/leading"
fallocate -p -o 0 -l 65536 "$T/leading"
truncate -s 5M "$T/hole"
head -c 12345 "$T/noise" >"$T/full"
: >"$T/empty"
# A 4 KiB block of data, a block of hole, and so on: more pieces in a request
# than an answer can have.
python3 - "$T/comb" <<'END'
import os, sys
with open(sys.argv[1], "wb") as f:
    for i in range(1024):
        f.seek(i * 8192)
        f.write(os.urandom(4096))
    f.truncate(1024 * 8192)
END
files=(disk leading hole full empty comb)
(cd "$T" && amberfs backup "$R" --name vm "${files[@]}")
amber_mount "$R" "$T/mnt"
snap=$T/mnt/vm/latest

for file in "${files[@]}"; do
  same "$T/$file" "$snap/$file"
  for how in auto always; do
    rm -f "$T/copy"
    cp --sparse=$how "$snap/$file" "$T/copy"
    same "$T/$file" "$T/copy"
    [ "$(allocated "$T/copy")" -le "$(($(allocated "$snap/$file") + 65536))" ] ||
      die "cp --sparse=$how $file: $(allocated "$T/copy") bytes allocated"
  done
done
equal "$(allocated "$snap/disk")" $((65536 + 9 * 4096)) "allocated in the mount"
equal "$(allocated "$snap/hole")" 0 "allocated in a hole"

python3 - "$snap" <<'END'
import errno, os, sys

def data_map(path, size):
    """The truth by 4 KiB blocks, from the bytes."""
    blocks = []
    with open(path, "rb") as f:
        while True:
            b = f.read(4096)
            if not b:
                return blocks
            blocks.append(b.count(0) != len(b))

def want(blocks, size, offset, whence):
    if offset >= size:
        return -errno.ENXIO
    is_data = whence == os.SEEK_DATA
    i = offset // 4096
    if blocks[i] == is_data:
        return offset
    while i < len(blocks) and blocks[i] != is_data:
        i += 1
    if i == len(blocks):
        return -errno.ENXIO if is_data else size
    return i * 4096

for name in ("disk", "leading", "hole", "full", "empty", "comb",
             "snapshot.json"):
    path = sys.argv[1] + "/" + name
    size = os.stat(path).st_size
    blocks = data_map(path, size)
    edges = {0, 1, size - 1, size, size + 1, 1 << 40}
    for i in range(1, len(blocks)):
        if blocks[i] != blocks[i - 1]:
            edges |= {i * 4096 - 1, i * 4096, i * 4096 + 1}
    fd = os.open(path, os.O_RDONLY)
    for offset in sorted(e for e in edges if e >= 0)[:400]:
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            try:
                got = os.lseek(fd, offset, whence)
            except OSError as e:
                got = -e.errno
            expected = want(blocks, size, offset, whence)
            # An all-zero block within data may be told as data; here none is.
            if got != expected:
                raise SystemExit(f"{name} {size} at {offset} whence {whence}: "
                                 f"{got}, not {expected}")
    os.close(fd)
END
