#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: when a lane of a backup of several domains finds none left, its
# workers join those of the others, in the middle of a disk.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
! sanitized || skip "strace and the leak checker can't share a process"
need_program strace
libvirt_start
cd "$L/images"
make_noise large.raw 80 1
make_noise small.raw 1 2
domain_define large "$(domain_disk "$L/images/large.raw" raw vda)"
domain_define small "$(domain_disk "$L/images/small.raw" raw vda)"
new_repo

# One worker for each; the limit is for both, so the small one is done when most
# of the large one is still to be read.
strace -f -y -qq -e trace=pread64 -o "$T/strace" \
  amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains --jobs 2 \
  --jobs-domains 2 --bwlimit 16M
readers=$(awk '/large\.raw/ { print $1 }' "$T/strace" | sort -u | wc -l)
equal "$readers" 2 "threads that read the large disk"
amberfs restore "$R" large/latest/vda.raw - | cmp - large.raw
amberfs restore "$R" small/latest/vda.raw - | cmp - small.raw

# No more than --jobs ever read.
strace -f -y -qq -e trace=pread64 -o "$T/strace" \
  amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains --jobs 1 \
  --jobs-domains 2 --force-read
readers=$(awk '/large\.raw/ { print $1 }' "$T/strace" | sort -u | wc -l)
equal "$readers" 1 "threads that read the large disk with --jobs 1"
