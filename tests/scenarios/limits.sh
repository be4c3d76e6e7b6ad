#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: --bwlimit, --jobs and --compression do what they say and
# change nothing about the content; more files than a snapshot can have are
# refused before any is read.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/disk" 24
started=$EPOCHREALTIME
amberfs backup "$R" --name slow --bwlimit 8M "$T/disk"
seconds=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { print int(b - a) }')
[ "$seconds" -ge 2 ] && [ "$seconds" -le 12 ] ||
  die "24 MiB at 8 MiB/s took $seconds s"
amberfs restore "$R" slow/latest/disk - | cmp - "$T/disk"

seq 3000000 | head -c 16M >"$T/text" || :
for level in 1 19; do
  new_repo "$T/r$level"
  amberfs backup "$R" --json --compression "$level" --name t "$T/text" |
    jq .stored_bytes >"$T/stored$level"
  amberfs restore "$R" t/latest/text - | cmp - "$T/text"
done
[ "$(cat "$T/stored19")" -lt "$(cat "$T/stored1")" ] ||
  die "level 19 does not compress better than level 1"
for jobs in 1 7; do
  new_repo "$T/j$jobs"
  amberfs backup "$R" --json --jobs "$jobs" --name t "$T/disk" |
    jq -c '[.new_bytes, .deduplicated_bytes]' >"$T/jobs$jobs"
  amberfs restore "$R" t/latest/disk - | cmp - "$T/disk"
done
same "$T/jobs1" "$T/jobs7"

mkdir "$T/many"
seq -f "$T/many/%g" 8193 | xargs touch
expect 1 amberfs backup "$R" --name many "$T"/many/*
said '8193 files are too many for one snapshot .at most 8192'
equal "$(snapshot_count many)" 0 "snapshots of too many files"
