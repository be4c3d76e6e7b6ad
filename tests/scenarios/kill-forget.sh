#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: forget that dies or meets an error at any of its durable
# calls has either forgotten a snapshot or not, and no other is affected.
. "$(dirname "$0")/../functions-faults.sh"

prepare() {
  new_repo "$R"
  make_noise "$T/old" 1 1
  make_noise "$T/more" 1 2
  cat "$T/old" "$T/more" >"$T/new"
  amberfs backup "$R" --name vm "$T/old"
  amberfs backup "$R" --name other "$T/old"
  keep "vm/$(latest vm)/old" "$T/old"
  amberfs backup "$R" --name vm "$T/new"
  keep "other/$(latest other)/old" "$T/old"
}
subject=(amberfs forget "$R" vm/latest)
gone() {
  [ "$(snapshot_count vm)" = 1 ]
}
after() { # STATUS
  [ "$1" != 0 ] || gone || die "$what: forgotten, and still there"
  gone || amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
    die "$what: not forgotten, and wrong"
}
again() {
  gone || amberfs forget "$R" vm/latest || die "$what: the next attempt"
}
finally() {
  gone || die "$what: still there"
}
faults
