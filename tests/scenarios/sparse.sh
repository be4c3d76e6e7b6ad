#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: holes cost nothing: a 1 TiB image with a little data is
# backed up, listed, mounted and restored in moments, and its tree is small.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
truncate -s 1T "$T/disk" || skip "no sparse files of 1 TiB here"
make_noise "$T/piece" 1
for at in 0 1000 262144 524287 1048575; do
  dd if="$T/piece" of="$T/disk" bs=1M seek="$at" conv=notrunc status=none
done
started=$SECONDS
amberfs backup "$R" --json --name big "$T/disk" >"$T/json"
jq -e ".read_bytes == 5242880 and .hole_bytes == 1099511627776 - 5242880" "$T/json" \
  >/dev/null || die "$(cat "$T/json")"
jq -e '.stored_bytes < 4 * 1048576' "$T/json" >/dev/null ||
  die "tree too large: $(cat "$T/json")"
amberfs restore "$R" big/latest/disk "$T/back"
equal "$(stat -c %s "$T/back")" 1099511627776 size
[ "$(allocated "$T/back")" -lt 8000000 ] || die "the restored file is not sparse"
for at in 0 1000 262144 524287 1048575; do
  cmp <(dd if="$T/back" bs=1M skip="$at" count=1 status=none) "$T/piece" ||
    die "wrong bytes at MiB $at"
done
amberfs verify "$R" --read-data
[ $((SECONDS - started)) -lt 60 ] || die "it took $((SECONDS - started)) s"

# Zeros that are allocated are holes too.
head -c 32M /dev/zero >"$T/zeros"
amberfs backup "$R" --json --name zeros "$T/zeros" >"$T/json"
jq -e '.new_bytes == 0 and .stored_bytes < 65536' "$T/json" >/dev/null ||
  die "zeros: $(cat "$T/json")"
amberfs restore "$R" zeros/latest/zeros "$T/zeros.back"
same "$T/zeros" "$T/zeros.back"
[ "$(allocated "$T/zeros.back")" = 0 ] || die "zeros were restored as data"
# Sizes that are no multiple of anything, and the empty file.
for size in 0 1 4095 4097 16777215 16777217; do
  head -c "$size" "$T/zeros" >"$T/f$size"
  [ "$size" = 0 ] || printf e | dd of="$T/f$size" bs=1 seek=$((size - 1)) \
    conv=notrunc status=none
done
amberfs backup "$R" --name odd "$T"/f[0-9]*
mkdir "$T/odd"
amberfs restore "$R" odd/latest "$T/odd/all"
for size in 0 1 4095 4097 16777215 16777217; do
  same "$T/f$size" "$T/odd/all/f$size"
done
