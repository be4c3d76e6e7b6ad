#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: where anybody can forge, without encryption, trees, packs,
# frames and JSON that are sealed rightly and lie are refused, with no crash, no
# endless loop and no large allocation, and other snapshots lose nothing.
# DAMAGE_FORGERIES=all: all of them instead of a third (a ninth under sanitizers).
. "$(dirname "$0")/../functions.sh"
need_root "to mount and unmount many times"
need_fuse
need_program python3

directory=$T/forged
mkdir "$directory"
mount -t tmpfs -o size=1g none "$directory" || :
which=some
if sanitized; then
  export DAMAGE_SANITIZED=yes
  which=few
fi
python3 "$TESTS/damage/forged.py" "$AMBERFS_BUILD" "$directory" \
  "${DAMAGE_FORGERIES:-$which}"
