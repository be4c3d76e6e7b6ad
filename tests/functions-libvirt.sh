# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# A libvirt of the scenario's own: the session daemon of an unprivileged user,
# without a system service, an account or anything in /etc. Sourced after
# functions.sh. Guests' disks belong into $L, which that user owns.
#
#	libvirt_start		sets $LIBVIRT_URI for amberfs (also as root)
#	libvirt_do virsh ...	runs a command as the user of the daemon
#	libvirt_restart		ends the daemon, not its guests, and starts it anew
#	domain_define NAME DISKS [OS]	XML of the disks, and inside <os>
#	domain_disk FILE FORMAT TARGET	writes one <disk> of a file
: "${T:?source functions.sh first}"
L=$T/lv
nobody=65534

libvirt_do() {
  local as=()
  [ "$(id -u)" != 0 ] ||
    as=(setpriv --reuid="$nobody" --regid="$nobody" --clear-groups)
  "${as[@]}" env -i -C "$L" PATH=/usr/bin:/bin:/usr/sbin:/sbin \
    HOME="$L/home" TERM=dumb LC_ALL=C.UTF-8 XDG_RUNTIME_DIR="$L/run" \
    LIBVIRT_AUTOSTART=0 \
    XDG_CONFIG_HOME="$L/home/.config" XDG_CACHE_HOME="$L/home/.cache" \
    LIBVIRT_DEFAULT_URI=qemu:///session "$@"
}

libvirt_stop() {
  local domain file
  for domain in $(libvirt_do virsh list --uuid 2>/dev/null); do
    libvirt_do virsh destroy "$domain"
  done
  file=$L/run/libvirt/virtlogd.pid
  [ ! -s "$file" ] || kill "$(cat "$file")"
  libvirtd_stop
}

# Its own process id is in its file; $libvirtd_job is the shell's that waits.
libvirtd_stop() {
  kill "$(cat "$L/run/libvirt/libvirtd.pid")"
  wait "$libvirtd_job" || :
}

libvirtd_start() {
  libvirt_do libvirtd --timeout 300 >>"$T/libvirtd.log" 2>&1 &
  libvirtd_job=$!
  # Once in a while its probe of qemu never answers.
  wait_for 60 libvirt_do timeout 20 virsh version || {
    cat "$T/libvirtd.log" >&2
    die "the session libvirtd does not answer"
  }
}

libvirt_restart() {
  libvirtd_stop
  libvirtd_start
}

libvirt_start() {
  local socket=$L/run/libvirt/libvirt-sock
  need_program libvirtd virsh qemu-img qemu-nbd qemu-system-x86_64 setpriv
  mkdir -p "$L/run" "$L/home" "$L/images"
  chmod 711 "$T"
  chmod 700 "$L/run"
  libvirt_own
  at_exit libvirt_stop
  libvirtd_start
  export LIBVIRT_URI="qemu:///session?socket=$socket"
}

# After root has made files in $L.
libvirt_own() {
  [ "$(id -u)" != 0 ] || chown -R $nobody:$nobody "$L"
}

xml_quote() {
  printf '%s' "$1" |
    sed "s/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/'/\&apos;/g; s/\"/\&quot;/g"
}

domain_disk() {
  cat <<END
    <disk type='file' device='disk'>
      <driver name='qemu' type='$2'/>
      <source file='$(xml_quote "$1")'/>
      <target dev='$3' bus='virtio'/>
    </disk>
END
}

# Printed, for those who change it first.
domain_xml() {
  cat <<END
<domain type='qemu'>
  <name>$(xml_quote "$1")</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>${3:-}</os>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
$2
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
END
}

domain_define() {
  domain_xml "$@" >"$L/define.xml"
  libvirt_own
  libvirt_do virsh -q define "$L/define.xml" >&2
}
