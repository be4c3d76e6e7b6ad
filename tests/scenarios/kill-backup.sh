#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup that dies or meets an error at any of its durable
# calls leaves a good repository, and its snapshot is there whole or not at all.
. "$(dirname "$0")/../functions-faults.sh"
mib=${FAULT_MIB:-3}

prepare() {
  new_repo "$R"
  make_noise "$T/old" "$mib" 1
  amberfs backup "$R" --name vm "$T/old"
  keep "vm/$(latest vm)/old" "$T/old"
  make_noise "$T/more" "$mib" 2
  cat "$T/more" "$T/old" >"$T/new"
}
subject=(amberfs backup "$R" --name vm --jobs 2 "$T/new")
is_there() {
  [ "$(snapshot_count vm)" -gt 1 ]
}
after() { # STATUS
  [ "$1" != 0 ] || is_there || die "$what: done, and not there"
  ! is_there || amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
    die "$what: the snapshot is there and wrong"
}
finally() {
  amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
    die "$what: the next one is wrong"
}
faults
