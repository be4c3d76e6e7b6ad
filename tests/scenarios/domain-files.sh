#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a snapshot has what its domain needs besides the disks (the
# definition with its passwords, NVRAM, TPM state, kernel and initrd), readable
# only by its owner; what can't be read is reported; no secret is printed.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_fuse
need_program jq
libvirt_start
cd "$L/images"
I=$L/images
word=hunter22

qemu-img create -q -f raw root.img 1M
qemu-io -f raw -c 'write -q -P 3 0 256k' root.img
head -c 300K /dev/urandom >vars.fd
head -c 4M /dev/zero >code.fd
head -c 700K /dev/urandom >vmlinuz-6
head -c 900K /dev/urandom >initrd.img-6
chmod 644 vars.fd vmlinuz-6 initrd.img-6
domain_xml web "$(domain_disk "$I/root.img" raw vda)
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <graphics type='vnc' port='-1' passwd='$word'/>" \
  "<loader readonly='yes' type='pflash'>$I/code.fd</loader>
   <nvram>$I/vars.fd</nvram>
   <kernel>$I/vmlinuz-6</kernel><initrd>$I/initrd.img-6</initrd>" |
  sed 's|</os>|</os><features><acpi/></features>|; s/machine=.pc./machine="q35"/' \
    >"$L/web.xml"
libvirt_own
libvirt_do virsh -q define "$L/web.xml"
uuid=$(libvirt_do virsh domuuid web | tr -d '[:space:]')

# Where a session's libvirt keeps the state; as swtpm leaves it.
export XDG_CONFIG_HOME=$L/home/.config
tpm=$XDG_CONFIG_HOME/libvirt/qemu/swtpm/$uuid/tpm2
mkdir -p "$tpm"
head -c 6K /dev/urandom >"$tpm/tpm2-00.permall"
head -c 1K /dev/urandom >"$tpm/tpm2-00.volatilestate"
touch "$tpm/.lock"
ln -s /etc/shadow "$tpm/tpm2-00.other" # not followed: not a file of a TPM
libvirt_own
backup() {
  amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"
}

new_repo
expect 0 backup -v --json
cat "$T/out" "$T/err" >"$T/all"
amberfs show --json "$R" web/latest >"$T/json"
equal "$(jq -r '[.files[] | .kind + " " + .name] | sort | join(", ")' "$T/json")" \
  "boot initrd.img-6, boot vmlinuz-6, disk vda.raw, info vda.info.json, nvram \
nvram.fd, tpm tpm2-00.permall, tpm tpm2-00.volatilestate, xml domain.xml" "files"
equal "$(jq -r '[.files[].mode] | unique | join(" ")' "$T/json")" 384 "modes"
equal "$(jq -r '.skipped | length' "$T/json")" 0 "what is missing"
amberfs show "$R" web/latest >>"$T/all"
amberfs restore "$R" web/latest "$T/web"
same vars.fd "$T/web/nvram.fd"
same vmlinuz-6 "$T/web/vmlinuz-6"
same initrd.img-6 "$T/web/initrd.img-6"
same "$tpm/tpm2-00.permall" "$T/web/tpm2-00.permall"
found "passwd='$word'" <"$T/web/domain.xml" || die "the password is lost"
! found "$word" <"$T/all" || die "the password was printed"
amber_mount "$R" "$T/mnt"
find "$T/mnt/web/latest/" -type f \( -name '*.fd' -o -name '*.xml' -o \
  -name 'tpm*' -o -name '*-6' \) -perm /077 >"$T/open"
[ ! -s "$T/open" ] || die "open to others: $(cat "$T/open")"
amber_umount "$T/mnt"

# Unchanged: nothing of it is read again; a changed one is.
age vars.fd vmlinuz-6 initrd.img-6 "$tpm/tpm2-00.permall" \
  "$tpm/tpm2-00.volatilestate" root.img
backup
expect 0 backup --json
jq -e '.read_bytes < 8192 and .unchanged_bytes > 2900000' "$T/out" >/dev/null ||
  die "$(jq '{read_bytes, unchanged_bytes}' "$T/out")"
head -c 6K /dev/urandom >"$tpm/tpm2-00.permall"
expect 0 backup --json
jq -e '.read_bytes > 6000 and .read_bytes < 20000' "$T/out" >/dev/null ||
  die "$(jq '{read_bytes, unchanged_bytes}' "$T/out")"
amberfs restore "$R" web/latest/tpm2-00.permall - | cmp - "$tpm/tpm2-00.permall"

# Missing: told, recorded, partly done; the disks are there.
mv initrd.img-6 away
expect 3 backup
said 'web: its initrd is not in the backup: .*initrd.img-6'
amberfs show --json "$R" "web/$(newest web)" |
  jq -e '.complete == false and [.skipped[].object] == ["initrd"]
  and any(.files[]; .name == "vda.raw")' >/dev/null || die "the record"
mv away initrd.img-6
# Before its first start a domain has neither TPM state nor NVRAM.
mv "$XDG_CONFIG_HOME/libvirt/qemu/swtpm" "$T/swtpm"
mv vars.fd away
expect 0 amberfs backup "$R" --connect qemu:///session?socket="$L/run/libvirt/libvirt-sock" \
  --domain web
said 'not backed up: TPM: cannot tell where this libvirt keeps it'
mv away vars.fd
mv "$T/swtpm" "$XDG_CONFIG_HOME/libvirt/qemu/swtpm"

# What this user may not read.
if [ "$(id -u)" = 0 ] && ! sanitized; then
  cp -r "$R" "$L/repo"
  cp "$T/key" "$L/key"
  libvirt_own
  chown root "$tpm"
  chmod 700 "$tpm"
  chown root vars.fd
  chmod 600 vars.fd
  expect 3 libvirt_do env PATH="$PATH" AMBERFS_KEY_FILE="$L/key" \
    AMBERFS_STATE_DIR="$L/state" amberfs backup "$L/repo" \
    --connect "$LIBVIRT_URI" --domain web
  said 'its NVRAM is not in the backup: .*Permission denied'
  said 'not backed up: TPM: .*Permission denied'
  libvirt_own
fi

# Of a domain that runs the same, and what runs now; its TPM is a real one.
domain_xml live "$(domain_disk "$I/live.qcow2" qcow2 vda)
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <graphics type='vnc' socket='$L/run/vnc' passwd='$word'/>" \
  "<loader readonly='yes' type='pflash'>$I/code.fd</loader>
   <nvram>$I/live.fd</nvram>" |
  sed 's|</os>|</os><features><acpi/></features>|; s/machine=.pc./machine="q35"/' \
    >"$L/live.xml"
qemu-img create -q -f qcow2 live.qcow2 8M
qemu-io -f qcow2 -c 'write -q -P 4 1M 1M' live.qcow2
head -c 4M /dev/urandom >live.fd
libvirt_own
libvirt_do virsh -q define "$L/live.xml"
uuid=$(libvirt_do virsh domuuid live | tr -d '[:space:]')
# Where the directory is there, libvirt does not manufacture one with certificates.
tpm=$XDG_CONFIG_HOME/libvirt/qemu/swtpm/$uuid/tpm2/tpm2-00.permall
libvirt_do mkdir -p "${tpm%/*}"
libvirt_do virsh -q start --paused live
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain live -v
! grep -q "$word" "$T/out" "$T/err" || die "the password was printed"
amberfs show --json "$R" live/latest >"$T/json"
jq -e '.consistency == "crash" and .skipped == [] and
  ([.files[] | select(.kind == "xml") | .name] | contains(["domain.xml",
    "domain-live.xml"])) and all(.files[]; .mode == 384)' "$T/json" >/dev/null ||
  die "$(cat "$T/json")"
amberfs show "$R" live/latest >"$T/text"
found -E '^Consistency +crash$' <"$T/text" || die "$(cat "$T/text")"
found -E '^  vda.raw .* changes tracked by amberfs-' <"$T/text" ||
  die "$(cat "$T/text")"
amberfs restore "$R" live/latest "$T/live"
same live.fd "$T/live/nvram.fd"
[ -s "$tpm" ] || die "where is the TPM's state?"
same "$tpm" "$T/live/tpm2-00.permall"
found "passwd='$word'" <"$T/live/domain.xml" || die "the password is lost"
found 'alias name=' <"$T/live/domain-live.xml" || die "domain-live.xml"
! found "$word" <"$T/live/domain-live.xml" || die "a password more than once"
libvirt_do virsh -q destroy live

# A repository that does not encrypt gets no passwords and no keys.
unset AMBERFS_KEY_FILE
amberfs init "$T/plain" --no-encryption >/dev/null
expect 0 amberfs backup "$T/plain" --connect "$LIBVIRT_URI" --domain web
said 'not backed up: passwords of the definition: this repository is not encrypted'
said 'not backed up: TPM: it holds keys'
sleep 1
expect 0 amberfs backup "$T/plain" --connect "$LIBVIRT_URI" --domain web
silent
amberfs restore "$T/plain" web/latest "$T/web2"
! grep -rq "$word" "$T/web2" || die "the password is in the open"
[ ! -e "$T/web2/tpm2-00.permall" ] || die "TPM state in the open"
