#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: hooks run in order, at each phase of a domain's backup,
# with the details but no secret in their environment; one that fails or hangs
# has only the documented effect, and no name is ever run as a command.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq nbdcopy
libvirt_start
cd "$L/images"
for name in one two; do
  qemu-img create -q -f raw "$name.img" 1M
  qemu-io -f raw -c 'write -q -P 7 64k 64k' "$name.img"
done
evil="e; touch \$(echo x) '\"
pwned"
domain_define one "$(domain_disk "$L/images/one.img" raw vda)"
domain_define two "$(domain_disk "$L/images/two.img" raw vda)"

export AMBERFS_PASSPHRASE="it's not for hooks"
R=$T/repo
amberfs init "$R" >/dev/null
amberfs key add "$R" --new-key-file "$T/key" 2>/dev/null
H=$T/hooks
mkdir "$H"
options=("$R" --connect "$LIBVIRT_URI" --hook "$H")
backup() {
  amberfs backup "${options[@]}" "$@"
}

# Writes all that it is told into $T/told, one file per run, and its order.
cat >"$T/hook" <<END
#!/bin/bash
n=\$(find "$T/told" -name '*.env' | wc -l)
env -0 >"$T/told/\$(printf %03d "\$n").env"
echo "\$AMBERFS_PHASE \${0##*/}" >>"$T/told/order"
ls -l /proc/\$\$/fd >"$T/told/files"
readlink /proc/\$\$/fd/0 >"$T/told/stdin"
echo "words of \${0##*/}"
if [ "\$AMBERFS_PHASE" = "\$(cat "$T/fail" 2>/dev/null)" ]; then
  [ ! -e "$T/hang" ] || { sleep 300 & echo \$! >"$T/sleeper"; wait; }
  exit 7
fi
END
chmod 755 "$T/hook"
for name in 20-b 10-a .hidden old~; do
  cp "$T/hook" "$H/$name"
done
cp "$T/hook" "$H/30-not-executable"
chmod 644 "$H/30-not-executable"
mkdir "$H/40-directory"
fresh() {
  rm -rf "$T/told" "$T/fail" "$T/hang"
  mkdir "$T/told"
}
# told N VARIABLE: its value in the Nth run.
told() {
  tr '\0\n' '\n\1' <"$T/told/$1.env" | sed -n "s/^$2=//p" | tr '\1' '\n'
}
order() {
  tr '\n' ',' <"$T/told/order"
}

# A backup that succeeds: order, environment, output, files.
fresh
AMBERFS_DOMAIN=stale AMBERFS_ERROR=stale AMBERFS_PASSPHRASE_COMMAND='echo no' \
  expect 0 backup --domain one -v
equal "$(order)" \
  "before-freeze 10-a,before-freeze 20-b,after-commit 10-a,after-commit 20-b," \
  "the order"
said 'words of 10-a'
! found 'words of' <"$T/out" || die "hooks write to stdout"
said 'skipping hook .*30-not-executable'
equal "$(told 000 AMBERFS_DOMAIN)" one "domain"
equal "$(told 000 AMBERFS_DOMAIN_UUID)" \
  "$(libvirt_do virsh domuuid one | tr -d '[:space:]')" "UUID"
equal "$(told 000 AMBERFS_REPOSITORY)" "$R" "repository"
equal "$(told 000 AMBERFS_RESULT)$(told 000 AMBERFS_ERROR)" "" "result before"
equal "$(told 002 AMBERFS_RESULT)" "done" "result"
equal "$(told 002 AMBERFS_SNAPSHOT)" "one/$(latest one)" "snapshot"
equal "$(told 002 AMBERFS_CONSISTENCY)" offline "consistency"
! grep -aqE "PASSPHRASE|not for hooks|stale" "$T"/told/*.env ||
  die "hooks see what they must not"
equal "$(cat "$T/told/stdin")" /dev/null "standard input"
unset AMBERFS_PASSPHRASE
export AMBERFS_KEY_FILE=$T/key
awk 'NF > 8 && $9 > 2 { print $9, $11 }' "$T/told/files" >"$T/more"
! grep -vE '/hooks/' "$T/more" || die "open files: $(cat "$T/more")"

# before-freeze fails: no snapshot, the rest of the hooks does not run, those
# of failure do; the other domain goes on.
cat >"$H/15-only-two" <<'END'
#!/bin/sh
[ "$AMBERFS_PHASE $AMBERFS_DOMAIN" != "before-freeze two" ]
END
chmod 755 "$H/15-only-two"
fresh
expect 3 backup --all-domains
said "two: not backed up: hook .*15-only-two .before-freeze. exited with status 1"
equal "$(snapshot_count two)" 0 "snapshots of two"
equal "$(snapshot_count one)" 2 "snapshots of one"
equal "$(tail -n 3 "$T/told/order" | tr '\n' ',')" \
  "before-freeze 10-a,failure 10-a,failure 20-b," "the order"
last=$(find "$T/told" -name '*.env' | sort | tail -n 1)
last=$(basename "$last" .env)
equal "$(told "$last" AMBERFS_RESULT)" failed "result"
told "$last" AMBERFS_ERROR | found 15-only-two || die "the error"
rm "$H/15-only-two"

# after-commit fails: the snapshot is there, and the domain is partly done.
fresh
echo after-commit >"$T/fail"
expect 3 backup --domain two --json
equal "$(jq -r '.snapshots[0].status' "$T/out")" partly "status"
equal "$(snapshot_count two)" 1 "snapshots of two"
said 'warning: domain two: hook .*10-a .after-commit. exited with status 7'

# What never was a domain fails, and its hooks are told.
fresh
expect 1 backup --domain nobody
equal "$(order)" "failure 10-a,failure 20-b," "the order"
equal "$(told 000 AMBERFS_DOMAIN)" nobody "domain"

# One that hangs is killed, with what it started.
fresh
echo before-freeze >"$T/fail"
touch "$T/hang"
expect 1 backup --domain two --hook-timeout 5s
said 'was still running after 5 s'
wait_for 5 not kill -0 "$(cat "$T/sleeper")" || die "the hook's child is alive"
equal "$(tail -n 1 "$T/told/order")" "failure 20-b" "the end"

# Interrupted while one hangs: it ends at once, those of failure still run.
rm "$T/sleeper"
(exec amberfs backup "${options[@]}" --domain two 2>"$T/err") &
backup=$!
wait_for 30 test -s "$T/sleeper"
kill -TERM "$backup"
status=0
wait "$backup" || status=$?
equal "$status" 130 "status of an interrupted backup"
said interrupted
wait_for 5 not kill -0 "$(cat "$T/sleeper")" || die "the hook's child is alive"
equal "$(tail -n 1 "$T/told/order")" "failure 20-b" "the end"

# Interrupted between two domains: the rest is not begun, and not called done.
rm "$T/fail" "$T/hang"
cat >"$H/60-stop" <<'END'
#!/bin/sh
[ "$AMBERFS_PHASE" != after-commit ] || kill -TERM "$PPID"
END
chmod 755 "$H/60-stop"
expect 130 backup --all-domains --json
said interrupted
equal "$(jq -r '[.snapshots[] | .source + " " + .status] | join(", ")' \
  "$T/out")" "one done" "what became of each"
rm "$H/60-stop"

# Killed: the hook goes as well.
fresh
echo before-freeze >"$T/fail"
touch "$T/hang"
rm "$T/sleeper"
(exec amberfs backup "${options[@]}" --domain two 2>"$T/err") &
backup=$!
wait_for 30 test -s "$T/sleeper"
hook=$(ps -o ppid= -p "$(cat "$T/sleeper")" | tr -d ' ')
kill -KILL "$backup"
wait "$backup" 2>/dev/null || :
wait_for 10 not kill -0 "$hook" || die "the hook outlives amberfs"
kill "$(cat "$T/sleeper")"

# A name that would be a command is only a name.
domain_define "$evil" "$(domain_disk "$L/images/two.img" raw vda)" 2>/dev/null ||
  evil="e; touch \$(echo x) '\" pwned"
libvirt_do virsh domuuid "$evil" >/dev/null 2>&1 ||
  domain_define "$evil" "$(domain_disk "$L/images/two.img" raw vda)"
fresh
expect 0 backup --domain "$evil"
equal "$(told 000 AMBERFS_DOMAIN)" "$evil" "the hostile name"
[ ! -e x ] && [ ! -e "$L/images/x" ] || die "a name was run"

# A running one: after the thaw its disks can be read, as they were then.
qemu-img create -q -f qcow2 run.qcow2 4M
qemu-io -f qcow2 -c 'write -q -P 9 1M 1M' run.qcow2
domain_define run "$(domain_disk "$L/images/run.qcow2" qcow2 vda)
$(domain_disk "$L/images/two.img" raw vdb)"
libvirt_do virsh -q start --paused run
cat >"$H/50-read" <<END
#!/bin/sh
[ "\$AMBERFS_PHASE" = after-thaw ] || exit 0
for disk in \$AMBERFS_NBD_EXPORTS; do
  nbdcopy "nbd+unix:///\$disk?socket=\$AMBERFS_NBD_SOCKET" "$T/told/\$disk.copy"
done
END
chmod 755 "$H/50-read"
fresh
expect 0 backup --domain run
equal "$(order)" "before-freeze 10-a,before-freeze 20-b,after-thaw 10-a,\
after-thaw 20-b,after-commit 10-a,after-commit 20-b," "the order"
equal "$(told 002 AMBERFS_NBD_EXPORTS)" "vda vdb" "exports"
equal "$(told 002 AMBERFS_CONSISTENCY)" crash "consistency"
qemu-img compare -q -U -f qcow2 -F raw run.qcow2 "$T/told/vda.copy" ||
  die "the hook read another vda"
qemu-img compare -q -U -f raw -F raw two.img "$T/told/vdb.copy" ||
  die "the hook read another vdb"
echo after-thaw >"$T/fail"
expect 3 backup --domain run
said 'warning: domain run: hook .*10-a .after-thaw. exited with status 7'
libvirt_do virsh -q destroy run
rm "$H/50-read"

# Hooks that can't be run, or that anybody may write.
fresh
printf 'echo no interpreter\n' >"$H/05-text"
chmod 755 "$H/05-text"
expect 1 backup --domain two
said 'with a #! line'
rm "$H/05-text"
chmod o+w "$H/20-b"
expect 1 backup --domain two
said 'world-writable'
chmod o-w "$H/20-b"
chmod o+w "$H"
expect 1 backup --domain two
said 'world-writable'
one_line "$T/err"
chmod o-w "$H"
if [ "$(id -u)" = 0 ]; then
  chown nobody "$H/20-b"
  expect 1 backup --domain two
  said '20-b belongs to another user'
  chown root:nogroup "$H/20-b"
  chmod g+w "$H/20-b"
  expect 1 backup --domain two
  said '20-b is group-writable'
  chown root:root "$H/20-b"
  chown nobody "$H"
  expect 1 backup --domain two
  said 'belongs to another user'
  chown root "$H"
fi
expect 1 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain one \
  --hook "$T/none"
said 'hook directory .*none'

# Options that make no sense; disks chosen.
expect 2 backup --domain one --quiesce=sometimes
said 'auto, require or never'
expect 2 backup --domain one --wait soon
expect 2 backup --domain one --hook-timeout 0s
expect 2 backup --domain one --disk a:
expect 2 backup --domain one --jobs-domains 0
expect 2 amberfs backup "$R" --name x --disk vda "$L/images/one.img"
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain one --domain two \
  --exclude-disk two:vdb --disk one:vda
expect 1 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain one --disk vdb
said 'none of its disks \(vda\)'
said 'domain one has no disk matching --disk vdb; its disks are vda$'
expect 0 amberfs backup "$R" --connect "$LIBVIRT_URI" --domain one --domain two \
  --disk one:vda --disk one:vdz --disk two:vda
said 'domain one has no disk matching --disk one:vdz; its disks are vda$'
one_line "$T/err"
amberfs verify "$R"
