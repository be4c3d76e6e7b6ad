#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: after many nights of changing images, with retention and
# prune, the repository is as large as what it holds, in few files.
#
# Prints what it measures: size, files, index, time of prune; at the end how
# fast the newest snapshot restores against the first, which is pinned.
# HISTORY_NIGHTS (16), HISTORY_MIB for each of three images (12).
. "$(dirname "$0")/../functions.sh"
need_program jq faketime python3

nights=${HISTORY_NIGHTS:-16} mib=${HISTORY_MIB:-12}
export TZ=UTC
images=(web mail db)

# One night's work on the images: web changes little, mail grows, db
# writes small blocks in one hot region; every seventh night much is rewritten.
cat >"$T/work.py" <<'END'
import random, sys
directory, size, night = sys.argv[1], int(sys.argv[2]) << 20, int(sys.argv[3])
def data(r, n):
    if r.random() < 0.5:
        return r.randbytes(n)
    words = [b"%08x line of text\n" % r.getrandbits(24) for _ in range(64)]
    return b"".join(r.choice(words) for _ in range(n // 23 + 1))[:n]
def work(kind, f):
    r = random.Random("%s %d" % (kind, night))
    if night == 0:
        for at in range(0, size // 2, 1 << 18):
            f.seek(at)
            f.write(data(r, 1 << 18))
        f.truncate(size)
    budget = size // 100 if night % 7 else size // 12
    grown = size // 2 + size * min(night, 300) // 600
    while budget > 0:
        if kind == "mail":
            n = 1 << 16
            at = grown - n if r.random() < 0.5 else r.randrange(grown - n)
        elif kind == "db":
            n = 8192
            hot = r.random() < 0.9
            at = r.randrange(size // 8 if hot else size // 2 - n)
        else:
            n = r.choice((4096, 65536, 1 << 18))
            at = r.randrange(size // 2 - n)
        f.seek(at & ~4095)
        f.write(data(r, n))
        budget -= n
for kind in "web", "mail", "db":
    with open(directory + "/" + kind, "r+b" if night else "w+b") as f:
        work(kind, f)
END

# Seconds since $1, a value of EPOCHREALTIME.
since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}
files() {
  find "$R" -type f | wc -l
}
# Without what was set aside.
size() {
  find "$R" -type f ! -name reserve -printf '%s\n' |
    awk '{ n += $1 } END { print n + 0 }'
}
# What its files take: the databases are sparse.
index_size() {
  find "$(index_of "$R")" -type f -printf '%b\n' | awk '{ n += 512 * $1 } END { print n + 0 }'
}
mb() {
  awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'
}

new_repo
first=''
for ((night = 0; night < nights; night++)); do
  printf -v day '%(%F %T)T' $((1577919600 + 86400 * night)) # 2020 on
  python3 "$T/work.py" "$T" "$mib" "$night"
  for image in "${images[@]}"; do
    at_time "$day" amberfs backup "$R" --name "$image" "$T/$image"
  done
  if [ "$night" = 0 ]; then
    first=$(latest web)
    amberfs pin "$R" "web/$first"
    cp "$T/web" "$T/web.first"
  fi
  at_time "$day" amberfs forget "$R" --keep-daily 7 --keep-weekly 4 \
    --keep-monthly 6 >/dev/null
  started=$EPOCHREALTIME
  at_time "$day" amberfs prune "$R" --json >"$T/json"
  took=$(since "$started")
  jq -e '.missing_chunks == 0 and .condemned.packs == 0' "$T/json" >/dev/null ||
    die "night $night: $(cat "$T/json")"
  if [ $((night % (nights / 8 + 1))) = 0 ] || [ $((night + 1)) = "$nights" ]; then
    echo "night $((night + 1)): $(snapshot_count) snapshots, $(mb "$(size)")," \
      "$(files) files, index $(mb "$(index_size)"), prune $took s"
  fi
done

# What a repository has that was given only what is left.
kept=$R kept_size=$(size) kept_files=$(files)
jq -e '.unused_bytes <= .after.bytes * 0.05' "$T/json" >/dev/null ||
  die "too much is unused: $(cat "$T/json")"
for image in "${images[@]}"; do
  amberfs restore "$R" "$image/latest/$image" - | cmp - "$T/$image"
done
amberfs restore "$R" "web/$first/web" - | cmp - "$T/web.first"
amberfs verify "$R" --read-data
new_repo "$T/fresh"
mapfile -t specs < <(amberfs list --json "$kept" |
  jq -r '.snapshots | sort_by(.time)[] | .object[10:]')
for spec in "${specs[@]}"; do
  image=${spec%%/*}
  amberfs restore "$kept" "$spec/$image" - >"$T/again.$image"
  amberfs backup "$R" --name "$image" "$T/again.$image"
done
echo "the ${#specs[@]} snapshots left, in a fresh repository: $(mb "$(size)")," \
  "$(files) files; here: $(mb "$kept_size"), $kept_files files"
[ "$kept_size" -le $(($(size) * 115 / 100 + (1 << 20))) ] ||
  die "$kept_size bytes, where a fresh repository has $(size)"
# Packs that prune would leave as they are may be small, but not many.
[ "$kept_files" -le $((${#specs[@]} * 4 + 60)) ] || die "$kept_files files"
R=$kept

# Packs are read from the disk, as after a long time.
uncached() {
  find "$R/packs" -type f -exec dd of={} oflag=nocache conv=notrunc,fdatasync \
    count=0 status=none \;
}
# speed SPEC: the best of several, in seconds for each MB.
declare -A best
speed() {
  local started took bytes
  uncached
  bytes=$(amberfs show --json "$R" "${1%/*}" | jq '[.files[].data_bytes] | add')
  started=$EPOCHREALTIME
  amberfs restore "$R" "$1" - >/dev/null
  took=$(since "$started")
  best[$1]=$(awk -v a="${best[$1]:-}" -v t="$took" -v n="$bytes" \
    'BEGIN { b = t / (n / 1e6); print a == "" || b < a ? b : a }')
}
for _ in 1 2 3 4 5; do
  speed "web/$first/web"
  speed web/latest/web
done
awk -v a="${best[web/$first/web]}" -v b="${best[web/latest/web]}" 'BEGIN {
  printf "restore: the first %.0f MB/s, the newest %.0f MB/s: %.2f times the time\n",
    1 / a, 1 / b, b / a }'
