#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the user whose guest it is, who owns the directories of
# disks, NVRAM and TPM, can't lead root astray with links: nothing of root's gets
# into a backup, and a restore writes nothing outside of those directories. The
# links of an administrator are followed.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_root "to be led astray"
need_program jq
libvirt_start
new_repo
I=$L/images
export XDG_CONFIG_HOME=$L/home/.config
tpms=$XDG_CONFIG_HOME/libvirt/qemu/swtpm

# What only root may read.
mkdir -m 700 "$T/secret"
word=of-root-alone
for name in file vars.fd tpm2-00.permall; do echo "$word" >"$T/secret/$name"; done
chmod 600 "$T/secret"/*

qemu-img create -q -f raw "$I/a.img" 4M
qemu-io -f raw -c 'write -q -P 3 0 256k' "$I/a.img"
cp "$I/a.img" "$T/a"
mkdir "$I/vars"
head -c 4096 /dev/urandom >"$I/vars/vars.fd"
head -c 70K /dev/urandom >"$I/vmlinuz"
domain_xml web "$(domain_disk "$I/a.img" raw vda)
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" \
  "<loader readonly='yes' type='pflash'>/usr/share/none</loader>
   <nvram>$I/vars/vars.fd</nvram><kernel>$I/vmlinuz</kernel>" |
  sed "s|</os>|</os><features><acpi/></features>|; s/machine=.pc./machine='q35'/" \
    >"$L/web.xml"
libvirt_own
libvirt_do virsh -q define "$L/web.xml" >&2
uuid=$(libvirt_do virsh domuuid web | xargs)
tpm=$tpms/$uuid/tpm2
mkdir -p "$tpm"
head -c 6K /dev/urandom >"$tpm/tpm2-00.permall"
cp "$tpm/tpm2-00.permall" "$T/tpm"
echo x >"$tpm/ld.so.preload" # no name of swtpm's
libvirt_own

backup() { amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"; }
expect 0 backup
amberfs show --json "$R" web/latest >"$T/json"
equal "$(jq -r '[.files[].name] | sort | join(" ")' "$T/json")" \
  "domain.xml nvram.fd tpm2-00.permall vda.info.json vda.raw vmlinuz" "files"

# --- backup: what is led away from is missing, and said to be

led_away() { # WHAT PATH TARGET [-T]: while PATH is a link to TARGET
  mv "$2" "$T/aside"
  ln -s "$3" "$2"
  chown -h 65534:65534 "$2"
  expect 3 backup
  said "its $1 is not in the backup: .*symbolic link"
  rm -rf "$T/out-dir"
  amberfs restore "$R" "web/$(newest web)" "$T/out-dir" 2>/dev/null || :
  [ -e "$T/out-dir/domain.xml" ] || die "nothing was restored"
  ! grep -rq "$word" "$T/out-dir" || die "$1: root's secret is in the backup"
  rm "$2"
  mv "$T/aside" "$2"
}
led_away NVRAM "$I/vars/vars.fd" "$T/secret/vars.fd"
led_away NVRAM "$I/vars" "$T/secret"
led_away TPM "$tpm/tpm2-00.permall" "$T/secret/file"
led_away TPM "$tpm" "$T/secret"
led_away kernel "$I/vmlinuz" "$T/secret/file"

# A further name of root's file, which only some kernels prevent.
mv "$I/vars/vars.fd" "$T/aside"
ln "$T/secret/vars.fd" "$I/vars/vars.fd"
expect 3 backup
said 'its NVRAM is not in the backup: .*hard links'
rm "$I/vars/vars.fd"
mv "$T/aside" "$I/vars/vars.fd"
# A pipe does not hold it up.
mv "$I/vars/vars.fd" "$T/aside"
mkfifo "$I/vars/vars.fd"
expect 3 backup
said 'its NVRAM is not in the backup: .*neither a regular file'
rm "$I/vars/vars.fd"
mv "$T/aside" "$I/vars/vars.fd"

# An administrator's link is followed.
mkdir "$T/kernels"
cp "$I/vmlinuz" "$T/kernels/vmlinuz-6"
ln -s vmlinuz-6 "$T/kernels/vmlinuz"
sed "s|<kernel>.*</kernel>|<kernel>$T/kernels/vmlinuz</kernel>|" "$L/web.xml" \
  >"$L/web2.xml"
sed -i "s|<name>web</name>|&<uuid>$uuid</uuid>|" "$L/web2.xml" "$L/web.xml"
libvirt_own
libvirt_do virsh -q define "$L/web2.xml" >&2
expect 0 backup
amberfs restore "$R" web/latest/vmlinuz - | cmp - "$I/vmlinuz"
libvirt_do virsh -q define "$L/web.xml" >&2
expect 0 backup

# --- restore: nothing is written where a link leads to

back() {
  amberfs restore "$R" web/latest --domain --connect "$LIBVIRT_URI" --force "$@"
}
mkdir "$T/trap" "$T/trap/tpm2"
trap_is_untouched() {
  equal "$(find "$T/trap" -type f)" "" "what was written through a link"
  equal "$(stat -c %u "$T/trap" "$T/trap/tpm2" | xargs)" "0 0" "owners"
  equal "$(stat -c %u:%a "$T/secret/file")" 0:600 "owner and mode"
  equal "$(cat "$T/secret/file")" "$word" "root's file"
}
for way in "$tpms/$uuid" "$tpm"; do
  rm -rf "${tpms:?}/$uuid"
  mkdir -p "${way%/*}"
  [ "$way" = "$tpm" ] && to=$T/trap/tpm2 || to=$T/trap
  ln -s "$to" "$way"
  libvirt_own
  chown -h 65534:65534 "$way"
  expect 3 back
  said 'tpm2-00.permall is not restored: .*symbolic link'
  trap_is_untouched
done
rm -rf "${tpms:?}/$uuid"
expect 0 back
same "$T/tpm" "$tpm/tpm2-00.permall"

# A disk or NVRAM whose place leads away is refused before anything is written.
for file in a.img vars/vars.fd; do
  mv "$I/$file" "$T/aside"
  ln -s "$T/secret/file" "$I/$file"
  chown -h 65534:65534 "$I/$file"
  inode=$(stat -c %i "$I/vmlinuz")
  expect 1 back
  said 'symbolic link in a directory that other users can change'
  trap_is_untouched
  equal "$(stat -c %i "$I/vmlinuz")" "$inode" "the other files"
  rm "$I/$file"
  mv "$T/aside" "$I/$file"
done

# An administrator's link to a larger filesystem stays, dangling or not; the
# disk goes where it leads to.
mkdir "$T/large" "$T/pool"
ln -s "$T/large/a.img" "$T/pool/a.img"
ln -s "$T/large" "$T/way"
for path in "$T/pool/a.img" "$T/way/a.img"; do
  rm -f "$T/large/a.img"
  amberfs restore "$R" web/latest --domain --connect "$LIBVIRT_URI" \
    --name linked --disk "vda=$path"
  same "$T/a" "$T/large/a.img"
  libvirt_do virsh -q dumpxml --inactive linked >"$T/xml"
  found "<source file='$path'/>" <"$T/xml" || die "the definition's path"
  libvirt_do virsh -q undefine linked --keep-nvram
  echo spoilt >"$T/large/a.img"
  rm -f "$I/vars/linked_VARS.fd"
  back --name linked --disk "vda=$path"
  [ -L "$T/pool/a.img" ] && [ -L "$T/way" ] || die "the link was replaced"
  same "$T/a" "$T/large/a.img"
  libvirt_do virsh -q undefine linked --keep-nvram
  rm -f "$I/vars/linked_VARS.fd"
done

# Where the old directories are gone and the disks are devices, nothing is made
# in /dev: NVRAM goes to libvirt's own place, a kernel nowhere.
loop=$(losetup -f --show "$T/a")
at_exit losetup -d "$loop"
mv "$I" "$I.away"
back_dev() {
  back --name device --disk "vda=$loop,raw" --no-define \
    --connect 'qemu:///session?socket=/nowhere'
}
ls /dev >"$T/dev"
expect 1 back_dev
said 'vmlinuz, does not exist|directory of .*(vmlinuz|vars.fd)'
mkdir "$I"
cp "$I.away/vmlinuz" "$I"
rm -rf "$XDG_CONFIG_HOME/libvirt/qemu/nvram"
expect 1 back_dev
said 'vars.fd|_VARS.fd'
mkdir -p "$XDG_CONFIG_HOME/libvirt/qemu/nvram"
cd "$T"
expect 0 back_dev
same "$XDG_CONFIG_HOME/libvirt/qemu/nvram/device_VARS.fd" "$I.away/vars/vars.fd"
found "<nvram[^>]*>$XDG_CONFIG_HOME/libvirt/qemu/nvram/device_VARS.fd" \
  <device.xml || die "NVRAM"
expect 1 back --name device --disk vda=/dev/amberfs-test --no-define
said 'make it, or give --disk vda=PATH'
equal "$(ls /dev)" "$(cat "$T/dev")" "/dev"
