#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: every mistake of a configuration is told at once with its
# file and line; files that others can change are refused; each command of each
# program takes a repository by its name, with its key and its index.
. "$(dirname "$0")/../functions.sh"
need_program jq python3

config=$T/amberfs.conf
write() {
  cat >"$config"
  chmod 600 "$config"
}
check() { # STATUS
  expect "$1" amberfs config check --config "$config"
}
# at LINE PATTERN: the problem of that line was told.
at() {
  said "amberfs.conf, line $1: .*$2"
}

# All mistakes at once, each where it is.
write <<'END'
lost = 1
[repository main]
  place = repo
key-fil = /etc/key
passphrase-command = pass show x ; true
[repositry x]
ignored = here
[repository two]
key-file = /nowhere/key
passphrase-file = /nowhere/passphrase
[job nightly]
repository = mian
domains: *
quiesce = always
schedule = 25:00
keep-daily = many
a line of words
keep-weekly = 7
keep-weekly = 8
jobs = 65
wait = 5
bwlimit = fast
verify = 7
min-age = 30d
[job bad name]
[job empty]
[job nightly]
[job idle]
repository = two
hooks = /nowhere/hooks
copy-to = two
keep-last = 0
max-unused = 200%
device = disk /dev/null
file = disk
[job open
END
printf '\001 = control\n%0300d = long\n' 7 >>"$config"
check 2
at 1 'belongs to no section'
at 3 'place must be a path'
at 4 'did you mean "key-file"'
at 5 'comments have lines of their own'
at 6 'did you mean \[repository'
at 8 'two\] has no place'
at 10 'passphrase-file and key-file exclude each other'
at 12 'no \[repository mian\]; there are: main, two'
at 14 'auto, require or never'
at 15 'schedule must be'
at 16 'keep-daily must be a number'
at 17 'neither KEY = VALUE'
at 19 'given twice: also in line 18'
at 20 'number from 1 to 64'
at 21 'wait must be a length of time'
at 22 'bwlimit must be a size'
at 23 'verify must be'
at 24 'a job has no setting "min-age"'
at 25 'no name for a job'
at 26 'names no repository'
at 26 'nothing to do'
at 27 'given twice: also in .*line 11'
at 30 'hooks means nothing without domains'
at 31 'copied to itself'
at 32 'would keep nothing'
at 33 'max-unused must be'
at 35 'file must be'
at 36 "ends with ']'"
at 37 'control characters'
at 38 'longer than'
# What is missing on this host, too.
at 9 '/nowhere/key: No such file'
at 30 '/nowhere/hooks: No such file'
at 34 'no block device'
[ "$(sort -t, -k2.6n "$T/err" | wc -l)" -ge 30 ] || die "problems are missing"
sed -n 's/.*, line \([0-9]*\): .*/\1/p' "$T/err" >"$T/lines"
sort -nc "$T/lines" || die "problems are not in the order of the file"
# The same for programs.
expect 2 amberfs config check --json --config "$config"
equal "$(jq -r '.schema, .ok, (.problems | length)' "$T/out" | tr '\n' ' ')" \
  "1 false $(wc -l <"$T/lines") " "the report"
equal "$(jq -r '.problems[] | select(.line == 17) | .code' "$T/out")" \
  invalid "a problem"
documented config "$T/out" >"$T/seen"

# What is no configuration at all.
head -c 3000 /dev/urandom >"$config"
check 2
printf 'text\0text\n' >"$config"
check 2
said 'no text'
: >"$config"
check 0
head -c 2M /dev/zero | tr '\0' '#' >"$config"
check 2
said 'larger than'
rm "$config"
check 2
said 'amberfs.conf.*No such file'
# CRLF, a byte order mark and blanks are no mistakes.
printf '\357\273\277[repository a]\r\n\t place =  /tmp \r\n; end' >"$config"
chmod 600 "$config"
check 0

# Files that others can change, or replace.
chmod 666 "$config"
check 2
said 'writable by others .*chmod go-w'
expect 1 amberfs list a --config "$config"
said 'writable by others'
chmod 600 "$config"
mkdir -m 777 "$T/open"
mv "$config" "$T/open"
expect 2 amberfs config check --config "$T/open/amberfs.conf"
said "other users can change the directory $T/open"
ln -s "$T/open/amberfs.conf" "$T/open/link.conf"
expect 2 amberfs config check --config "$T/open/link.conf"
said 'symbolic link'
mkfifo "$T/fifo"
expect 2 amberfs config check --config "$T/fifo"
said 'no file'

# Two repositories that open with what the configuration says, and only so.
write <<END
[repository main]
place = $T/main
key-file = $T/main.key
index-dir = $T/main.index
min-age = 0
[repository away]
place = $T/away
key-file = $T/away.key
[repository words]
place = $T/words
passphrase-command = echo secret words
[job nightly]
repository = main
file = f $T/file
keep-daily = 7
copy-to = away
END
named() { # STATUS COMMAND...
  local status=$1
  shift
  expect "$status" amberfs "$@" --config "$config"
}
echo text >"$T/file"
named 0 init main
named 0 init away
named 0 init words
named 0 list words
[ -s "$T/main.key" ] || die "no key file was made"
named 0 backup main --name f "$T/file"
[ -e "$T/main.index" ] || die "the index is not where it should be"
named 0 list main
found '^f/' <"$T/out" || die "no snapshot"
named 0 show main f/latest
named 0 sessions main
named 0 index main
named 0 verify main --read-data-subset 1/1
named 0 pin main f/latest
named 0 unpin main f/latest
named 0 protect main
named 0 key list main
named 0 forget main --keep-last 1 --dry-run
named 0 prune main
named 0 restore main f/latest/file "$T/back"
same "$T/file" "$T/back"
named 0 copy main away
named 0 list away
named 0 repair main --from away
# The programs that know libvirt and FUSE get as far as they can here.
named 1 prove main --connect test:///default
not found -E 'no key|no repository' <"$T/err" || die "$(cat "$T/err")"
named 1 boot main nobody/latest
said 'nobody'
named 1 restore main f/latest --domain --connect test:///default
not found -E 'no key|no repository' <"$T/err" || die "$(cat "$T/err")"
named 1 mount main "$T/nowhere"
said "can't mount on"
if [ -w /dev/fuse ]; then
  mkdir "$T/mnt"
  named 0 mount main "$T/mnt"
  same "$T/file" "$T/mnt/f/latest/file"
  umount "$T/mnt" || fusermount3 -u "$T/mnt"
fi

# Options and the environment go first.
make_key "$T/wrong"
named 1 list main --key-file "$T/wrong"
AMBERFS_KEY_FILE=$T/wrong named 1 list main
AMBERFS_KEY_FILE=$T/main.key named 1 list words
AMBERFS_TO_KEY_FILE=$T/wrong named 1 copy main away

# A name that is unknown, in each of them; what names there are is said.
for command in 'list nope' 'show nope f/latest' 'sessions nope' 'index nope' \
  'verify nope' 'pin nope f/latest' 'unpin nope f/latest' 'protect nope' \
  'key list nope' 'key add nope' 'key remove nope x' 'forget nope f/latest' \
  'prune nope' 'restore nope f/latest x' 'copy nope main' 'copy main nope' \
  'repair nope' 'repair main --from nope' 'backup nope --name f x' \
  'domains nope' 'boot nope f/latest' 'prove nope' 'mount nope mnt' \
  'restore nope f/latest --domain' 'init nope'; do
  # shellcheck disable=SC2086 # words
  named 1 $command
  said "no repository is called nope; .*these: main, away, words; .*\./nope"
done
[ ! -e nope ] || die "a directory was made"
# Also for programs.
for command in 'list nope' 'backup nope --name f x' 'copy main nope'; do
  # shellcheck disable=SC2086 # words
  named 1 $command --json
  documented 'no document' "$T/out" >/dev/null
  equal "$(jq -r '.error | .code + " " + .object' "$T/out")" 'not-found nope' \
    "$command"
done
# A directory here is a path: bare if nothing has its name, else with ./ or /.
cd "$T"
named 1 list ./nope
said 'no repository at ./nope'

cp -r main copy
AMBERFS_KEY_FILE=$T/main.key named 0 list copy
AMBERFS_KEY_FILE=$T/main.key expect 0 amberfs list main

# Where REPO is left out.
export AMBERFS_REPOSITORY=main
named 0 list
found '^f/' <"$T/out" || die "no snapshot"
named 0 show f/latest
named 0 verify
unset AMBERFS_REPOSITORY
named 2 list

# A mistake elsewhere is in nobody's way, one in its own section is told.
sed 's/^keep-daily.*/keep-daily = x/' "$config" >"$T/other"
expect 0 amberfs list main --config "$T/other"
sed 's/^index-dir/index-dri/' "$config" >"$T/own"
expect 1 amberfs list main --config "$T/own"
said 'own, line 4: .*index-dir'

# What is in force and where it comes from; secrets are not shown.
expect 0 amberfs config show --config "$config"
found "repository main *key-file *$T/main.key *$config, line 3" <"$T/out" ||
  die "$(cat "$T/out")"
found "job nightly *quiesce *auto *default" <"$T/out" || die "$(cat "$T/out")"
not found 'secret words' <"$T/out" || die "a secret is shown"
AMBERFS_PASSPHRASE='other words' expect 0 amberfs config show --json \
  --config "$config"
equal "$(jq -r '[.settings[] | select(.name == "words") |
    select(.value == null) | .setting] | join(" ")' "$T/out")" \
  "passphrase-command passphrase" "what is hidden"
documented config "$T/out" >>"$T/seen"
for kind in config 'configuration problem' 'configured setting'; do
  documented --fields | grep "^$kind\\."
done | sort >"$T/wanted"
equal "$(sort -u "$T/seen" | comm -3 "$T/wanted" -)" "" "fields that are missing"
not found -E 'secret|other words' <"$T/out" || die "a secret is shown"
expect 0 amberfs config check --config - --quiet <"$config"
expect 2 amberfs config frobnicate --config "$config"

# The usual places: root's, and an ordinary user's own.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  mkdir -p "$T/etc/amberfs/conf.d" "$T/ro"
  chmod 755 "$T"
  printf '[repository system]\nplace = /tmp\n' >"$T/etc/amberfs/amberfs.conf"
  printf '[job more]\nrepository = system\nverify = maps\n' \
    >"$T/etc/amberfs/conf.d/more.conf"
  echo garbage >"$T/etc/amberfs/conf.d/not-this"
  install -d -o nobody "$T/user" "$T/user/amberfs"
  printf '[repository own]\nplace = /tmp\n' >"$T/user/amberfs/amberfs.conf"
  # shellcheck disable=SC2016 # for the shell in there
  unshare --mount bash -c '
    mount -t overlay -o lowerdir="$T/etc:/etc" none /etc || exit 77
    amberfs config show --json >"$T/system.json" || exit
    XDG_CONFIG_HOME=$T/user setpriv --reuid=nobody --clear-groups \
      amberfs config show --json >"$T/own.json" || exit
    XDG_CONFIG_HOME=$T/none setpriv --reuid=nobody --clear-groups \
      amberfs config show --json >"$T/none.json" || exit' ||
    [ $? = 77 ] || die "the usual places"
  files() { jq -r '.files | join(" ")' "$T/$1.json"; }
  if [ -s "$T/own.json" ]; then
    system="/etc/amberfs/amberfs.conf /etc/amberfs/conf.d/more.conf"
    equal "$(files system)" "$system" "root's files"
    equal "$(files own)" "$T/user/amberfs/amberfs.conf" "a user's own files"
    equal "$(files none)" "$system" "the files of a user without any"
  fi
fi
