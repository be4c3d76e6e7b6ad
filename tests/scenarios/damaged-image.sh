#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an image that its own format knows to be damaged (marked by
# qemu, cut off, a backing file cut off) never passes for a good backup: each
# night says so, and rotation keeps the snapshots from before.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
new_repo
make_noise "$T/a" 12 1
qemu-img convert -O qcow2 "$T/a" "$L/images/a.qcow2"
qemu-img convert -O qcow2 "$T/a" "$L/images/base.qcow2"
qemu-img create -q -f qcow2 -F qcow2 -b "$L/images/base.qcow2" "$L/images/b.qcow2"
qemu-io -c 'write -P 7 1M 64k' "$L/images/b.qcow2" >/dev/null
libvirt_own
domain_define web "$(domain_disk "$L/images/a.qcow2" qcow2 vda
  domain_disk "$L/images/b.qcow2" qcow2 vdb)"

night() { # STATUS [OPTION...]
  local want=$1
  shift
  sleep 1
  expect "$want" amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"
}
complete() {
  amberfs list --json "$R" web | jq -c '[.snapshots[].complete]'
}
# damage FILE COMMAND...: does COMMAND to it; mend FILE takes that back.
damage() {
  cp -p "$L/images/$1" "$T/$1"
  "${@:2}"
}
mend() {
  cp -p "$T/$1" "$L/images/$1"
}
damaged() { # DISK
  said "disk $1 is stored, but what it was read from is not whole"
  equal "$(amberfs show --json "$R" "web/$(newest web)" |
    jq -c '[.skipped[] | [.object, .code]]')" "[[\"$1\",\"damaged\"]]" "skipped"
}

night 0
good=$(latest web)

echo "marked as corrupt by qemu" >&2
mark() {
  printf '\2' | dd of="$L/images/a.qcow2" bs=1 seek=79 conv=notrunc status=none
}
damage a.qcow2 mark
night 3
damaged vda
said 'a.qcow2 is marked as corrupt by qemu'
echo "again, unread" >&2
night 3
damaged vda
amberfs show "$R" "web/$(newest web)" |
  found '^Complete  *no, damaged: vda (.*a.qcow2 is marked' || die "show"
equal "$(complete)" '[true,false,false]' "the nights"
equal "$(latest web)" "$good" latest
expect 3 amberfs restore "$R" "web/$(newest web)/vda.raw" "$T/out.raw"
said 'incomplete, damaged: vda'
night 3 --exact
damaged vda
mend a.qcow2
night 0
expect 0 amberfs forget "$R" --keep-last 2
equal "$(complete)" '[true,true]' "after rotation"

echo "cut off: what is lost reads as zeros" >&2
damage a.qcow2 truncate -s 5M "$L/images/a.qcow2"
night 3
damaged vda
said 'a.qcow2 is damaged: qemu-img check finds errors'
echo "again, unread: known from the night before" >&2
night 3
damaged vda
expect 0 amberfs forget "$R" --keep-last 1
equal "$(complete)" '[true,false,false]' "after rotation"
mend a.qcow2
night 0

echo "a backing file is cut off" >&2
damage base.qcow2 truncate -s 5M "$L/images/base.qcow2"
night 3
damaged vdb
said 'base.qcow2 is damaged'
mend base.qcow2
night 0

echo "leaked clusters, and reference counts that are written late, are no damage" >&2
lazy() {
  qemu-img create -q -f qcow2 -o lazy_refcounts=on "$L/images/a.qcow2" 12M
  qemu-io -c 'write -P 9 0 8M' -c 'sigraise 9' "$L/images/a.qcow2" >/dev/null 2>&1 || :
}
damage a.qcow2 lazy
qemu-img info --output=json "$L/images/a.qcow2" |
  jq -e '."dirty-flag"' >/dev/null || die "not dirty"
night 0
