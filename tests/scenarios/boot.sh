#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a guest booted from its backup, next to the original, comes
# up and writes; its disks are completed while it runs; after the unmount it
# still has all it wrote, and starts again from its own disks.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
need_root "to mount for another user's guests"
need_program jq
libvirt_start
new_repo
dir=$T/boots

guest_new web
guest_disk vda qcow2 64M
guest_disk vdb raw 16M
guest_define
guest_start
guest_tell fill vda/ballast 12
guest_tell stop
saved=$(guest_counter)
guest_tell poweroff
wait_for 60 guest_is_off
amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web
S=web/$(latest web)
boot() {
  amberfs boot --connect "$LIBVIRT_URI" --overlay-dir "$dir" "$@"
}

# The original runs beside it.
guest_start
original_seen=$(guest_counter)
boot "$R" "$S" --name clone --isolated --json >"$T/booted"
documented boot "$T/booted" >/dev/null
equal "$(jq -r .snapshot,.running "$T/booted")" "$S"$'\n'false "what was booted"
mountpoint -q "$dir/clone/mnt" || die "nothing is mounted"
amberfs show --json "$R" "$S" | jq -e '.pin_note == "booted as clone"' \
  >/dev/null || die "it is not pinned for that"
expect 1 amberfs forget "$R" "$S"
said pinned
for disk in vda vdb; do
  qemu-img info -U --output=json "$dir/clone/$disk.qcow2" >"$T/info"
  equal "$(jq -r '."backing-filename-format", ."backing-filename"' "$T/info")" \
    "raw"$'\n'"$dir/clone/mnt/$S/$disk.raw" "what is below $disk"
  equal "$(stat -c %u:%g:%a "$dir/clone/$disk.qcow2")" 65534:65534:600 "owner"
done
virsh_do dumpxml --inactive clone >"$T/clone.xml"
# shellcheck disable=SC2154 # guest_new sets it
not found "$guest_uuid" <"$T/clone.xml" || die "it has the original's UUID"
not found '<interface' <"$T/clone.xml" || die "it has a network"

# Its serial ports are its own; ours are to see and to speak through.
guest_new clone
# shellcheck disable=SC2034 # for guest_file
guest_disks=("vda:$dir/clone/vda.qcow2" "vdb:$dir/clone/vdb.qcow2")
mkfifo "$L/clone.tell.in" "$L/clone.tell.out"
touch "$(guest_console)"
python3 - "$T/clone.xml" "$L" <<'END'
import re, sys
path, directory = sys.argv[1:]
xml = open(path).read()
ends = iter(["type='file'><source path='%s/clone.console' append='on'/>",
             "type='pipe'><source path='%s/clone.tell'/>"])
xml = re.sub(r"<console.*?</console>", "", xml, flags=re.S)
xml = re.sub(r"<serial type='pty'>",
             lambda m: "<serial " + next(ends) % directory, xml)
open(path, "w").write(xml)
END
cp "$T/clone.xml" "$L/clone.xml"
libvirt_own
virsh_do define "$L/clone.xml" >&2
guest_start
[ "$(guest_counter)" -gt "$saved" ] || die "the clone began anew"
guest_tell fill vda/added 4
guest_tell run 'sha256sum /mnt/vda/ballast /mnt/vda/added >/mnt/vda/noted; sync'
[ "$(grep -a 'GUEST TICK' "$L/web.console" | tail -n 1 | tr -dc 0-9)" -gt \
  "$original_seen" ] || die "the original does not go on"
virsh_do destroy web

# Running, it is not given up; killed while it pulls, --finish goes on, also
# with the pull that is running still.
expect 1 boot --discard clone
said 'is running; --force'
virsh_do blockpull clone vda --bandwidth 8
amberfs boot --overlay-dir "$dir" --finish clone &
sleep 0.1
kill -9 $!
wait $! 2>/dev/null || :
virsh_do blockjob clone vda --info 2>&1 | found 'Block Pull' || die "no pull is left"
# The key is the one that the configuration gives the repository at this place.
printf '[repository main]\nplace = %s\nkey-file = %s\n' "$R" "$T/key" \
  >"$T/boot.conf"
AMBERFS_KEY_FILE='' expect 0 boot --finish clone --config "$T/boot.conf"
not mountpoint -q "$dir/clone/mnt" || die "it is still mounted"
amberfs show --json "$R" "$S" | jq -e '.pinned | not' >/dev/null ||
  die "it is still pinned"
not found "$dir/clone/mnt" <<<"$(virsh_do dumpxml clone
  virsh_do dumpxml --inactive clone)" || die "its definition names the mount"
equal "$(find "$dir/clone" -type f ! -name kernel ! -name initrd -printf '%f ' |
  tr ' ' '\n' | sort | xargs)" "vda.qcow2 vdb.qcow2" "files left"
guest_ticks 2
amberfs forget "$R" "$S"
guest_tell poweroff
wait_for 60 guest_is_off
last=$(guest_counter)

# It comes up again, from nothing but its own disks.
rm -rf "$R"
guest_start
[ "$(guest_counter)" -gt "$last" ] || die "it lost what it had written"
guest_tell run 'sha256sum -c /mnt/vda/noted'
guest_tell poweroff
wait_for 60 guest_is_off
for disk in vda vdb; do
  qemu-img check -q "$(guest_file $disk)"
  qemu-img convert -f qcow2 -O raw "$(guest_file $disk)" "$T/$disk"
  guest_check "$T/$disk" >/dev/null
done
[ "$(allocated "$dir/clone/vda.qcow2")" -lt $((56 << 20)) ] ||
  die "holes were filled"
guest_gone
