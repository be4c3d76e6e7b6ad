#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a regular file is taken over unread only while device,
# inode, size, mtime and ctime are the same and it had rested for two seconds
# when it was read; whatever else is read again.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/disk" 8
size=$((8 << 20))

backup() {
  amberfs backup "$R" --json --name d "$@" >"$T/json" || die "backup"
}
taken_over() {
  jq -e ".unchanged_bytes == $size and .read_bytes == 0" "$T/json" >/dev/null ||
    die "$1: not taken over: $(cat "$T/json")"
}
read_again() {
  jq -e ".unchanged_bytes == 0 and .read_bytes == $size" "$T/json" >/dev/null ||
    die "$1: not read: $(cat "$T/json")"
}

# Just written: not to be trusted at the next run, though nothing changed.
touch "$T/disk"
backup "$T/disk"
read_again first
backup "$T/disk"
read_again "written within two seconds of the first backup"
age "$T/disk"
backup "$T/disk"
read_again "the identity that was recorded was too young"
backup "$T/disk"
taken_over "at rest"
amberfs restore "$R" d/latest/disk - | cmp - "$T/disk"
backup --force-read "$T/disk"
read_again --force-read

backup "$T/disk"
taken_over "before the changes"
cp --preserve=timestamps "$T/disk" "$T/disk2"
mv "$T/disk2" "$T/disk"
age "$T/disk"
backup "$T/disk"
read_again "another inode, same size and mtime"
backup "$T/disk"
taken_over "again at rest"

# Content changed and the mtime put back: the ctime tells.
touch -r "$T/disk" "$T/stamp"
printf X | dd of="$T/disk" bs=1 seek=4097 conv=notrunc status=none
touch -r "$T/stamp" "$T/disk"
age "$T/disk"
backup "$T/disk"
read_again "mtime put back"
amberfs restore "$R" d/latest/disk - | cmp - "$T/disk"

# Another name for the same file still is the same file.
backup "$T/disk"
taken_over "at rest, once more"
amberfs restore "$R" d/latest/disk - | cmp - "$T/disk"
amberfs verify "$R" --read-data
