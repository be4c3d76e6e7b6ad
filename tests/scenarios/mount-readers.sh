#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: eight readers at once, random and sequential, with a cache
# much smaller than what they read, see right bytes and bounded memory.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program python3

new_repo
seq 1 2700000 >"$T/text"
for i in 1 2; do
  make_noise "$T/noise$i" 40 "$i"
  cat "$T/noise$i" "$T/text" >"$T/disk$i"
  truncate -s 100M "$T/disk$i"
  cat "$T/text" >>"$T/disk$i"
done
(cd "$T" && amberfs backup "$R" --name vm disk1 disk2)
mkdir -p "$T/mnt"
cache=16
amberfs mount "$R" "$T/mnt" -f -o cache_size=${cache}M 2>"$T/log" &
pid=$!
at_exit kill "$pid"
wait_for 20 mountpoint -q "$T/mnt" || die "no mount: $(cat "$T/log")"
snap=$T/mnt/vm/latest

pids=()
for i in 1 2; do
  cmp "$T/disk$i" "$snap/disk$i" &
  pids+=($!)
  dd if="$snap/disk$i" bs=1M iflag=direct status=none | cmp - "$T/disk$i" &
  pids+=($!)
  for seed in 1 2; do
    python3 - "$T/disk$i" "$snap/disk$i" $seed <<'END' &
import os, random, sys
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
size = os.fstat(a).st_size
assert size == os.fstat(b).st_size
r = random.Random(sys.argv[3])
os.posix_fadvise(b, 0, 0, os.POSIX_FADV_RANDOM)
for _ in range(4000):
    n = r.choice((1, 512, 4096, 4096, 70000, 1 << 20))
    at = r.randrange(size)
    assert os.pread(a, n, at) == os.pread(b, n, at), (at, n)
END
    pids+=($!)
  done
done
equal ${#pids[@]} 8 readers
for p in "${pids[@]}"; do
  wait "$p" || die "a reader saw wrong bytes"
done
if ! sanitized; then
  peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
  [ "$peak" -le $(((cache + 64) * 1024)) ] ||
    die "the mount took $peak KiB with a cache of $cache MiB"
fi
[ ! -s "$T/log" ] || die "$(cat "$T/log")"
amber_umount "$T/mnt"
wait "$pid" || die "the mount ended with status $?"
