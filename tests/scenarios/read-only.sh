#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a repository that can't be written is listed, restored
# and verified all the same; a backup says why it can't.
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
# Root's index of such a repository is outside of it.
index=$(amberfs index "$T/ro" --json | jq -r .folder)
case $index in
  /var/cache/amberfs/*) rm -rf "$index" ;;
  *) die "the index is in $index" ;;
esac
umount "$T/ro"

# An ordinary user who may only read.
if setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null; then
  chmod 755 "$T"
  chmod -R go+rX "$R"
  chmod 644 "$T/key"
  mkdir "$T/nobody"
  chown 65534:65534 "$T/nobody"
  user() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$T/nobody" \
      XDG_CACHE_HOME="$T/nobody" TMPDIR="$T/nobody" "$@"
  }
  user amberfs list "$R" | found vm/ || die "list as an ordinary user"
  user amberfs restore "$R" vm/latest/disk "$T/nobody/disk"
  same "$T/disk" "$T/nobody/disk"
  expect 1 user amberfs backup "$R" --name vm "$T/disk"
fi
equal "$(find "$R" -type f -printf '%p %s %T@\n' | sort | sha256sum)" "$before" \
  "the repository's files"
