#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the socket of a running guest's backup is in the directory that
# libvirt has made for this guest, and nothing is left there; where qemu may not
# make it there, or a link is in place of that directory, it is in the scratch
# directory.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program nbdinfo
libvirt_start
cd "$L/images"
name=web
qemu-img create -q -f qcow2 disk.qcow2 4M
qemu-io -f qcow2 -c 'write -q -P 9 1M 1M' disk.qcow2
domain_define "$name" "$(domain_disk "$L/images/disk.qcow2" qcow2 vda)"
libvirt_do virsh -q start --paused "$name"
own=$L/home/.config/libvirt/qemu/lib/domain-$(libvirt_do virsh domid "$name" |
  tr -d '[:space:]')-$name
[ -d "$own" ] || die "libvirt has made $(ls "$L/home/.config/libvirt/qemu/lib")"

libvirt_do mkdir "$L/scratch"
mkdir "$T/hooks"
cat >"$T/hooks/look" <<END
#!/bin/sh
[ "\$AMBERFS_PHASE" = after-thaw ] || exit 0
echo "\$AMBERFS_NBD_SOCKET" >"$T/socket"
nbdinfo --size "nbd+unix:///vda?socket=\$AMBERFS_NBD_SOCKET" >"$T/size"
END
chmod 755 "$T/hooks" "$T/hooks/look"
new_repo

# socket_in DIRECTORY WHAT: where it was, and it is gone.
socket_in() {
  rm -f "$T/socket" "$T/size"
  expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain "$name" \
    --scratch-dir "$L/scratch" --hook "$T/hooks" --force-read
  found -E "^$1/amberfs-[0-9a-f]{16}(/q/nbd)?$" <"$T/socket" ||
    die "$2: $(cat "$T/socket")"
  equal "$(cat "$T/size")" $((4 << 20)) "$2: the disk's size"
  equal "$(find "$L/scratch" "${own%/*}" -name 'amberfs-*')" '' "$2: what is left"
  amberfs restore "$R" "$name/latest/vda.raw" "$T/restored" --force
  qemu-img compare -q -U -f qcow2 -F raw disk.qcow2 "$T/restored" ||
    die "$2: not what is on the disk"
}

socket_in "$L/scratch" "a libvirt of another home"
export XDG_CONFIG_HOME=$L/home/.config
socket_in "$own" "the guest's own directory"
chmod 500 "$own"
socket_in "$L/scratch" "one that qemu may not write"
chmod 700 "$own"
mv "$own" "$own.away"
libvirt_do ln -s "$own.away" "$own"
socket_in "$L/scratch" "a link"
rm "$own"
mv "$own.away" "$own"
