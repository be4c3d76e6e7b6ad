#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a copy that dies or meets an error at any durable call, in
# either repository, harms neither; each snapshot is copied whole or not at all,
# and the next attempt copies the rest.
. "$(dirname "$0")/../functions-faults.sh"

other=$W/other repos=("$R" "$other")
export AMBERFS_TO_KEY_FILE=$T/key
prepare() {
  local i
  new_repo "$R"
  amberfs init "$other" >/dev/null
  make_noise "$T/disk" 1 1
  for i in 1 2 3; do
    make_noise "$T/more" 1 $((i + 1))
    cat "$T/more" >>"$T/disk"
    cp "$T/disk" "$T/disk.$i"
    cp "$T/disk" "$T/vm"
    amberfs backup "$R" --name vm "$T/vm"
    time[i]=$(latest vm)
    keep "vm/${time[i]}/vm" "$T/disk.$i"
  done
  amberfs copy "$R" "$other" "vm/${time[1]}" >/dev/null
  amberfs backup "$other" --name own "$T/vm"
  keep "vm/${time[1]}/vm" "$T/disk.1" "$other"
  keep "own/$(R=$other latest own)/vm" "$T/disk.3" "$other"
}
subject=(amberfs copy "$R" "$other" --jobs 2)
is_right() { # AT LEAST
  local n=0 i
  for i in 1 2 3; do
    amberfs list "$other" vm | found "${time[i]}" || continue
    n=$((n + 1))
    amberfs restore "$other" "vm/${time[i]}/vm" - | cmp - "$T/disk.$i" ||
      die "$what: copy $i is there and wrong"
  done
  [ "$n" -ge "$1" ] || die "$what: only $n copies"
}
after() { # STATUS
  is_right "$(($1 == 0 ? 3 : 1))"
}
finally() {
  is_right 3
}
faults
