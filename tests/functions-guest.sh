# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Real Linux guests that keep writing (guest/init says what), run by the libvirt
# of functions-libvirt.sh in software emulation. Sourced after it. A guest costs
# a processor: have one at a time. Nothing of it is left when the scenario ends.
#
#	guest_new NAME		the guest that the functions below mean ($guest)
#	guest_disk TARGET FORMAT SIZE [DIRECTORY]	makes a disk for the guest to be
#		defined, $L/images/NAME-TARGET.FORMAT: an ext4 with DIRECTORY's files
#	guest_file TARGET	prints the path of such a disk
#	guest_define [WORD...]	defines it (or again); WORDs go to its kernel (see
#		guest/init: noagent, tick=MS ...); nochannel: none for the agent
#	guest_xml [WORD...]	prints the domain's XML, for those who change it
#	guest_start		starts it and waits until it is up
#	guest_plug TARGET FORMAT SIZE	makes a disk and attaches it to the
#		running guest, for good; returns when the guest writes to it
#	guest_wait PATTERN [SECONDS]	for such a line on its console, after the
#		last guest_mark (guest_start marks)
#	guest_ticks N		waits until it has written N times more
#	guest_tell COMMAND...	lets it do something and waits until it has:
#		stop, go		stop writing (all is synced then), go on
#		fill vda/FILE MIB	a file of random bytes
#		zero vda/FILE MIB	a file of zeroes
#		poke FILE KIB PLACES	random bytes at so many places spread over
#			a file (/mnt/vda/FILE) or a disk (/dev/vdb)
#		remove vda/FILE
#		trim vda		fstrim of that filesystem
#		sync
#		agent on|off|hang	the guest agent
#		release vdb, take vdb	unmount a disk and leave it alone, use it again
#		run COMMANDLINE		anything else that busybox can
#		poweroff		(not waited for: wait_for guest_is_off)
#	guest_is_off, guest_is_up
#	guest_off		pulls its plug (destroy)
#	guest_kill		kills its qemu with SIGKILL
#	guest_gone		undefines it, with what libvirt knows of checkpoints
#	guest_check IMAGE [STATUS...]	a raw image of one of its disks: e2fsck
#		says one of STATUS (0 clean, 1 journal replayed; default 0), and
#		everything is there that the guest had written by then. Prints the
#		counter. IMAGE itself stays as it is.
: "${L:?source functions-libvirt.sh first}"
GUEST_CACHE=${GUEST_CACHE:-$AMBERFS_BUILD/tests/guest-cache}

guest_new() {
  guest=$1
  guest_uuid=$(cat /proc/sys/kernel/random/uuid)
  guest_disks=()
  guest_seen=0 guest_commands=0
}
guest_new guest

virsh_do() {
  libvirt_do virsh -q "$@"
}

guest_file() {
  local disk
  for disk in "${guest_disks[@]}"; do
    case $disk in "$1:"*) echo "${disk#*:}" ;; esac
  done
}

guest_disk() {
  local file=$L/images/$guest-$1.$2
  rm -f "$file"
  if [ "$2" = raw ]; then
    truncate -s "$3" "$file"
    mke2fs -q -F -t ext4 -m 0 -L "$1" ${4:+-d "$4"} "$file"
  else
    truncate -s "$3" "$file.new"
    mke2fs -q -F -t ext4 -m 0 -L "$1" ${4:+-d "$4"} "$file.new"
    qemu-img convert -f raw -O "$2" "$file.new" "$file"
    rm "$file.new"
  fi
  guest_disks+=("$1:$file")
  libvirt_own
}

guest_disk_xml() { # TARGET FILE
  domain_disk "$2" "${2##*.}" "$1" | sed "s|<driver |&discard='unmap' |"
}

guest_console() {
  echo "$L/$guest.console"
}

guest_xml() {
  local disk disks='' channel=''
  for disk in "${guest_disks[@]}"; do
    disks+=$(guest_disk_xml "${disk%%:*}" "${disk#*:}")$'\n'
  done
  [[ " $* " == *" nochannel "* ]] || channel="<channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>"
  cat <<TEXT
<domain type='qemu'>
  <name>$guest</name>
  <uuid>$guest_uuid</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$L/guest-kernel</kernel>
    <initrd>$L/guest-initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 $*</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
$disks
    <controller type='usb' model='none'/>
    <serial type='file'>
      <source path='$(guest_console)' append='on'/>
      <target port='0'/>
    </serial>
    <serial type='pipe'>
      <source path='$L/$guest.tell'/>
      <target port='1'/>
    </serial>
    $channel
    <memballoon model='none'/>
  </devices>
</domain>
TEXT
}

# Where it is not there it is made now, which takes a network.
guest_prepare() {
  [ ! -e "$L/guest-initrd" ] || return 0
  "$TESTS/guest/make" "$GUEST_CACHE" ||
    die "there is no kernel for the guest (see above)"
  cp "$GUEST_CACHE/vmlinuz" "$L/guest-kernel"
  cp "$GUEST_CACHE/initrd" "$L/guest-initrd"
}

guest_define() {
  need_program busybox mke2fs e2fsck debugfs jq
  guest_prepare
  [ -p "$L/$guest.tell.in" ] || mkfifo "$L/$guest.tell.in" "$L/$guest.tell.out"
  touch "$(guest_console)"
  guest_xml "$@" >"$L/$guest.xml"
  libvirt_own
  virsh_do define "$L/$guest.xml" >&2
}

guest_mark() {
  guest_seen=$(stat -c %s "$(guest_console)")
}

guest_said() {
  tail -c +"$((guest_seen + 1))" "$(guest_console)" | found -a -E "$1"
}

guest_wait() {
  wait_for "${2:-150}" guest_said "$1" || {
    tail -n 20 "$(guest_console)" >&2
    die "the guest $guest did not say: $1"
  }
}

guest_start() {
  guest_mark
  virsh_do start "$guest"
  guest_wait 'GUEST TICK'
}

guest_counter() {
  grep -a 'GUEST TICK' "$(guest_console)" | tail -n 1 | tr -dc 0-9
}

guest_ticks() {
  local want=$(($(guest_counter) + $1))
  wait_for "${2:-150}" eval "[ \"\$(guest_counter)\" -ge $want ]" || {
    tail -n 20 "$(guest_console)" >&2
    die "the guest $guest no longer writes"
  }
}

# Opened for both, since opening it to write only would wait for a reader.
guest_send() {
  guest_commands=$((guest_commands + 1))
  echo "$guest.$guest_commands $*" 1<>"$L/$guest.tell.in"
}

guest_tell() {
  guest_send "$@"
  [ "$1" != poweroff ] || return 0
  guest_wait "GUEST (DID|FAILED) $guest\\.$guest_commands\\b"
  ! guest_said "GUEST FAILED $guest\\.$guest_commands\\b" || {
    tail -n 20 "$(guest_console)" >&2
    die "the guest $guest could not: $*"
  }
}

guest_is_up() {
  [ "$(virsh_do domstate "$guest")" = running ]
}

guest_is_off() {
  [ "$(virsh_do domstate "$guest")" = 'shut off' ]
}

guest_off() {
  virsh_do destroy "$guest"
}

guest_kill() {
  kill -9 "$(cat "$L/run/libvirt/qemu/run/$guest.pid")"
  wait_for 30 guest_is_off || die "the domain $guest survives its qemu"
}

guest_gone() {
  guest_is_off || guest_off
  virsh_do undefine "$guest" --checkpoints-metadata --nvram
}

guest_plug() {
  guest_disk "$@"
  guest_mark
  guest_disk_xml "$1" "$(guest_file "$1")" >"$L/plug.xml"
  libvirt_own
  virsh_do attach-device "$guest" "$L/plug.xml" --persistent
  guest_wait "GUEST DISK $1"
  guest_ticks 2
}

# guest_check_files DIRECTORY: what guest/init promises of any moment.
guest_check_files() {
  local counter i file
  counter=$(cat "$1/counter" 2>/dev/null) || {
    ls -l "$1" >&2
    die "there is no counter in $1"
  }
  for ((i = counter; i > counter - 8 && i > 0; i--)); do
    # The disk may have come later.
    [ "$i" -ge "$(cat "$1/first")" ] || break
    compgen -G "$1/$i.*" >/dev/null || die "tick $i of $counter is lost in $1"
  done
  for file in "$1"/*.*; do
    [[ $file == *.new ]] || echo "${file##*.}  $file"
  done | sha256sum --check --quiet --strict >&2 ||
    die "the content of files in $1 is wrong"
  echo "$counter"
}

guest_check() {
  local image=$1 status=0 work=$T/guest-check
  shift
  [ $# -gt 0 ] || set -- 0
  rm -rf "$work"
  mkdir -p "$work/files"
  cp --sparse=always "$image" "$work/image"
  e2fsck -fp "$work/image" >"$work/e2fsck" 2>&1 || status=$?
  # 1 is only for the journal: what else it mends should not have been broken.
  [ "$status" != 1 ] || ! grep -v -e 'recovering journal' -e orphan \
    -e ' files (.*non-contiguous).*blocks$' "$work/e2fsck" || status=mended
  case " $* " in
    *" $status "*) ;;
    *)
      cat "$work/e2fsck" >&2
      die "e2fsck of $image: status $status, not $*"
      ;;
  esac
  debugfs -R "rdump / $work/files" "$work/image" >/dev/null 2>"$work/debugfs"
  guest_check_files "$work/files"
  rm -rf "$work"
}
