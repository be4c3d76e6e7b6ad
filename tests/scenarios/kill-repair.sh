#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a repair that dies or meets an error at any durable call
# has damaged nothing that was intact, in either repository, and what it has
# repaired is right; the next attempt repairs the rest.
. "$(dirname "$0")/../functions-faults.sh"

twin=$W/twin
prepare() {
  new_repo "$R"
  make_noise "$T/disk" 2 1
  truncate -s 40M "$T/disk"
  make_noise "$T/more" 1 2
  cat "$T/more" >>"$T/disk"
  make_noise "$T/well" 1 3
  amberfs backup "$R" --name vm "$T/disk"
  find "$R/packs" -type f >"$T/packs"
  amberfs backup "$R" --name well "$T/well"
  cp -a "$R" "$twin"
  keep "vm/$(latest vm)/disk" "$T/disk"
  keep "well/$(latest well)/well" "$T/well"
  keep "well/$(latest well)/well" "$T/well" "$twin"
  # The tree is gone, and a frame of the data is damaged.
  while read -r pack; do
    if [ "$(od -An -tu1 -j9 -N1 "$pack")" -eq 2 ]; then
      rm "$pack"
    else
      printf 'xxxxxxxx' |
        dd of="$pack" bs=1 seek=1000000 conv=notrunc status=none
    fi
  done <"$T/packs"
}
subject=(amberfs repair "$R" --from "$twin" --read-data)
# Until it is mended, only what was well must be there, and nothing wrong.
eval "$(declare -f is_whole | sed '1s/.*/is_all_whole ()/')"
is_whole() {
  if [ "$mended" = 1 ]; then
    is_all_whole
    return
  fi
  amberfs restore "$R" well/latest/well - | cmp - "$T/well" ||
    die "$what: what was well"
  amberfs verify "$twin" --read-data >"$T/out" 2>&1 ||
    { cat "$T/out"; die "$what: verify of the other repository"; }
  rm -f "$T/restored"
  ! amberfs restore "$R" vm/latest/disk "$T/restored" 2>"$T/err" ||
    cmp "$T/disk" "$T/restored" || die "$what: wrong bytes"
}
after() { # STATUS
  mended=1
  [ "$1" != 0 ] || is_whole
}
finally() {
  is_whole
  amberfs repair "$R" --json | jq -e .ok >/dev/null || die "$what: not whole"
}
eval "$(declare -f renew | sed '1s/.*/renew_all ()/')"
renew() {
  mended=0
  renew_all
}
faults
