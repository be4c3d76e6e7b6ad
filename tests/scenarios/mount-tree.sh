#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a mount shows sources, snapshots and files with the right
# names, sizes, times, modes, blocks and attributes, and lets nobody write.
. "$(dirname "$0")/../functions.sh"
need_fuse
need_program jq python3

new_repo
make_noise "$T/disk.img" 3
truncate -s 20M "$T/disk.img"
printf 'secret' >"$T/secret"
printf '' >"$T/empty"
chmod 640 "$T/disk.img"
chmod 600 "$T/secret"
touch -d '2026-03-04 05:06:07.123456789Z' "$T/disk.img"
# Names that are UTF-8, printable and no other's are shown as they are; the
# repository's form of each is found too.
for name in 'büro süd' 'b%C3%BCro' $'b\xfcro' '.hidden' $'new\nline' '..' \
  "it's"; do
  amberfs backup "$R" --name "$name" "$T/empty"
done
amber_mount "$R" "$T/mnt"
equal "$(find "$T/mnt" -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort)" \
  "$(printf '%s\n' %2E. %2Ehidden b%25C3%25BCro b%FCro 'büro süd' it%27s new%0Aline)" names
equal "$(readlink "$T/mnt/büro süd/latest")" \
  "$(readlink "$T/mnt/b%C3%BCro%20s%C3%BCd/latest")" "both forms"
[ ! -e "$T/mnt/b%C3%BCro" ] || die "another's name"
[ ! -e "$T/mnt/.hidden" ] || die "a name that is not shown"
# A later one appears under its own name, and goes.
amberfs backup "$R" --name '東京' "$T/secret"
wait_for 10 test -e "$T/mnt/東京/latest/secret" || die "a new source"
amberfs forget "$R" '東京/latest'
gone() {
  [ ! -e "$T/mnt/東京" ]
}
wait_for 10 gone || die "a source that is forgotten"
amber_umount "$T/mnt"
amberfs forget "$R" 'büro süd/latest' 'b%25C3%25BCro/latest' $'b\xfcro/latest' \
  '.hidden/latest' $'new\nline/latest' '../latest' "it's/latest"

amberfs backup "$R" --name 'web server/ä' "$T/disk.img" "$T/secret" "$T/empty"
amberfs backup "$R" --name other "$T/secret"
amber_mount "$R" "$T/mnt"
equal "$(ls "$T/mnt")" "$(printf 'other\nweb%%20server%%2F%%C3%%A4')" sources
web="$T/mnt/web%20server%2F%C3%A4"
time=$(find "$web" -mindepth 1 -type d -printf "%f")
[[ $time =~ ^[0-9]{8}T[0-9]{6}Z$ ]] || die "not a time: $time"
equal "$(ls "$web")" "$(printf '%s\nlatest' "$time")" "the source's directory"
equal "$(readlink "$web/latest")" "$time" latest
snap=$web/latest
equal "$(ls "$snap")" "$(printf 'disk.img\nempty\nsecret\nsnapshot.json')" files
for file in disk.img empty secret; do
  same "$T/$file" "$snap/$file"
done

# What stat says.
equal "$(stat -c '%s %a %u %g %.9Y' "$snap/disk.img")" \
  "20971520 440 $(id -u) $(id -g) $(stat -c %.9Y "$T/disk.img")" disk.img
equal "$(stat -c '%a' "$snap/secret")" 400 "mode of secret"
equal "$(stat -c '%s %b' "$snap/empty")" "0 0" empty
blocks=$(stat -c '%b' "$snap/disk.img")
equal "$blocks" $((3 * 1048576 / 512)) "blocks of disk.img"
equal "$(du -B1 "$snap/disk.img" | cut -f1)" 3145728 du
[ "$(stat -c %o "$snap/disk.img")" -ge 131072 ] || die "blksize is small"
equal "$(stat -L -c %F "$snap")" directory type
equal "$(date -u -d "@$(stat -L -c %Y "$snap")" +%Y%m%dT%H%M%SZ)" "$time" \
  "time of the snapshot's directory"
equal "$(stat -c %h "$T/mnt")" 4 "links of the root"
# Inodes are distinct, the same each time, and the same in the next mount.
find "$T/mnt" -printf '%i %P\n' | sort -k2 >"$T/inodes"
[ -z "$(cut -d' ' -f1 "$T/inodes" | sort | uniq -d)" ] || die "$(cat "$T/inodes")"
equal "$(find "$T/mnt" | wc -l)" 13 names

equal "$(stat -c '%a' "$snap/snapshot.json")" 400 "mode of snapshot.json"
jq -e '.files | length == 3' "$snap/snapshot.json" >/dev/null || die "snapshot.json"
equal "$(jq -r .id "$snap/snapshot.json")" \
  "$(amberfs list --json "$R" |
    jq -r '.snapshots[] | select(.source != "other").id')" \
  "id in snapshot.json"

# Extended attributes, and none that isn't there.
python3 - "$snap" "$T/mnt" "$(jq -r .id "$snap/snapshot.json")" "$T" <<'END'
import errno, json, os, sys
snap, mnt, ident, directory = sys.argv[1:]
get = lambda p, n: os.getxattr(p, "user.amberfs." + n).decode()
assert get(snap, "snapshot") == ident
disk = snap + "/disk.img"
assert get(disk, "snapshot") == ident
assert get(disk, "source") == "web%20server%2F%C3%A4"
assert get(disk, "source_path").endswith("disk.img")
assert len(get(disk, "root")) == 64
listed = os.listxattr(disk)
assert "user.amberfs.root" in listed and "user.amberfs.snapshot" in listed
for n in listed:
    os.getxattr(disk, n)
assert os.listxattr(mnt) == []
for path, name in ((disk, "user.amberfs.none"), (mnt, "user.amberfs.snapshot"),
                   (snap, "user.amberfs.root"), (disk, "security.capability")):
    try:
        os.getxattr(path, name)
        raise SystemExit(name)
    except OSError as e:
        assert e.errno == errno.ENODATA, e

# Everything that writes: EROFS.
def refused(what, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert e.errno == errno.EROFS, (what, e)
        return
    raise SystemExit(what + " is not refused")

for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC,
              os.O_WRONLY | os.O_CREAT):
    refused("open", os.open, disk, flags)
refused("creat", os.open, snap + "/new", os.O_WRONLY | os.O_CREAT)
refused("unlink", os.unlink, disk)
refused("mkdir", os.mkdir, mnt + "/new")
refused("rmdir", os.rmdir, mnt + "/other")
refused("rename", os.rename, disk, snap + "/x")
refused("link", os.link, disk, snap + "/x")
refused("symlink", os.symlink, "x", snap + "/x")
refused("mknod", os.mknod, snap + "/x")
refused("chmod", os.chmod, disk, 0o777)
refused("chown", os.chown, disk, 0, 0)
refused("utime", os.utime, disk)
refused("truncate", os.truncate, disk, 0)
refused("setxattr", os.setxattr, disk, "user.x", b"x")
refused("removexattr", os.removexattr, disk, "user.amberfs.root")
assert not os.access(disk, os.W_OK)
for bad in ("/none", "/other/none", "/other/19700101T000000Z"):
    assert not os.path.exists(mnt + bad)
END

# df: the repository and the free space under it.
read -r total avail < <(df -B1 --output=size,avail "$T/mnt" | tail -n 1)
read -r below < <(df -B1 --output=avail "$R" | tail -n 1)
packs=$(find "$R/packs" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
used=$(df -B1 --output=used "$T/mnt" | tail -n 1)
[ $((used - packs)) -ge 0 ] && [ $((used - packs)) -le 4096 ] ||
  die "df says $used used, the packs have $packs"
[ $((avail - below)) -lt 100000000 ] && [ $((below - avail)) -lt 100000000 ] ||
  die "df says $avail free, the filesystem below $below"
[ "$total" -ge "$((used + avail))" ] || die "df: total"
findmnt -n -o FSTYPE,OPTIONS "$T/mnt" |
  found '^fuse.amberfs .*ro,nosuid,nodev.*default_permissions' ||
  die "$(findmnt -n "$T/mnt")"

amber_umount "$T/mnt"
amber_mount "$R" "$T/mnt"
find "$T/mnt" -printf '%i %P\n' | sort -k2 | diff "$T/inodes" - ||
  die "inodes differ in the next mount"

mkdir "$T/one"
# One snapshot only: it must be there, and "latest" is that of now.
for wanted in nobody/latest web/20200101T000000Z "other/latest/no-such-file"; do
  expect 1 amberfs mount "$R" "$T/one" -o "snapshot=$wanted"
  ! mountpoint -q "$T/one" || die "mounted without: $wanted"
done
said 'no-such-file'
amber_mount "$R" "$T/one" -o snapshot=other/latest
equal "$(ls "$T/one")" other "what is shown"
was=$(readlink "$T/one/other/latest")
amber_umount "$T/one"
[ -n "$was" ] || die "there is no latest"
