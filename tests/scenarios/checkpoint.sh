#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: what backups leave in a domain is shown, and can be taken
# away, running or shut off, so that virsh undefines it and reverts its
# snapshots; bitmaps whose checkpoint was lost are removed by the next backup;
# what others made stays.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
mkdir -p "$L/scratch"
image="$L/images/it, is.qcow2"
qemu-img create -q -f qcow2 "$image" 32M
domain_define it "$(domain_disk "$image" qcow2 vda)"
# Defined again it is the same domain.
libvirt_do virsh -q dumpxml it --inactive >"$T/it.xml"
cp "$T/it.xml" "$L/it.xml"
libvirt_own
new_repo
other=$T/other
amberfs init "$other" >/dev/null

virsh_it() { # COMMAND ...
  local command=$1
  shift
  libvirt_do virsh -q "$command" it "$@"
}
back_up() { # REPO OPTION...
  local repo=$1
  shift
  amberfs backup "$repo" --connect "$LIBVIRT_URI" --domain it \
    --scratch-dir "$L/scratch" "$@"
}
mode() {
  jq -r '.snapshots[].mode' "$T/json"
}
checkpoints() {
  virsh_it checkpoint-list --name | sed '/^$/d' | sort
}
bitmaps() { # of the image at rest
  qemu-img info -U --output=json "$image" |
    jq -r '.["format-specific"].data.bitmaps // [] | .[].name' | sort
}
remove() {
  amberfs checkpoint remove --connect "$LIBVIRT_URI" "$@"
}
listed() { # CHECKPOINTS ORPHANS
  amberfs domains --json --connect "$LIBVIRT_URI" >"$T/domains"
  equal "$(jq -c '.domains[0] | [(.checkpoints | length), .orphan_bitmaps]' \
    "$T/domains")" "[$1,$2]" "what domains shows"
}
# One of somebody else, in libvirt and in the image.
foreign() {
  cat >"$L/foreign.xml" <<TEXT
<domaincheckpoint><name>amberfs-foreign</name></domaincheckpoint>
TEXT
  libvirt_own
  virsh_it checkpoint-create "$L/foreign.xml" >/dev/null
}

echo "shut off" >&2
virsh_it start
foreign
back_up "$R"
back_up "$other"
virsh_it destroy
listed 2 0
amberfs domains --connect "$LIBVIRT_URI" | found '2 checkpoints of amberfs' ||
  die "$(amberfs domains --connect "$LIBVIRT_URI")"
expect 1 virsh_it undefine
expect 1 virsh_it snapshot-create-as one
equal "$(bitmaps | wc -l)" 3 "bitmaps: $(bitmaps)"
remove it >"$T/out"
equal "$(cat "$T/out")" 'it: removed 2 checkpoints and 2 other bitmaps' "report"
listed 0 0
equal "$(checkpoints) $(bitmaps)" 'amberfs-foreign amberfs-foreign' "what is left"
virsh_it checkpoint-delete amberfs-foreign --metadata
qemu-img bitmap --remove "json:$(jq -cn --arg file "$image" \
  '{driver: "qcow2", file: {driver: "file", filename: $file}}')" amberfs-foreign
libvirt_own
virsh_it snapshot-create-as one >/dev/null
virsh_it snapshot-revert one
virsh_it snapshot-delete one >/dev/null

echo "running" >&2
virsh_it start
foreign
back_up "$R" --json >"$T/json"
equal "$(mode)" full "mode after that"
back_up "$other"
listed 2 0
remove --json it >"$T/removed"
documented 'checkpoint remove' "$T/removed" >/dev/null
jq -e '.domains == [{"name": "it", "checkpoint_count": 2,
  "bitmap_count": 0, "error": null}]' "$T/removed" >/dev/null || die "its JSON"
equal "$(checkpoints)" amberfs-foreign "what is left"
back_up "$R" --json >"$T/json"
equal "$(mode)" full "mode"
back_up "$R" --json >"$T/json"
equal "$(mode)" incremental "mode after one in full"
virsh_it checkpoint-delete amberfs-foreign

echo "undefined and defined again: orphans do not pile up" >&2
define_again() {
  virsh_it destroy
  virsh_it undefine --checkpoints-metadata
  libvirt_do virsh -q define "$L/it.xml" >&2
  libvirt_own
}
back_up "$other"
define_again
listed 0 2
# Redefined, and deleted as the older one; that of the other repository is not
# touched, and its next backup is incremental.
virsh_it start
back_up "$R" --json >"$T/json"
equal "$(mode)" incremental "mode after it was defined again"
back_up "$other" --json >"$T/json"
equal "$(mode)" incremental "mode in the other repository"
virsh_it destroy
equal "$(bitmaps)" "$(checkpoints)" "bitmaps and checkpoints"
# What no snapshot knows (its snapshot was forgotten), beside a sound one.
virsh_it start
old=$(checkpoints | grep -v "$(checkpoints | head -n 1)")
define_again
qemu-img bitmap --add "json:$(jq -cn --arg file "$image" \
  '{driver: "qcow2", file: {driver: "file", filename: $file}}')" \
  "${old%-*}-0123456789abcdef"
libvirt_own
listed 0 3
virsh_it start
back_up "$R"
back_up "$other"
virsh_it destroy
equal "$(bitmaps)" "$(checkpoints)" "bitmaps and checkpoints with an orphan"
# A broken one: qemu was killed.
virsh_it start
kill -9 "$(cat "$L/run/libvirt/qemu/run/it.pid")"
is_off() {
  [ "$(virsh_it domstate)" = 'shut off' ]
}
wait_for 30 is_off || die "it runs"
virsh_it undefine --checkpoints-metadata
libvirt_do virsh -q define "$L/it.xml" >&2
virsh_it start
back_up "$R" --json >"$T/json"
equal "$(mode)" full "mode with a broken bitmap"
back_up "$other"
virsh_it destroy
equal "$(bitmaps)" "$(checkpoints)" "bitmaps and checkpoints after a broken one"
equal "$(checkpoints | wc -l)" 2 "checkpoints"

echo "who else works on it; what is not there" >&2
virsh_it start
mkdir -p "$T/hooks"
cat >"$T/hooks/remove" <<TEXT
#!/bin/bash
[ "\$AMBERFS_PHASE" != after-thaw ] ||
  ! amberfs checkpoint remove --connect '$LIBVIRT_URI' it 2>"$T/told"
TEXT
chmod 755 "$T/hooks" "$T/hooks/remove"
back_up "$R" --hook "$T/hooks"
found 'busy with process' <"$T/told" || die "$(cat "$T/told")"
expect 3 remove it nobody
said nobody
equal "$(checkpoints)" '' "checkpoints"
expect 2 amberfs checkpoint
expect 2 amberfs checkpoint forget it
virsh_it destroy
virsh_it undefine
