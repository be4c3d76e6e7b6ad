#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a bit that flips in memory while one domain is stored fails
# that domain only, or those stored at the same moment; what is stored is whole.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq
libvirt_start
new_repo
rm "$R/reserve"
domains='one two three'
seed=7
make_noise "$T/shared" 1 7
for name in $domains; do
  make_noise "$T/own" 2 "$((seed += 1))"
  # A chunk that is found stored must not be one that was lost.
  cat "$T/shared" "$T/own" >"$L/images/$name.raw"
  domain_define "$name" "$(domain_disk "$L/images/$name.raw" raw vda)"
done
libvirt_own

whole() {
  local name
  amberfs verify "$R" --read-data
  for name in $(amberfs list --json "$R" | jq -r '.snapshots[].source'); do
    amberfs restore "$R" "$name/latest/vda.raw" - |
      cmp - "$L/images/$name.raw" || die "$name is not whole"
  done
}
flip() { # STATUSES AT [OPTION...]
  local status=0
  rm -f "$T/done"
  FLIP_CALL=id FLIP_MOMENT=after FLIP_AT=$2 FLIP_PATH='' FLIP_DONE=$T/done \
    LD_PRELOAD=$AMBERFS_BUILD/tests/shim/flipshim.so amberfs backup "$R" \
    --connect "$LIBVIRT_URI" --all-domains --json "${@:3}" >"$T/out" 2>"$T/err" ||
    status=$?
  [ -e "$T/done" ] || die "nothing was flipped"
  [[ " $1 " == *" $status "* ]] || die "status $status: $(cat "$T/err")"
  [ "$status" = 0 ] || said 'changed in memory.*test this machine.s memory'
}
cp -a "$R" "$T/empty"
renew() {
  rm -rf "$R" "$AMBERFS_STATE_DIR"
  cp -a "$T/empty" "$R"
}

# In one after another. What was stored already does no harm if it is flipped.
failed=0
for at in 20 60 120 160 200; do
  renew
  flip '0 3' "$at"
  [ ! -s "$T/err" ] || {
    failed=$((failed + 1))
    equal "$(jq -r '[.snapshots[].status] | sort | join(" ")' "$T/out")" \
      'done done failed' "what became of each"
    equal "$(snapshot_count)" 2 "snapshots"
  }
  whole
done
[ "$failed" -ge 2 ] || die "only $failed flips were noticed"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains
whole
# At once: whoever is at work may need what was lost.
for at in 20 60 130; do
  renew
  flip '0 1 3' "$at" --jobs-domains 3
  equal "$(jq '[.snapshots[] | select(.status == "done")] | length' "$T/out")" \
    "$(snapshot_count)" "snapshots"
  whole
done
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains
whole
