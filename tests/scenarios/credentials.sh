#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: each way to give a passphrase or key opens the repository,
# a wrong one gives one clear message, and encryption can't be turned off by
# tricks.
. "$(dirname "$0")/../functions.sh"
umask 077
need_program jq python3
unset AMBERFS_KEY_FILE

echo data >"$T/file"
echo 'open sesame' >"$T/pass"
echo wrong >"$T/wrong"

# Passphrases: prompt, environment, file, command.
on_terminal 'open sesame,open sesame' amberfs init "$T/p" >"$T/tty" ||
  { cat "$T/tty"; die "init with a prompt"; }
! grep -q sesame "$T/tty" || die "the passphrase is echoed"
expect 1 on_terminal 'one,two' amberfs init "$T/p2"
[ ! -e "$T/p2/config" ] || die "two different passphrases were taken"
on_terminal 'open sesame' amberfs list "$T/p" >/dev/null || die "prompt"
AMBERFS_PASSPHRASE='open sesame' amberfs backup "$T/p" --name a "$T/file"
AMBERFS_PASSPHRASE_FILE=$T/pass amberfs list "$T/p" >/dev/null
AMBERFS_PASSPHRASE_COMMAND="cat $T/pass" amberfs list "$T/p" >/dev/null
amberfs list "$T/p" --passphrase-file "$T/pass" >/dev/null
amberfs list "$T/p" --passphrase-command "cat $T/pass" >/dev/null

AMBERFS_PASSPHRASE=wrong expect 1 amberfs list "$T/p"
one_line "$T/err"
said 'passphrase|key'
expect 1 amberfs list "$T/p" --passphrase-file "$T/wrong"
one_line "$T/err"
expect 1 amberfs list "$T/p" --passphrase-file "$T/missing"
said missing
expect 1 amberfs list "$T/p" --passphrase-command false
one_line "$T/err"
# It prints without end, or leaves something running that holds its output.
expect 1 timeout 20 amberfs list "$T/p" --passphrase-command yes
said 'more than'
expect 0 timeout 20 amberfs list "$T/p" \
  --passphrase-command "cat $T/pass; sleep 60 & echo \$! >$T/sleeper"
kill "$(cat "$T/sleeper")"
# Without a terminal and without credentials it says so, and does not wait.
expect 1 setsid -w timeout 20 amberfs list "$T/p"
said 'AMBERFS_|--key-file|--passphrase'

# Key files: option and environment.
make_key "$T/key"
make_key "$T/other"
amberfs init "$T/k" --key-file "$T/key" >/dev/null
amberfs backup "$T/k" --name a "$T/file" --key-file "$T/key"
AMBERFS_KEY_FILE=$T/key amberfs list "$T/k" >/dev/null
expect 1 amberfs list "$T/k" --key-file "$T/other"
one_line "$T/err"
expect 1 amberfs list "$T/k" --key-file "$T/nowhere"
said nowhere
: >"$T/empty"
expect 1 amberfs init "$T/k2" --key-file "$T/empty"
[ ! -e "$T/k2/config" ] || die "an empty key file was taken"
! grep -rqa 'data' "$T/k/packs" || die "plain data in an encrypted repository"

# No encryption: only when said so, and never with credentials.
expect 1 setsid -w timeout 20 amberfs init "$T/n0"
[ ! -e "$T/n0/config" ] || die "init without a word made a repository"
amberfs init "$T/n" --no-encryption >/dev/null
amberfs backup "$T/n" --name a "$T/file"
amberfs restore "$T/n" a/latest/file - | cmp - "$T/file"
expect 1 amberfs list "$T/n" --key-file "$T/key"
said 'not encrypted|unencrypted'
AMBERFS_PASSPHRASE=x expect 1 amberfs list "$T/n"
expect 2 amberfs init "$T/n3" --no-encryption --key-file "$T/key"
# A swapped config turns nothing off.
cp -a "$T/k" "$T/swapped"
cp "$T/n/config" "$T/swapped/config"
AMBERFS_KEY_FILE=$T/key expect 1 amberfs backup "$T/swapped" --name a "$T/file"

# Init never touches what is there.
expect 1 amberfs init "$T/k" --key-file "$T/key"
mkdir "$T/full"
touch "$T/full/x"
expect 1 amberfs init "$T/full" --key-file "$T/key"
equal "$(ls "$T/full")" x "the directory's content"

# A secret that others can read opens the repository, with a warning.
for mode in 604 620 666; do
  chmod "$mode" "$T/key"
  expect 0 amberfs list "$T/k" --key-file "$T/key"
  said "warning: key file $T/key is open to other users \(its mode is 0$mode\)"
done
chmod 644 "$T/pass"
expect 0 amberfs list "$T/p" --passphrase-file "$T/pass"
said "warning: .*$T/pass is open to other users"
for mode in 600 440; do
  chmod "$mode" "$T/key"
  expect 0 amberfs list "$T/k" --key-file "$T/key"
  [ ! -s "$T/err" ] || die "$(cat "$T/err")"
done
