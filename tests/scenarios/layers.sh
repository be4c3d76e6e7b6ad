#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the source tree is in layers. Directories include each
# other in one direction only, the programs share nothing but repo/, and each
# library of others is used in one place.
. "$(dirname "$0")/../functions.sh"

cd "$SOURCE_TREE"
sources() { find repo ingest fs -name '*.[ch]' | sort; }
[ "$(sources | wc -l)" -gt 100 ] || skip "no source tree"

# Every include of a header of ours: FILE HEADER, both from the root.
# shellcheck disable=SC2016 # a program of awk's
sources | xargs awk '
  match($0, /^[ \t]*#[ \t]*include[ \t]*"[^"]+"/) {
    header = substr($0, RSTART, RLENGTH)
    sub(/^[^"]*"/, "", header); sub(/"$/, "", header)
    directory = FILENAME; sub(/[^\/]*$/, "", directory)
    print FILENAME, header ~ /\// ? header : directory header }
' >"$T/includes"

while read -r file header; do
  [ -f "$header" ] ||
    die "$file includes \"$header\"; headers of other directories are" \
      "named from the root, those of the same one bare"
  case ${file%%/*}:${header%%/*} in
    repo:repo | fs:fs | fs:repo | ingest:ingest | ingest:repo) ;;
    *) die "$file must not include $header" ;;
  esac
done <"$T/includes"

# DIRECTORY DIRECTORY, the first includes the second; none may lead back.
sed -E 's,/[^/ ]* , ,; s,/[^/]*$,,' "$T/includes" | sort -u |
  awk '$1 != $2' >"$T/arrows"
[ "$(wc -l <"$T/arrows")" -gt 20 ] || die "hardly any includes found"
tsort "$T/arrows" >"$T/order" 2>"$T/circles" || {
  sed -n 's/^tsort: //p' "$T/circles" | grep / | while read -r directory; do
    while read -r from to; do
      [ "$from" != "$directory" ] || grep "^$from/[^/]* $to/[^/]*$" \
        "$T/includes" | sed "s/ / includes /"
    done <"$T/arrows"
  done >&2
  die "directories include each other in a circle:" \
    "$(sed -n 's/^tsort: //p' "$T/circles" | grep / | tr '\n' ' ')"
}

# only HEADER PLACE...: system headers that begin with HEADER are included by
# these files and by those of these directories only.
only() {
  local header=$1 places=("${@:2}") file place
  for place in "${places[@]}"; do
    grep -rqE "^#[ ]*include <$header" "$place" ||
      die "$place has no <$header…>: this list is out of date"
  done
  sources | xargs grep -lE "^#[ ]*include <$header" >"$T/users" ||
    die "nobody includes <$header…>"
  while read -r file; do
    for place in "${places[@]}"; do
      case $file in "$place" | "$place"/*) continue 2 ;; esac
    done
    die "$file includes <$header…>, which is for ${places[*]} only"
  done <"$T/users"
}
only libvirt/ ingest/libvirt ingest/live/live_guest.c
only libxml/ ingest/libvirt ingest/live/job_xml.c
only libnbd ingest/source/nbd_client.c ingest/source/liveness_probe.c
only png ingest/recovery/prove/prove_screen.c
only fuse fs/fuse_api.h
only lmdb repo/index
only ini.h repo/configuration
only sodium repo/crypto
only zstd repo/pack/frame_codec.c
only libmnl repo/doctor/route.c

# And nobody hands libvirt.h on in a header.
! grep -rlE '^#[ ]*include <libvirt/' --include='*.h' ingest ||
  die "a header includes libvirt.h"

# Paths that other users can change are opened by repo/base/foreign_path.c alone,
# and files are restored by repo/snapshot/. Whoever else in ingest/ opens or
# changes something by its path is here with what it is.
calls='open|openat|fopen|creat|opendir|scandir|chown|lchown|chmod|fchownat'
calls+='|fchmodat|mkdir|mkdirat|mkfifo|mknod|truncate|link|linkat|symlink'
calls+='|unlink|rename|renameat|renameat2|mkstemp|mkdtemp'
cat >"$T/openers" <<'END'
ingest/backup/backup_path.c disks, whose links libvirt follows itself
ingest/backup/domain_files.c by /proc/self/fd, what foreign_path opened
ingest/backup/hooks.c the directory of hooks, which must be ours
ingest/doctor/check_apparmor.c /sys, and AppArmor's rules
ingest/libvirt/chain.c disks
ingest/libvirt/child.c /dev/null
ingest/libvirt/transient_guest.c /proc
ingest/live/scratch.c its own directories, without links
ingest/live/scratch_state.c /proc
ingest/recovery/boot/boot.c in a boot's directory, which is ours
ingest/recovery/boot/boot_directory.c a boot's directory
ingest/recovery/boot/boot_files.c in a boot's mount
ingest/recovery/boot/boot_finish.c in a boot's directory
ingest/recovery/boot/boot_root.c the directory of boots, which must be ours
ingest/recovery/boot/boot_state.c in a boot's directory
ingest/recovery/boot/boot_tpm.c in a boot's mount; by a descriptor
ingest/recovery/boot/overlay.c in a boot's directory
ingest/recovery/prove/prove_console.c in a boot's directory
ingest/recovery/prove/prove_directory.c the scratch directory, which must be ours
ingest/recovery/prove/prove_screen.c pictures, where the user wants them
ingest/source/file_source.c disks and files named by the user
ingest/source/mounted_device.c /proc and /sys
ingest/source/nbd_source.c in a new directory of its own
END
# Calls, but not those in comments and texts.
find ingest -name '*.c' -print0 |
  xargs -0 grep -E "(^|[^_[:alnum:]\"/])($calls)\(" |
  grep -vE '^[^:]*:[[:space:]]*/?\*' | cut -d: -f1 | sort -u >"$T/found"
cut -d' ' -f1 "$T/openers" | diff - "$T/found" >"$T/difference" ||
  die "files that open paths, and the list of them here: $(cat "$T/difference")"
