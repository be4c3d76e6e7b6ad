#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever a definition contains, the rewritten one (to run
# next to the original, isolated, or in its place) is valid by libvirt's schema
# and accepted by its parser.
. "$(dirname "$0")/../functions.sh"
need_program virt-xml-validate virsh xmllint
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
