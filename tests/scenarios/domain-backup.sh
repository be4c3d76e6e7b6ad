#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: domains that are shut off are backed up as their guests see
# them, whatever the form of their disks; a broken one is reported and the
# others continue; a running one is backed up where it is, but not with --exact.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq mke2fs
libvirt_start
cd "$L/images"

# web: a raw file with a filesystem, and a qcow2 that stands on a chain of two;
# NVRAM; a name that needs quoting.
make_tree "$T/tree" 12
make_image_ext4 root.img 64M "$T/tree"
qemu-img create -q -f raw base.raw 40M
qemu-io -f raw -c 'write -q -P 1 0 9M' -c 'write -q -P 2 20M 3M' base.raw
qemu-img create -q -f qcow2 -F raw -b base.raw mid.qcow2
qemu-io -f qcow2 -c 'write -q -P 3 4M 2M' mid.qcow2
chained="chain & 'top'.qcow2"
qemu-img create -q -f qcow2 -F qcow2 -b mid.qcow2 "./$chained" 48M
qemu-io -f qcow2 -c 'write -q -P 4 44M 1M' -c 'write -q -z 21M 1M' "$chained"
head -c 300K /dev/urandom >vars.fd
head -c 4M /dev/zero >code.fd
domain_xml web "$(domain_disk "$L/images/root.img" raw vda)
$(domain_disk "$L/images/$chained" qcow2 vdb)" \
  "<loader readonly='yes' type='pflash'>$L/images/code.fd</loader>
   <nvram>$L/images/vars.fd</nvram>" |
  sed 's|</os>|</os><features><acpi/></features>|' >"$L/web.xml"
libvirt_own
libvirt_do virsh -q define "$L/web.xml"
# evil: into its raw disk the guest wrote a qcow2 header with a file of the host.
qemu-img create -q -u -f qcow2 -F raw -b /etc/shadow evil.raw 1M
domain_define evil "$(domain_disk "$L/images/evil.raw" raw vda)"
# broken: its disk is missing. busy: it runs.
domain_define broken "$(domain_disk "$L/images/gone.img" raw vda)"
qemu-img create -q -f raw busy.img 1M
domain_define busy "$(domain_disk "$L/images/busy.img" raw vda)"
libvirt_do virsh -q start busy

new_repo
connect=(--connect "$LIBVIRT_URI")
before=$(cd "$L/images" && sha256sum -- * | sort)

expect 3 amberfs backup "$R" "${connect[@]}" --all-domains --json
equal "$(jq -rc '[.snapshots[] | .source + " " + .status] | sort | join(", ")' \
  "$T/out")" "broken failed, busy done, evil done, web done" "what became of each"
said broken
said 'gone.img'
said 'none of its disks could be read.*gone.img'
equal "$(snapshot_count broken)" 0 "snapshots of nothing"
equal "$(cd "$L/images" && sha256sum -- * | sort)" "$before" "the images"
amberfs show --json "$R" busy/latest | jq -e '.consistency == "crash"' \
  >/dev/null || die "$(amberfs show --json "$R" busy/latest)"
amberfs restore "$R" busy/latest/vda.raw - | cmp - busy.img

amberfs restore "$R" web/latest "$T/web"
same root.img "$T/web/vda.raw"
[ ! -e "$T/web/vda.qcow2" ] || die "restore wrote what is not stored"
qemu-img compare -q -f qcow2 -F raw "$chained" "$T/web/vdb.raw" ||
  die "vdb is not what the guest sees"
equal "$(stat -c %s "$T/web/vdb.raw")" $((48 << 20)) "size of vdb"
[ "$(allocated "$T/web/vdb.raw")" -le $((16 << 20)) ] || die "vdb is not sparse"
same vars.fd "$T/web/nvram.fd"
found '<name>web</name>' <"$T/web/domain.xml" || die "domain.xml"
equal "$(stat -c %a "$T/web/domain.xml")" 600 "mode of domain.xml"
equal "$(stat -c %a "$T/web/vda.raw")" 600 "mode of vda.raw"
amberfs show --json "$R" web/latest | jq -e '.kind == "domain" and
  (.uuid | length) == 36' >/dev/null || die "$(amberfs show --json "$R" web/latest)"
# The raw disk's bytes, not what its header says.
amberfs restore "$R" evil/latest/vda.raw - | cmp - evil.raw

# Nothing changed: nothing is read; one disk written: only that one is.
age root.img vars.fd "$chained" mid.qcow2 base.raw
amberfs backup "$R" "${connect[@]}" --domain web
amberfs backup "$R" "${connect[@]}" --domain web --json >"$T/json"
jq -e '.read_bytes < 1048576 and .new_bytes < 65536' "$T/json" >/dev/null ||
  die "unchanged: $(cat "$T/json")"
qemu-io -f raw -c 'write -q -P 9 10M 1M' base.raw
amberfs backup "$R" "${connect[@]}" --domain web --json >"$T/json"
jq -e '.unchanged_bytes > 0 and .read_bytes > 0' "$T/json" >/dev/null || die "$(cat "$T/json")"
amberfs restore "$R" web/latest/vdb.raw "$T/vdb2.raw"
qemu-img compare -q -f qcow2 -F raw "$chained" "$T/vdb2.raw" ||
  die "a change in the middle of the chain was missed"

# --exact keeps the files of the chain as they are.
amberfs backup "$R" "${connect[@]}" --domain web --exact
amberfs restore "$R" web/latest "$T/exact"
for file in root.img base.raw mid.qcow2 "$chained"; do
  found=no
  for copy in "$T"/exact/*; do
    ! cmp -s "$file" "$copy" || found=yes
  done
  [ "$found" = yes ] || die "--exact did not keep $file: $(ls "$T/exact")"
done

# By UUID; patterns; wrong names.
uuid=$(libvirt_do virsh domuuid web | tr -d '[:space:]')
amberfs backup "$R" "${connect[@]}" --domain "$uuid"
expect 0 amberfs backup "$R" "${connect[@]}" --all-domains --exclude 'b*' \
  --exclude evil
expect 3 amberfs backup "$R" "${connect[@]}" --domain web --domain nobody
said nobody
expect 1 amberfs backup "$R" "${connect[@]}" --domain busy --exact
said busy
said 'runn'
libvirt_do virsh -q destroy busy
amberfs backup "$R" "${connect[@]}" --domain busy
equal "$(snapshot_count busy)" 2 "snapshots of a domain that ran"

# A file that its server has forgotten fails its own domain only. (The shim is
# preloaded into the plain program only.)
if ! sanitized; then
  expect 3 env SHIM_DIR="$L/images" SHIM_STATE="$T/shim" SHIM_READ=evil.raw \
    SHIM_READ_ERRNO=116 LD_PRELOAD="$AMBERFS_BUILD/tests/shim/killshim.so" \
    amberfs backup "$R" "${connect[@]}" --domain evil --domain busy --force-read
  said 'domain evil: not backed up: .*removed'
  equal "$(snapshot_count busy)" 3 "snapshots beside one that failed"
fi

# In use by something else meanwhile: written to while it is read.
(
  for _ in $(seq 100); do
    qemu-io -f raw -c 'write -q -P 7 30M 64k' root.img
    sleep 0.02
  done
) &
writer=$!
before=$(snapshot_count web)
expect 3 amberfs backup "$R" "${connect[@]}" --domain web --bwlimit 24M --force-read
said 'disk vda: .*chang'
equal "$(snapshot_count web)" $((before + 1)) "snapshots of web"
amberfs show "$R" "web/$(newest web)" | found '^Complete  *no, missing: vda' ||
  die "a torn disk passes for a good one"
kill "$writer"
wait "$writer" 2>/dev/null || :

# Disks that libvirt reaches but this user may not read are told as such.
expect 1 amberfs backup "$R" --connect "qemu:///session?socket=$T/none" \
  --all-domains
said 'libvirt'
amberfs verify "$R" --read-data
