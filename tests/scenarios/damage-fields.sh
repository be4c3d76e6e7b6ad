#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: whatever happens to any field of any object (bits flipped,
# zeroed, cut off, another valid object's, an older version), it is found, or
# harmless; no wrong byte, no crash, no endless loop, no large allocation.
# DAMAGE_CASES: how many (all: thousands, for hours).
. "$(dirname "$0")/../functions.sh"
need_root "to mount and unmount many times"
need_fuse
need_program python3

cases=${DAMAGE_CASES:-60}
if sanitized; then
  export DAMAGE_SANITIZED=yes
  cases=${DAMAGE_CASES:-8}
fi
# In memory if there is room: nearly all the time would be spent in fsync.
directory=$T/damage
mkdir "$directory"
mount -t tmpfs -o size=1g none "$directory" || :
python3 "$TESTS/damage/damage.py" "$AMBERFS_BUILD" "$directory" "$cases"
