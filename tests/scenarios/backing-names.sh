#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backing file is found under every name for it that qemu
# understands, of a guest that is shut off as of one that runs; and where it is
# not, the advice is one that works.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
new_repo
cd "$L/images"
make_noise base 6 1
qemu-img convert -f raw -O qcow2 base base.qcow2
{ head -c 1M /dev/zero; cat base; } >shifted
file='"driver":"file","filename":"'$L'/images/'
declare -A names=(
  [plain]='-F qcow2 -b base.qcow2'
  [file]="-F qcow2 -b file:$L/images/base.qcow2"
  [json]="-F qcow2 -b json:{\"driver\":\"qcow2\",\"file\":{${file}base.qcow2\"}}"
  [dotted]="-F qcow2 -b json:{\"driver\":\"qcow2\",\"file.driver\":\"file\",\"file.filename\":\"$L/images/base.qcow2\"}"
  [slice]="-F raw -b json:{\"driver\":\"raw\",\"offset\":1048576,\"size\":6291456,\"file\":{${file}shifted\"}}"
  [slice_dotted]="-F raw -b json:{\"driver\":\"raw\",\"offset\":\"1048576\",\"size\":\"6291456\",\"file.driver\":\"file\",\"file.filename\":\"$L/images/shifted\"}"
)
n=0 disks='' letters=({a..z})
for name in "${!names[@]}"; do
  # shellcheck disable=SC2086 # words
  qemu-img create -q -f qcow2 ${names[$name]} "$name"
  qemu-io -c 'write -P 9 2M 64k' "$name" >/dev/null
  target=vd${letters[n]}
  n=$((n + 1))
  disks+=$(domain_disk "$L/images/$name" qcow2 "$target")
  echo "$target $name" >>"$T/targets"
done
libvirt_own
domain_define web "$disks"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web
cp base "$T/want"
python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(2 << 20); f.write(b"\x09" * 65536)' "$T/want"
amberfs restore "$R" web/latest "$T/out.d" -q
while read -r target name; do
  cmp "$T/want" "$T/out.d/$target.raw" || die "$name"
done <"$T/targets"

refused() { # NAME REASON
  libvirt_own
  virsh -q -c "$LIBVIRT_URI" undefine web
  domain_define web "$(domain_disk "$L/images/$1" "${3:-qcow2}" vda)"
  expect 0 amberfs domains --json --connect "$LIBVIRT_URI"
  jq -e --arg why "$2" '.domains[0].disks[0].problem.message | test($why)' "$T/out" >/dev/null ||
    die "$1: $(jq '.domains[0].disks[0].problem.message' "$T/out")"
}
echo "what has no name here" >&2
qemu-img create -q -f qcow2 -F raw -u -b nbd://127.0.0.1:1/x far 6M
refused far 'is given as nbd://.*rebase -u -f qcow2'
qemu-img create -q -f qcow2 -F raw -u -b \
  "json:{\"driver\":\"raw\",\"offset\":4096,\"file\":{${file}shifted\"}}" open 6M
refused open 'is given as json:'
echo "an image whose format has no room for its backing file's" >&2
qemu-img create -q -f qcow -b base.qcow2 -F qcow2 old 6M 2>/dev/null ||
  qemu-img create -q -f qcow -u -b base.qcow2 old 6M
refused old 'no qcow image does.*backingStore' qcow
libvirt_own
virsh -q -c "$LIBVIRT_URI" undefine web
domain_define other "<disk type='file' device='disk'><driver name='qemu' type='qcow'/>
  <source file='$L/images/old'/><backingStore type='file'><format type='qcow2'/>
  <source file='$L/images/base.qcow2'/><backingStore/></backingStore>
  <target dev='vda' bus='virtio'/></disk>"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain other
amberfs restore "$R" other/latest/vda.raw - | cmp - base
