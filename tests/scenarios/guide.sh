#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the documents for developers are true of the source: what
# they name exists, every directory is on the map, and includes go up the map.
. "$(dirname "$0")/../functions.sh"

cd "$SOURCE_TREE"
documents=(README.md HACKING.md DESIGN.md SECURITY.md repo/FORMAT.md)
[ -f HACKING.md ] || skip "no source tree"
bad=0
wrong() {
  echo "$*" >&2
  bad=1
}

# What stands in backticks, one a line, outside of blocks of commands.
# shellcheck disable=SC2016 # backticks are meant
quoted() {
  awk '/^ *```/ { block = !block; next } !block' "$1" | tr '\n' ' ' |
    grep -oE '`[^`]+`' | tr -d '`' | sort -u
}

# Every function that is defined or declared at the start of a line.
find repo ingest fs tests -name '*.[ch]' -print0 |
  xargs -0 grep -hoE '^([a-z#].*[ *])?[a-z_][a-z0-9_]*\(' |
  grep -oE '[a-z_][a-z0-9_]*\($' | sort -u >"$T/functions"
[ "$(wc -l <"$T/functions")" -gt 1000 ] || die "hardly any functions found"

for document in "${documents[@]}"; do
  quoted "$document" >"$T/quoted"
  # Paths: NAME stands for any name.
  while read -r path; do
    compgen -G "${path//NAME/*}" >/dev/null ||
      wrong "$document names $path, which does not exist"
  done < <(grep -E '^(repo|ingest|fs|tests|scripts)/[][A-Za-z0-9_./*-]*$' \
    "$T/quoted")
  while read -r function; do
    grep -qxF "$function(" "$T/functions" ||
      wrong "$document names $function(), which does not exist"
  done < <(sed -nE 's/^([a-z_][a-z0-9_]*)\(\)$/\1/p' "$T/quoted")
  # Links to other files of the tree.
  while read -r link; do
    [ -e "$(dirname "$document")/$link" ] ||
      wrong "$document links to $link, which does not exist"
  done < <(grep -oE '\]\([A-Za-z0-9_./-]+\)' "$document" | tr -d '])(')
done

# The map: rows that begin with a directory.
# shellcheck disable=SC2016
sed -nE 's/^\| `([a-z_/]+)\/` \|.*/\1/p' HACKING.md >"$T/map"
find repo ingest fs tests scripts -name '*.[chs]*' -printf '%h\n' | sort -u |
  while read -r directory; do
    grep -qxF "$directory" "$T/map" || echo "$directory"
  done >"$T/missing"
# What has no files of its own that are worth a row.
grep -vxE 'ingest/recovery|tests/data|tests/fuzz/found.*' "$T/missing" \
  >"$T/off-map" || true
[ ! -s "$T/off-map" ] ||
  wrong "not on the map of HACKING.md:" "$(tr '\n' ' ' <"$T/off-map")"

# A directory includes only what stands above it.
find repo ingest -mindepth 2 -name '*.[ch]' -print0 |
  xargs -0 grep -oE '^ *# *include "(repo|ingest)/[^"]*/' |
  sed -E 's,/[^/:]*:[^"]*", ,; s,/$,,' | sort -u |
  while read -r from to; do
    [ "$from" != "$to" ] || continue
    below=$(grep -nxF "$from" "$T/map" | cut -d: -f1 || true)
    above=$(grep -nxF "$to" "$T/map" | cut -d: -f1 || true)
    [ "${above:-0}" -lt "${below:-0}" ] || echo "$from includes $to"
  done >"$T/upward"
[ ! -s "$T/upward" ] ||
  wrong "against the order of the map: $(tr '\n' ';' <"$T/upward")"

[ "$bad" = 0 ] || die "the documents are not true of the source"
