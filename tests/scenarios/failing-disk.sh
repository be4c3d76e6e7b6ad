#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a write, fsync or rename that fails (EIO, ENOSPC, EDQUOT,
# a short write) fails the backup with words, or is overcome; nothing that was
# stored before suffers, and no snapshot that is there is wrong.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq
shim=$AMBERFS_BUILD/tests/shim/killshim.so
positions=${FAIL_POSITIONS:-24}

new_repo
make_noise "$T/old" 2 1
amberfs backup "$R" --name vm "$T/old"
make_noise "$T/new" 6 2
cp -a "$R" "$T/start"
run_backup() { # AT ACT ERRNO
  rm -f "$T/state"
  SHIM_DIR=$R SHIM_STATE=$T/state SHIM_AT=$1 SHIM_ACT=$2 SHIM_ERRNO=$3 \
    LD_PRELOAD=$shim setsid -w amberfs backup "$R" --name vm "$T/new" 2>"$T/err"
}
SHIM_LOG=$T/log run_backup 0 none 0 || die "the recorded run failed"
total=$(wc -l <"$T/log")
step=$((total / positions))
acts=('error 28' 'error 5' 'short 0' 'full 28' 'error 122')
n=0
for at in $(seq 1 "$((step > 0 ? step : 1))" "$total"); do
  read -r act errno <<<"${acts[n % 5]}"
  n=$((n + 1))
  what="call $at of $total, $act $errno: $(sed -n "${at}p" "$T/log")"
  rm -rf "$R" "$AMBERFS_STATE_DIR"
  cp -a "$T/start" "$R"
  status=0
  run_backup "$at" "$act" "$errno" || status=$?
  case $status in
    0) amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
      die "$what: a wrong snapshot" ;;
    1 | 3) [ -s "$T/err" ] || die "$what: failed without a word" ;;
    *) cat "$T/err"; die "$what: exit status $status" ;;
  esac
  amberfs verify "$R" --read-data >"$T/out" 2>&1 || { cat "$T/out"; die "$what"; }
  amberfs backup "$R" --name vm "$T/new" || die "$what: the next backup"
  amberfs restore "$R" vm/latest/new - | cmp - "$T/new" || die "$what: next"
done
