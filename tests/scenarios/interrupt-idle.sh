#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: one SIGINT ends a backup even while it waits: for an idle
# pipe, or for a very low bandwidth limit.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/noise" 2
mkfifo "$T/pipe"

gone() {
  ! kill -0 "$1" 2>/dev/null
}
registered() {
  [ -n "$(find "$R/sessions" -name '*.0' -print -quit)" ]
}
# interrupt NAME: the backup $pid ends soon, with nothing left behind.
interrupt() {
  wait_for 20 registered || die "$1: no session"
  wait_for 20 is_idle "$pid" || die "$1: it does not settle"
  kill -INT "$pid"
  wait_for 10 gone "$pid" || die "$1: still there 10 s after SIGINT"
  status=0
  wait "$pid" || status=$?
  equal "$status" 130 "$1: exit status"
  equal "$(snapshot_count)" 0 "$1: snapshots"
  [ -z "$(find "$R/sessions" -type f -print -quit)" ] || die "$1: session"
  [ -z "$(find "$R" -name '.tmp*' -print -quit)" ] || die "$1: temporary"
}

# The shell lets its background programs ignore SIGINT.
exec 9<>"$T/pipe"
env --default-signal=INT \
  amberfs backup "$R" --name pipe --stdin-name s - <"$T/pipe" 2>"$T/err" &
pid=$!
interrupt "idle pipe"
exec 9>&-

env --default-signal=INT \
  amberfs backup "$R" --name slow --bwlimit 4K "$T/noise" 2>"$T/err" &
pid=$!
interrupt "bandwidth limit"
