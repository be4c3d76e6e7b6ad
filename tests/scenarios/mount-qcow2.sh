#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: beside each disk the mount shows the same as a qcow2 file
# that qemu finds without fault and equal to the disk, of which cp makes a
# compact copy, which an overlay can stand on, and whose bytes are always the
# same: whatever the size, up to 64 TiB, and wherever the data is.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_fuse
need_root "to mount an xfs image with a large file"
need_program jq mke2fs mkfs.xfs python3 qemu-img qemu-io
libvirt_start
cd "$L/images"

# Filesystems, nothing, data only, pieces around every edge, 64 TiB.
disks=(vda vdb vdc vdd vde)
make_tree "$T/tree" 8
make_image_ext4 vda 64M "$T/tree"
make_image_xfs vdb 300M "$T/tree"
truncate -s 1G vdc
make_noise vdd 9 1
truncate -s 9216512 vdd
python3 - vde <<'END'
import random, sys
r = random.Random(5)
size = (5 << 30) + 700 * 512
with open(sys.argv[1], "wb") as f:
    f.truncate(size)
    for edge in (65536, 16 << 20, 512 << 20, 1 << 30, 4 << 30, size - 600):
        f.seek(edge - 600)
        f.write(r.randbytes(1200))
    for _ in range(300):
        f.seek(r.randrange(size - 200000))
        f.write(r.randbytes(r.choice((1, 4096, 5000, 65536, 200000))))
END
small_disk xfs 300M "$T/large"
truncate -s 64T "$T/large/vdf"
places=(0 17592186044416 33333333331968 70368744177152)
for at in "${places[@]}"; do
  head -c 512 /dev/zero | tr '\0' 'x' |
    dd of="$T/large/vdf" bs=512 seek=$((at / 512)) conv=notrunc status=none
done
ln -s "$T/large/vdf" vdf
xml=
for disk in "${disks[@]}" vdf; do
  xml+=$(domain_disk "$L/images/$disk" raw "$disk")
done
domain_define web "$xml"
new_repo
amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web
amberfs backup "$R" --name files vda
amber_mount "$R" "$T/mnt"
snap=$T/mnt/web/latest

equal "$(cd "$snap" && echo *.qcow2 *.raw)" \
  "$(printf '%s.qcow2 ' "${disks[@]}" vdf)$(printf '%s.raw ' "${disks[@]}")vdf.raw" \
  "the disks in the mount"
equal "$(cd "$T/mnt/files/latest" && echo *)" "snapshot.json vda" "no disk's names"
jq -e '[.files[].name | select(endswith("qcow2"))] == []' "$snap/snapshot.json" \
  >/dev/null || die "snapshot.json lists what is not stored"
expect 1 touch "$snap/vda.qcow2"
for views in raw qcow2; do
  amber_mount "$R" "$T/only" -o "views=$views"
  equal "$(cd "$T/only/web/latest" && echo vda.*w* vdb.*w*)" \
    "vda.$views vdb.$views" "disks with views=$views"
  equal "$(find "$T/only/files/latest/" -type f | wc -l)" 2 "no disk's names"
  not test -e "$T/only/web/latest/vda.$([ "$views" = raw ] && echo qcow2 || echo raw)" ||
    die "both are there"
  qemu-img compare -q -f raw -F "$views" vda "$T/only/web/latest/vda.$views" ||
    die "views=$views"
  amber_umount "$T/only"
done
expect 2 amberfs mount "$R" "$T/only" -o views=vmdk
said 'expected raw, qcow2 or both'
python3 - "$snap" <<'END'
import os, sys
tags = [{t: os.getxattr(f"{sys.argv[1]}/vda.{end}", t)
         for t in os.listxattr(f"{sys.argv[1]}/vda.{end}")}
        for end in ("raw", "qcow2")]
assert tags[0].pop("user.amberfs.root") and tags[0] == tags[1], tags
END

check() {
  qemu-img check -q -f qcow2 "$1" || die "qemu-img check $1: status $?"
}

compare() {
  qemu-img compare -q -f raw -F qcow2 "$1" "$2" || die "$1 is not $2"
}

# compact QCOW2 DISK: takes no more than the disk's data and some tables.
compact() {
  [ "$(allocated "$1")" -le $(($(allocated "$2") + 2097152)) ] ||
    die "$1: $(allocated "$1") bytes allocated, $2: $(allocated "$2")"
}

for disk in "${disks[@]}"; do
  raw=$snap/$disk.raw qcow2=$snap/$disk.qcow2
  equal "$(stat -c '%a %u %y' "$qcow2")" "$(stat -c '%a %u %y' "$raw")" "$disk"
  check "$qcow2"
  compare "$raw" "$qcow2"
  compact "$qcow2" "$raw"
  cp "$qcow2" "$T/copy"
  same "$qcow2" "$T/copy"
  check "$T/copy"
  compact "$T/copy" "$raw"
  compare "$disk" "$T/copy"
  # It can be written to: what is free in it is free.
  chmod u+w "$T/copy"
  qemu-io -f qcow2 -c 'write -q -P 7 3M 5M' "$T/copy"
  check "$T/copy"
  rm "$T/copy"
done

# --- 64 TiB
check "$snap/vdf.qcow2"
compact "$snap/vdf.qcow2" "$snap/vdf.raw"
cp "$snap/vdf.qcow2" "$T/copy"
compact "$T/copy" "$snap/vdf.raw"
check "$T/copy"
for file in "$snap/vdf.qcow2" "$T/copy"; do
  equal "$(qemu-img info -f qcow2 --output=json "$file" |
    jq '."virtual-size"')" 70368744177664 "size of vdf"
  commands=()
  for at in "${places[@]}"; do
    commands+=(-c "read -P 120 $at 512")
    [ "$at" = 0 ] || commands+=(-c "read -P 0 $((at - 1048576)) 1M")
    [ "$at" = 70368744177152 ] ||
      commands+=(-c "read -P 0 $((at + 512)) 1M")
  done
  qemu-io -r -f qcow2 "${commands[@]}" "$file" >"$T/out" 2>&1 ||
    die "$(cat "$T/out")"
  not found -i -e fail -e error "$T/out" || die "$(cat "$T/out")"
done
rm "$T/copy"

# --- restore writes the same file
amberfs restore "$R" web/latest/vde.qcow2 "$T/restored"
same "$snap/vde.qcow2" "$T/restored"
compact "$T/restored" "$snap/vde.raw"
equal "$(stat -c '%a %y' "$T/restored")" "600 $(stat -c %y "$snap/vde.raw")" \
  "mode and time"
mkdir "$T/directory"
amberfs restore "$R" web/latest/vda.qcow2 "$T/directory"
same "$snap/vda.qcow2" "$T/directory/vda.qcow2"
amberfs restore "$R" web/latest/vda.qcow2 - | cmp - "$snap/vda.qcow2" ||
  die "restore to a stream"
expect 1 amberfs restore "$R" web/latest/vda.qcow2 "$T/directory"
said --force
expect 1 amberfs restore "$R" web/latest/vda.qcow2 "$T/x" --damaged=zero
said raw
expect 1 amberfs restore "$R" files/latest/vda.qcow2 "$T/x"
said 'no file vda.qcow2'

# --- an overlay
qemu-img create -q -f qcow2 -F qcow2 -b "$snap/vda.qcow2" "$T/overlay"
cp vda "$T/written"
for file in "qcow2 $T/overlay" "raw $T/written"; do
  read -r format path <<<"$file"
  qemu-io -f "$format" -c 'write -q -P 9 5000K 3M' -c 'write -q -z 20M 1M' "$path"
done
compare "$T/written" "$T/overlay"
check "$snap/vda.qcow2"

# --- readers at once see what one reader saw
sums() {
  (cd "$1/web/latest" && sha256sum "${disks[@]/%/.qcow2}" &&
    head -c 20M vdf.qcow2 | sha256sum)
}
before=$(sums "$T/mnt")
inodes=$(cd "$snap" && stat -c '%n %i' ./*)
cp "$snap/vde.qcow2" "$T/copy"
amber_umount "$T/mnt"
# Without keeping it in memory, so that they need the same frames again.
amber_mount "$R" "$T/mnt" -o "index_dir=$T/other,cache_size=8M"
equal "$(cd "$snap" && stat -c '%n %i' ./*)" "$inodes" "inodes"
pids=()
for seed in 1 2 3 4; do
  python3 - "$snap" "$T/copy" "$L/images/vde" $seed <<'END' &
import os, random, sys
snap, copy, raw = sys.argv[1:4]
pairs = [[os.open(p, os.O_RDONLY) for p in pair]
         for pair in ((snap + "/vde.qcow2", copy), (snap + "/vde.raw", raw))]
r = random.Random(sys.argv[4])
for pair in pairs:
    os.posix_fadvise(pair[0], 0, 0, os.POSIX_FADV_RANDOM)
for _ in range(300):
    a, b = r.choice(pairs)
    size = os.fstat(a).st_size
    assert size == os.fstat(b).st_size
    n = r.choice((1, 512, 4096, 70000, 1 << 20))
    at = r.randrange(size)
    assert os.pread(a, n, at) == os.pread(b, n, at), (a, n, at)
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        try:
            to = os.lseek(a, at, whence)
        except OSError:
            continue
        assert at <= to <= size
END
  pids+=($!)
done
for p in "${pids[@]}"; do
  wait "$p" || die "a reader saw wrong bytes"
done
rm "$T/copy"
equal "$(sums "$T/mnt")" "$before" "bytes after another mount, another index"

# --- opening reads nothing; what can't be read is an error, for a while
amber_umount "$T/mnt"
amber_mount "$R" "$T/mnt"
stat "$snap/vda.qcow2" >/dev/null
mv "$R/packs" "$R/packs.gone"
exec 5<"$snap/vda.qcow2"
python3 - <<'END'
import os
size = os.fstat(5).st_size
os.posix_fadvise(5, 0, 0, os.POSIX_FADV_RANDOM)
assert os.pread(5, 4, 0) == b"QFI\xfb"
for at in (196608, 262144, size - 4096):
    try:
        os.pread(5, 4096, at)
    except OSError:
        continue
    raise SystemExit(f"read at {at} without its tree")
END
mv "$R/packs.gone" "$R/packs"
cat <&5 | sha256sum | cut -c -64 >"$T/sum"
exec 5<&-
equal "$(cat "$T/sum") " "$(head -n 1 <<<"$before" | cut -d ' ' -f 1) " "vda again"

# --- a stored file goes before one that is computed
unset AMBERFS_KEY_FILE
amberfs init --no-encryption "$T/open" >/dev/null
"$AMBERFS_BUILD/tests/damage/damage-forge" "$T/open" name-taken
amber_mount "$T/open" "$T/mnt2"
(cd "$T/mnt2/forged/latest" && stat -c '%n %s' ./*) >"$T/out"
equal "$(cat "$T/out")" "./disk.qcow2 5
./disk.raw 1048576
$(grep json "$T/out")" "the stored file's name"
