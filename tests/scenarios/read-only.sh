#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a repository that can't be written is listed, restored,
# mounted and verified all the same, also by somebody who has no place for an
# index; a backup says why it can't.
. "$(dirname "$0")/../functions.sh"
need_root "to mount read-only"
need_program jq

new_repo
make_noise "$T/disk" 8
amberfs backup "$R" --name vm "$T/disk"
before=$(find "$R" -type f -printf '%p %s %T@\n' | sort | sha256sum)
mkdir "$T/ro"
mount --bind "$R" "$T/ro"
mount -o remount,bind,ro "$T/ro"
amberfs list "$T/ro" | found vm/ || die "list"
amberfs restore "$T/ro" vm/latest/disk - | cmp - "$T/disk"
amberfs verify "$T/ro" --read-data
expect 1 amberfs backup "$T/ro" --name vm "$T/disk"
said "not writable|read-only"
umount "$T/ro"

# An ordinary user who may only read.
setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null || exit 0
chmod 755 "$T"
chmod -R go+rX "$R"
install -m 600 -o 65534 "$T/key" "$T/user.key"
mkdir "$T/nobody" "$T/tmp"
chown 65534:65534 "$T/nobody"
chmod 1777 "$T/tmp"
user() {
  setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$T/nobody" \
    XDG_CACHE_HOME="$T/nobody" TMPDIR="$T/tmp" \
    AMBERFS_KEY_FILE="$T/user.key" "$@"
}
user amberfs list "$R" | found vm/ || die "list as an ordinary user"
user amberfs restore "$R" vm/latest/disk "$T/nobody/disk"
same "$T/disk" "$T/nobody/disk"
equal "$(user amberfs index "$R" --json | jq -r .directory)" \
  "$T/nobody/amberfs/$(id_of "$R")" "the user's index"
expect 1 user amberfs backup "$R" --name vm "$T/disk"

# One with a home that can't be written: the index is for the while, and gone
# afterwards.
rm -rf "$T/nobody/amberfs" "$T/nobody/disk"
chown 0:0 "$T/nobody"
homeless() {
  user env -u XDG_CACHE_HOME "$@"
}
temporary() {
  [ -n "$(find "$T/tmp" -name 'amberfs-index.*')" ]
}
expect 0 homeless amberfs list "$R"
one_line "$T/err"
said "can't make $T/nobody/.cache: permission denied; using a temporary index"
said "$T/tmp/amberfs-index.*--index-dir"
found vm/ <"$T/out" || die "list without a home"
homeless amberfs restore "$R" vm/latest/disk - 2>"$T/err" | cmp - "$T/disk"
equal "$(grep -c "temporary index" "$T/err")" 1 "told once"
expect 0 homeless amberfs verify "$R" --read-data
homeless amberfs index "$R" --json 2>/dev/null | jq -e '.packs > 0' >/dev/null ||
  die "an empty index"
equal "$(ls "$T/tmp")" "" "left over"
if [ -w /dev/fuse ] && user test -w /dev/fuse; then
  mkdir "$T/tmp/mnt"
  chown 65534 "$T/tmp/mnt"
  expect 0 homeless amberfs mount "$R" "$T/tmp/mnt"
  said "using a temporary index"
  user cmp "$T/disk" "$T/tmp/mnt/vm/latest/disk" || die "mounted without a home"
  user fusermount3 -u "$T/tmp/mnt"
  wait_for 10 not temporary || die "left by a mount: $(ls "$T/tmp")"
fi

# What was killed is taken away by the next one.
mkfifo "$T/slow"
homeless amberfs restore "$R" vm/latest/disk - >"$T/slow" 2>/dev/null &
restore=$!
exec 8<"$T/slow"
head -c 1M >/dev/null <&8
temporary || die "a restore without a temporary index"
kill -9 "$(pgrep -P "$restore" || echo "$restore")"
wait "$restore" 2>/dev/null || :
exec 8<&-
temporary || die "a killed one tidies up?"
homeless amberfs list "$R" >/dev/null 2>&1
not temporary || die "left by a killed one"

# Where there is no place at all, the message names the first one and the
# remedy.
cat >"$T/nowhere" <<'END'
#!/bin/sh
mount --bind "$T" /mnt || exit 77
for place in /var/tmp /tmp /dev/shm; do
  mount -t tmpfs -o mode=755 none "$place" || exit 77
done
exec setpriv --reuid=65534 --regid=65534 --clear-groups \
  env -u XDG_CACHE_HOME HOME=/mnt/nobody AMBERFS_KEY_FILE=/mnt/user.key \
  amberfs "$@"
END
chmod +x "$T/nowhere"
case $AMBERFS_BUILD in
  /tmp/* | /var/tmp/* | /dev/shm/* | /mnt/*) ;;
  *)
    if unshare -m mount --bind "$T" /mnt 2>/dev/null; then
      expect 1 unshare -m "$T/nowhere" list /mnt/repo
      one_line "$T/err"
      said "can't make /mnt/nobody/.cache: permission denied.*--index-dir"
    fi
    ;;
esac
equal "$(find "$R" -type f -printf '%p %s %T@\n' | sort | sha256sum)" "$before" \
  "the repository's files"
