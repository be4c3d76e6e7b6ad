#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: mount -t amberfs and a line in fstab work, and a failure is
# reported by mount's own exit status.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_root "to mount by mount(8)"
need_program unshare
unshare -m true 2>/dev/null || skip "no mount namespaces"

new_repo "$T/a repo,x"
make_noise "$T/disk" 4
amberfs backup "$R" --name vm "$T/disk"
unset AMBERFS_KEY_FILE

# mount(8) looks for helpers in /sbin alone. In a namespace of our own that
# directory gets one name more.
mkdir "$T/real" "$T/sbin" "$T/mnt"
make_key "$T/wrong"
sbin=$(readlink -f /sbin)
cat >"$T/inside" <<END
set -eu
mount --make-rprivate /
mount --bind $sbin $T/real
for f in $T/real/*; do ln -s "\$f" $T/sbin/; done
ln -sf $AMBERFS_BUILD/fs/amberfs-mount $T/sbin/mount.amberfs
ln -sf $AMBERFS_BUILD/fs/amberfs-mount $T/sbin/umount.fuse.amberfs
mount --bind $T/sbin $sbin

mount -t amberfs -o "key_file=$T/key,noatime,x-test" "$T/a repo,x" $T/mnt
mountpoint -q $T/mnt
cmp $T/disk $T/mnt/vm/latest/disk
findmnt -n -o SOURCE $T/mnt | grep -qF "a repo,x"
server=\$(getfattr --only-values -n user.amberfs.served_by $T/mnt)
umount $T/mnt
[ ! -e /proc/\$server ] || grep -q '^State:.*[ZX]' /proc/\$server/status

mount -f -t amberfs "$T/a repo,x" $T/mnt
! mountpoint -q $T/mnt

cat >$T/fstab <<FSTAB
$T/a\\040repo,x $T/mnt amberfs defaults,user,nofail,_netdev,allow_other,key_file=$T/key 0 0
FSTAB
mount -T $T/fstab $T/mnt
cmp $T/disk $T/mnt/vm/latest/disk
mount -a -T $T/fstab
[ "\$(grep -c " $T/mnt " /proc/self/mountinfo)" = 1 ]
setpriv --reuid=65534 --regid=65534 --clear-groups ls $T/mnt/vm >/dev/null
umount $T/mnt

status=0
mount -t amberfs -o "key_file=$T/wrong" "$T/a repo,x" $T/mnt 2>$T/err </dev/null ||
  status=\$?
[ \$status = 32 ]
grep -q 'wrong key file' $T/err
status=0
mount -t amberfs -o nonsense "$T/a repo,x" $T/mnt 2>$T/err </dev/null || status=\$?
[ \$status != 0 ]
grep -q 'unknown mount option nonsense' $T/err
mount -s -t amberfs -o "nonsense,key_file=$T/key" "$T/a repo,x" $T/mnt
umount $T/mnt
END
chmod 755 "$T"
unshare -m bash -x "$T/inside" >"$T/log" 2>&1 || die "$(cat "$T/log")"
