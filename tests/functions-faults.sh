# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2034
# The fault tests' common part. A scenario says what it does in one directory, $W:
#
#   prepare   makes the repository $R in $W; calls keep for what must survive
#   repos     (optional) an array of all repositories in $W, default: $R
#   subject   an array: the command that dies or fails
#   after STATUS   (optional) checks once the repository was found whole
#   again     (optional) the next attempt; default: the subject, without faults
#   finally   (optional) checks after that
#
# and then calls faults. That records the durable calls of the subject, tries
# them with each act of the shim in turn, each from the same beginning, and
# checks every time that the repository is whole: all that was kept is there and
# right, verify --read-data finds nothing, the next attempt and a backup
# succeed, all is whole then as well, and no session or temporary file is left
# over.
#
# FAULT_TRIES says how many (spread evenly), or "all"; FAULT_ACTS which acts.
. "$(dirname "${BASH_SOURCE[0]}")/functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq

shim=$AMBERFS_BUILD/tests/shim/killshim.so
# In memory where that is allowed: fsync then costs nothing, and what a power
# failure takes is the shim's to say.
F=$T/fast
mkdir "$F"
[ "$(id -u)" != 0 ] || mount -t tmpfs -o mode=700 amberfs-faults "$F"
W=$F/work R=$F/work/repo
# The index is among what may be damaged.
export XDG_CACHE_HOME=$W/cache
S=$F/shim # the shim's files
kept=() subject=() repos=("$R")

after() { :; }
finally() { :; }
again() {
  "${subject[@]}" >"$T/out" 2>&1 ||
    { cat "$T/out"; die "$what: the next attempt"; }
}

# keep SNAPSHOT/FILE ORIGINAL [REPO]: must be there and the same, always.
keep() {
  kept+=("$1 $2 ${3:-$R}")
}

words_of() { # ERRNO
  case $1 in
    4) echo 'interrupted' ;;
    5) echo 'input/output error' ;;
    28) echo 'no space' ;;
    122) echo 'quota' ;;
  esac
}

# The index must keep its inodes or it would be a foreign one; all else never
# changes in place, which its sums show at the end.
index_files() {
  (cd "$F/start" && find . -path './cache/*' -type f)
}
save_start() {
  local file n=0
  mv "$W" "$F/start"
  rm -rf "$F/saved"
  mkdir "$F/saved"
  index_files >"$F/saved/names"
  while read -r file; do
    cp "$F/start/$file" "$F/saved/$((n += 1))"
  done <"$F/saved/names"
  [ ! -e "$AMBERFS_STATE_DIR" ] || cp -a "$AMBERFS_STATE_DIR" "$F/saved/state"
  sum_of_start >"$F/saved/sum"
}
sum_of_start() {
  (cd "$F/start" && find . -type f ! -path './cache/*' ! -name reserve \
    -exec sha256sum {} + | sort)
}
renew() {
  local file n=0
  rm -rf "$W" "$S"* "$AMBERFS_STATE_DIR"
  while read -r file; do
    cat "$F/saved/$((n += 1))" >"$F/start/$file"
  done <"$F/saved/names"
  cp -al "$F/start" "$W"
  [ ! -e "$F/saved/state" ] || cp -a "$F/saved/state" "$AMBERFS_STATE_DIR"
}

# run_subject AT ACT [ERRNO]: its exit status, 137 where it was killed; its
# words in $T/err. It gets a process group of its own, which the shim kills.
run_subject() {
  local status=0
  (
    SHIM_DIR=$W SHIM_STATE=$S SHIM_AT=$1 SHIM_ACT=$2 SHIM_ERRNO=${3:-0} \
      LD_PRELOAD=$shim setsid -w timeout 100 "${subject[@]}" \
      >"$T/out.subject" 2>"$T/err" </dev/null
    exit
  ) 2>/dev/null || status=$?
  return "$status"
}

is_whole() {
  local one snapshot original repo
  for one in "${kept[@]}"; do
    read -r snapshot original repo <<<"$one"
    amberfs list "$repo" >"$T/list" || die "$what: list"
    found "^${snapshot%/*} " <"$T/list" || die "$what: $snapshot is not listed"
    amberfs restore "$repo" "$snapshot" - | cmp - "$original" ||
      die "$what: $snapshot differs"
  done
  for repo in "${repos[@]}"; do
    amberfs verify "$repo" --read-data >"$T/out" 2>&1 ||
      { cat "$T/out"; die "$what: verify"; }
  done
}

is_tidy() {
  local rest
  rest=$(find "$W" -path '*/sessions/*' ! -regex '.*/\(prune\|keys\)\.[0-9]*' \
    -o -name '.tmp*')
  [ -z "$rest" ] || die "$what: left over: $rest"
  # The latest number of each kind of exclusive work stays.
  for rest in "${repos[@]}"; do
    [ "$(find "$rest/sessions" -type f | wc -l)" -le 2 ] ||
      die "$what: $(ls "$rest/sessions")"
  done
}

backs_up() { # REPO
  amberfs backup "$1" --name next "$T/next" >"$T/out" 2>&1 ||
    { cat "$T/out"; die "$what: the next backup"; }
  amberfs restore "$1" next/latest/next - | cmp - "$T/next" ||
    die "$what: the next backup is wrong"
}

survives() { # STATUS
  local repo
  is_whole
  after "$1"
  # What died before it had a name is left alone for an hour.
  find "$W" -path '*/sessions/.tmp.*' -exec touch -d '2 hours ago' {} +
  again
  finally
  for repo in "${repos[@]}"; do
    backs_up "$repo"
  done
  is_whole
  is_tidy
}

try() { # AT ACT ERRNO
  local status=0
  renew
  run_subject "$1" "$2" "$3" || status=$?
  # Threads may order their calls otherwise, so a run may end before that.
  echo "$status" >"$T/ended"
  case $2:$status in
    before:137 | after:137 | loss:137 | torn:137 | *:0) ;;
    error:[13] | full:[13] | dead:[13])
      grep -qi "$(words_of "$3")" "$T/err" ||
        { cat "$T/err"; die "$what: failed without the cause"; } ;;
    short:*) cat "$T/err"; die "$what: a short write is no error" ;;
    *) cat "$T/err"; die "$what: exit status $status" ;;
  esac
  survives "$status"
}

# What the subject says it has done must outlive a power failure behind it.
stays_done() {
  for act in loss torn; do
    what="$act behind the end"
    renew
    run_subject 0 none || { cat "$T/err"; die "$what"; }
    # A program, not the shell's own word.
    SHIM_DIR=$W SHIM_STATE=$S SHIM_AT=0 SHIM_ACT=$act LD_PRELOAD=$shim \
      "$(type -P true)"
    survives 0
  done
}

fits() { # AT ACT: a try makes sense
  case $2 in
    short) sed -n "${1}p" "$T/log" | found -E '^[0-9]+ (p?writev?|copy) ' ;;
    full) ! sed -n "${1}p" "$T/log" | found -E '^[0-9]+ unlink ' ;;
  esac
}

count_try() { # AT ACT ERRNO
  local status key=$2${3:+ $3}
  what="call $1 of $total, $key: $(sed -n "${1}p" "$T/log")"
  tried[$key]=$((${tried[$key]:-0} + 1))
  set +e
  (set -e; try "$1" "$2" "$3")
  status=$?
  set -e
  case $2:$(cat "$T/ended") in
    before:0 | after:0 | loss:0 | torn:0) unreached=$((unreached + 1)) ;;
  esac
  if [ "$status" = 0 ]; then
    survived[$key]=$((${survived[$key]:-0} + 1))
  else
    failures=$((failures + 1))
  fi
}

acts=('loss' 'before' 'error 28' 'after' 'torn' 'error 5' 'short' 'full 28'
  'loss' 'error 122' 'dead 5' 'error 4' 'before' 'loss' 'after' 'torn')

# All: each act once at each call. Else the calls spread, the acts in turn, and
# what does not fit moves to the next call. A scenario's next subject goes on with
# the act behind its last one's.
tried_before=0
choose_tries() {
  local at act i tries=${FAULT_TRIES:-12}
  if [ "$tries" = all ]; then
    for ((at = 1; at <= total; at++)); do
      for act in "${!distinct[@]}"; do
        # shellcheck disable=SC2086 # act and number
        ! fits "$at" $act || echo "$at $act"
      done
    done
    return
  fi
  for ((i = 0; i < tries; i++)); do
    act=${acts[(tried_before + i) % ${#acts[@]}]}
    at=$((1 + i * total / tries))
    # shellcheck disable=SC2086
    while [ "$at" -le "$total" ] && ! fits "$at" $act; do
      at=$((at + 1))
    done
    [ "$at" -gt "$total" ] || echo "$at $act"
  done
}

faults() {
  local act at errno key failures=0 unreached=0
  declare -A tried=() survived=() distinct=()
  [ -z "${FAULT_ACTS:-}" ] || IFS=, read -ra acts <<<"$FAULT_ACTS"
  for act in "${acts[@]}"; do distinct[$act]=1; done
  make_noise "$T/next" 1 99
  kept=()
  rm -rf "$W" "$F/start" "$AMBERFS_STATE_DIR" "$T/log"
  mkdir "$W"
  prepare
  save_start
  renew
  what="without a fault"
  SHIM_LOG=$T/log run_subject 0 none || { cat "$T/err"; die "$what"; }
  total=$(wc -l <"$T/log")
  [ "$total" -ge 4 ] || die "only $total durable calls were seen"
  survives 0
  stays_done
  choose_tries >"$T/tries"
  tried_before=$((tried_before + $(wc -l <"$T/tries")))
  while read -r at act errno <&3; do
    count_try "$at" "$act" "$errno"
    [ "$failures" -lt "${FAULT_LIMIT:-5}" ] || break
  done 3<"$T/tries"
  echo "$total durable calls of: ${subject[*]//"$F/"/}"
  for key in "${!tried[@]}"; do
    echo "$key: ${tried[$key]} tried, ${survived[$key]:-0} survived"
  done | sort
  echo "$failures failed; $unreached ended before the call was reached"
  sum_of_start | cmp - "$F/saved/sum" || die "an object was changed in place"
  [ "$failures" = 0 ]
}
