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
only sodium repo/crypto
only zstd repo/pack/frame_codec.c

# And nobody hands libvirt.h on in a header.
! grep -rlE '^#[ ]*include <libvirt/' --include='*.h' ingest ||
  die "a header includes libvirt.h"
