#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: pin, unpin and protect that die or meet an error at any
# durable call have been done or not, and what was pinned before stays pinned.
. "$(dirname "$0")/../functions-faults.sh"

FAULT_TRIES=${FAULT_TRIES:-6}
prepare() {
  new_repo "$R"
  make_noise "$T/disk" 1 1
  cp "$T/disk" "$T/disk.1"
  amberfs backup "$R" --name vm "$T/disk"
  first=vm/$(latest vm)
  keep "$first/disk" "$T/disk.1"
  echo more >>"$T/disk"
  amberfs backup "$R" --name vm "$T/disk"
  second=vm/$(latest vm)
  keep "$second/disk" "$T/disk"
  amberfs pin "$R" "$first" --note before >/dev/null
  case $verb in
    pin) subject=(amberfs pin "$R" "$second") ;;
    unpin)
      amberfs pin "$R" "$second" >/dev/null
      subject=(amberfs unpin "$R" "$second")
      ;;
    protect) subject=(amberfs protect "$R" --min-age 30d --yes) ;;
  esac
}
pinned() { # SNAPSHOT
  amberfs show --json "$R" "$1" | jq -e .pinned >/dev/null
}
is_done() {
  case $verb in
    pin) pinned "$second" ;;
    unpin) ! pinned "$second" ;;
    protect) amberfs protect "$R" --json | jq -e '.min_age_seconds > 0' >/dev/null ;;
  esac
}
after() { # STATUS
  pinned "$first" || die "$what: the other pin is gone"
  [ "$1" != 0 ] || is_done || die "$what: done, and is not"
}
again() {
  is_done || "${subject[@]}" >/dev/null || die "$what: the next attempt"
}
finally() {
  pinned "$first" && is_done || die "$what: at the end"
}
for verb in pin unpin protect; do
  faults
done
