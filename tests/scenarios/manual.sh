#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: every command has a manual page, the pages name exactly the
# options that --help names, and all of them are complete and well formed.
. "$(dirname "$0")/../functions.sh"
need_program meson jq man mandoc

# All that are written are installed.
meson introspect --installed "$AMBERFS_BUILD" |
  jq -r 'to_entries[] | select(.value | test("/man/man[1-8]/")) | .key' |
  sort >"$T/installed"
find "$SOURCE_TREE"/{repo,ingest,fs,scripts} -name '*.[1-8]' | sort >"$T/written"
diff "$T/written" "$T/installed" || die "pages are written that are not installed"
mapfile -t pages <"$T/written"

# page_of NAME SECTION: its file.
page_of() {
  grep -m 1 -F "/$1.$2" "$T/written"
}

for page in "${pages[@]}"; do
  # Another name of a page.
  if found '^\.so ' <"$page"; then
    [ -e "${page%/*}/$(sed -n 's|^\.so man[1-8]/||p' "$page")" ] ||
      die "$page: $(cat "$page")"
    continue
  fi
  mandoc -T lint -W warning "$page" >"$T/lint" 2>&1 ||
    die "$page: $(cat "$T/lint")"
  man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>"$T/man" >/dev/null ||
    die "$page: $(cat "$T/man")"
  [ ! -s "$T/man" ] || die "$page: $(cat "$T/man")"
  for section in NAME SYNOPSIS DESCRIPTION EXAMPLES 'SEE ALSO'; do
    found -x "\\.Sh $section" <"$page" || die "$page has no $section"
  done
  # Pages of this manual that it refers to exist.
  sed -n 's/^\.Xr \([^ ]*amberfs[^ ]*\) \([1-8]\).*/\1 \2/p' "$page" |
    while read -r name number; do
      page_of "$name" "$number" >"$T/out" ||
        die "$page refers to $name($number), which does not exist"
    done
done

# help_options COMMAND...: the long options that its --help names.
help_options() {
  amberfs "$@" --help | sed -n '/^ \|^Also\|^--/p' |
    grep -oE -- '--[a-z][a-z-]+' | sort -u
}
page_options() {
  sed -n 's/\\-/-/g; s/^\.It Fl//p' "$1" | grep -oE -- ' -[a-z][a-z-]+' |
    sed 's/^ /-/' | sort -u
}

overview=$(page_of amberfs 1)
amberfs --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >"$T/commands"
[ "$(wc -l <"$T/commands")" -gt 15 ] || die "amberfs --help lists too little"
printf '%s\n' show checkpoint config sessions index >>"$T/commands"
while read -r command; do
  page=$(page_of "amberfs-$command" 1) || die "no page for amberfs $command"
  found -x "\.It Xr amberfs-$command 1" <"$overview" ||
    die "amberfs.1 does not list $command"
  case $command in
    checkpoint) help_options checkpoint remove ;;
    key)
      help_options key list
      help_options key add
      help_options key remove
      ;;
    pin)
      help_options pin
      help_options unpin
      ;;
    restore)
      help_options restore
      help_options restore --domain
      ;;
    *) help_options "$command" ;;
  esac | sort -u >"$T/help"
  page_options "$page" >"$T/page"
  diff "$T/help" "$T/page" ||
    die "amberfs-$command.1 and --help name different options"
done <"$T/commands"
page_of amberfs-unpin 1 >"$T/out" || die "no page for amberfs unpin"

# The page of the configuration has every setting.
page=$(page_of amberfs.conf 5)
sed -nE 's/^\t\{ "([a-z-]+)", (REPOSITORY|JOB).*/\1/p' \
  "$SOURCE_TREE/repo/configuration/setting.c" >"$T/help"
[ "$(wc -l <"$T/help")" -gt 40 ] || die "hardly any settings found"
while read -r setting; do
  found -E "^\.It Cm (.* )?$setting( |\$)" <"$page" ||
    die "amberfs.conf.5 does not name $setting"
done <"$T/help"

# The nightly run's page has every setting.
page=$(page_of amberfs-cron 8)
"$SOURCE_TREE/scripts/amberfs-cron" --help | grep -oE '[A-Z][A-Z_]+=' |
  tr -d = | sort -u >"$T/help"
while read -r setting; do
  found -w "$setting" <"$page" || die "amberfs-cron.8 does not name $setting"
done <"$T/help"
