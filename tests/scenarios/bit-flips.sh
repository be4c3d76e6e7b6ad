#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: of a bit that flips in memory, at any step between the
# source's bytes and the reader's, a table shows whether it is noticed; no noticed
# one is passed on as data, and the next backup stores those bytes again.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program jq

shim=$AMBERFS_BUILD/tests/shim/flipshim.so
new_repo
rm "$R/reserve"
cp -a "$R" "$T/empty"
make_noise "$T/noise" 3 1
# Half of it is compressed, half of it is stored as it is.
{ base64 -w 0 <"$T/noise"; cat "$T/noise"; } >"$T/disk"

renew() { # REPO
  rm -rf "$R" "$T/done" "$T/x" "$AMBERFS_STATE_DIR"
  cp -a "$1" "$R"
}

# flip CALL MOMENT AT PATH COMMAND...: runs it, with one bit flipped (flipshim.c);
# its status is in $status, its words in $T/err.
flip() {
  status=0
  FLIP_CALL=$1 FLIP_MOMENT=$2 FLIP_AT=$3 FLIP_PATH=$4 FLIP_DONE=$T/done \
    LD_PRELOAD=$shim "${@:5}" >"$T/out" 2>"$T/err" </dev/null || status=$?
  [ -e "$T/done" ] || die "$program, $step: nothing was flipped"
}

row() { # WHAT-HAPPENS
  printf '%-8s %-52s %s\n' "$program" "$step" "$1" >>"$T/table"
}

whole() {
  amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk" ||
    die "$step: the disk is not whole"
}

# Readers get an error, never other bytes.
refused() {
  mkdir -p "$T/mnt"
  expect 1 amberfs restore "$R" vm/latest/disk "$T/x"
  said 'amberfs repair'
  [ ! -e "$T/x" ] || die "$step: a damaged disk was restored"
  rm -rf "$T/other"
  amberfs init "$T/other" --key-file "$T/key" >/dev/null
  expect 1 amberfs copy "$R" "$T/other" --to-key-file "$T/key"
  equal "$(amberfs list --json "$T/other" | jq '.snapshots | length')" 0
  expect 1 amberfs verify "$R" --read-data
  expect 1 amberfs repair "$R"
  [ ! -w /dev/fuse ] || mounted_refused
}

mounted_refused() {
  amber_mount "$R" "$T/mnt" 2>"$T/log"
  python3 - "$T/disk" "$T/mnt/vm/latest/disk" <<'END'
import errno, os, sys
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
bad = 0
for at in range(0, os.fstat(a).st_size, 4096):
    try:
        got = os.pread(b, 4096, at)
    except OSError as e:
        assert e.errno == errno.EIO, e
        bad += 4096
        continue
    assert got == os.pread(a, 4096, at), at
# The chunk; its neighbours in the frame can be read.
assert 0 < bad <= 128 << 10, bad
END
  amber_umount "$T/mnt"
}

heals() {
  amberfs backup "$R" --name vm "$T/disk" || die "$step: the next backup"
  whole
  amberfs prune "$R" --max-unused 0 2>"$T/err" || { cat "$T/err"; die "$step: prune"; }
  expect 0 amberfs repair "$R" --read-data
  whole
}

# Writing: caught at once (no snapshot), caught when read, or never.
program=backup
at_once() { # STEP FLIP...
  step=$1
  renew "$T/empty"
  flip "${@:2}" amberfs backup "$R" --name vm "$T/disk"
  equal "$status" 1 "$step: exit status"
  said 'changed in memory'
  said "test this machine's memory"
  equal "$(snapshot_count)" 0 "$step: snapshots"
  row "caught by the backup, which fails"
  heals
}
when_read() { # STEP FLIP...
  step=$1
  renew "$T/empty"
  flip "${@:2}" amberfs backup "$R" --name vm "$T/disk"
  equal "$status" 0 "$step: exit status"
  refused
  row "caught by every reader, stored again by the next backup"
  heals
}
never_written() { # STEP WHY FLIP...
  step=$1
  renew "$T/empty"
  flip "${@:3}" amberfs backup "$R" --name vm "$T/disk"
  equal "$status" 0 "$step: exit status"
  expect 0 amberfs verify "$R" --read-data
  amberfs restore "$R" vm/latest/disk "$T/x"
  ! cmp -s "$T/x" "$T/disk" || die "$step: this can be caught after all"
  row "can't be: $2"
}
never_written 'source, between the read and the checksum' \
  'nobody knows other bytes' read after 20 "$T/disk"
at_once 'between the checksum and the id' sum after 300 ''
at_once 'between the id and the compression' id after 20 ''
when_read 'as the compressor reads' compress during 20 ''
when_read 'between the compression and the sealing' compress after 20 ''
when_read 'sealing what is stored uncompressed' seal before 40 ''
when_read 'between the sealing and the write' seal after 20 ''
when_read 'as a pack is written' write before 20 "$R/packs"

# Reading: of a good repository.
renew "$T/empty"
amberfs backup "$R" --name vm "$T/disk"
cp -a "$R" "$T/good"

# Whatever it was, it is in no pack.
unharmed() {
  expect 0 amberfs repair "$R" --read-data
  [ -z "$(ls "$R/damaged")" ] || die "$step: records remain"
  whole
}
caught() { # STEP FLIP...
  step=$1
  renew "$T/good"
  case $program in
    restore)
      flip "${@:2}" amberfs restore "$R" vm/latest/disk "$T/x"
      same "$T/x" "$T/disk"
      ;;
    copy)
      rm -rf "$T/other"
      amberfs init "$T/other" --key-file "$T/key" >/dev/null
      flip "${@:2}" amberfs copy "$R" "$T/other" --to-key-file "$T/key"
      amberfs restore "$T/other" vm/latest/disk - | cmp - "$T/disk" ||
        die "$step: a copy that is not the same"
      ;;
    mount)
      flip "${@:2}" amberfs mount "$R" "$T/mnt" -f &
      wait_for 20 mountpoint -q "$T/mnt" || die "no mount"
      cmp "$T/mnt/vm/latest/disk" "$T/disk" || die "$step: other bytes"
      amber_umount "$T/mnt"
      wait
      ;;
    verify)
      flip "${@:2}" amberfs verify "$R" --read-data
      equal "$status" 1 "$step: exit status"
      row "caught, reported; repair finds the pack sound"
      unharmed
      return
      ;;
  esac
  equal "$status" 0 "$step: exit status"
  [ -z "$(ls "$R/damaged")" ] || die "$step: recorded as damage"
  row "caught, and read again"
}
# A frame that is decoded twice, ahead and on demand, may hide one of the tries.
never_read() { # STEP WHY CALL MOMENT PATH AT...
  local at
  step=$1
  renew "$T/good"
  for at in "${@:6}"; do
    rm -f "$T/x" "$T/done"
    flip "$3" "$4" "$at" "$5" amberfs restore "$R" vm/latest/disk "$T/x"
    equal "$status" 0 "$step: exit status"
    if ! cmp -s "$T/x" "$T/disk"; then
      row "can't be: $2"
      return
    fi
  done
  die "$step: this can be caught after all"
}
[ -w /dev/fuse ] && mounts=mount || mounts=
for program in restore copy $mounts verify; do
  caught 'between the read and the decryption' read after 20 "$R/packs"
  caught 'between the decryption and the decompression' open after 20 ''
  caught 'between the decompression and the comparison' decompress after 20 ''
done
program=restore
never_read 'between the comparison and the write' \
  'nobody looks at it again' sum after '' 300 200 400 500 600 700 800 900
never_read 'as the restored file is written' \
  'nobody looks at it again' write before "$T/" 1

# Prune carries what it keeps into new packs.
program=prune
renew "$T/good"
make_noise "$T/part" 1 2
cp "$T/disk" "$T/disk.was"
cat "$T/part" "$T/disk" >"$T/longer"
amberfs backup "$R" --name gone "$T/longer"
amberfs backup "$R" --name half "$T/part"
rm -rf "$T/good"
cp -a "$R" "$T/good"
repacked() { # STEP FLIP...
  step=$1
  renew "$T/good"
  amberfs forget "$R" vm/latest half/latest
  flip "${@:2}" amberfs prune "$R" --max-unused 0
  row "$(if [ "$status" = 0 ]; then echo 'caught, and read again'; else
    echo 'caught by the prune, which fails'
  fi)"
  expect 0 amberfs repair "$R" --read-data
  amberfs prune "$R" --max-unused 0
  expect 0 amberfs verify "$R" --read-data
  amberfs restore "$R" gone/latest/longer - | cmp - "$T/longer" ||
    die "$step: not whole"
}
# (How many frames are opened for it, depends on how chunks came to lie in them.)
repacked 'between the decryption and the decompression' open after 3 ''
repacked 'between the comparison and the compression' sum after 300 ''
repacked 'as the compressor reads' compress during 10 ''

cat "$T/table"
