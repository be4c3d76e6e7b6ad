#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup into an older state of the repository warns, also
# after an old snapshot was forgotten; forgetting the newest is no rollback.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
backup() {
  head -c 3000000 /dev/urandom >"$T/file"
  amberfs backup "$R" --name vm "$T/file" 2>"$T/err" || die "$(cat "$T/err")"
}
backup
first=$(latest vm)
backup
cp -a "$R" "$T/old"
backup
[ ! -s "$T/err" ] || die "warned without cause: $(cat "$T/err")"
amberfs forget "$R" vm/latest
backup
[ ! -s "$T/err" ] || die "warned of what was forgotten: $(cat "$T/err")"

rm -r "$R"
mv "$T/old" "$R"
amberfs forget "$R" "vm/$first"
backup
said 'newest snapshot of vm has number 2.*seen number 3'

# The index is not rolled back with the repository, and follows it although its
# directories look as they did when it last listed them.
put_back() {
  find "$R" -mindepth 1 -delete
  cp -a "$T/old/." "$R"
}
seen() {
  find "$R/packs" -mindepth 1 -type d -exec touch -d '1 hour ago' {} +
  amberfs index "$R" >/dev/null
}
new_repo "$T/second"
backup
seen
cp -a "$R" "$T/old"
cp "$T/file" "$T/first"
# Packs that it has seen go are there again: nothing is stored twice. (Of another
# source, as the same one would read its older backup, and miss them.)
amberfs forget "$R" vm/latest
amberfs prune "$R" --all --max-unused 0 >/dev/null
amberfs index "$R" | found ' in 0 packs' || die "the index has packs"
put_back
expect 0 amberfs backup "$R" --name other "$T/file" --json
equal "$(jq '.snapshots[0].new_bytes' "$T/out")" 0 "new bytes"
amberfs restore "$R" vm/latest/file - | cmp - "$T/first"
# Packs that it has seen come are gone: nothing is stored by pointing to them.
seen
backup
put_back
for _ in 1 2; do
  amberfs backup "$R" --name vm "$T/file" --force-read 2>/dev/null
  amberfs restore "$R" vm/latest/file - | cmp - "$T/file"
done
