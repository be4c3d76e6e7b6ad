#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a whole domain comes back, raw and qcow2, thin, to where it
# was or elsewhere, under its own or another name, with and without libvirt; no
# disk of another domain, or of one that runs, is ever overwritten.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_root "to give files to another user's guests"
need_program jq python3
libvirt_start
new_repo
images=$L/images

# Some data at the ends of large disks; a qcow2 and a raw one.
make_noise "$T/noise" 3
truncate -s 1G "$T/a"
dd if="$T/noise" of="$T/a" bs=1M seek=1000 conv=notrunc status=none
truncate -s 64M "$images/b.raw"
dd if="$T/noise" of="$images/b.raw" bs=1M seek=40 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 "$T/a" "$images/a.qcow2"
cp --sparse=always "$images/b.raw" "$T/b"
head -c 4096 /dev/urandom >"$images/nvram.fd"
cp "$images/nvram.fd" "$T/nvram"
disks="$(domain_disk "$images/a.qcow2" qcow2 vda)
$(domain_disk "$images/b.raw" raw vdb)"
head -c 70K /dev/urandom >"$images/vmlinuz"
cp "$images/vmlinuz" "$T/vmlinuz"
domain_xml web "$disks
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" \
  "<loader readonly='yes' type='pflash'>/usr/share/none</loader>
   <nvram>$images/nvram.fd</nvram><kernel>$images/vmlinuz</kernel>" |
  sed "s|</os>|</os><features><acpi/></features>|; s/machine=.pc./machine='q35'/" \
    >"$L/web.xml"
libvirt_own
libvirt_do virsh -q define "$L/web.xml" >&2
uuid=$(libvirt_do virsh domuuid web | xargs)
# Where a session's libvirt keeps the state of TPMs.
export XDG_CONFIG_HOME=$L/home/.config
tpms=$XDG_CONFIG_HOME/libvirt/qemu/swtpm
mkdir -p "$tpms/$uuid/tpm2"
head -c 6K /dev/urandom >"$tpms/$uuid/tpm2/tpm2-00.permall"
cp "$tpms/$uuid/tpm2/tpm2-00.permall" "$T/tpm"
libvirt_own
amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web
back() {
  amberfs restore "$R" web/latest --domain --connect "$LIBVIRT_URI" "$@"
}
defined() {
  libvirt_do virsh -q dumpxml --inactive "$1" >"$T/xml"
}
holds() { # FILE FORMAT ORIGINAL
  equal "$(qemu-img info --output=json -f "$2" "$1" |
    jq -r '.format, ."backing-filename"')" "$2"$'\nnull' "format of $1"
  qemu-img compare -q -f "$2" -F raw "$1" "$3" || die "$1 is not $3"
  [ "$(allocated "$1")" -lt $((6 << 20)) ] || die "$1: holes were filled"
}

# It is there: nothing happens without --force.
before=$(stat -c %i:%Z "$images"/*)
expect 1 back
said 'domain web exists; --force'
equal "$(stat -c %i:%Z "$images"/*)" "$before" "files"

# Running, it stays, --force or not; and so does any disk of another domain,
# under whatever path.
libvirt_do virsh -q undefine web --keep-nvram
domain_define other "$disks"
expect 1 back --force
said 'belongs to domain other'
libvirt_do virsh -q start other >&2
expect 1 back --force
said 'domain other, which is running'
ln -s "$images/b.raw" "$T/link"
expect 1 back --force --name new --disk "vda=$T/x" --disk "vdb=$T/link" \
  --connect "$LIBVIRT_URI"
said 'domain other, which is running'
# Where libvirt can't be asked, qemu's locks tell.
expect 1 amberfs restore "$R" web/latest --domain --force --no-define \
  --connect 'qemu:///session?socket=/nowhere'
said 'is in use'
equal "$(stat -c %i "$images"/*)" "$(cut -d: -f1 <<<"$before")" "files"
libvirt_do virsh -q destroy other
libvirt_do virsh -q undefine other

# Back to where it was: disks, NVRAM, UUID.
expect 1 back
said 'exists; --force'
rm -rf "${images:?}"/* "${tpms:?}/$uuid"
back --json >"$T/json"
documented restore "$T/json" >/dev/null
equal "$(jq -r '.domain, .defined, .disks[1].path' "$T/json")" \
  web$'\n'true$'\n'"$images/b.raw" "the report"
holds "$images/a.qcow2" qcow2 "$T/a"
holds "$images/b.raw" raw "$T/b"
same "$images/nvram.fd" "$T/nvram"
same "$images/b.raw" "$T/b"
same "$images/vmlinuz" "$T/vmlinuz"
same "$tpms/$uuid/tpm2/tpm2-00.permall" "$T/tpm"
equal "$(libvirt_do virsh domuuid web | xargs)" "$uuid" "UUID"
equal "$(stat -c %u:%a "$images/a.qcow2")" 65534:600 owner
equal "$(stat -c %u:%a "$tpms/$uuid/tpm2")" 65534:700 "owner of the TPM"

# Booted beside it all of that is a copy, the TPM's under the new UUID.
amberfs boot --connect "$LIBVIRT_URI" --overlay-dir "$T/boots" "$R" web/latest \
  --name booted
same "$T/boots/booted/nvram.fd" "$T/nvram"
same "$T/boots/booted/kernel" "$T/vmlinuz"
new=$(libvirt_do virsh domuuid booted | xargs)
same "$tpms/$new/tpm2/tpm2-00.permall" "$T/tpm"
defined booted
found "<nvram.*>$T/boots/booted/nvram.fd" <"$T/xml" || die "NVRAM"
found "<kernel>$T/boots/booted/kernel" <"$T/xml" || die "kernel"
amberfs boot --overlay-dir "$T/boots" --discard booted

# Over what is there, with --force: the domain is off, its disks are its own.
echo spoilt | dd of="$images/b.raw" conv=notrunc status=none
back --force
same "$images/b.raw" "$T/b"
# Without the firmware (which this machine need not have) it starts.
defined web
sed -i '/<loader/d; /<nvram/d; /<kernel/d; /<tpm /,/<\/tpm>/d' "$T/xml"
cp "$T/xml" "$L/plain.xml"
libvirt_own
libvirt_do virsh -q define "$L/plain.xml" >&2
libvirt_do virsh -q start web >&2
expect 1 back --force
said 'domain web is running'
libvirt_do virsh -q managedsave web >&2
expect 1 back --force
said 'managed save image'
libvirt_do virsh -q managedsave-remove web

# Started while its disks are written, it keeps them.
caught=no
growing() {
  local files=("$images"/.amberfs-restore.*)
  [ -e "${files[0]}" ]
}
for _ in $(seq 50); do
  libvirt_do virsh -q define "$L/plain.xml" >&2
  inode=$(stat -c %i "$images/a.qcow2")
  amberfs restore "$R" web/latest --domain --connect "$LIBVIRT_URI" --force \
    >"$T/out" 2>"$T/err" &
  pid=$!
  until growing || not kill -0 $pid 2>/dev/null; do :; done
  kill -STOP $pid 2>/dev/null || :
  growing && [ "$(stat -c %i "$images/a.qcow2")" = "$inode" ] && caught=yes
  [ $caught = no ] || libvirt_do virsh -q start web >&2
  kill -CONT $pid 2>/dev/null || :
  status=0
  wait $pid || status=$?
  [ $caught = no ] || break
done
equal $caught yes "caught while it writes"
equal "$status" 1 "a restore below a domain that was started meanwhile"
said 'domain web is running'
equal "$(stat -c %i "$images/a.qcow2")" "$inode" "the disk of a running domain"
not growing || die "half a file is left"
libvirt_do virsh -q destroy web

# Beside it: another name and UUID, other paths and formats.
expect 1 back --name copy --force
said 'belongs to domain web'
back --name copy --disk "vda=$images/copy-a,raw" --disk "vdb=$images/copy-b" \
  --format qcow2
holds "$images/copy-a" raw "$T/a"
holds "$images/copy-b" qcow2 "$T/b"
defined copy
found "<nvram>$images/copy_VARS.fd" <"$T/xml" || die "NVRAM"
same "$images/copy_VARS.fd" "$T/nvram"
not found "$uuid" <"$T/xml" || die "the copy has the UUID of the original"
found "type='raw'" <"$T/xml" || die "format"
libvirt_do virsh -q undefine copy --keep-nvram
expect 1 back --name copy --disk "vdc=$images/c"
said 'no disk vdc'
expect 1 back --name copy --disk "vda=$T/same" --disk "vdb=$T/same"
said 'both'

# Onto a block device, raw only.
truncate -s 1100M "$T/device"
loop=$(losetup -f --show "$T/device")
at_exit losetup -d "$loop"
rm -f "$images"/copy*
expect 1 back --name copy --disk "vda=$loop,raw" --disk "vdb=$images/copy-b"
said 'block device; --force'
expect 1 back --name copy --disk "vda=$loop" --disk "vdb=$images/copy-b" --force
said 'give --disk vda=/dev/loop[0-9]*,raw'
[ ! -e "$images/copy_VARS.fd" ] || die "written before all was checked"
back --name copy --disk "vda=$loop,raw" --disk "vdb=$images/copy-b" --force
cmp -n $((1 << 30)) "$loop" "$T/a" || die "the device's bytes"
defined copy
found "<source dev='$loop'/>" <"$T/xml" || die "the device is not defined as one"
libvirt_do virsh -q undefine copy --keep-nvram
losetup -d "$loop"

# Killed on the way: nothing partial has a name, and it can be run again.
set -- --name copy --disk "vda=$images/copy-a,raw" --disk "vdb=$images/copy-b"
for delay in 0.02 0.05 0.1; do
  rm -f "$images"/copy*
  amberfs restore "$R" web/latest --domain --connect "$LIBVIRT_URI" "$@" &
  sleep $delay
  kill -9 $! 2>/dev/null || :
  wait $! 2>/dev/null || :
  [ ! -e "$images/copy-a" ] || holds "$images/copy-a" raw "$T/a"
  libvirt_do virsh -q domstate copy >/dev/null 2>&1 || continue
  libvirt_do virsh -q undefine copy --keep-nvram
done
back "$@" --force
libvirt_do virsh -q undefine copy --keep-nvram
rm -f "$images"/copy* "$images"/.amberfs-restore.*

# Without libvirt the bytes come, and the XML, and what to do with it.
mkdir "$T/rescue"
expect 3 amberfs restore "$R" web/latest --domain --name copy \
  --connect 'qemu:///session?socket=/nowhere' --disk "vda=$T/rescue/a" \
  --disk "vdb=$T/rescue/b"
said "virsh define $T/rescue/copy.xml"
holds "$T/rescue/a" qcow2 "$T/a"
same "$T/rescue/b" "$T/b"
# There, on a host that has nothing of what was, not even the directories.
rm -r "$T/rescue"
mkdir "$T/rescue"
mv "$images" "$images.away"
expect 1 amberfs restore "$R" web/latest --domain --no-define
said 'give --disk vda='
expect 0 amberfs restore "$R" web/latest --domain --no-define --name copy \
  --connect 'qemu:///session?socket=/nowhere' --disk "vda=$T/rescue/a" \
  --disk "vdb=$T/rescue/b" -q
silent
same "$T/rescue/copy_VARS.fd" "$T/nvram"
found "<nvram.*>$T/rescue/copy_VARS.fd" <"$T/rescue/copy.xml" || die "NVRAM"
mv "$images.away" "$images"
cp "$T/rescue/copy.xml" "$L/copy.xml"
libvirt_own
libvirt_do virsh -q define "$L/copy.xml" >&2

# What libvirt will not accept is found before anything is written; if it turns
# out only afterwards, the definition is kept.
ln -s /usr/bin/qemu-system-x86_64 "$T/emulator"
chmod 755 "$T"
domain_xml odd "$(domain_disk "$images/b.raw" raw vdb)" |
  sed "s|<emulator>.*</emulator>|<emulator>$T/emulator</emulator>|" >"$L/odd.xml"
libvirt_own
libvirt_do virsh -q define "$L/odd.xml" >&2
amberfs backup "$R" --connect "$LIBVIRT_URI" --domain odd
libvirt_do virsh -q undefine odd
rm "$images/b.raw"
odd() {
  amberfs restore "$R" odd/latest --domain --connect "$LIBVIRT_URI" "$@"
}
mv "$T/emulator" "$T/away"
expect 1 odd
said 'nothing is restored, as the domain can.t be defined .*emulator'
[ ! -e "$images/b.raw" ] || die "the disk was written first"
mv "$T/away" "$T/emulator"
echo mine >"$images/odd.xml"
caught=no
for _ in $(seq 50); do
  odd >"$T/out" 2>"$T/err" &
  pid=$!
  until growing || not kill -0 $pid 2>/dev/null; do :; done
  kill -STOP $pid 2>/dev/null || :
  growing && [ ! -e "$images/b.raw" ] && caught=yes
  [ $caught = no ] || mv "$T/emulator" "$T/away"
  kill -CONT $pid 2>/dev/null || :
  status=0
  wait $pid || status=$?
  [ $caught = no ] || break
  libvirt_do virsh -q undefine odd
  rm "$images/b.raw"
done
equal $caught yes "caught while it writes"
equal "$status" 3 "a restore whose definition is refused at the end"
said "the domain is not defined: .*emulator.*definition is in $images/odd.1.xml"
said "virsh -c 'qemu.*' define $images/odd.1.xml"
same "$images/b.raw" "$T/b"
equal "$(cat "$images/odd.xml")" mine "a file of that name"
mv "$T/away" "$T/emulator"
libvirt_own
libvirt_do virsh -q define "$images/odd.1.xml" >&2
equal "$(libvirt_do virsh -q list --all --name | grep -c amberfs-check)" 0 \
  "what the check leaves"

# Not a domain, not a file, not both.
amberfs backup "$R" --name file "$T/noise"
expect 1 amberfs restore "$R" file/latest --domain --no-define
said 'not a snapshot of a domain'
expect 2 amberfs restore "$R" web/latest "$T/x" --domain
expect 2 amberfs restore "$R" web/latest --domain --format vmdk
