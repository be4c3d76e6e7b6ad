#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: doctor finds what is wrong with a repository and its keys,
# and after the commands that it prints it finds nothing; it changes nothing
# itself, and works where there is no libvirt.
. "$(dirname "$0")/../functions.sh"
need_program jq
# As if installed without libvirt: nothing to hand the command to.
mkdir "$T/bin"
cp "$AMBERFS_BUILD/repo/commands/amberfs" "$T/bin/"
[ ! -e /usr/libexec/amberfs/amberfs-ingest ] || skip "amberfs is installed"

new_repo
finding() { # CHECK FILTER
  jq -r ".findings[] | select(.check == \"$1\") | $2" "$T/out"
}
levels() { # CHECK: those of its findings
  finding "$1" .level | sort -u | tr '\n' ' '
}
# Runs the commands that a check printed last.
mend() { # CHECK
  finding "$1" '.commands[]' >"$T/mend"
  [ -s "$T/mend" ] || die "no command for $1"
  bash -e "$T/mend" >"$T/mended"
}
# Without what depends on the machine.
doctor() { # STATUS ARGUMENT...
  local status=$1
  shift
  expect "$status" "$T/bin/amberfs" doctor "$R" --json "$@"
  jq -e '.schema == 1 and .warning_count + .failure_count + .ok_count ==
    (.findings | length)' "$T/out" >"$T/schema"
  documented doctor "$T/out" >"$T/fields"
}

# All is well but that there is only a file to open it.
state() { find "$R" "$T/key" -printf '%p %i %m %s %T@\n' | sort; }
state >"$T/before"
doctor 0 --index-dir "$T/none/index"
state | diff "$T/before" - || die "doctor changed something"
[ ! -e "$T/none" ] || die "doctor made the index"
equal "$(levels open)$(levels key-file)$(levels index)" "ok ok ok "
finding connection .found | found 'without it'
equal "$(levels key-slots)" "warning "
mend key-slots
[ "$(wc -l <"$T/mended")" -gt 0 ] || die "no recovery key was printed"
doctor 0
equal "$(levels key-slots)" "ok "
finding key-slots .found | found '^2 keys open it'

# A key that others can read; one in the repository; none; a wrong one.
chmod 644 "$T/key"
doctor 1
[ ! -s "$T/err" ] || die "it is said twice: $(cat "$T/err")"
equal "$(levels key-file)" "failure "
finding key-file .found | found 'its mode is 0644'
equal "$(finding key-file '.commands[]')" "chmod 600 $T/key"
mend key-file
doctor 0
cp -p "$T/key" "$R/the key"
doctor 1 --key-file "$R/the key"
equal "$(levels key-file)" "failure ok "
equal "$(finding key-file '.commands[]')" "mv '$R/the key' /etc/amberfs/key"
rm "$R/the key"
AMBERFS_KEY_FILE='' doctor 0
equal "$(levels open)" "warning "
make_key "$T/other"
doctor 1 --key-file "$T/other"
equal "$(levels open)" "failure "

# The repository is where the system is, or nowhere.
finding place .found | found 'same \(disk [a-z0-9]*\|filesystem\) as' ||
  finding place .found | found 'another disk'
expect 1 "$T/bin/amberfs" doctor "$T/nothing" --json
equal "$(levels open)" "failure "

# An index where it is not safe, and a full filesystem: a mount of our own.
if [ -w /dev/fuse ] && [ "$(id -u)" = 0 ]; then
  mkdir "$T/mnt" "$T/small"
  amber_mount "$R" "$T/mnt"
  doctor 1 --index-dir "$T/mnt/index"
  equal "$(levels index)" "failure "
  finding index .found | found FUSE
  amberfs umount "$T/mnt"
  mount -t tmpfs -o size=200m none "$T/small"
  cp -a "$R" "$T/small/repo"
  R=$T/small/repo doctor 1
  equal "$(levels space)" "failure "
  finding space '.commands[]' | found -x "amberfs prune $T/small/repo"
  equal "$(levels place)" "ok "
fi

# LVM, if it is here, with settings of the test's own.
if command -v lvmconfig >/dev/null; then
  mkdir "$T/lvm"
  export LVM_SYSTEM_DIR=$T/lvm
  echo 'devices { use_devicesfile = 0 }' >"$T/lvm/lvm.conf"
  doctor 0
  equal "$(levels lvm)" "warning "
  finding lvm '.commands[]' | sed "s,/etc/lvm,$T/lvm," | bash -e
  doctor 0
  equal "$(levels lvm)" "ok "
fi

# For people: what is wrong alone, with its command; no colours in a file, nor on
# a terminal that wants none.
chmod 640 "$T/key"
chmod o+r "$T/key"
expect 1 amberfs doctor "$R" -q
found 'FAILURE .*its mode is 0644' <"$T/out"
found -x "           mend: chmod 600 $T/key" <"$T/out"
! found '^  ok' <"$T/out" || die "-q prints what is ok"
! found $'\033' <"$T/out" || die "colours in a file"
TERM=xterm on_terminal '' amberfs doctor "$R" >"$T/screen" || :
found $'\033\\[1;31mFAILURE' <"$T/screen"
TERM=xterm NO_COLOR=1 on_terminal '' amberfs doctor "$R" >"$T/screen" || :
found 'FAILURE' <"$T/screen"
! found $'\033' <"$T/screen" || die "colours although NO_COLOR is set"

expect 2 amberfs doctor "$R" extra
expect 2 amberfs doctor --watch 10
expect 2 amberfs doctor --peer host:port
said "port"
