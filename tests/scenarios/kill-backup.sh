#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup that dies before or after any of its durable
# calls, also with all that was not fsynced lost, leaves a good repository:
# earlier snapshots verify, list works, the next backup succeeds and is right.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq
shim=$AMBERFS_BUILD/tests/shim/killshim.so
[ -e "$shim" ] || die "no $shim"

# How many positions are tried, spread evenly; all of them in scripts/soak.
positions=${KILL_POSITIONS:-36}
mib=${KILL_MIB:-4}

new_repo
make_noise "$T/old" "$mib" 1
amberfs backup "$R" --name vm "$T/old"
old=$(latest vm)
{ make_noise "$T/more" "$mib" 2; cat "$T/more" "$T/old"; } >"$T/new"
cp -a "$R" "$T/start"

# The shim kills the process group, so each run gets its own.
run_backup() { # AT ACT
  rm -f "$T/state"
  # In a shell of its own, which tells of the kill where nobody reads it.
  (
    SHIM_DIR=$R SHIM_STATE=$T/state SHIM_AT=$1 SHIM_ACT=$2 LD_PRELOAD=$shim \
      setsid -w amberfs backup "$R" --name vm --jobs 2 "$T/new"
    exit
  ) 2>"$T/err"
}
renew() {
  rm -rf "$R" "$AMBERFS_STATE_DIR"
  cp -a "$T/start" "$R"
}

SHIM_LOG=$T/log run_backup 0 none || die "the recorded run failed"
total=$(wc -l <"$T/log")
[ "$total" -gt 10 ] || die "only $total durable calls were seen"
echo "$total durable calls"

check() { # WHAT
  amberfs list "$R" >"$T/list" || die "$1: list"
  grep -q "vm/$old" "$T/list" || die "$1: the old snapshot is gone"
  amberfs verify "$R" --read-data >"$T/out" 2>&1 ||
    { cat "$T/out"; die "$1: verify"; }
  if [ "$(snapshot_count vm)" = 2 ]; then
    amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
      die "$1: the snapshot is there and wrong"
  fi
  # What died before it had a name is left alone for an hour.
  find "$R/sessions" -name '.tmp.*' -exec touch -d '2 hours ago' {} +
  amberfs backup "$R" --name vm "$T/new" || die "$1: the next backup"
  amberfs restore "$R" vm/latest/new - | cmp - "$T/new" ||
    die "$1: the next backup is wrong"
  amberfs restore "$R" "vm/$old/old" - | cmp - "$T/old" ||
    die "$1: the old snapshot is wrong"
  [ -z "$(find "$R/sessions" -type f -print -quit)" ] ||
    die "$1: a dead session remains: $(ls -A "$R/sessions")"
  [ -z "$(find "$R" -name '*tmp*' -print -quit)" ] ||
    die "$1: temporary files remain: $(find "$R" -name '*tmp*')"
}

acts=(loss before after)
n=0
try() { # POSITION
  local act
  if [ "$positions" = all ]; then
    for act in "${acts[@]}"; do
      try_one "$1" "$act"
    done
  else
    try_one "$1" "${acts[n % 3]}"
  fi
  n=$((n + 1))
}
try_one() {
  local status=0
  renew
  run_backup "$1" "$2" || status=$?
  # Threads may order their calls otherwise, so a run may end before that.
  case $status in
    0 | 137) ;;
    *) cat "$T/err"; die "call $1, $2: exit status $status" ;;
  esac
  check "killed at call $1 of $total ($2): $(sed -n "${1}p" "$T/log")"
}

# All of the last calls, where the snapshot is committed, and a spread.
last=$((total > 10 ? total - 10 : 0))
if [ "$positions" = all ]; then
  for at in $(seq "$total"); do try "$at"; done
else
  for at in $(seq "$((last + 1))" "$total"); do try "$at"; done
  step=$((last / (positions > 11 ? positions - 10 : 1)))
  for at in $(seq 1 "$((step > 0 ? step : 1))" "$last"); do try "$at"; done
fi
echo "$n positions tried"
