#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: meson install puts everything where Debian expects it, the
# installed program finds its parts.
. "$(dirname "$0")/../functions.sh"
need_program meson

DESTDIR=$T/root meson install --no-rebuild -C "$AMBERFS_BUILD" >"$T/log" 2>&1 ||
  { cat "$T/log"; die "meson install"; }
for file in usr/bin/amberfs usr/sbin/mount.amberfs usr/sbin/amberfs-cron \
  usr/libexec/amberfs/amberfs-mount usr/libexec/amberfs/amberfs-ingest \
  usr/share/man/man1/amberfs.1 usr/share/man/man8/mount.amberfs.8 \
  usr/lib/systemd/system/amberfs-backup.service \
  usr/lib/systemd/system/amberfs-backup.timer \
  usr/share/doc/amberfs/examples/amberfs.conf usr/share/man/man5/amberfs.conf.5 \
  usr/share/doc/amberfs/examples/cron.conf usr/share/doc/amberfs/README.md \
  usr/share/doc/amberfs/FORMAT.md; do
  [ -e "$T/root/$file" ] || [ -L "$T/root/$file" ] || die "no /$file"
done
equal "$(readlink "$T/root/usr/sbin/mount.amberfs")" \
  /usr/libexec/amberfs/amberfs-mount "what mount.amberfs is"
for program in usr/bin/amberfs usr/sbin/amberfs-cron \
  usr/libexec/amberfs/amberfs-mount usr/libexec/amberfs/amberfs-ingest; do
  [ -x "$T/root/$program" ] || die "/$program is not executable"
done
# Nothing of the tests is installed.
[ -z "$(find "$T/root" -name '*test*' -o -name '*shim*' -o -name 'lib*.a')" ] ||
  die "too much: $(find "$T/root" -name '*test*' -o -name '*shim*')"

# The example is a configuration without mistakes.
sed "s|^place = .*|place = $T|; s|^key-file = .*|key-file = $T/log|" \
  "$T/root/usr/share/doc/amberfs/examples/amberfs.conf" >"$T/example.conf"
sed 's/^#\([a-z-]* = \|\[\)/\1/' "$T/example.conf" >"$T/whole.conf"
expect 0 amberfs config check --config "$T/example.conf"
expect 2 amberfs config check --config "$T/whole.conf"
found -v 'No such file' <"$T/err" && die "$(cat "$T/err")"

# The programs find each other without the build directory, in a /usr to which they
# were added.
if [ "$(id -u)" = 0 ]; then
  unshare --mount bash -c "
    mount -t overlay -o lowerdir='$T/root/usr:/usr' none /usr &&
      PATH=/usr/bin:/usr/sbin && amberfs backup --help >/dev/null &&
      amberfs mount --help >/dev/null && amberfs-cron --help >/dev/null" ||
    die "the installed programs don't find each other"
fi
# Units are well formed, where systemd can say so.
if command -v systemd-analyze >/dev/null; then
  mkdir -p "$T/units"
  sed "s|/usr/sbin/amberfs-cron|/bin/true|" \
    "$T/root/usr/lib/systemd/system/amberfs-backup.service" \
    >"$T/units/amberfs-backup.service"
  cp "$T/root/usr/lib/systemd/system/amberfs-backup.timer" "$T/units"
  systemd-analyze verify --man=no "$T"/units/*.timer 2>"$T/units.log" ||
    die "$(cat "$T/units.log")"
fi
