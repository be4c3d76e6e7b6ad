#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: `prove` tells snapshots that come up from those that don't,
# by the guest's agent, its console or its screen, keeps away from the original,
# and leaves nothing behind, whichever way it ends.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
need_root "guests' disks in a mount that another user reads"
libvirt_start
new_repo
scratch=$T/s
mkdir "$scratch" "$T/pictures"
prove=(amberfs prove "$R" --connect "$LIBVIRT_URI" --scratch-dir "$scratch")

nothing_left() {
  equal "$(ls -A "$scratch")" '' "files left"
  equal "$(mounts_below "$scratch")" '' "mounts left"
  equal "$(virsh_do list --name --all | grep prove-)" '' "domains left"
}

# web: an agent and a login. broken: the system on its disk is gone.
# quiet: only a screen, and that stands still.
guest_new broken
guest_disk vda raw 48M
guest_define rootdisk nochannel
truncate -s 0 "$(guest_file vda)"
truncate -s 48M "$(guest_file vda)"
guest_new quiet
guest_disk vda qcow2 48M
guest_define
guest_xml noagent nochannel tick=600000 console=tty0 |
  sed 's|<memballoon|<video><model type="vga"/></video>&|' >"$L/quiet.xml"
virsh_do define "$L/quiet.xml" >&2
guest_new web
guest_disk vda qcow2 48M
guest_define
amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains

# The original runs and is not disturbed: it writes on, nobody else does.
guest_start
before=$(guest_counter)
expect 0 "${prove[@]}" --accept agent web/latest --json
documented prove "$T/out" >/dev/null
jq -e '.up_count == 1 and .failed_count == 0 and .snapshots[0].up and
  .snapshots[0].by == "agent" and .snapshots[0].seconds > 0 and
  .snapshots[0].read_bytes > 4096' "$T/out" >/dev/null || die "$(cat "$T/out")"
guest_ticks 1
[ "$(guest_counter)" -gt "$before" ] || die "the original no longer writes"
nothing_left
guest_off
qemu-img convert -f qcow2 -O raw "$(guest_file vda)" "$T/vda"
guest_check "$T/vda" 1 >/dev/null

# Two at once, in the order that was asked for: one comes up.
expect 3 "${prove[@]}" --accept console broken/latest web/latest -v
said 'broken/.* did not come up: .*it powered off'
said '\| GUEST HAS NO DISK'
found 'web/.* came up after .* by its console' <"$T/out" || die "$(cat "$T/out")"
nothing_left

# Too slow; all domains.
expect 1 "${prove[@]}" --accept console --console-pattern "no such sign" \
  --timeout 3s --picture-dir "$T/pictures"
said 'quiet/.* did not come up: .*is still running after 3 s'
said "its screen: $T/pictures/quiet-.*png"
said 'web/.* did not come up'
nothing_left

# By a still screen, unless it is one that a firmware without a system has: what
# a guest shows that reads COUNT times 32 KiB and then switches, or not, from text
# to graphics.
cat >"$T/boot.s" <<'END'
.code16
start:
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %ss
  mov $0x7c00, %sp
  mov (0x7c00 + count - start), %cx
again:
  push %cx
  push %dx
  mov $(0x7c00 + packet - start), %si
  mov $0x42, %ah
  int $0x13
  pop %dx
  pop %cx
  addw $64, (0x7c00 + packet - start + 8)
  loop again
  cmpb $0, (0x7c00 + graphics - start)
  je end
  mov $0x13, %ax
  int $0x10
  mov $0xa000, %ax
  mov %ax, %es
  xor %di, %di
  mov $64000, %cx
paint:
  mov %di, %ax
  stosb
  loop paint
end:
  hlt
  jmp end
packet:
  .byte 16, 0
  .word 64, 0, 0x1000
  .quad 0
count:
  .word 1
graphics:
  .byte 0
  .org 510
  .word 0xaa55
END
as --32 -o "$T/boot.o" "$T/boot.s"
objcopy -O binary -j .text "$T/boot.o" "$T/boot.bin"
at_count=$(nm "$T/boot.o" | sed -n 's/^0*\([0-9a-f]*\) t count$/0x\1/p')
boots() { # NAME COUNT GRAPHICS
  python3 - "$T/boot.bin" "$L/images/$1.raw" "$((at_count))" "$2" "$3" <<'END'
import struct, sys
code = bytearray(open(sys.argv[1], "rb").read())
struct.pack_into("<HB", code, *map(int, sys.argv[3:6]))
with open(sys.argv[2], "wb") as f:
    f.write(code)
    f.truncate(64 << 20)
END
  libvirt_own
  domain_define "$1" "$(domain_disk "$L/images/$1.raw" raw vda)
    <video><model type='vga'/></video>"
}
boots painted 800 1
boots little 2 1
boots text 800 0
truncate -s 8M "$L/images/none.raw"
libvirt_own
domain_define none "$(domain_disk "$L/images/none.raw" raw vda)
  <video><model type='vga'/></video>"
rm "$T/pictures"/*
for one in painted little text none; do
  amberfs backup "$R" --connect "$LIBVIRT_URI" --domain "$one"
done
declare -A pids=() whys=([little]='it has read only' [text]='text mode'
  [none]='it has read only 512 B')
for one in "${!whys[@]}"; do
  mkdir "$T/scratch.$one"
  amberfs prove "$R" --connect "$LIBVIRT_URI" --scratch-dir "$T/scratch.$one" \
    --accept agent,screen --timeout 35s --json "$one/latest" >"$T/$one.out" \
    2>"$T/$one.err" &
  pids[$one]=$!
done
for one in "${!whys[@]}"; do
  status=0
  wait "${pids[$one]}" || status=$?
  equal "$status" 3 "status of $one: $(cat "$T/$one.err")"
  grep -q "$one/.* is not proven: .*${whys[$one]}" "$T/$one.err" ||
    die "$(cat "$T/$one.err")"
  jq -e '.up_count == 0 and .unproven_count == 1 and .failed_count == 0' "$T/$one.out" >/dev/null ||
    die "$(cat "$T/$one.out")"
done
expect 0 "${prove[@]}" --accept agent,screen --memory 96M painted/latest \
  --picture-dir "$T/pictures" --json
jq -e '.snapshots[0].by == "screen" and (.snapshots[0].picture | endswith(".png"))' \
  "$T/out" >/dev/null || die "$(cat "$T/out")"
python3 - "$(jq -r '.snapshots[0].picture' "$T/out")" <<'END'
import struct, sys, zlib
png = open(sys.argv[1], "rb").read()
assert png[:8] == b"\x89PNG\r\n\x1a\n"
at, data = 8, b""
while at < len(png):
    size, kind = struct.unpack(">I4s", png[at:at + 8])
    body = png[at + 8:at + 8 + size]
    assert struct.unpack(">I", png[at + 8 + size:at + 12 + size])[0] == \
        zlib.crc32(kind + body)
    if kind == b"IHDR":
        width, height = struct.unpack(">II", body[:8])
    if kind == b"IDAT":
        data += body
    at += 12 + size
rows = zlib.decompress(data)
assert len(rows) == height * (1 + 3 * width), (width, height, len(rows))
assert len(set(rows)) > 1, "blank"
END

# Ended by a signal it cleans up; killed, the next one does, and its guest is
# gone with it.
"${prove[@]}" --accept console --console-pattern never web/latest 2>"$T/err" &
wait_for 60 eval 'virsh_do list --name | grep prove-'
kill -TERM $!
status=0
wait $! || status=$?
equal "$status" 130 "exit status after SIGTERM"
said interrupted
nothing_left
"${prove[@]}" --accept console --console-pattern never web/latest &
wait_for 60 eval 'virsh_do list --name | grep prove-'
kill -KILL $!
wait $! 2>/dev/null || :
wait_for 30 eval '! virsh_do list --name | grep prove-' ||
  die "the guest outlives amberfs"
[ -n "$(ls -A "$scratch")" ] || die "what was killed had nothing"
expect 1 "${prove[@]}" broken/latest
said 'no sign from agent or console'
nothing_left

# What can't be proved. More memory than can be had is not taken from others.
memory=$(awk '/^Mem(Total|Available):/ { sum += $2 } END { printf "%dK", sum / 2 }' \
  /proc/meminfo)
expect 1 "${prove[@]}" web/latest --memory "$memory"
said 'available: give it less'
nothing_left
amberfs backup "$R" --name files "$T/pictures"/*.png
expect 1 "${prove[@]}" files/latest
said 'not a snapshot of a domain'
expect 1 "${prove[@]}" web/latest/vda.raw
expect 2 "${prove[@]}" --accept agent,luck
said 'luck'
expect 2 "${prove[@]}" --console-pattern '('
expect 2 "${prove[@]}" --timeout soon
