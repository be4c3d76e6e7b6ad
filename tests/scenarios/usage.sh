#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: help lists every option and fits a screen, mistakes are answered with what was
# meant, exit statuses are as the manual says.
. "$(dirname "$0")/../functions.sh"

commands='init list show restore verify forget prune pin unpin protect key copy
  repair run config sessions index doctor backup checkpoint domains mount umount
  boot prove'
expect 0 amberfs --help
[ "$(wc -l <"$T/out")" -le 24 ] || die "amberfs --help: too long"
for command in $commands; do
  grep -q "$command" "$T/out" || die "amberfs --help does not name $command"
done
expect 0 amberfs --version
grep -q '[0-9]\.[0-9]' "$T/out" || die "no version"
for command in $commands; do
  expect 0 amberfs "$command" --help
  [ -s "$T/out" ] && [ ! -s "$T/err" ] || die "$command --help: no page"
  lines=$(wc -l <"$T/out")
  [ "$lines" -le 40 ] || die "amberfs $command --help has $lines lines"
  [ "$(wc -L <"$T/out")" -le 80 ] || die "amberfs $command --help: too wide"
  grep -q "amberfs $command" "$T/out" || die "$command --help: no usage line"
  cp "$T/out" "$T/pages"
  case $command in
    restore) amberfs restore --domain --help >>"$T/pages" ;;
    checkpoint) amberfs checkpoint remove --help >>"$T/pages" ;;
    key)
      for verb in add remove list; do
        amberfs key "$verb" --help >>"$T/pages"
      done
      ;;
  esac
  while read -r option; do
    grep -q -e "--$option\b" "$T/pages" || die "$command --help: no --$option"
  done < <(sed -n 's/^\.It Fl \(. , \)*\\-\([^ ]*\).*/\2/p' \
    "$SOURCE_TREE"/{repo,ingest}/commands/"amberfs-$command.1" 2>/dev/null | tr -d '\134')
  expect 2 amberfs "$command" --nonsense-option
  said nonsense-option
  [ "$(wc -l <"$T/err")" -le 3 ] || die "$command: a long-winded complaint"
done
expect 2 amberfs
expect 2 amberfs backpu
said "backup"
expect 2 amberfs backup "$T/r" --nmae x "$T"
said -- '--name'
expect 2 amberfs restore "$T/r"
expect 2 amberfs backup "$T/r" --name x
expect 2 amberfs backup "$T/r" --name x --jobs none /etc/hostname
expect 2 amberfs backup "$T/r" --name x --jobs 0 /etc/hostname
expect 2 amberfs backup "$T/r" --name x --compression 99 /etc/hostname
expect 2 amberfs backup "$T/r" --name x --bwlimit fast /etc/hostname
expect 1 amberfs list "$T/nowhere" --key-file /dev/null
said nowhere
mkdir "$T/empty"
expect 1 amberfs list "$T/empty"
said 'init|not a repository|no repository'

# A full or closed standard output is an error, not silence.
new_repo
echo x >"$T/file"
amberfs backup "$R" --name a "$T/file"
if [ -e /dev/full ]; then
  status=0
  amberfs list "$R" >/dev/full 2>"$T/err" || status=$?
  equal "$status" 1 "status with a full output"
  status=0
  amberfs restore "$R" a/latest/file - >/dev/full 2>"$T/err" || status=$?
  equal "$status" 1 "status with a full output"
fi

# Started without standard descriptors: no file of ours gets their numbers.
make_noise "$T/slow" 8
(exec amberfs backup "$R" --name slow --bwlimit 4M "$T/slow" <&- >&- 2>&-) &
pid=$!
wait_for 20 session_registered || die "no session"
for number in 0 1 2; do
  equal "$(readlink "/proc/$pid/fd/$number")" /dev/null "descriptor $number"
done
wait "$pid"
amberfs restore "$R" slow/latest/slow - | cmp - "$T/slow"

# A mistyped name makes nothing.
new_repo "$T/typo"
expect 1 amberfs list "$T/typo" --index-dir "$T/no/such/place"
said "can't make the index directory .*/no/such/place: No such file"
[ ! -e "$T/no" ] || die "a directory was made"
cd "$T"
for place in s3:bucket sftp://host/dir rados:pool/x; do
  expect 1 amberfs init "$place"
  said "$place is not a kind of place .*\./$place"
done
[ ! -e s3:bucket ] || die "a directory s3:bucket was made"
expect 0 amberfs init ./s3:bucket

# As with git: help on a command, and the version.
expect 0 amberfs help forget
grep -q '^Usage: amberfs forget ' "$T/out" || die "$(cat "$T/out")"
expect 0 amberfs help backup
grep -q '^Usage: amberfs backup ' "$T/out" || die "$(cat "$T/out")"
expect 2 amberfs help forgot
said "unknown command 'forgot'"
expect 0 amberfs version
one_line "$T/out"
expect 0 amberfs boot --list --overlay-dir "$T/boots"
found 'No snapshot is booted' <"$T/out"
