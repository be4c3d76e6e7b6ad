#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: tables fit a terminal of any width without losing a name,
# names in UTF-8 are shown as they are, whatever the locale, and what is shown can
# be typed; off a terminal no line is broken.
. "$(dirname "$0")/../functions.sh"
need_program script python3
new_repo
echo x >"$T/f"
long=$(printf 'long-name-%.0s' {1..9})
for name in 'büro süd' '東京' 'plain' 'web server/ä' '100%' "$long"; do
  amberfs backup "$R" --name "$name" "$T/f"
done
amberfs pin "$R" 'büro süd/latest' >/dev/null

# libvirt's test driver, with a disk whose path is long.
cat >"$T/node.xml" <<END
<node><domain type='test'><name>büro süd</name><memory>65536</memory>
<os><type>hvm</type></os><devices><disk type='file' device='disk'>
<source file='/$long/$long'/><target dev='vda'/></disk></devices></domain></node>
END

export LC_ALL=C
amberfs list "$R" >"$T/list"
equal "$(wc -l <"$T/list")" 7 "lines off a terminal"
for name in 'büro süd' '東京' plain "$long" 'web%20server%2F%C3%A4' '100%25'; do
  grep -Eq "^$name/[0-9]{8}T[0-9]{6}Z +[0-9a-f]{8} " "$T/list" || die "$name: $(cat "$T/list")"
done
grep -E '^büro' "$T/list" | found ' pinned$' || die "$(cat "$T/list")"
# What is shown means the same in every command.
sed 1d "$T/list" | while read -r line; do
  spec=${line%%Z *}Z
  expect 0 amberfs show "$R" "$spec"
  found -F "Snapshot     $spec" <"$T/out" || die "show: $(cat "$T/out")"
done
expect 0 amberfs list "$R" '東京'
equal "$(wc -l <"$T/out")" 2 "of one source"

for columns in 40 80 200; do
  script -qec "stty cols $columns; amberfs list '$R'; amberfs key list '$R'
    amberfs forget '$R' -n --keep-last 1 --keep-within 1y
    amberfs domains --connect test://$T/node.xml" \
    "$T/tty" </dev/null >/dev/null
  python3 - "$T/tty" "$columns" "$long" <<'END'
import re, sys, unicodedata
text = open(sys.argv[1], encoding="utf-8").read()
lines = [l.rstrip("\r\n") for l in text.splitlines() if not l.startswith("Script ")]
width = int(sys.argv[2])
# Sentences are none of the tables'.
sentence = re.compile("Would keep|Periods|    (UUID|OS type|no backup|vda is)")
lines = [l for l in lines if not sentence.match(l)]
for line in lines:
    used = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line.rstrip())
    assert used <= width, (width, used, line)
first = min(l.find(" ") for l in lines if l.startswith("long"))
cells = "".join(l.split(" ")[0] for l in lines)
assert sys.argv[3] in cells, (width, lines)
assert any("büro" in l for l in lines), lines
assert len([l for l in lines if "last" in l or "within" in l]) >= 6, lines
assert any("vda" in l for l in lines), lines
END
done
