#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: several domains backed up at once give the same snapshots
# as one after the other: each is right, common data is stored once, and a
# failure or an interruption leaves the others and the repository intact.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
libvirt_start
cd "$L/images"

# Six domains: two with the same raw disk, two with their own qcow2, one that
# stands on a chain, one with two disks.
make_noise same.raw 24 1
cp same.raw copy.raw
truncate -s 30M same.raw copy.raw
for i in 1 2; do
  make_noise part 10 "2$i"
  qemu-img convert -f raw -O qcow2 part "own$i.qcow2"
done
make_noise base.raw 8 31
qemu-img create -q -f qcow2 -F raw -b base.raw top.qcow2 16M
qemu-io -f qcow2 -c 'write -q -P 5 2M 1M' -c 'write -q -P 6 12M 1M' top.qcow2
make_noise first.raw 6 41
qemu-img create -q -f qcow2 second.qcow2 64M
qemu-io -f qcow2 -c 'write -q -P 8 40M 2M' second.qcow2
I=$L/images
domain_define same "$(domain_disk "$I/same.raw" raw vda)"
domain_define copy "$(domain_disk "$I/copy.raw" raw vda)"
domain_define own1 "$(domain_disk "$I/own1.qcow2" qcow2 vda)"
domain_define own2 "$(domain_disk "$I/own2.qcow2" qcow2 vda)"
domain_define chain "$(domain_disk "$I/top.qcow2" qcow2 vda)"
domain_define "two & 'more'" "$(domain_disk "$I/first.raw" raw vda)
$(domain_disk "$I/second.qcow2" qcow2 vdb)"
all='chain copy own1 own2 same'

new_repo
backup() {
  amberfs backup "$R" --connect "$LIBVIRT_URI" "$@"
}
# check SPEC FILE FORMAT: the snapshot's disk is what the guest would see.
check() {
  amberfs restore "$R" "$1" "$T/restored" --force
  qemu-img compare -q -U -f "$3" -F raw "$2" "$T/restored" || die "$1 is not $2"
}
check_all() {
  check same/latest/vda.raw same.raw raw
  check copy/latest/vda.raw copy.raw raw
  check own1/latest/vda.raw own1.qcow2 qcow2
  check own2/latest/vda.raw own2.qcow2 qcow2
  check chain/latest/vda.raw top.qcow2 qcow2
  check "two & 'more'/latest/vda.raw" first.raw raw
  check "two & 'more'/latest/vdb.raw" second.qcow2 qcow2
}

# All at once.
expect 0 backup --all-domains --jobs-domains 3 --jobs 4 --json
cp "$T/out" "$T/first.json"
equal "$(jq -r '[.snapshots[].source] | join(" ")' "$T/out")" \
  "$all two & 'more'" "the rows, in the domains' order"
documented backup "$T/out" >/dev/null
jq -e 'all(.snapshots[]; .status == "done" and (.time | fromdate > 0) and
  (.files | length) > 0 and .read_bytes > 0) and
  ([.snapshots[].read_bytes] | add) == .read_bytes and
  ([.snapshots[].new_bytes] | add) == .new_bytes and .new_bytes < 63 * 1048576' \
  "$T/out" >/dev/null || die "$(cat "$T/out")"
check_all
amberfs verify "$R" --read-data
# What is stored does not depend on how many are at work (the noise of each
# other's frames apart).
amberfs init "$T/alone" >/dev/null
amberfs backup "$T/alone" --connect "$LIBVIRT_URI" --all-domains
a=$(tree_size "$T/alone/packs") b=$(tree_size "$R/packs")
[ "$b" -lt $((a + a / 20)) ] || die "at once $b bytes, one by one $a"

# Again: known data is not stored again, nor unchanged files read; a domain that
# is named twice, by name and by UUID, is backed up once.
age ./*.raw ./*.qcow2
backup --all-domains --jobs-domains 6
make_noise first.raw 6 42
expect 0 backup --domain "two & 'more'" -v
found -E "^two & 'more' +done +mixed +offline +- +6(\.0)? MiB +6(\.0)? MiB$" <"$T/out" ||
  die "$(cat "$T/out")"
found -E "^  vda +full +6(\.0)? MiB *$" <"$T/out" || die "$(cat "$T/out")"
found -E "^  vdb +unchanged +0 B *$" <"$T/out" || die "$(cat "$T/out")"
uuid=$(libvirt_do virsh domuuid same | tr -d '[:space:]')
expect 0 backup --domain same --domain "$uuid" --domain copy --domain same \
  --jobs-domains 4 --json
jq -e '(.snapshots | length) == 2 and .new_bytes < 65536 and .read_bytes < 65536 and
  all(.snapshots[]; .status == "done")' "$T/out" >/dev/null ||
  die "$(cat "$T/out")"
equal "$(snapshot_count same)" 3 "snapshots of same"

# One that fails leaves the others alone.
mv own2.qcow2 gone.qcow2
expect 3 backup --all-domains --jobs-domains 3 --json
equal "$(jq -r '[.snapshots[] | .status] | join(" ")' "$T/out")" \
  "done done done failed done done" "what became of each"
expect 3 backup --domain nobody --domain same --domain own1 --jobs-domains 2 \
  --json --force-read
equal "$(jq -r '[.snapshots[] | .source + " " + .status] | join(", ")' \
  "$T/out")" "nobody failed, same done, own1 done" "what became of each"
said nobody

# The night's mail names what failed, and only that.
printf '%s\n' "REPOSITORY=$R" "KEY_FILE=$T/key" "CONNECT=$LIBVIRT_URI" \
  JOBS_DOMAINS=3 EXCLUDE_DISK=own1:vdz QUIESCE=auto "LOCK=$T/lock" >"$T/conf"
chmod 600 "$T/conf"
expect 3 "$SOURCE_TREE/scripts/amberfs-cron" "$T/conf"
said 'PARTLY FAILED'
said 'own2: disk vda is not backed up: .*own2.qcow2'
! grep -Eq 'chain|same|own1|two' "$T/err" || die "$(cat "$T/err")"
mv gone.qcow2 own2.qcow2
expect 0 "$SOURCE_TREE/scripts/amberfs-cron" "$T/conf"
silent

# On a terminal: one bar for all, and the table.
on_terminal '' env TERM=xterm amberfs backup "$R" --connect "$LIBVIRT_URI" \
  --all-domains --jobs-domains 3 --force-read --bwlimit 60M >"$T/screen"
tr '\r' '\n' <"$T/screen" | sed 's/\x1b\[K//g' >"$T/lines"
found '6 domains *[0-9]*%' <"$T/lines" || die "$(cat "$T/lines")"
sed -n '/^DOMAIN/,$p' "$T/lines" | grep . >"$T/table"
[ "$(wc -L <"$T/table")" -le 80 ] || die "too wide: $(cat "$T/table")"
equal "$(awk '{ print $1 }' "$T/table" | tr '\n' ' ')" \
  "DOMAIN $all two " "the table's first column"
found -E '^same +done +full +offline +- +24.0 MiB +0 B$' \
  <"$T/table" || die "$(cat "$T/table")"

# Interrupted in the middle: those that were done stay, the rest is found again.
before=$(snapshot_count)
# Each time with other data: what the first round has stored is known already.
round=500
for signal in TERM KILL; do
  make_noise same.raw 24 "$((round += 1))"
  make_noise first.raw 6 "$((round += 1))"
  libvirt_own
  (exec amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains \
    --jobs-domains 3 --bwlimit 8M --force-read) 2>"$T/err" &
  backup=$!
  wait_for 20 pack_grows 1M || die "it writes nothing"
  kill "-$signal" "$backup"
  ! wait "$backup" 2>/dev/null || die "an interrupted backup was done"
  amberfs verify "$R"
done
[ "$(snapshot_count)" -lt $((before + 12)) ] || die "nothing was interrupted"
truncate -s 30M same.raw
expect 0 backup --all-domains --jobs-domains 3
check_all

# Running ones (their guests stand still, so what they see is known), beside one
# that is shut off: in full, then by what changed since.
libvirt_own
libvirt_do mkdir "$L/scratch"
for name in same own1 chain; do
  libvirt_do virsh -q start --paused "$name"
done
age base.raw
for mode in full incremental; do
  expect 0 backup --domain same --domain own1 --domain chain --domain copy \
    --jobs-domains 4 --json --scratch-dir "$L/scratch"
  equal "$(jq -r '[.snapshots[] | select(.source != "copy") |
    "\(.source) \(.status) \(.consistency) \(.mode)"] | join(", ")' "$T/out")" \
    "same done crash full, own1 done crash $mode, chain done crash $mode" \
    "$(jq -c '.snapshots[].disks' "$T/out")"
  check_all
done
[ -z "$(ls -A "$L/scratch")" ] || die "scratch files are left"
for name in same own1 chain; do
  libvirt_do virsh -q destroy "$name"
done

equal "$(amberfs sessions --json "$R" | jq '.sessions | length')" 0 "sessions"
expect 0 amberfs prune "$R"
amberfs verify "$R" --read-data
