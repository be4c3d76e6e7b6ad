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
  diskIoTune="$disk$target</disk>" diskBlockIo="$disk$target</disk>" >devices
format='<driver name="qemu" type="qcow2">
  <metadata_cache><max_size unit="bytes">1</max_size></metadata_cache></driver>'
for one in "$format" '<transient shareBacking="yes"/>' '<shareable/>' \
  '<readonly/>' '<geometry cyls="16" heads="2" secs="8"/>' '<boot order="1"/>' \
  '<serial>a</serial>' '<wwn>0x5000c50015ea71aa</wwn>' '<vendor>a</vendor>' \
  '<product>a</product>' '<alias name="ua-a"/>' '<backenddomain name="a"/>' \
  '<driver cache="none" io="native" discard="unmap" iothread="1"/>'; do
  echo "<disk type='file' device='disk'>${one//$'\n'/}<source file='/a'/>$target</disk>"
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
for kind in interface hostdev filesystem tpm graphics '<disk' '<nvram'; do
  grep -q "$kind" "${inputs[@]}" || die "none has $kind"
done
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
