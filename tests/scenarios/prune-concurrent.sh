#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: four backups, two mounts with eight readers each, a
# verify, and a loop of forget and prune, all on one repository: nobody reads a
# wrong byte, nobody fails, and every snapshot left is as it was.
#
# The disks are made of a few pieces that come and go, so that chunks die, are
# condemned, and are wanted again all the time. CONCURRENT_SECONDS (15).
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq python3 openssl

seconds=${CONCURRENT_SECONDS:-15}
pieces=10
for ((i = 0; i < pieces; i++)); do
  make_noise "$T/piece$i" 1 "$((50 + i))"
done

# A disk says itself what is in it: the first 64 bytes are the SHA-256 of
# the rest, whose next 64 tell whose disk it is, and the how manieth.
make_disk() { # SOURCE NUMBER
  local sum i
  {
    printf '%-64s' "$1 $2"
    for i in 1 2 3 4; do
      cat "$T/piece$((RANDOM % pieces))"
    done
  } >"$T/$1.body"
  sum=$(openssl dgst -sha256 -r "$T/$1.body")
  { printf '%s' "${sum%% *}"; cat "$T/$1.body"; } >"$T/$1/disk"
}

# Each loop goes on until $T/stop is there, and fails with a message; $T/NAME.n
# gets how often it went.
stopped() {
  [ -e "$T/stop" ]
}

backups() { # SOURCE
  local n=0 time
  RANDOM=$2
  while ! stopped; do
    make_disk "$1" "$n"
    amberfs backup "$R" --json --name "$1" "$T/$1/disk" >"$T/$1.json" || return
    time=$(jq -r '.snapshots[0].object | sub(".*/"; "")' "$T/$1.json")
    head -c 64 "$T/$1/disk" >"$T/sums/$1.$time"
    n=$((n + 1))
    echo "$n" >"$T/$1.n"
  done
}

prunes() {
  local n=0 one
  RANDOM=7
  while ! stopped; do
    # Mostly rotation; sometimes the newest too, which a backup may stand on.
    if [ $((RANDOM % 3)) = 0 ]; then
      one=vm$((1 + RANDOM % 4))/latest
      amberfs forget "$R" "$one" 2>"$T/forget.err" ||
        grep -q 'no snapshot' "$T/forget.err" || { cat "$T/forget.err" >&2; return 1; }
    else
      amberfs forget "$R" --keep-last $((1 + RANDOM % 3)) >/dev/null || return
    fi
    amberfs prune "$R" --max-unused $((RANDOM % 2 * 5))% --wait 3s --json \
      >"$T/prune.json" || return
    jq -e '.missing_chunks == 0' "$T/prune.json" >/dev/null || return
    jq .deleted.packs "$T/prune.json" >>"$T/deleted"
    n=$((n + 1))
    echo "$n" >"$T/prune.n"
  done
}

verifies() {
  local n=0
  while ! stopped; do
    amberfs verify "$R" --json >"$T/verify.json" || { cat "$T/verify.json" >&2; return 1; }
    n=$((n + 1))
    echo "$n" >"$T/verify.n"
  done
}

# What was listed may be forgotten when it is opened; what is open must read.
cat >"$T/reader.py" <<'END'
import errno, hashlib, os, random, sys
mnt, stop, seed, count = sys.argv[1:5]
r, read, gone = random.Random(seed), 0, 0
while not os.path.exists(stop):
    try:
        source = r.choice(os.listdir(mnt))
        time = r.choice(os.listdir("%s/%s" % (mnt, source)))
        f = os.open("%s/%s/%s/disk" % (mnt, source, time), os.O_RDONLY)
    except OSError as e:
        assert e.errno in (errno.ENOENT, errno.ESTALE, errno.ENOTDIR), e
        gone += 1
        continue
    except IndexError:
        continue
    size, at, body = os.fstat(f).st_size, 0, b""
    while at < size:
        n = r.choice((4096, 65536, 1 << 20))
        part = os.pread(f, n, at)
        assert part, (source, time, at)
        body += part
        at += len(part)
    os.close(f)
    assert hashlib.sha256(body[64:]).hexdigest().encode() == body[:64], \
        "wrong bytes in %s/%s" % (source, time)
    assert body[64:].startswith(source.encode() + b" "), (source, body[64:128])
    read += 1
with open(count, "w") as f:
    f.write("%d %d\n" % (read, gone))
END

new_repo
mkdir "$T/sums" "$T"/vm{1,2,3,4}
: >"$T/deleted"
for i in 1 2; do
  amber_mount "$R" "$T/mnt$i" -o cache_size=8M
done
pids=()
for i in 1 2 3 4; do
  backups "vm$i" "$i" &
  pids+=($!)
done
prunes &
pids+=($!)
verifies &
pids+=($!)
for i in 1 2; do
  for j in 1 2 3 4 5 6 7 8; do
    python3 "$T/reader.py" "$T/mnt$i" "$T/stop" "$i$j" "$T/reader$i$j.read" &
    pids+=($!)
  done
done
# Longer where it is slow: until each has had its turn.
enough() {
  local who times
  for who in vm1 vm2 vm3 vm4 prune verify; do
    times=$(cat "$T/$who.n" 2>/dev/null) || :
    [ "${times:-0}" -ge 2 ] || return 1
  done
}
end=$((SECONDS + seconds)) latest=$((SECONDS + seconds + 150))
until [ "$SECONDS" -ge "$end" ] && { enough || [ "$SECONDS" -ge "$latest" ]; }; do
  sleep 0.2
  for pid in "${pids[@]}"; do
    kill -0 "$pid" 2>/dev/null || { touch "$T/stop"; break 2; }
  done
done
touch "$T/stop"
for pid in "${pids[@]}"; do
  wait "$pid" || die "process $pid failed"
done

compared=0
mapfile -t specs < <(amberfs list --json "$R" |
  jq -r '.snapshots[] | .object[10:]')
for spec in "${specs[@]}"; do
  amberfs restore "$R" "$spec/disk" "$T/out.disk"
  equal "$(head -c 64 "$T/out.disk")" "$(cat "$T/sums/${spec%/*}.${spec#*/}")" "$spec"
  sum=$(tail -c +65 "$T/out.disk" | openssl dgst -sha256 -r)
  equal "$(head -c 64 "$T/out.disk")" "${sum%% *}" "$spec's content"
  rm "$T/out.disk"
  compared=$((compared + 1))
done
for i in 1 2; do
  amber_umount "$T/mnt$i"
done
amberfs verify "$R" --read-data
amberfs prune "$R" --max-unused 0 --json |
  jq -e '.condemned.packs == 0 and .waiting == [] and .missing_chunks == 0' \
    >/dev/null || die "something is still held"
read -r read gone < <(cat "$T"/reader*.read |
  awk '{ a += $1; b += $2 } END { print a, b }')
backups=$(cat "$T"/vm?.n | awk '{ n += $1 } END { print n }')
deleted=$(awk '{ n += $1 } END { print n + 0 }' "$T/deleted")
echo "$backups backups, $(cat "$T/prune.n") prunes that deleted $deleted packs," \
  "$(cat "$T/verify.n") verifies, $read files read (and $gone gone before)," \
  "all right; $compared of $compared snapshots left are as they were"
[ "$deleted" -gt 0 ] || die "nothing was ever deleted"
