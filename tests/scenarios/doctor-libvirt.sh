#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: doctor sees in a real libvirt which disks can't be backed up
# or not by their changes, whose agent is silent, and where qemu can't work; its
# commands mend that.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
as_root() { [ "$(id -u)" = 0 ]; }

finding() { # CHECK FILTER
  jq -r ".findings[] | select(.check == \"$1\") | $2" "$T/out"
}
about() { # CHECK OBJECT FILTER
  jq -r ".findings[] | select(.check == \"$1\" and .object == \"$2\") | $3" \
    "$T/out"
}
doctor() { # STATUS ARGUMENT...
  local status=$1
  shift
  expect "$status" amberfs doctor --connect "$LIBVIRT_URI" --json "$@"
}

libvirt_do qemu-img create -q -f qcow2 -o compat=0.10 "$L/images/old.qcow2" 8M
libvirt_do qemu-img create -q -f qcow2 "$L/images/new.qcow2" 8M
libvirt_do qemu-img create -q -f raw "$L/images/plain.img" 8M
domain_define web "$(domain_disk "$L/images/old.qcow2" qcow2 vda
  domain_disk "$L/images/new.qcow2" qcow2 vdb
  domain_disk "$L/images/plain.img" raw vdc)"
domain_define lost "$(domain_disk "$L/images/gone.qcow2" qcow2 vda)"
domain_define remote "
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='nbd' name='x'><host name='127.0.0.1' port='1'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>"

doctor 1
equal "$(about connection "$LIBVIRT_URI" .level)" ok
equal "$(finding versions .level)" ok
finding versions .object | found '^libvirt [0-9.]*, qemu [0-9.]*$'
# Images, by what they can hold.
equal "$(about disks 'web: vda' .level)" warning
about disks 'web: vda' '.commands[]' >"$T/mend"
equal "$(cat "$T/mend")" \
  "qemu-img amend -f qcow2 -o compat=1.1 $L/images/old.qcow2"
equal "$(about disks web .found)" \
  "1 disk can be backed up, by what has changed"
about disks 'web: vdc' '.commands[0]' | found 'qemu-img convert .* -O qcow2'
equal "$(about disks 'lost: vda' .level)" failure
equal "$(about disks 'remote: vda' .level)" warning
# The host that a disk is on is one of those to be reached.
finding peer .object | found 'way to 127.0.0.1 (disk vda of remote over nbd)'
# As root of the scenario, by the user of the daemon.
libvirt_do bash "$T/mend"
libvirt_do virsh -q undefine lost
doctor 0
equal "$(about disks web .found)" \
  "2 disks can be backed up, by what has changed"

# A guest whose agent is not there, and one that has no channel to any.
domain_xml talks "    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    $(domain_disk "$L/images/new.qcow2" qcow2 vda)" >"$L/talks.xml"
domain_define mute ''
libvirt_own
libvirt_do virsh -q create "$L/talks.xml" >&2
libvirt_do virsh -q start mute >&2
doctor 0
about agents talks .found | found 'agent does not answer'
about agents mute .found | found 'no channel'
about agents mute '.commands[]' >"$T/mend"
libvirt_do virsh -q destroy talks >&2
libvirt_do bash "$T/mend" >&2
libvirt_do virsh -q destroy mute >&2
libvirt_do virsh -q start mute >&2
doctor 0
about agents mute .found | found 'agent does not answer'

# A scratch directory that qemu's user can't get to, and a full one.
equal "$(finding scratch .level)" ok
if as_root; then
  mkdir -p "$T/closed/scratch"
  chmod 700 "$T/closed"
  chmod 777 "$T/closed/scratch"
  doctor 1 --scratch-dir "$T/closed/scratch"
  finding scratch .found | found "can't pass $T/closed$"
  finding scratch '.commands[]' >"$T/mend"
  bash -e "$T/mend"
  doctor 0 --scratch-dir "$T/closed/scratch"
  mkdir "$T/tight"
  mount -t tmpfs -o size=1m,mode=1777 none "$T/tight"
  doctor 1 --scratch-dir "$T/tight"
  finding scratch .found | found 'are needed'
fi
doctor 1 --scratch-dir "$T/nowhere"

# The repository beside the images.
new_repo "$L/repo"
doctor 0 "$R" --scratch-dir "$T"
finding place .found | found "same .* as $L/images/"

# No libvirt there; and one of another host.
expect 1 amberfs doctor --json --connect "qemu:///session?socket=$T/none"
equal "$(finding connection .level)" failure
finding peer .found | found 'none is needed'
expect 0 amberfs doctor --json --connect qemu+ssh://root@127.0.0.1:1/system
equal "$(finding connection .level)" warning
finding peer .object | found 'way to 127.0.0.1 (libvirt there)'
