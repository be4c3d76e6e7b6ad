#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: at whatever moment amberfs boot is killed, the result is
# complete or can be discarded; a guest's writes survive the end of the mount, a
# restart of the host and a killed qemu; and no passphrase is visible on its way
# to the mount.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_root "to mount for another user's guests"
need_program jq python3
libvirt_start
new_repo
dir=$T/boots

make_noise "$T/noise" 6
truncate -s 256M "$L/images/a.raw"
dd if="$T/noise" of="$L/images/a.raw" bs=1M seek=200 conv=notrunc status=none
domain_define web "$(domain_disk "$L/images/a.raw" raw vda)"
amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web
S=web/$(latest web)
cp --sparse=always "$L/images/a.raw" "$T/want"
boot() {
  amberfs boot --connect "$LIBVIRT_URI" --overlay-dir "$dir" "$@"
}
pinned() {
  amberfs show --json "$R" "$S" | jq -e .pinned >/dev/null
}
# write_at BYTES PATTERN: as a guest would, into the running or the idle disk.
write_running() { # DOMAIN PATTERN OFFSET
  libvirt_do virsh qemu-monitor-command "$1" --hmp "qemu-io -d \
/machine/peripheral/virtio-disk0/virtio-backend \"write -P $2 $3 64k\"" >"$T/io"
  not found . <"$T/io" || die "$(cat "$T/io")"
  python3 - "$T/want" "$2" "$3" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[3]))
    f.write(bytes([int(sys.argv[2], 0)]) * 65536)
END
}
right() {
  qemu-img check -q "$1"
  qemu-img compare -q -f qcow2 -F raw "$1" "$T/want" || die "$1 is wrong"
}
nothing_left() {
  [ ! -e "$dir/$1" ] || die "a directory is left: $(ls -A "$dir/$1")"
  [ -z "$(mounts_below "$dir")" ] || die "a mount is left"
  not libvirt_do virsh domstate "$1" >/dev/null 2>&1 || die "a domain is left"
  not pinned || die "a pin is left"
}

# Killed at many moments, and complete in the end.
complete=0
for delay in 0.03 0.07 0.12 0.2 0.3 0.45; do
  amberfs boot --connect "$LIBVIRT_URI" --overlay-dir "$dir" "$R" "$S" --name k &
  sleep "$delay"
  kill -9 $! 2>/dev/null || :
  wait $! 2>/dev/null || :
  amberfs boot --list --json --overlay-dir "$dir" >"$T/list"
  documented 'boot list' "$T/list" >/dev/null
  if jq -e '.boots[0].ready' "$T/list" >/dev/null; then
    complete=$((complete + 1))
    mountpoint -q "$dir/k/mnt" || die "complete, but not mounted"
    pinned || die "complete, but not pinned"
    qemu-img check -q "$dir/k/vda.qcow2"
  fi
  [ ! -e "$dir/k" ] || expect 0 amberfs boot --overlay-dir "$dir" --discard k
  nothing_left k
done
[ "$complete" -lt 6 ] || die "none was killed on its way"

# Interrupted, it takes down itself what it had begun.
for delay in 0.1 0.2 0.3; do
  timeout --foreground -s INT "$delay" amberfs boot --connect "$LIBVIRT_URI" \
    --overlay-dir "$dir" "$R" "$S" --name k 2>/dev/null || :
  ! jq -e '.ready' "$dir/k/boot.json" >/dev/null 2>&1 ||
    amberfs boot --overlay-dir "$dir" --discard k
  nothing_left k
done

# Discarding may be killed, too.
boot "$R" "$S" --name k --start
for delay in 0.01 0.03 0.06 0.1; do
  amberfs boot --overlay-dir "$dir" --discard k --force &
  sleep "$delay"
  kill -9 $! 2>/dev/null || :
  wait $! 2>/dev/null || :
done
[ ! -e "$dir/k" ] || boot --discard k --force
nothing_left k

# What can't be: names that are taken, files, memory, the wrong snapshot.
expect 1 boot "$R" "$S" --name web
said 'has a domain with that name'
expect 1 boot "$R" "$S" --same-identity
said 'has a domain with that name'
expect 1 boot "$R" "$S/vda.raw"
expect 1 boot --finish nobody
said 'no booted domain nobody'
mkdir "$T/memory"
mount -t tmpfs none "$T/memory"
expect 1 boot "$R" "$S" --overlay-dir "$T/memory"
said 'is in memory'
# A failure on the way takes all down again.
PATH_BEFORE=$PATH
mkdir "$T/bin"
printf '#!/bin/sh\necho "qemu-img: no" >&2\nexit 1\n' >"$T/bin/qemu-img"
chmod +x "$T/bin/qemu-img"
PATH=$T/bin:$PATH
expect 1 boot "$R" "$S" --name k
PATH=$PATH_BEFORE
said 'making the overlay'
nothing_left k

# Two of one snapshot: the pin goes with the last. What else is backed up is not
# to be seen there.
echo private >"$T/private"
amberfs backup "$R" --name 'another, one' "$T/private"
boot "$R" "$S" --name one
equal "$(cd "$dir/one/mnt" && echo */2*)" "$S" "what the guest's user may see"
boot "$R" "$S" --name two --start
amberfs boot --list --overlay-dir "$dir" >"$T/list"
found -E '^one .* shut off +mounted$' <"$T/list" || die "$(cat "$T/list")"
found -E '^two .* running +mounted$' <"$T/list" || die "$(cat "$T/list")"
# Another domain that stands on an overlay is nobody's to remove.
libvirt_do virsh -q undefine one
domain_define other "$(domain_disk "$dir/one/vda.qcow2" qcow2 vda)"
expect 1 boot --discard one --force
said 'domain other also uses files'
libvirt_do virsh -q undefine other
[ -e "$dir/one/vda.qcow2" ] || die "the overlay is gone"
boot --discard one
pinned || die "the other one still needs it"

# The host goes down with the guest running: all that reached the disk is there
# after --resume; without, nothing starts and nothing is given up.
write_running two 0x5a 1048576
write_running two 0x5b 209715200
libvirt_do virsh -q destroy two
umount "$dir/two/mnt"
expect 1 libvirt_do virsh -q start two
expect 1 boot --finish two
said 'is not mounted .*--resume two'
boot --resume two --start
write_running two 0x5c 104857600

# Its mount dies under it.
libvirt_do virsh -q destroy two
pid=$(pgrep -f "amberfs-mount.*$dir/two/mnt")
kill -9 "$pid"
amberfs boot --list --overlay-dir "$dir" | found -E '^two .* dead$' ||
  die "a dead mount is not listed as one"
boot --resume two

# Off, it is finished with qemu-img, killed and again; a saved guest is not.
libvirt_do virsh -q start two
libvirt_do virsh -q managedsave two >&2
expect 1 boot --finish two
said 'managed save image'
libvirt_do virsh -q managedsave-remove two
# Where libvirt can't note whose it was, it is root's now.
chown 0:0 "$dir/two/vda.qcow2"
for delay in 0.05 0.1; do
  amberfs boot --overlay-dir "$dir" --finish two &
  sleep "$delay"
  kill -9 $! 2>/dev/null || :
  wait $! 2>/dev/null || :
done
[ ! -e "$dir/two/boot.json" ] || boot --finish two
right "$dir/two/vda.qcow2"
not pinned || die "it is still pinned"
libvirt_do virsh -q start two
write_running two 0x5d 0
libvirt_do virsh -q destroy two
right "$dir/two/vda.qcow2"
[ "$(allocated "$dir/two/vda.qcow2")" -lt $((16 << 20)) ] || die "holes"
expect 1 boot --discard two
libvirt_do virsh -q undefine two
rm -r "$dir/two"
cp --sparse=always "$L/images/a.raw" "$T/want"

# qemu is killed after the pull, before all of it was written out: the header
# names nothing below, and parts are missing. --finish puts them back.
boot "$R" "$S" --name lost --start
write_running lost 0x61 65536
libvirt_do virsh -q destroy lost
qemu-img rebase -u -f qcow2 -b '' "$dir/lost/vda.qcow2"
# A guest that has broken out names a file that only root may read.
cp "$dir/lost/vda.qcow2" "$T/honest"
echo secret >"$T/secret"
chmod 600 "$T/secret"
qemu-img rebase -u -f qcow2 -F raw -b "$T/secret" "$dir/lost/vda.qcow2"
expect 1 boot --finish lost
said 'permission denied'
cat "$T/honest" >"$dir/lost/vda.qcow2"
boot --finish lost
right "$dir/lost/vda.qcow2"
not found backingStore.*mnt <<<"$(libvirt_do virsh dumpxml lost)" || die "XML"
libvirt_do virsh -q undefine lost
rm -r "$dir/lost"

# A guest that somebody paused is left alone; one that --finish had paused, when
# it was killed in that instant, goes on.
cp --sparse=always "$L/images/a.raw" "$T/want"
boot "$R" "$S" --name still --start
write_running still 0x71 1048576
libvirt_do virsh -q suspend still
expect 1 boot --finish still
said 'is paused .*virsh resume'
jq '.pausing = true' "$dir/still/boot.json" >"$T/json"
cat "$T/json" >"$dir/still/boot.json"
boot --finish still
equal "$(libvirt_do virsh domstate still | xargs)" running "the guest"
libvirt_do virsh -q destroy still
right "$dir/still/vda.qcow2"
libvirt_do virsh -q undefine still

# A passphrase goes from the terminal, or the environment, to the mount, and is
# asked for once.
word='correct horse battery staple'
echo "$word" >"$T/word"
amberfs key add "$R" --new-passphrase-file "$T/word"
unset AMBERFS_KEY_FILE
on_terminal "$word" amberfs boot --connect "$LIBVIRT_URI" --overlay-dir "$dir" \
  "$R" "$S" --name typed >"$T/out"
equal "$(grep -c 'Passphrase for' "$T/out")" 1 "prompts"
found 'Undo all of it: *amberfs boot --discard typed' <"$T/out" ||
  die "$(cat "$T/out")"
pid=$(pgrep -f "amberfs-mount.*$dir/typed/mnt")
not found -a "$word" <"/proc/$pid/environ" || die "environment"
not found -a "$word" <"/proc/$pid/cmdline" || die "command line"
AMBERFS_PASSPHRASE=$word boot --discard typed
AMBERFS_PASSPHRASE=$word boot "$R" "$S" --name given
AMBERFS_PASSPHRASE=$word boot --discard given
AMBERFS_KEY_FILE=$T/key nothing_left given
