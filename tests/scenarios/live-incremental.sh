#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a full backup and five incrementals of a guest that keeps
# writing, with a qcow2, a raw disk and one plugged in meanwhile: each is byte
# for byte what the frozen export was, whole by its filesystem and by the
# guest's own checksums; only what the dirty map calls for is read; what the
# guest discards becomes holes; without an agent it is consistent as after a
# crash.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare

guest_new web
mkdir -p "$T/files"
make_noise "$T/files/noise" 40
guest_disk vda qcow2 96M "$T/files"
guest_disk vdb raw 16M
guest_define
guest_start
guest_wait 'GUEST AGENT'

# Full: there is nothing to stand on.
seen=$(guest_counter)
live_backup 0
equal "$(live_consistency)" filesystem "consistency"
live_right 0
[ "$(cat "$T/tick")" -ge "$seen" ] || die "an old state was stored"
guest_ticks 2

# 1: 20 scattered places of a file.
guest_tell poke /mnt/vda/noise 4 20
live_backup 0
live_right 0
live_read_bounded

# 2: a disk is plugged in; that one is read in full, the first not.
guest_plug vdc qcow2 32M
live_backup 0
live_right 0
live_changes vda
live_full vdc 'new'
# 3: now all three are known.
guest_tell fill vda/filler 8
guest_tell fill vdc/filler 8
live_backup 0
live_right 0
live_read_bounded
full=$(allocated "$(live_directory)/vda.raw")

# 4: what was discarded is a hole, and not read.
guest_tell remove vda/filler
guest_tell remove vdc/filler
guest_tell trim vda
guest_tell trim vdc
live_backup 0
live_right 0
live_read_bounded
now=$(allocated "$(live_directory)/vda.raw")
[ "$now" -lt $((full - (7 << 20))) ] || die "$now bytes of data, $full before"

# 5: the agent has ended: as after a crash, and said.
guest_tell agent off
live_backup 0
equal "$(live_consistency)" crash "consistency without an agent"
said 'warning: .*not frozen: its guest agent is not connected'
live_right 0 1
guest_ticks 1
