#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever a definition contains, the rewritten one (to run
# next to the original, isolated, or in its place) is valid by libvirt's schema
# and accepted by its parser.
. "$(dirname "$0")/../functions.sh"
need_program virt-xml-validate virsh xmllint python3
adaptxml=$AMBERFS_BUILD/tests/tools/adaptxml
cd "$T"

# Each domain of the tests' XML, by itself, without what only libvirt's test
# driver has.
sed "/<test:/d; s/<domain type='test'/<domain type='qemu'/" "$TESTS"/data/*.xml |
  awk '/<domain / { n++; file = n ".xml" } file { print > file }
    /<\/domain>/ { close(file); file = "" }'
chain='/o/a&b.qcow2:/m/web/latest/vda.raw'
valid=0
for xml in [0-9]*.xml; do
  virt-xml-validate "$xml" domain >/dev/null 2>&1 || continue
  valid=$((valid + 1))
  for options in '' isolated same 'isolated console nvram memory' \
    'same nvram console' "console vda=$chain sda=$chain vdd=$chain" \
    "isolated vda=$chain vdb=$chain sdd=/o/x vdz=/o/y"; do
    # shellcheck disable=SC2086 # words
    "$adaptxml" "$xml" $options >new.xml 2>notes || die "$xml $options: $(cat notes)"
    virt-xml-validate new.xml domain >v 2>&1 ||
      die "$xml $options: $(cat v) $(cat new.xml)"
  done
done
[ "$valid" -ge 3 ] || die "only $valid of the tests' definitions are valid"

# libvirt's parser, which knows more rules than its schema.
for options in '' isolated same 'isolated console memory'; do
  # shellcheck disable=SC2086
  "$adaptxml" "$TESTS/data/domain-devices.xml" $options vda="$chain" 2>notes |
    sed "s/type=\"kvm\"/type=\"test\"/" >new.xml
  virsh -q -c test:///default "define --validate new.xml; dumpxml \"new & 'name' <ü>\"" \
    >dump.xml || die "$options: $(cat new.xml)"
done
xmllint --xpath '//disk[@device="disk"]/source/@file' dump.xml | found 'a&amp;b'
equal "$(xmllint --xpath 'count(//interface | //hostdev | //filesystem)' dump.xml)" \
  0 'devices that reach outside'

# All that the schema allows of what restore and boot rewrite. (Not whole disks:
# xmllint takes minutes for one of all attributes.)
schema=/usr/share/libvirt/schemas/domain.rng
[ -e "$schema" ] || skip "no libvirt schema"
target='<target dev="vda" bus="virtio"/>'
disk='<disk type="file" device="disk"@>%<source file="/a"/>'
python3 "$TESTS/tools/rngvariants.py" "$schema" oshvm >os
python3 "$TESTS/tools/rngvariants.py" "$schema" graphic interface hostdev \
  filesystem tpm diskSource="<disk device='disk'@>%$target</disk>" \
  diskSourceBlock='<disk device="lun" rawio="yes"@>%<target dev="vda" bus="scsi"/></disk>' \
  diskTarget="$disk</disk>" diskBackingChain="$disk$target</disk>" \
  encryption="$disk$target</disk>" diskAuth="$disk$target</disk>" \
  diskIoTune="$disk$target</disk>" diskBlockIo="$disk$target</disk>" \
  diskMirror="$disk$target</disk>" \
  geometry="$disk$target</disk>" deviceBoot="$disk$target</disk>" \
  address="$disk$target</disk>" acpi="$disk$target</disk>" \
  snapshot="<disk type='file' device='disk'@><source file='/a'/>$target</disk>" \
  sgIO="<disk type='block' device='lun'@><source dev='/dev/a'/>$target</disk>" \
  diskBackingStore="$disk$target</disk>" >devices
format='<driver name="qemu" type="qcow2">
  <metadata_cache><max_size unit="bytes">1</max_size></metadata_cache></driver>'
for one in "$format" '<transient shareBacking="yes"/>' '<transient shareBacking="no"/>' '<shareable/>' \
  '<readonly/>' '<geometry cyls="16" heads="2" secs="8"/>' '<boot order="1"/>' \
  '<serial>a</serial>' '<wwn>0x5000c50015ea71aa</wwn>' '<vendor>a</vendor>' \
  '<product>a</product>' '<alias name="ua-a"/>' '<backenddomain name="a"/>' \
  '<driver cache="none" io="native" discard="unmap" iothread="1"/>'; do
  echo "<disk type='file' device='disk'>${one//$'\n'/}<source file='/a'/>$target</disk>"
done >>devices
# Drivers have one attribute each, for the same reason.
words() { # ATTRIBUTE WORD...
  local word
  for word in "${@:2}"; do
    echo "<disk type='file' device='disk'><driver name='qemu'" \
      "$1='$word'/><source file='/a'/>$target</disk>"
  done
}
{
  for one in copy_on_read ioeventfd event_idx iommu ats packed page_per_vq; do
    words "$one" on off
  done
  words cache default none writethrough writeback directsync unsafe
  words error_policy stop report ignore enospace
  words rerror_policy stop report ignore
  words io native threads io_uring
  words discard unmap ignore
  words detect_zeroes off on unmap
  words queues 2
  words queue_size 256
  words type aio bochs cloop cow dir dmg fat iso luks ploop qcow qcow2 qed raw vdi \
    vhd vmdk vpc
  for one in cdrom floppy; do
    echo "<disk type='file' device='$one'><source file='/a'/><target dev='fda'/></disk>"
  done
  echo '<disk type="block" device="lun" rawio="no"><source dev="/dev/a"/>' \
    '<target dev="sda" bus="scsi"/></disk>'
} >>devices
for one in virtio virtio-transitional virtio-non-transitional; do
  echo "<disk type='file' device='disk' model='$one'><source file='/a'/>$target</disk>"
done >>devices
frame() { # OS DEVICES
  echo "<domain type='qemu'><name>a</name><uuid>$uuid</uuid>" \
    "<memory>65536</memory>$1<devices>$2</devices></domain>"
}
uuid=5f0a1b3c-0000-4000-8000-000000000001
mkdir made
cd made
n=0
while read -r os; do
  n=$((n + 1))
  frame "$os" '' >$n.xml
done <../os
while read -r device; do
  n=$((n + 1))
  frame '<os><type>hvm</type></os>' "$device" >$n.xml
done <../devices
valid() { # FILE...: those that are, into the file "valid"
  xmllint --noout --relaxng "$schema" "$@" 2>all || :
  sed -n 's/ validates$//p' all | sort >valid
}
valid [0-9]*.xml
# A few combinations say more than the schema allows.
[ "$(wc -l <valid)" -gt $((n * 9 / 10)) ] || die "$(wc -l <valid) of $n are valid"
mapfile -t inputs <valid
cp valid list
# They have all that there is: each element, attribute and word; but for what
# libvirt writes only into status files of its own.
python3 "$TESTS/tools/rngcover.py" "$schema" oshvm=os graphic=graphics interface \
  hostdev filesystem tpm disk <valid >uncovered
cat >expected <<'END'
disk disk/privateData
disk source/privateData
os source/privateData
END
diff expected uncovered || die "what the schema has and the test has not"
i=0
for options in same isolated '' 'same raw vda=/b' 'same block vda=/b' \
  'isolated console nvram vda=/b:/c' 'raw vda=/b nvram'; do
  mkdir $((i += 1))
  # shellcheck disable=SC2086 # words
  "$adaptxml" list into="$i" $options 2>notes || die "$options: $(tail -1 notes)"
  (
    cd "$i"
    valid "${inputs[@]}"
    printf '%s\n' "${inputs[@]}" | diff - valid >difference || {
      bad=$(sed -n 's/^< //p' difference | head -1)
      die "$options makes of $(cat "../$bad") $(cat "$bad")"
    }
  )
done
