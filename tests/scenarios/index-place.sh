#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: an index is read and written only where nobody but its
# user can put anything, whatever lies in the repository or in the way.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
make_noise "$T/disk" 4
amberfs backup "$R" --name vm "$T/disk"
where() {
  amberfs index "$R" --json "$@" | jq -r .directory
}
index=$(index_of "$R")
equal "$(where)" "$index" "the index"
equal "$(stat -c '%a %u' "$index")" "700 $(id -u)" "the index's mode and owner"

# Without the variable: root's and other users' own.
plain() {
  env -u XDG_CACHE_HOME "$@"
}
if [ "$(id -u)" = 0 ]; then
  default=/var/cache/amberfs/$(id_of "$R")
  at_exit rm -rf "$default"
else
  default=$HOME/.cache/amberfs/$(id_of "$R")
fi
equal "$(plain amberfs index "$R" --json | jq -r .directory)" "$default" default
plain amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"
rm -rf "$default"
plain amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"

# What lies in the repository is not touched, but for an index and no more.
echo untouched >"$T/victim"
cp "$T/victim" "$T/before"
safe() {
  expect 0 amberfs list "$R"
  expect 0 amberfs verify "$R"
  expect 0 amberfs backup "$R" --name vm "$T/disk" --force-read
  same "$T/victim" "$T/before"
}
for file in lock.mdb data.mdb lock filter filter.tmp; do
  for how in -s ''; do
    rm -rf "$R/index"
    cp -a "$index" "$R/index"
    # shellcheck disable=SC2086 # a link of either kind
    ln -f $how "$T/victim" "$R/index/$file"
    safe
    [ ! -e "$R/index" ] || die "index in the repository: $(ls "$R/index")"
  done
done
mkdir "$T/other"
cp "$T/victim" "$T/other/data.mdb"
ln -s "$T/other" "$R/index"
safe
same "$T/other/data.mdb" "$T/before"
rm "$R/index"
cp -a "$index" "$R/index"
cp "$index/lock" "$R/index/notes"
cp -a "$R/index" "$T/kept"
safe
diff -r "$R/index" "$T/kept" || die "not an index alone, but changed"
rm -rf "$R/index"
mkfifo "$R/index"
safe
rm "$R/index"

# A directory with --index-dir.
refused() { # WORDS DIRECTORY
  expect 1 amberfs list "$R" --index-dir "$2"
  one_line "$T/err"
  said "can't use the index directory $2: .*$1.*--index-dir"
}
mkdir -p "$T/wide/in" "$T/sticky/in"
chmod 770 "$T/wide"
refused "$T/wide may be written by other users.*chmod go-w" "$T/wide/in"
chmod 755 "$T/wide"
chmod 777 "$T/wide/in"
refused "$T/wide/in may be written by other users" "$T/wide/in"
chmod 1777 "$T/sticky"
amberfs list "$R" --index-dir "$T/sticky/in" >/dev/null
[ -f "$T/sticky/in/data.mdb" ] || die "no index in $T/sticky/in"
ln -s "$T/sticky/in" "$T/link"
equal "$(where --index-dir "$T/link")" "$T/sticky/in" "by a link of ours"
refused "not a directory" "$T/disk"
mkdir "$T/closed"
chmod 500 "$T/closed"
[ "$(id -u)" = 0 ] || refused "permission denied" "$T/closed"
# Relative, and with an index in the repository where it is wanted.
(cd "$T/sticky" && amberfs list "$R" --index-dir in >/dev/null)
mkdir "$R/index"
amberfs list "$R" --index-dir "$R/index" >/dev/null
[ -f "$R/index/data.mdb" ] || die "an index that was asked for is removed"

# A cache that others can change is not used; a temporary one is, with a word.
chmod 777 "$XDG_CACHE_HOME" "$HOME"
HOME=$T/disk expect 0 plain env "XDG_CACHE_HOME=$XDG_CACHE_HOME" \
  amberfs index "$R" --json
case $(jq -r .directory "$T/out") in
  "$default") [ "$(id -u)" = 0 ] || die "not root's" ;;
  "$T"/amberfs-index.*) said "using a temporary index" ;;
  *) die "an index in $(jq -r .directory "$T/out")" ;;
esac
chmod 700 "$XDG_CACHE_HOME" "$HOME"

[ "$(id -u)" = 0 ] || exit 0
setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null || exit 0

# Another user's directory and links, also above.
mkdir -p "$T/theirs/in"
ln -s "$T/sticky/in" "$T/sticky/theirs"
chown -h 65534 "$T/theirs" "$T/sticky/theirs"
refused "$T/theirs belongs to another user" "$T/theirs"
refused "$T/theirs belongs to another user" "$T/theirs/in"
refused "$T/sticky/theirs is a link of another user" "$T/sticky/theirs"

# Two users of one repository: an index each.
chmod 755 "$T"
chmod -R go+rX "$R"
install -m 600 -o 65534 "$T/key" "$T/user.key"
mkdir "$T/user"
chown 65534:65534 "$T/user"
user() {
  setpriv --reuid=65534 --regid=65534 --clear-groups \
    env -u XDG_CACHE_HOME HOME="$T/user" TMPDIR="$T/user" \
    AMBERFS_KEY_FILE="$T/user.key" "$@"
}
equal "$(user amberfs index "$R" --json | jq -r .directory)" \
  "$T/user/.cache/amberfs/$(id_of "$R")" "the user's"
equal "$(where)" "$index" "root's"
user amberfs restore "$R" vm/latest/disk - | cmp - "$T/disk"
# Root is not led there by a variable that it has from the user.
XDG_CACHE_HOME=$T/user/.cache expect 0 amberfs index "$R" --json
equal "$(jq -r .directory "$T/out")" "$default" "root with a user's variable"
silent_err() { [ ! -s "$T/err" ] || die "$(cat "$T/err")"; }
silent_err
