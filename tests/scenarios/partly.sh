#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a source with an unreadable file is not stored as good, and
# the exit status and the message say so.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
echo one >"$T/one"
echo two >"$T/two"
expect 1 amberfs backup "$R" --name vm "$T/one" "$T/missing" "$T/two"
said missing
equal "$(snapshot_count vm)" 0 "snapshots without one of the files"
amberfs backup "$R" --name vm "$T/one" "$T/two"
amberfs restore "$R" vm/latest/one - | cmp - "$T/one"
amberfs restore "$R" vm/latest/two - | cmp - "$T/two"
equal "$(amberfs show --json "$R" vm/latest | jq '.files | length')" 2 files
expect 1 amberfs backup "$R" --name none "$T/missing"
said missing
equal "$(snapshot_count none)" 0 "snapshots of nothing"
expect 1 amberfs backup "$T/no-repo" --name vm "$T/one"
mkdir "$T/directory"
expect 1 amberfs backup "$R" --name directory "$T/directory"
said directory
mkfifo "$T/fifo"
expect 1 timeout 20 amberfs backup "$R" --name fifo "$T/fifo"
# Equal names get distinct ones.
mkdir "$T/x" "$T/y"
echo x >"$T/x/disk.img"
echo y >"$T/y/disk.img"
amberfs backup "$R" --name pair "$T/x/disk.img" "$T/y/disk.img"
equal "$(amberfs show --json "$R" pair/latest |
  jq -r '[.files[].name] | unique | length')" 2 "distinct names"
