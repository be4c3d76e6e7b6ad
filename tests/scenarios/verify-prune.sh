#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a verify under which snapshots are forgotten and their packs
# pruned finds no damage in that, wherever it is at that moment.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo "$T/made"
for i in {1..80}; do
  files+=("$T/file$i")
done
for s in 1 2 3; do
  for i in "${files[@]}"; do
    echo "$s $i $RANDOM" >"$i"
  done
  amberfs backup "$R" --name vm "${files[@]}"
done
amberfs backup "$R" --name stays "$T/file1"
mapfile -t all < <(amberfs list --json "$R" vm |
  jq -r '.snapshots[] | .object[10:]')

# Stopped at many places, early and late.
for delay in 0.02 0.03 0.05; do
  rm -rf "$T/repo"
  cp -a "$T/made" "$T/repo"
  # A stopped process must not be the one that brings the index in line.
  amberfs index "$T/repo" >"$T/index.out"
  amberfs verify "$T/repo" >"$T/verify.out" 2>&1 &
  verify=$!
  until session_registered "$T/repo" || ! kill -0 "$verify" 2>/dev/null; do :; done
  sleep "$delay"
  kill -STOP "$verify" 2>/dev/null || :
  amberfs forget "$T/repo" "${all[@]}"
  amberfs prune "$T/repo" --max-unused 0
  kill -CONT "$verify" 2>/dev/null || :
  wait "$verify" || {
    cat "$T/verify.out" >&2
    die "stopped after $delay s, it takes a prune for damage"
  }
  [ -z "$(ls "$T/repo/damaged")" ] || die "damage was recorded"
done
