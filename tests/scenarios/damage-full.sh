#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a reader that finds damage reports it even where it can't
# be recorded.
. "$(dirname "$0")/../functions.sh"
need_root "to mount a read-only directory"
need_program jq

new_repo
make_noise "$T/file" 4
amberfs backup "$R" --name a "$T/file"
pack=$(find "$R/packs" -type f -size +1M)
printf 'xyz' | dd of="$pack" bs=1 seek=1000000 conv=notrunc status=none
mount -t tmpfs -o ro none "$R/damaged" || skip "no mounts here"
expect 1 amberfs restore "$R" a/latest/file "$T/out.file"
said "pack packs/.*/$(basename "$pack"), frame [0-9]+ .* is damaged"
