#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a backup into an older state of the repository warns, also
# after an old snapshot was forgotten; forgetting the newest is no rollback.
. "$(dirname "$0")/../functions.sh"
need_program jq

new_repo
backup() {
  head -c 5000 /dev/urandom >"$T/file"
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
