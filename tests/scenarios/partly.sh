#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: one file that can't be read does not keep the others from
# being backed up, and the exit status and the last lines say so.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
echo one >"$T/one"
echo two >"$T/two"
expect 3 amberfs backup "$R" --name vm "$T/one" "$T/missing" "$T/two"
said missing
amberfs restore "$R" vm/latest/one - | cmp - "$T/one"
amberfs restore "$R" vm/latest/two - | cmp - "$T/two"
equal "$(amberfs show --json "$R" vm/latest | jq '.files | length')" 2 files
expect 1 amberfs backup "$R" --name none "$T/missing"
said missing
equal "$(snapshot_count none)" 0 "snapshots of nothing"
expect 1 amberfs backup "$T/no-repo" --name vm "$T/one"
mkdir "$T/folder"
expect 1 amberfs backup "$R" --name folder "$T/folder"
said folder
mkfifo "$T/fifo"
expect 1 timeout 20 amberfs backup "$R" --name fifo "$T/fifo"
# Equal names get distinct ones.
mkdir "$T/x" "$T/y"
echo x >"$T/x/disk.img"
echo y >"$T/y/disk.img"
amberfs backup "$R" --name pair "$T/x/disk.img" "$T/y/disk.img"
equal "$(amberfs show --json "$R" pair/latest |
  jq -r '[.files[].name] | unique | length')" 2 "distinct names"
