#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a change of keys that dies or meets an error at any durable
# call leaves every key working that was to stay, and the new or removed one
# whole or gone.
. "$(dirname "$0")/../functions-faults.sh"

prepare() {
  new_repo "$R"
  make_noise "$T/disk" 1 1
  amberfs backup "$R" --name vm "$T/disk"
  keep "vm/$(latest vm)/disk" "$T/disk"
  make_key "$T/key2"
  make_key "$T/key3"
  amberfs key add "$R" --new-key-file "$T/key2" --label second >/dev/null
}
opens() { # KEY FILE
  amberfs list "$R" --key-file "$1" >/dev/null 2>&1
}
slots() {
  amberfs key list --json "$R" | jq '.slots | length'
}
whole() {
  equal "$(amberfs key list --json "$R" | jq '[.slots[] | select(.readable | not)]
    | length')" 0 "$what: damaged slots"
  opens "$T/key" || die "$what: the first key opens it no more"
}

FAULT_TRIES=${FAULT_TRIES:-8}
subject=(amberfs key add "$R" --new-key-file "$T/key3" --label third)
after() { # STATUS
  whole
  opens "$T/key2" || die "$what: the second key opens it no more"
  [ "$1" != 0 ] || opens "$T/key3" || die "$what: added, and does not open it"
}
again() {
  opens "$T/key3" || "${subject[@]}" >/dev/null || die "$what: the next attempt"
}
finally() {
  whole
  opens "$T/key2" && opens "$T/key3" || die "$what: keys are missing"
  equal "$(slots)" 3 "$what: slots"
}
faults

subject=(amberfs key remove "$R" second)
after() { # STATUS
  whole
  [ "$1" != 0 ] || ! opens "$T/key2" || die "$what: removed, and opens it"
}
again() {
  ! opens "$T/key2" || "${subject[@]}" >/dev/null || die "$what: the next attempt"
}
finally() {
  whole
  ! opens "$T/key2" || die "$what: it opens it still"
  equal "$(slots)" 1 "$what: slots"
}
faults
