#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a merge into the index, and its rebuilding, may die or meet
# an error at any durable call: at worst the next one rebuilds the index.
. "$(dirname "$0")/../functions-faults.sh"

files() {
  find "$R/packs" -type f | sort
}
# Packs that the index has not seen are there, and some that it knows went.
prepare() {
  local i
  new_repo "$R"
  make_noise "$T/old" 2 1
  amberfs backup "$R" --name vm "$T/old"
  keep "vm/$(latest vm)/old" "$T/old"
  files >"$T/before"
  amberfs backup "$R" --name gone "$T/next"
  files | comm -13 "$T/before" - >"$T/gone"
  amberfs index "$R" >/dev/null
  amberfs forget "$R" gone/latest >/dev/null
  xargs rm <"$T/gone"
  for i in 1 2 3; do
    make_noise "$T/new$i" 1 $((i + 1))
    amberfs backup "$R" --name "other$i" --index-dir "$T/elsewhere" "$T/new$i"
    keep "other$i/$(latest "other$i")/new$i" "$T/new$i"
  done
}
finally() {
  amberfs index --json "$R" >"$T/stats"
  equal "$(jq .packs "$T/stats")" "$(files | wc -l)" \
    "$what: packs in the index"
}
FAULT_TRIES=${FAULT_TRIES:-8}
subject=(amberfs index "$R")
faults
subject=(amberfs index --rebuild "$R")
faults
