#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: what a domain has and its backup has not is in the snapshot
# with the reason, is said once, when it is new, and is listed by domains; and a
# disk that the user names and that can't be stored is a failure.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
new_repo
make_noise "$L/images/a.raw" 2 1
make_noise "$L/images/cd.iso" 1 2
qemu-img create -q -f qcow2 "$L/images/b.qcow2" 4M
qemu-img snapshot -c before "$L/images/b.qcow2"
truncate -s 64M "$L/images/pmem"
libvirt_own

# Kinds that libvirt's schema has, as it writes them.
devices="$(domain_disk "$L/images/a.raw" raw vda
  domain_disk "$L/images/b.qcow2" qcow2 vdb)
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
  <source file='$L/images/cd.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
<filesystem type='mount' accessmode='passthrough'>
  <source dir='/srv/share &amp; co'/><target dir='share'/></filesystem>
<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host0'/>
  <address bus='0' target='0' unit='7'/></source></hostdev>
<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/>
  <product id='0xbeef'/></source></hostdev>
<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/>
  </backend></tpm>
<memory model='nvdimm'><source><path>$L/images/pmem</path></source>
  <target><size unit='KiB'>65536</size><node>0</node>
  <label><size unit='KiB'>128</size></label></target></memory>"
xml=$(domain_xml web "$devices" | sed '/model=.none.\/>$/{/usb/d}' |
  sed "s|<domain type='\([a-z]*\)'|<domain type='\1' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'|
    s|</domain>|<sysinfo type='fwcfg'><entry name='opt/org.x/config' file='$L/images/cd.iso'/></sysinfo>\
<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file=/srv/extra.raw,if=none'/>\
<qemu:arg value='-snapshot'/></qemu:commandline></domain>|
    s|</os>|</os><maxMemory slots='4' unit='KiB'>1048576</maxMemory>\
<cpu><numa><cell id='0' cpus='0' memory='65536' unit='KiB'/></numa></cpu>|")
printf '%s\n' "$xml" >"$T/web.xml"
libvirt_do virsh -c "$LIBVIRT_URI" define "$T/web.xml" >&2
libvirt_do virsh -c "$LIBVIRT_URI" dumpxml web >"$T/web.xml"

night() { # STATUS [OPTION...]
  local want=$1
  shift
  sleep 1
  expect "$want" amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"
}
parts=('filesystem .*share & co' 'hostdev scsi .*scsi_host0' 'hostdev usb .*0xbeef'
  TPM 'memory nvdimm .*pmem' 'fw_cfg opt/org.x/config' '-drive file=/srv/extra.raw'
  'internal snapshots of vdb' 'sda')
night 0
for part in "${parts[@]}"; do
  said "not backed up: .*$part"
done
expect 0 amberfs show "$R" web/latest
for part in "${parts[@]}"; do
  grep -q -- "$part" "$T/out" || die "show lacks $part: $(cat "$T/out")"
done
equal "$(amberfs show --json "$R" web/latest | jq -c '[.complete, (.skipped | length)]')" \
  '[true,10]' "what is left out"
echo "said once" >&2
night 0
silent
expect 0 amberfs domains --connect "$LIBVIRT_URI"
for part in "${parts[@]:0:7}"; do
  grep -q -- "no backup of $part" "$T/out" || die "domains lacks $part: $(cat "$T/out")"
done
echo "one more" >&2
sed -i "0,/<filesystem/s|<filesystem|<filesystem type='mount'>\
<source dir='/srv/new'/><target dir='new'/></filesystem>&|" "$T/web.xml"
libvirt_do virsh -c "$LIBVIRT_URI" define "$T/web.xml" >&2
night 0
one_line "$T/err"
said 'not backed up: filesystem /srv/new'
echo "a named disk must be stored" >&2
count=$(snapshot_count)
night 1 --disk sda
said 'disk sda, which --disk names'
night 1 --disk web:vda --disk web:sdb
said 'disk sdb, which --disk names'
equal "$(snapshot_count)" "$count" snapshots
night 0 --exact
equal "$(amberfs show --json "$R" web/latest |
  jq '[.skipped[] | select(.object | startswith("internal"))] | length')" 0
