#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a mount that fails is reported by the exit status and one
# message; one that ends by umount, SIGTERM or SIGINT leaves nothing behind.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program python3

new_repo
make_noise "$T/disk" 4
amberfs backup "$R" --name vm "$T/disk"
mkdir "$T/mnt"

# Failures.
expect 1 amberfs mount "$T/none" "$T/mnt"
said "$T/none"
one_line "$T/err"
expect 1 amberfs mount "$R" "$T/nowhere"
said "nowhere.*No such file"
expect 1 amberfs mount "$R" "$T/disk"
said "not a directory"
expect 1 amberfs mount "$R" "$R/packs"
said "inside the repository"
make_key "$T/wrong"
expect 1 amberfs mount "$R" "$T/mnt" -o "key_file=$T/wrong"
said "wrong key file"
expect 1 amberfs mount "$R" "$T/mnt" --key-file "$T/wrong" -f
one_line "$T/err"
expect 2 amberfs mount "$R" "$T/mnt" -o cachesize=8M
said "cache_size"
expect 2 amberfs mount "$R" "$T/mnt" -o cache_size=lots
expect 2 amberfs mount "$R" "$T/mnt" -o rw
expect 2 amberfs mount "$R" "$T/mnt" -o passphrase=hunter2
said "command line"
! grep -q hunter2 "$T/err" || die "the secret is repeated"
expect 2 amberfs mount "$R"
expect 0 amberfs mount --help
! mountpoint -q "$T/mnt" || die "something was mounted"
no_session() {
  [ -z "$(find "$R/sessions" -type f)" ]
}
no_session || die "a session remains"

# The generic options are accepted, secrets don't show in ps.
amber_mount "$R" "$T/mnt" -o \
  ro,nodev,nosuid,noexec,noatime,noauto,user,_netdev,nofail,x-systemd.automount \
  -o "uid=12345,gid=23456,umask=077,cache_size=32M,readahead=256K"
equal "$(stat -L -c '%u %g %a' "$T/mnt/vm/latest")" "12345 23456 500" "owner"
expect 1 amberfs mount "$R" "$T/mnt"
said "mounted on .* already"
amber_umount "$T/mnt"

served() {
  [ -e "$T/mnt/vm/latest/disk" ]
}
# A zombie has no program any more.
ended() {
  ! readlink "/proc/$1/exe" >/dev/null && ! mountpoint -q "$T/mnt"
}
for signal in TERM INT HUP; do
  amberfs mount "$R" "$T/mnt" -f 2>"$T/log" &
  pid=$!
  wait_for 10 served || die "-f: no mount: $(cat "$T/log")"
  kill -"$signal" "$pid"
  wait "$pid" || die "status $? after SIG$signal"
  ended "$pid" || die "SIG$signal left a mount"
  [ ! -s "$T/log" ] || die "$(cat "$T/log")"
  no_session || die "a session remains"
done

# The daemon, with somebody in there.
amber_mount "$R" "$T/mnt"
daemon() {
  local p
  for p in /proc/[0-9]*; do
    [ "$(readlink "$p/exe")" = "$(readlink -f "$AMBERFS_BUILD/fs/amberfs-mount")" ] &&
      tr '\0' ' ' <"$p/cmdline" 2>/dev/null | found -F "$T/mnt" &&
      echo "${p#/proc/}"
  done
  true
}
pid=$(daemon)
[ -n "$pid" ] || die "no daemon is found"
equal "$(readlink "/proc/$pid/cwd")" / "the daemon's directory"
equal "$(readlink "/proc/$pid/fd/2")" /dev/null "the daemon's stderr"
exec 7<"$T/mnt/vm/latest/disk"
kill -TERM "$pid"
wait_for 10 ended "$pid" || die "SIGTERM with an open file left a mount"
exec 7<&-
[ -z "$(ls "$T/mnt")" ] || die "the directory is not usable"
no_session || die "a session remains"

# A killed one leaves a stale mount, which the next one tells how to remove.
amber_mount "$R" "$T/mnt"
kill -KILL "$(daemon)"
wait_for 5 not ls "$T/mnt"
expect 1 amberfs mount "$R" "$T/mnt"
said "fusermount3 -u"
umount -l "$T/mnt" 2>/dev/null || fusermount3 -u -z "$T/mnt"
amber_mount "$R" "$T/mnt"
same "$T/disk" "$T/mnt/vm/latest/disk"
amber_umount "$T/mnt"
wait_for 5 no_session || die "a dead session remains"

# A passphrase is asked for on the terminal, by the program in the background.
unset AMBERFS_KEY_FILE
AMBERFS_PASSPHRASE=correct amberfs init "$T/repo2" >/dev/null
AMBERFS_PASSPHRASE=correct amberfs backup "$T/repo2" --name vm "$T/disk"
for answer in wrong correct; do
  status=0
  on_terminal "$answer" amberfs mount "$T/repo2" "$T/mnt" || status=$?
  [ "$answer" = wrong ] && equal "$status" 1 "status with a wrong passphrase"
done
equal "$status" 0 "status with the right passphrase"
same "$T/disk" "$T/mnt/vm/latest/disk"

# Whoever waits for umount may take the disk away that the repository is on.
amber_umount "$T/mnt"
export AMBERFS_KEY_FILE=$T/key
small_disk ext4 200M "$T/place"
amberfs init "$T/place/repo" >/dev/null
amberfs backup "$T/place/repo" --name vm "$T/disk"
for _ in {1..20}; do
  amber_mount "$T/place/repo" "$T/mnt"
  cat "$T/mnt/vm/latest/disk" >/dev/null
  amberfs umount "$T/mnt"
  umount "$T/place"
  mount "$T/place.disk" "$T/place"
done
amber_mount "$T/place/repo" "$T/mnt"
exec 7<"$T/mnt/vm/latest/disk"
expect 1 amberfs umount "$T/mnt"
said 'is in use'
expect 0 amberfs umount --lazy "$T/mnt"
exec 7<&-
expect 1 amberfs umount "$T/place.disk"
said 'is not a mount'
