#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: spin finds no way in which the protocol of forget and
# prune loses a chunk or keeps a condemned pack for ever, and finds one for
# each mistake that tests/model/prune.pml can make.
#
# MODEL_SOAK=1 also searches the large models, by hashing (hours, 4 GiB).
. "$(dirname "$0")/../functions.sh"
need_program spin gcc

model=$TESTS/model/prune.pml

# search NAME SEED FLAGS...: prints the number of errors that spin found.
search() {
  local name=$1 seed=$2 kind=(-DSAFETY) run=(-E)
  shift 2
  mkdir "$T/$name"
  cd "$T/$name"
  case " $* " in
    *" -DEVENTUALLY "*) kind=(-DNFAIR=3) run=(-a -f) ;;
    *" -DCRASHES"*) kind+=(-DNOREDUCE) ;;
  esac
  case $name in
    soak*) kind+=(-DBITSTATE) run+=(-w34) ;;
    *) kind+=(-DMEMLIM=1800) run+=(-w20) ;;
  esac
  # What ends at its first error is sooner done without optimisation.
  [ "$want" = wrong ] && kind+=(-O0) || kind+=(-O1)
  spin "-DSEED=$seed" "$@" -a "$model" >log 2>&1 &&
    gcc "${kind[@]}" -o pan pan.c >>log 2>&1 ||
    { cat log >&2; return 1; }
  ./pan -n -m300000 "${run[@]}" >log 2>&1 || :
  if grep -Eq 'max search depth too small|MEMLIM|aborted|out of mem' log; then
    cat log >&2
    return 1
  fi
  sed -n 's/.*errors: \([0-9]*\).*/\1/p' log
}

# one WANT SEED FLAGS...: WANT is right or wrong.
one() {
  local want=$1 name errors
  shift
  name=$number
  [ "$want" != soak ] || { name=soak$name want=right; }
  errors=$(search "$name" "$@") || return 1
  case $want.$errors in
    right.0 | wrong.[1-9]*) echo "$want as it should be: $*" ;;
    *)
      echo "errors: ${errors:-?}, in what should be $want: $*" >&2
      return 1
      ;;
  esac
}

cat >"$T/list" <<'END'
right 0 -DFORGETS=2
right 0 -DMOUNTS=1 -DFORGETS=2
right 0 -DMOUNTS=1 -DFORGETS=2 -DBLIND -DSLOWLY
right 0 -DBACKUPS=2 -DGREEDY -DSNAPSHOTS=0 -DFINDERS=1 -DBASED=2
right 0 -DPRUNES=2 -DPACKS=3
right 0 -DPRUNES=2 -DCRASHES=1 -DWHO=8 -DGREEDY
right 0 -DCRASHES=1 -DWHO=1
right 0 -DFENCES=1 -DWHO=1
right 0 -DBACKUPS=0 -DPRUNES=2 -DPACKS=3 -DFENCES=1 -DWHO=8
right 0 -DPRUNES=2 -DFENCES=1 -DWHO=8 -DGREEDY -DGIVES_UP -DSNAPSHOTS=0 -DFORGETS=0 -DBASED=0
right 0 -DEVENTUALLY -DGIVES_UP
wrong 0 -DFENCES=1 -DWHO=1 -DSTRICT
wrong 1
wrong 2
wrong 3 -DPRUNES=2 -DFENCES=1 -DWHO=8 -DGREEDY -DGIVES_UP -DSNAPSHOTS=0 -DFORGETS=0 -DBASED=0
wrong 4
wrong 4 -DBACKUPS=0 -DMOUNTS=1
wrong 5
wrong 6 -DBLIND
wrong 6 -DBACKUPS=2 -DGREEDY -DSNAPSHOTS=0 -DFINDERS=1 -DBASED=2
wrong 7
wrong 8
wrong 9
wrong 10
wrong 11
wrong 12 -DFENCES=1 -DWHO=1
wrong 13 -DPRUNES=2 -DPACKS=3
wrong 14 -DBACKUPS=0 -DPRUNES=2 -DPACKS=3 -DFENCES=1 -DWHO=8
wrong 15
wrong 16 -DEVENTUALLY -DGIVES_UP
wrong 17
wrong 18 -DMOUNTS=1 -DFORGETS=2 -DBLIND
wrong 19 -DFENCES=1 -DWHO=1
wrong 20 -DFENCES=1 -DWHO=1
END
if [ "${MODEL_SOAK:-}" = 1 ]; then
  cat >>"$T/list" <<'END'
soak 0 -DBACKUPS=2 -DPACKS=3
soak 0 -DBACKUPS=2 -DMOUNTS=1 -DFORGETS=2 -DSNAPSHOTS=0 -DGREEDY
soak 0 -DPRUNES=2 -DCRASHES=2
soak 0 -DPRUNES=2 -DFENCES=1
soak 0 -DBACKUPS=2 -DFENCES=2 -DGREEDY -DSLOWLY
END
fi

number=0 pids=()
while read -r -a words; do
  number=$((number + 1))
  [ "${#pids[@]}" -lt 2 ] || {
    wait "${pids[0]}" || die "a model is not as it should be"
    pids=("${pids[@]:1}")
  }
  one "${words[@]}" &
  pids+=($!)
done <"$T/list"
for pid in "${pids[@]}"; do
  wait "$pid" || die "a model is not as it should be"
done
