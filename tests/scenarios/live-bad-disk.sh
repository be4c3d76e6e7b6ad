#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: if one disk of a running guest can't be read to its end, the
# others are stored, the snapshot is incomplete and says where, the guest goes on;
# when it can be read again, all of it is. A job that ends still fails it all.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

guest_new bad
mkdir -p "$T/files"
seq 1 900000 >"$T/files/numbers"
guest_disk vda qcow2 24M
guest_disk vdb qcow2 16M "$T/files"
# Its clusters are compressed, so that wrong bytes in the file are an error.
image=$(guest_file vdb)
qemu-img convert -c -O qcow2 "$image" "$T/compressed"
cat "$T/compressed" >"$image"
libvirt_own
guest_define tick=300 noagent
guest_start
guest_wait 'GUEST DISK vdb'

at=$(($(stat -c %s "$T/compressed") / 2))
damage() {
  dd if=/dev/zero of="$image" bs=64k count=4 oflag=seek_bytes seek="$at" \
    conv=notrunc status=none
}
mend() {
  dd if="$T/compressed" of="$image" bs=64k count=4 iflag=skip_bytes skip="$at" \
    oflag=seek_bytes seek="$at" conv=notrunc status=none
}
# That vdb can't be read keeps nbdcopy from making its truth.
incomplete() { # [OPTION...]
  local directory
  cat >"$T/hooks/truth" <<TEXT
#!/bin/bash
set -eu
[ "\$AMBERFS_PHASE" = after-thaw ] || exit 0
rm -rf '$T/truth'
mkdir '$T/truth'
nbdcopy "nbd+unix:///vda?socket=\$AMBERFS_NBD_SOCKET" '$T/truth/vda'
TEXT
  live_backup 3 "$@"
  said 'not backed up: disk vdb: reading at byte [0-9]+: .*[Ii]nput/output error.*mended'
  equal "$(jq -r '.snapshots[0].status' "$T/out")" partly status
  equal "$(live_disk vdb .mode)" skipped "what was read of vdb"
  directory=$M/bad/$(newest bad)
  wait_for 20 test -d "$directory" || die "it does not appear in the mount"
  same "$T/truth/vda" "$directory/vda.raw"
  guest_check "$directory/vda.raw" 0 1 >"$T/tick"
  equal "$(find "$directory" -name 'vdb*')" '' "what there is of vdb"
  amberfs show --json "$R" "bad/$(newest bad)" |
    jq -e '.complete == false and (.skipped[0] | .object == "vdb"
      and .code == "missing" and (.message | contains("at byte")))' >/dev/null ||
    die "$(amberfs show "$R" "bad/$(newest bad)")"
  live_clean
  guest_ticks 1
}

damage
incomplete
incomplete
live_changes vda

echo "mended: vdb in full, vda by its bitmap" >&2
mend
live_hook
live_backup 0
live_right 0 1
live_changes vda
live_full vdb 'could not read it'
guest_ticks 1
live_backup 0
live_right 0 1
live_changes vda
live_changes vdb

echo "damaged again, and somebody ends the job: nothing is stored" >&2
damage
before=$(snapshot_count bad)
{
  echo '#!/bin/bash'
  # shellcheck disable=SC2154 # of functions-libvirt.sh
  declare -p L nobody
  declare -f libvirt_do
  # shellcheck disable=SC2016 # for the hook
  echo '[ "$AMBERFS_PHASE" != after-thaw ] || libvirt_do virsh -q domjobabort bad'
} >"$T/hooks/truth"
live_backup 1 --force-read
said 'somebody else ended its backup job'
equal "$(snapshot_count bad)" "$before" snapshots
live_clean

echo "no disk that can be read: nothing is stored either" >&2
rm "$T/hooks/truth"
live_backup 1 --force-read --disk vdb
said 'none of its disks could be read'
equal "$(snapshot_count bad)" "$before" snapshots
live_clean
guest_ticks 1
mend
live_hook
live_backup 0
live_right 0 1
live_changes vda
live_changes vdb
