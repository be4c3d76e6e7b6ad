#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup without a disk that should be in it is known to be
# incomplete, everywhere; it never takes the place of a complete one, neither as
# "latest" nor in a rotation; and a backup of nothing is none.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
need_fuse
libvirt_start
new_repo
make_noise "$L/images/a.raw" 4 1
seq 1 600000 >"$T/b"
qemu-img convert -c -O qcow2 "$T/b" "$L/images/b.qcow2"
libvirt_own
domain_define web "$(domain_disk "$L/images/a.raw" raw vda
  domain_disk "$L/images/b.qcow2" qcow2 vdb)"

night() { # STATUS [OPTION...]
  local want=$1
  shift
  sleep 1
  expect "$want" amberfs backup "$R" --connect "$LIBVIRT_URI" --domain web "$@"
}
away() {
  mv "$L/images/$1" "$L/images/$1.away"
}
back() {
  mv "$L/images/$1.away" "$L/images/$1"
}
complete() {
  amberfs list --json "$R" web | jq -c '[.snapshots[].complete]'
}

night 0
good=$(latest web)
amber_mount "$R" "$T/mnt"
away b.qcow2
for _ in 1 2 3; do
  night 3
  said 'disk vdb is not backed up'
done
equal "$(complete)" '[true,false,false,false]' "the nights"
equal "$(latest web)" "$good" "latest"
amberfs list "$R" | grep -c ' incomplete$' | found -x 3 || die "$(amberfs list "$R")"
bad=$(newest web)
amberfs show "$R" "web/$bad" | found '^Complete  *no, missing: vdb (.*b.qcow2' ||
  die "$(amberfs show "$R" "web/$bad")"
wait_for 20 test -e "$T/mnt/web/$bad" || die "the mount does not have it"
equal "$(readlink "$T/mnt/web/latest")" "$good" "latest in the mount"
jq -e '.complete == false' "$T/mnt/web/$bad/snapshot.json" >/dev/null
equal "$(getfattr --only-values -n user.amberfs.complete "$T/mnt/web/$bad")" no
equal "$(getfattr --only-values -n user.amberfs.complete "$T/mnt/web/$good")" yes

# Restored, it says what is missing.
expect 3 amberfs restore "$R" "web/$bad" "$T/out.d"
said 'incomplete, missing: vdb'
same "$L/images/a.raw" "$T/out.d/vda.raw"
expect 0 amberfs restore "$R" web/latest "$T/good.d"
expect 3 amberfs-ingest boot "$R" "web/$bad" --connect "$LIBVIRT_URI" \
  --name lame --overlay-dir "$T/boots"
said 'incomplete, missing: vdb'
libvirt_do virsh -c "$LIBVIRT_URI" dumpxml lame | not grep -F vdb ||
  die "what is missing is in the definition"
expect 0 amberfs boot --discard lame --overlay-dir "$T/boots" --connect "$LIBVIRT_URI"

# No rule removes the good one, and those after it stay until the next good one.
for rule in '--keep-last 1' '--keep-daily 1' '--keep-within 0d' '--keep-weekly 3'; do
  # shellcheck disable=SC2086 # words
  expect 0 amberfs forget "$R" $rule --prune
  equal "$(complete)" '[true,false,false,false]' "after $rule"
done
# Left out as asked for is not missing.
night 0 --exclude-disk vdb
night 0 --disk vda
back b.qcow2
night 0
expect 0 amberfs forget "$R" --keep-last 3
equal "$(complete)" '[true,true,true]' "the incomplete ones"

# A disk that can't be read to its end, and one that can.
before=$(snapshot_count)
# (compressed clusters that are no longer any)
printf '%0200000d' 0 | dd of="$L/images/b.qcow2" bs=64k conv=notrunc status=none \
  seek=$(($(stat -c %s "$L/images/b.qcow2") / 2 / 65536))
night 3 --force-read
said 'not backed up: disk vdb: .*reading'
equal "$(complete)" '[true,true,true,false]' "after a read error"
expect 0 amberfs show --json "$R" "web/$(newest web)"
jq -e '[.files[].target // empty] | index("vdb") | not' "$T/out" >/dev/null ||
  die "$(cat "$T/out")"

# None at all is nothing.
before=$(snapshot_count)
away a.raw
away b.qcow2
night 1
said 'none of its disks could be read'
equal "$(snapshot_count)" "$before" "snapshots"
amber_umount "$T/mnt"
