#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a source belongs to one domain, by its UUID and on whatever
# host, or to files; what has the same name only is refused before it is read,
# and where both began at once at the commit, unless it adopts the history or
# has a name of its own.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq
need_root "to be another host"
libvirt_start
qemu-img create -q -f raw "$L/images/web.raw" 8M
qemu-io -f raw -c 'write -q -P 7 0 8M' "$L/images/web.raw"
qemu-img create -q -f raw "$L/images/db.raw" 1M
disk=$(domain_disk "$L/images/web.raw" raw vda)
new_repo

# on HOST COMMAND...: on a host of that name.
on() {
  # shellcheck disable=SC2016 # expanded by the other shell
  unshare --uts bash -c 'hostname "$0"; exec "$@"' "$@"
}
domains() { # HOST OPTION...
  local host=$1
  shift
  on "$host" amberfs backup "$R" --connect "$LIBVIRT_URI" "$@"
}
uuid_of() {
  libvirt_do virsh domuuid "$1" | tr -d '[:space:]'
}
hosts() { # SOURCE
  amberfs list --json "$R" "$1" | jq -r '[.snapshots[].host] | join(" ")'
}

# A guest that moves to another host goes on with its history, which says who
# wrote last.
domain_define web "$disk"
first=$(uuid_of web)
domains alpha --domain web
domains beta --domain web
equal "$(hosts web)" 'alpha beta' "hosts of a guest that moved"
amberfs list "$R" web | found -E ' beta$' || die "$(amberfs list "$R" web)"

# Installed anew under its name: refused before anything is read; beside it the
# rest of the run goes on.
domain_define db "$(domain_disk "$L/images/db.raw" raw vda)"
libvirt_do virsh -q undefine web
domain_define web "$disk"
second=$(uuid_of web)
[ "$first" != "$second" ] || die "both domains have one UUID"
expect 3 domains gamma --all-domains --force-read --json
equal "$(jq -rc '[.snapshots[] | .source + " " + .status] | sort | join(", ")' \
  "$T/out")" "db done, web failed" "what became of each"
said "web belongs to domain $first \\(on beta\\).* not to domain $second \\(on gamma"
said -- '--adopt.*--source NAME'
[ "$(jq .read_bytes "$T/out")" -lt $((4 << 20)) ] || die "read $(jq .read_bytes "$T/out")"
equal "$(snapshot_count web)" 2 "snapshots of the first"

# Under a name of its own; several at once.
domains gamma --domain web --source 'web 2'
equal "$(hosts web%202)" gamma "hosts of the second"
domains gamma --all-domains --source "$second:web 2" --source other:x
equal "$(snapshot_count 'web 2')" 2 "snapshots of the second"
equal "$(snapshot_count db)" 2 "snapshots of a domain without --source"
expect 2 domains gamma --all-domains --source web
said -- '--source DOMAIN:NAME'
expect 2 amberfs backup "$R" --name etc --source web "$T/key"

# Adopted: from then on the history is the second's, and not the first's.
domains gamma --domain web --adopt
domains gamma --domain web
equal "$(snapshot_count web)" 4 "snapshots of both"
libvirt_do virsh -q undefine web
domain_xml web "$disk" | sed "s|<name>|<uuid>$first</uuid>&|" >"$L/define.xml"
libvirt_own
libvirt_do virsh -q define "$L/define.xml"
expect 1 domains beta --domain web
said "belongs to domain $second \\(on gamma\\)"

# Files are not a domain, nor a domain files. Those of another host may be
# others.
expect 1 amberfs backup "$R" --name web "$T/key"
said "belongs to domain $second.* not to files.*--adopt.*--name NAME"
on alpha amberfs backup "$R" --name db2 "$T/key"
expect 1 domains alpha --domain db --source db2
said 'belongs to files \(on alpha\)'
expect 0 on beta amberfs backup "$R" --name db2 "$T/key"
said 'made on alpha, not on beta'
expect 0 on beta amberfs backup "$R" --name db2 "$T/key"
not found 'made on' <"$T/err" || die "said again"

# Both begin, and neither sees the other: who commits last does not.
mkfifo "$T/pipe"
# shellcheck disable=SC2016 # for the command's shell
amberfs backup "$R" --name both --stdin-name x --stdin-from-command -- \
  sh -c 'touch "$0.open" && cat "$0"' "$T/pipe" 2>"$T/err" &
reader=$!
wait_for 20 test -e "$T/pipe.open" || die "it did not begin"
domains alpha --domain db --source both
echo rest >"$T/pipe"
status=0
wait "$reader" || status=$?
equal "$status" 1 "status of the later commit"
said 'source both belongs to domain .*, and not to files'
equal "$(amberfs list --json "$R" both | jq -r '.snapshots[].kind')" domain \
  "snapshots of both"

# At the very same time: it sees the other only once it has committed.
if ! sanitized; then
  env SHIM_DIR="$R" SHIM_STATE="$T/shim" SHIM_STOP="$R/snapshots/same/*" \
    LD_PRELOAD="$AMBERFS_BUILD/tests/shim/killshim.so" \
    amberfs backup "$R" --name same "$T/key" 2>"$T/err" &
  stopped=$!
  wait_for 20 is_stopped "$stopped" || die "it does not stop before its commit"
  domains alpha --domain db --source same
  kill -CONT "$stopped"
  status=0
  wait "$stopped" || status=$?
  equal "$status" 1 "status of the other"
  said 'source same belongs to domain .*, and not to files'
  equal "$(amberfs list --json "$R" same | jq -r '.snapshots[].kind')" domain \
    "snapshots of the same second"
fi

# What domains shows of them: by UUID, whoever made it last.
amberfs domains "$R" --connect "$LIBVIRT_URI" >"$T/domains"
found -E "last backup web/[0-9TZ]+, made on beta$" <"$T/domains" ||
  die "$(cat "$T/domains")"
found "the source web belongs to domain $second (on gamma), not to" \
  <"$T/domains" || die "$(cat "$T/domains")"
amberfs domains "$R" --connect "$LIBVIRT_URI" --json |
  jq -e --arg first "$first" --arg second "$second" '
    .domains | map({(.name): .}) | add | .web.last_backup.host == "beta" and
      .web.last_backup.uuid == $first and .web.name_taken_by.uuid == $second and
      (.db.last_backup.source | . == "same" or . == "both") and .db.name_taken_by == null' \
    >/dev/null || die "$(amberfs domains "$R" --connect "$LIBVIRT_URI" --json)"
expect 1 amberfs domains "$T/nowhere" --connect "$LIBVIRT_URI"

# A copy is not put beside another domain's history; what was adopted follows.
export AMBERFS_TO_KEY_FILE=$T/key
other=$T/other
amberfs init "$other" >/dev/null
copied() { # FROM TO OPTION...
  amberfs copy "$@" --json web | jq -r '"\(.copied_count) \(.there_count) \(.failed_count)"' || :
}
amberfs backup "$other" --connect "$LIBVIRT_URI" --domain web
equal "$(copied "$R" "$other")" '4 0 0' "copied to the same domain's"
equal "$(copied "$other" "$R")" '1 4 0' "copied back"
third=$T/third
amberfs init "$third" >/dev/null
amberfs backup "$third" --connect "$LIBVIRT_URI" --domain db --source web
expect 1 amberfs copy "$R" "$third" web
said "in $third the source web belongs to domain $(uuid_of db) .*, and here to domain $first"
said -- --adopt
equal "$(copied "$R" "$third" --adopt)" '5 0 0' "copied with --adopt"
equal "$(copied "$third" "$R")" '1 5 0' "copied back after that"
amberfs verify "$R"
