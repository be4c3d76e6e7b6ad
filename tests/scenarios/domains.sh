#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: `amberfs domains` shows every domain and every form of disk
# as libvirt has them, and which can be backed up, or why not.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq

# check FILTER: the last listing satisfies it.
check() {
  documented domains "$T/out" >/dev/null
  jq -e "$1" "$T/out" >/dev/null || {
    jq . "$T/out" >&2
    die "not so: $1"
  }
}

# No libvirt, another host's, a mistake.
expect 1 amberfs domains --connect "qemu:///session?socket=$T/nowhere.sock"
said 'cannot connect to libvirt at .*nowhere'
said 'LIBVIRT_DEFAULT_URI'
for uri in qemu+ssh://host/system qemu+tls://host/system qemu+tcp:///system \
  qemu://host/system qemu+libssh2://host/system 'esx://host/?no_verify=1'; do
  expect 1 amberfs domains --connect "$uri"
  said 'only reads disks on this host'
done
LIBVIRT_DEFAULT_URI=qemu+ssh://host/system expect 1 amberfs domains
expect 2 amberfs domains --jsn
said -- '--json'

# libvirt's test driver: states and forms that need no guest.
expect 0 amberfs domains --json --connect test:///default
check '.domains[0] | .name == "test" and .state == "running" and .id == 1 and
  .memory_bytes > 0 and .max_memory_bytes >= .memory_bytes and .vcpus > 0 and .persistent and
  (.uuid | length) == 36 and (.autostart | not) and .os_type != null'
expect 0 amberfs domains --connect test:///default
expect 0 amberfs domains --json --connect "test://$TESTS/data/domain-states.xml"
check '[.domains[].state] == ["blocked", "crashed", "paused", "running",
  "in shutdown", "shut off", "pmsuspended"]'
check '[.domains[] | select(.id == null).name] == ["shutoff"]'
expect 0 amberfs domains --json --connect "test://$TESTS/data/domain-forms.xml"
check '.domains[0].name == "forms ü & '\''quotes'\''"'
check '.domains[0].disks | length == 8'
check '.domains[0] | .memory_bytes == 33554432 and .max_memory_bytes == 67108864'
check '[.domains[0].disks[].can_back_up] | any | not'
check '[.domains[0].disks[].problem.message | length > 10] | all'
check '[.domains[0].disks[].image.type] == ["network", "nvme", "dir", "file",
  "volume", "file", null, null]'
check '.domains[0].disks[0].image | .protocol == "rbd" and
  .name == "pool/image" and .host == "mon1.example.org:6789"'
check '.domains[0].disks[5] | .format == "vmdk" and (.image.path |
  endswith("with & '\''quotes'\''/ünïcode.vmdk")) and
  (.problem.message | contains("missing"))'
check '.domains[0].disks[6] | .device == "cdrom" and (.can_back_up | not) and
  (.problem.message | contains("medium"))'
expect 0 amberfs domains --connect "test://$TESTS/data/domain-forms.xml"
grep -q 'volume unit:0:0:1 of pool no-such-pool' "$T/out" || die "the text"

# A real libvirt with real images.
libvirt_start
cd "$L/images"
hard="a b, 'c' & \"d\" ü: e.qcow2"
qemu-img create -q -f raw base.raw 64M
qemu-io -f raw -c 'write -q 0 8M' base.raw
qemu-img create -q -f qcow2 -F raw -b base.raw mid.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b mid.qcow2 "./$hard"
qemu-img create -q -f raw part.raw 16M
qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 32M
# It measures the machine's speed, which a busy one may deny it.
luks_image() {
  qemu-img create -q -f qcow2 --object secret,id=k,data=x \
    -o encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10 \
    enc.qcow2 8M 2>/dev/null
}
wait_for 30 luks_image || die "no LUKS image"
# A raw disk into which its guest wrote a header.
qemu-img create -q -f qcow2 -F raw -b /etc/passwd evil.raw 1M
ln -s base.raw link.raw
mkdir "$L/pool"
libvirt_own
libvirt_do virsh -q pool-create-as p dir --target "$L/pool"
libvirt_do virsh -q vol-create-as p 'v 1' 24M --format qcow2
device=/nonexistent/device
if [ "$(id -u)" = 0 ] && device=$(losetup -f --show base.raw); then
  at_exit losetup -d "$device"
fi
disks=$(
  domain_disk "$L/images/$hard" qcow2 vda
  domain_disk "$L/images/link.raw" raw vdb
  domain_disk "$L/images/evil.raw" raw vdc
  domain_disk "$L/images/enc.qcow2" qcow2 vdd
  domain_disk "$L/images/split.vmdk" vmdk vde
  cat <<END
    <disk type='volume' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source pool='p' volume='v 1'/>
      <target dev='vdf' bus='virtio'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw'/>
      <source dev='$device'/>
      <target dev='vdg' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='$L/images/part.raw'>
        <slices><slice type='storage' offset='1048576' size='8388608'/></slices>
      </source>
      <target dev='vdh' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='$L/images/base.raw'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
END
)
domain_define forms "$disks"
expect 0 amberfs domains --json --connect "$LIBVIRT_URI"
check '.domains | length == 1'
check '.domains[0] | .state == "shut off" and .id == null and
  .os_type == "hvm" and .problem == null'
disk() {
  check ".domains[0].disks[] | select(.target == \"$1\") | $2"
}
disk vda '.can_back_up and .incremental and .full_reason == null and
  .virtual_size == 67108864 and
  [.chain[].format] == ["qcow2", "qcow2", "raw"] and
  .chain[2].allocated_bytes >= 8388608 and .allocated_bytes < 8388608'
H=$hard jq -e '.domains[0].disks[0].chain[0].path | endswith("/" + env.H)' \
  "$T/out" >/dev/null || die "the hard name"
disk vdb '.can_back_up and .format == "raw" and .virtual_size == 67108864 and
  .allocated_bytes >= 8388608 and (.chain | length) == 1'
disk vdc '.can_back_up and (.chain | length) == 1 and .virtual_size < 1048576'
disk vdd '.encrypted and (.can_back_up | not) and (.incremental | not) and (.problem.message | contains("encrypted"))'
disk vde '.can_back_up and .virtual_size == 33554432'
disk vdf '.can_back_up and (.incremental | not) and
  (.full_reason | contains("version 2")) and .image.pool == "p" and .image.volume == "v 1" and
  (.image.path | endswith("/pool/v 1")) and .virtual_size == 25165824'
[ "$device" = /nonexistent/device ] ||
  disk vdg '.can_back_up and .virtual_size == 67108864'
disk vdh '.can_back_up and .virtual_size == 8388608 and
  .slice.offset == 1048576'
disk sda '(.can_back_up | not) and .readonly and .virtual_size == 67108864'
expect 0 amberfs domains --connect "$LIBVIRT_URI"
grep -q "on .*/mid.qcow2 (qcow2" "$T/out" || die "the chain in the text"

# A chain whose formats are not recorded is refused, not guessed.
LC_ALL=C sed -i 's/\xe2\x79.\xca/1234/' mid.qcow2
expect 0 amberfs domains --json --connect "$LIBVIRT_URI"
disk vda '(.can_back_up | not) and (.problem.message | contains("rebase"))'

# A domain that runs: its disks are shown, with the chain in use.
domain_define runner "$(domain_disk "$L/images/link.raw" raw vda)"
libvirt_do virsh -q start --paused runner
expect 0 amberfs domains --json --connect "$LIBVIRT_URI"
check '.domains[1] | .state == "paused" and .id == 1 and
  (.state_reason == "starting up" or .state_reason == "user")'
check '.domains[1].disks[0] | .can_back_up and (.incremental | not) and
  (.full_reason | contains("raw"))'
expect 0 amberfs domains --connect "$LIBVIRT_URI"
grep -q "is read in full each time: it is a raw image" "$T/out" || die "the text"
libvirt_do virsh -q destroy runner
