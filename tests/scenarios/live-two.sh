#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: one running guest is backed up by one process at a time,
# into whichever repository: a second one says who is at work, or waits with
# --wait and then reads only what has changed.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_root "to use /run/amberfs"
need_program jq
libvirt_start
mkdir -p "$L/scratch" "$T/hooks"
qemu-img create -q -f qcow2 "$L/images/two.qcow2" 32M
qemu-io -c 'write -q -P 1 0 32M' "$L/images/two.qcow2"
domain_define two "$(domain_disk "$L/images/two.qcow2" qcow2 vda)"
chmod 755 "$T/hooks"
new_repo
other=$T/other
amberfs init "$other" >/dev/null
one=(--connect "$LIBVIRT_URI" --domain two --scratch-dir "$L/scratch")

# A hook that does what $T/do-PHASE says, once.
cat >"$T/hooks/do" <<TEXT
#!/bin/bash
[ ! -e "$T/do-\$AMBERFS_PHASE" ] || {
  mv "$T/do-\$AMBERFS_PHASE" "$T/doing"
  . "$T/doing"
}
TEXT
chmod 755 "$T/hooks/do"
second() { # REPO: for the hook: another backup meanwhile
  cat <<TEXT
amberfs backup "$1" ${one[*]@Q} >"$T/second" 2>&1
echo \$? >"$T/status"
ps -o ppid= \$\$ | tr -d ' ' >"$T/first-pid"
TEXT
}
refused() { # REPO
  equal "$(cat "$T/status")" 1 "status of the second: $(cat "$T/second")"
  found "busy with process $(cat "$T/first-pid"), which backs it up to $R;" \
    <"$T/second" || die "it says: $(cat "$T/second")"
  found -e '--wait' <"$T/second" || die "no way out: $(cat "$T/second")"
  rm "$T/status"
}
mode() {
  jq -r '.snapshots[].mode' "$1"
}

libvirt_do virsh -q start two
for repo in "$R" "$other"; do
  amberfs backup "$repo" "${one[@]}"
done
echo "during the job, into the same repository and into another" >&2
for repo in "$R" "$other"; do
  second "$repo" >"$T/do-after-thaw"
  amberfs backup "$R" "${one[@]}" --hook "$T/hooks" --json >"$T/json"
  equal "$(mode "$T/json")" incremental "the first"
  refused
done

echo "after the job, before the commit" >&2
if ! sanitized; then
  for repo in "$R" "$other"; do
    env SHIM_DIR="$R" SHIM_STATE="$T/shim" SHIM_STOP="$R/snapshots/two/*" \
      LD_PRELOAD="$AMBERFS_BUILD/tests/shim/killshim.so" \
      amberfs backup "$R" "${one[@]}" &
    first=$!
    wait_for 60 is_stopped "$first" || die "it does not stop"
    expect 1 amberfs backup "$repo" "${one[@]}"
    said "busy with process $first"
    # One that waits sees what the first has committed.
    amberfs backup "$repo" "${one[@]}" --wait 5min --json -v >"$T/json" \
      2>"$T/err" &
    waits=$!
    wait_for 60 grep -q 'waiting for it' "$T/err" || die "it does not wait"
    kill -CONT "$first"
    wait "$first" || die "status of the first"
    wait "$waits" || die "status of the one that waits: $(cat "$T/err")"
    equal "$(mode "$T/json")" incremental "the one that waits"
    rm -rf "$T"/shim*
  done
fi

echo "a guest that is started while it is read" >&2
libvirt_do virsh -q destroy two
{
  # shellcheck disable=SC2154 # of functions-libvirt.sh
  declare -p L nobody
  declare -f libvirt_do
  echo 'libvirt_do virsh -q start two'
} >"$T/do-before-freeze"
second "$other" >"$T/do-after-thaw"
amberfs backup "$R" "${one[@]}" --hook "$T/hooks"
refused
libvirt_do virsh -q destroy two

echo "one that is shut off is read by as many as want" >&2
second "$other" >"$T/do-before-freeze"
amberfs backup "$R" "${one[@]}" --hook "$T/hooks"
equal "$(cat "$T/status")" 0 "status of the second: $(cat "$T/second")"
for repo in "$R" "$other"; do
  amberfs verify "$repo"
done
