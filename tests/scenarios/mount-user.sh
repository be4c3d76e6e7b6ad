#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an ordinary user backs up, mounts, reads and unmounts; the
# mount is private; a repository that the user can't write to is mounted with a
# warning.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_root "to become an ordinary user"
need_program fusermount3 setpriv
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid"

uid=65534
home=$T/user
mkdir "$home"
chown $uid:$uid "$home"
chmod 755 "$T"
as_user=(setpriv --reuid="$uid" --regid="$uid" --clear-groups env "HOME=$home"
  "XDG_CACHE_HOME=$home/.cache" "TMPDIR=$home")
user() {
  "${as_user[@]}" "$@"
}
# On many machines /dev/fuse is for all; else for this test's while only.
if ! user test -w /dev/fuse; then
  before=$(stat -c %a /dev/fuse)
  chmod 666 /dev/fuse || skip "/dev/fuse is closed to ordinary users"
  at_exit chmod "$before" /dev/fuse
fi

head -c 64 /dev/urandom >"$home/key"
chown $uid "$home/key"
export AMBERFS_KEY_FILE=$home/key
make_noise "$home/disk" 6
user amberfs init "$home/repo" >/dev/null
user amberfs backup "$home/repo" --name vm "$home/disk"
user mkdir "$home/mnt"
user amberfs mount "$home/repo" "$home/mnt" || die "mounting as a user"
user cmp "$home/disk" "$home/mnt/vm/latest/disk" || die "wrong bytes"
equal "$(user stat -L -c %u "$home/mnt/vm/latest/disk")" $uid owner
! ls "$home/mnt" >/dev/null 2>&1 || die "root can look into a private mount"
user fusermount3 -u "$home/mnt" || die "unmounting as a user"
! user mountpoint -q "$home/mnt" || die "it is still mounted"

# SIGTERM needs fusermount3's help.
"${as_user[@]}" amberfs mount "$home/repo" "$home/mnt" -f 2>"$T/log" &
pid=$!
wait_for 10 user test -e "$home/mnt/vm/latest/disk" || die "$(cat "$T/log")"
kill -TERM "$pid"
wait "$pid" || die "status $? after SIGTERM: $(cat "$T/log")"
! user mountpoint -q "$home/mnt" || die "SIGTERM left a mount"

# allow_other is not for everybody.
if ! grep -qs '^user_allow_other' /etc/fuse.conf; then
  expect 1 user amberfs mount "$home/repo" "$home/mnt" -o allow_other
  said 'user_allow_other'
fi

# Somebody else's repository, readable but not writable.
chown -R root:root "$home/repo"
chmod -R go+rX,go-w "$home/repo"
user amberfs mount "$home/repo" "$home/mnt" 2>"$T/err" ||
  die "mounting a read-only repository: $(cat "$T/err")"
said "warning: .*prune may"
user cmp "$home/disk" "$home/mnt/vm/latest/disk" || die "wrong bytes"
user fusermount3 -u "$home/mnt"
[ -z "$(find "$home/repo/sessions" -type f)" ] || die "a session was registered"
