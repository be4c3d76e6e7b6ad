#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an NVRAM on an NBD server is backed up, of a domain that is
# shut off and of one that runs; restored and booted it is a file; where it can't be
# read the snapshot says why, and is incomplete only if it could be before.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_fuse
need_program jq python3
libvirt_start
export XDG_CONFIG_HOME=$L/home/.config
I=$L/images
make_noise "$I/a.raw" 1
head -c 4M /dev/zero >"$I/code.fd"
head -c 1M /dev/urandom >"$L/vars.fd"
libvirt_own

serve() { # OPTION...
  qemu-nbd -t -f raw "$@" "$L/vars.fd" >"$T/nbd.log" 2>&1 &
  server=$!
  at_exit kill "$server"
}
define() { # HOST
  domain_xml web "$(domain_disk "$I/a.raw" raw vda)" \
    "<loader readonly='yes' type='pflash'>$I/code.fd</loader>
     <nvram type='network'><source protocol='nbd' name='vars'>$1</source></nvram>" |
    sed "s|</os>|&<features><acpi/></features>|; s/machine='pc'/machine='q35'/
      s|</name>|&<uuid>5f0a1b3c-0000-4000-8000-000000000002</uuid>|" \
      >"$L/define.xml"
  libvirt_own
  libvirt_do virsh -q define "$L/define.xml"
}
backup() { # STATUS [OPTION...]
  local want=$1
  shift
  sleep 1
  expect "$want" amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"
}
has() { # FILTER of snapshot.json
  amberfs show --json "$R" "web/$(newest web)" | jq -e "$1" >/dev/null ||
    die "not $1: $(amberfs show "$R" "web/$(newest web)")"
}
stored() {
  amberfs restore "$R" "web/$(newest web)/nvram.fd" - | cmp - "$L/vars.fd" ||
    die "another NVRAM"
}

new_repo
define "<host transport='unix' socket='$L/nbd'/>"
echo "never read: said once, with the remedy, and no reason to be incomplete" >&2
backup 0
said 'not backed up: NVRAM: .*nbd.*--shared\) \(said once\)'
has '.complete and (.skipped[0] | .object == "NVRAM" and .code == "unsupported")'
backup 0
silent

echo "shut off" >&2
serve -x vars --shared 3 -k "$L/nbd"
wait_for 30 test -S "$L/nbd" || die "no server: $(cat "$T/nbd.log")"
libvirt_own
backup 0
has '.complete and .skipped == []'
stored

echo "running" >&2
libvirt_do virsh -q start --paused web
head -c 1M /dev/urandom >"$L/vars.fd"
backup 0
has '.complete and .skipped == []'
stored
libvirt_do virsh -q destroy web

echo "booted and restored" >&2
amber_mount "$R" "$T/mnt"
wait_for 20 test -e "$T/mnt/web/$(newest web)" || die "the mount does not have it"
expect 0 amberfs boot "$R" web/latest --connect "$LIBVIRT_URI" --name booted \
  --overlay-dir "$T/boots" --json
jq -r .notes "$T/out" | found 'NVRAM.* in a file now' || die "$(cat "$T/out")"
libvirt_do virsh dumpxml booted >"$T/xml"
found "<nvram.*>$T/boots/booted/nvram.fd" <"$T/xml" || die "$(cat "$T/xml")"
same "$T/boots/booted/nvram.fd" "$L/vars.fd"
expect 0 amberfs boot --discard booted --overlay-dir "$T/boots" --connect "$LIBVIRT_URI"
amber_umount "$T/mnt"
expect 0 amberfs restore "$R" web/latest --domain --name copy \
  --connect "$LIBVIRT_URI" --disk vda="$I/copy.raw"
libvirt_do virsh dumpxml copy >"$T/xml"
file=$XDG_CONFIG_HOME/libvirt/qemu/nvram/copy_VARS.fd
found "<nvram.*>$file<" <"$T/xml" || die "$(cat "$T/xml")"
same "$file" "$L/vars.fd"

echo "gone, when it was there: incomplete" >&2
kill "$server"
wait "$server" || :
rm -f "$L/nbd"
backup 3
said 'its NVRAM is not in the backup'
has '.complete | not'
backup 3

echo "by TCP" >&2
port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
define "<host name='127.0.0.1' port='$port'/>"
serve -x vars --shared 3 -b 127.0.0.1 -p "$port"
wait_for 30 eval "(: </dev/tcp/127.0.0.1/$port) 2>/dev/null" || die "no server"
backup 0
has '.complete and .skipped == []'
stored

echo "another protocol is said once" >&2
sed -i "s/protocol='nbd'/protocol='ssh'/" "$L/define.xml"
libvirt_do virsh -q define "$L/define.xml"
backup 0
said 'not backed up: NVRAM: it is neither a file nor a block device .*\(said once\)'
