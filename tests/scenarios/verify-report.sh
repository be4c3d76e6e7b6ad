#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: what verify says is true: the bytes it names in each file
# are those that are missing, and a directory that is no repository is not well.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/long" 16 1
make_noise "$T/piece" 1 2
truncate -s 4096 "$T/piece"
amberfs backup "$R" --name first "$T/long"
touch "$T/mark"
cat "$T/piece" >>"$T/long"
amberfs backup "$R" --name second "$T/long" "$T/piece"

# The same chunk ends one file and is the other.
removed=0
while read -r pack; do
  [ "$(od -An -tu1 -j9 -N1 "$pack")" -ne 1 ] || { rm "$pack"; removed=1; }
done < <(find "$R/packs" -type f -newer "$T/mark")
[ "$removed" = 1 ] || die "no new data pack"
expect 1 amberfs verify "$R"
said 'second/[0-9TZ]*, long, bytes 16777216 to 16781311:'
said 'second/[0-9TZ]*, piece, bytes 0 to 4095:'

mkdir "$T/empty"
expect 1 amberfs verify "$T/empty" --packs
said 'not an amberfs repository'

# One unreadable snapshot does not hide the others.
id=$(amberfs show --json "$R" first/latest | jq -r .id)
bad=$(find "$R/snapshots/second" -type f)
printf 'x' | dd of="$bad" bs=1 seek=100 conv=notrunc status=none
expect 0 amberfs show "$R" "${id:0:8}"
said 'snapshots/second/'
