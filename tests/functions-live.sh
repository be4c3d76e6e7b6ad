# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What the scenarios of live backup share: backups of $guest, and what is true
# of each, read from the same frozen export by nbdcopy. Sourced after
# functions-guest.sh.
#
#	live_prepare		libvirt, a repository, mounted at $M, the hook
#	live_backup STATUS [OPTION...]	backs up $guest; $T/out is its report,
#		$T/err what it said
#	live_right [STATUS...]	the newest snapshot equals what the export
#		was, the guest's files in it are whole (e2fsck: STATUS), and nothing
#		is left in libvirt and on the disk but one checkpoint
#	live_clean [COUNT]	the last of these, with COUNT checkpoints of ours
#	live_full TARGET PATTERN	this disk was read in full, and one line said
#		why
#	live_changes TARGET	only what has changed of this disk was read
#	live_stages STAGE...	prints those to be tried: every third one, which of three
#		as LIVE_SEED (the time) has it, or with LIVE_STAGES=all all
#	live_read_bounded	as many bytes were read as the dirty maps call for,
#		with the chunks around them, and all data of disks without one
: "${guest:?source functions-guest.sh first}"
M=$T/mnt
# shellcheck disable=SC2034 # to be preloaded, see shim/libvirtshim.c
LIVE_SHIM=$AMBERFS_BUILD/tests/shim/libvirtshim.so
# What may be read to see whether clean ranges are clean.
CLEAN=$((1 << 20))

# The truth, from the export itself while amberfs waits for the hook: the bytes,
# the map of what is zero, and the dirty map if there is one.
live_hook() {
  mkdir -p "$T/hooks"
  cat >"$T/hooks/truth" <<TEXT
#!/bin/bash
set -eu
echo "\$AMBERFS_PHASE \${AMBERFS_RESULT:-}" >>'$T/phases'
[ "\$AMBERFS_PHASE" = after-thaw ] || exit 0
rm -rf '$T/truth'
mkdir '$T/truth'
cd '$T/truth'
for disk in \$AMBERFS_NBD_EXPORTS; do
  uri="nbd+unix:///\$disk?socket=\$AMBERFS_NBD_SOCKET"
  nbdcopy "\$uri" \$disk
  nbdinfo --json --map=base:allocation "\$uri" >\$disk.zero
  nbdinfo --json --map=qemu:dirty-bitmap:backup-\$disk "\$uri" >\$disk.dirty \\
    2>/dev/null || rm \$disk.dirty
done
TEXT
  chmod 755 "$T/hooks" "$T/hooks/truth"
}

live_stages() {
  local i seed=${LIVE_SEED:-$(date +%s)} all=("$@")
  echo "seed $seed" >&2
  for i in "${!all[@]}"; do
    [ "${LIVE_STAGES:-}" != all ] && [ $(((i + seed) % 3)) != 0 ] ||
      echo "${all[i]}"
  done
}

live_prepare() {
  need_root "to mount"
  need_fuse
  need_program nbdcopy nbdinfo python3 jq
  libvirt_start
  mkdir -p "$L/scratch"
  libvirt_own
  live_hook
  new_repo
  amber_mount "$R" "$M"
}

live_backup() {
  local want=$1
  shift
  rm -rf "$T/truth" "$T/phases"
  expect "$want" amberfs backup "$R" --connect "$LIBVIRT_URI" \
    --domain "$guest" --scratch-dir "$L/scratch" --hook "$T/hooks" --json "$@"
}

live_no_job() {
  [ "$(virsh_do domjobinfo "$guest" | awk '/Job type/ { print $3 }')" = None ]
}

live_checkpoints() {
  virsh_do checkpoint-list "$guest" --name | sed '/^$/d'
}

live_clean() {
  local left
  live_no_job || die "a job is left: $(virsh_do domjobinfo "$guest")"
  left=$(find "$L/scratch" -mindepth 1)
  equal "$left" '' "what is left in the scratch directory"
  equal "$(live_checkpoints | grep -c ^amberfs- || :)" "${1:-1}" \
    "checkpoints: $(live_checkpoints | tr '\n' ' ')"
}

# The directory of the newest snapshot in the mount.
live_directory() {
  local time
  time=$(latest "$guest")
  wait_for 20 test -d "$M/$guest/$time" ||
    die "the snapshot $time does not appear in the mount"
  echo "$M/$guest/$time"
}

# Leaves the tick of vda in $T/tick.
live_right() {
  local directory truth disk counter first=''
  directory=$(live_directory)
  [ -d "$T/truth" ] || die "the hook did not run after the thaw"
  for truth in "$T"/truth/vd?; do
    disk=${truth##*/}
    same "$truth" "$directory/$disk.raw"
    counter=$(guest_check "$directory/$disk.raw" "$@")
    # One moment of all disks: vda is written first.
    [ -n "$first" ] || first=$counter
    [ "$counter" = "$first" ] || [ "$counter" = $((first - 1)) ] ||
      die "vda is at tick $first, $disk at $counter"
  done
  echo "$first" >"$T/tick"
  equal "$(find "$directory" -name 'vd?.raw' | wc -l)" \
    "$(find "$T/truth" -name 'vd?' | wc -l)" "disks in the snapshot"
  live_clean
}

# live_disk TARGET FILTER: of what the report says of that disk.
live_disk() {
  jq -r --arg disk "$1" \
    ".snapshots[].disks[] | select(.target == \$disk) | $2" "$T/out"
}

live_full() {
  equal "$(live_disk "$1" .mode)" full "what was read of $1"
  live_disk "$1" .reason | found -E "$2" || die "why: $(live_disk "$1" .reason)"
  equal "$(grep -Ec -e "\\b$1\\b.*($2)" "$T/err" || :)" 1 \
    "lines that say '$2' of $1 in: $(cat "$T/err")"
}

live_changes() {
  equal "$(live_disk "$1" .mode)" incremental "what was read of $1"
  ! grep -E "\\b$1\\b" "$T/err" >&2 || die "a line of $1, which is incremental"
}

live_consistency() {
  amberfs show --json "$R" "$guest/latest" | jq -r .consistency
}

# For each disk of the truth: its name, how many bytes its dirty map calls for at
# least, and at most.
live_dirty() {
  python3 -IS - "$T"/truth/vd? <<'END'
import json, os, sys
SPAN, MOST = 16 << 20, 256 << 10        # a chunk is MOST long at most
def extents(name, wanted):
    with open(name) as f:
        return [(e["offset"], e["offset"] + e["length"]) for e in json.load(f)
                if wanted(e["type"])]
def bounds(disk):
    data = extents(disk + ".zero", lambda t: not t & 2)
    try:
        dirty = extents(disk + ".dirty", lambda t: t & 1)
    except FileNotFoundError:
        dirty = [(0, 1 << 63)]
    least = most = reached = 0
    for begin, end in dirty:
        for a, b in data:
            a, b = max(a, begin), min(b, end)
            if a >= b:
                continue
            least += b - a
            # By spans: a chunk never crosses their borders.
            low = max(a // SPAN * SPAN, a - MOST, reached)
            high = min((b + SPAN - 1) // SPAN * SPAN, b + MOST)
            most += max(0, high - low)
            reached = max(reached, high)
    return least, most
for disk in sys.argv[1:]:
    print(os.path.basename(disk), *bounds(disk))
END
}

live_read_bounded() {
  local disk least most read
  live_dirty >"$T/bounds"
  while read -r disk least most; do
    read=$(live_disk "$disk" .read_bytes)
    echo "$disk: read $read; dirty $least, with chunks at most $most" >&2
    [ "$read" -ge "$least" ] || die "$disk: $read read, $least are dirty"
    [ "$read" -le "$((most + CLEAN))" ] ||
      die "$disk: $read read, not at most $most"
  done <"$T/bounds"
}
