#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: malicious names, labels, notes, domains and disks do no
# harm: nothing is written or read elsewhere, no shell interprets them, and no
# terminal or reader of JSON is misled.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
need_program jq python3
need_fuse

shopt -s dotglob
mkdir "$T/said" "$T/work"
cd "$T/work" # where "pwned" would appear
n=0
# run STATUS COMMAND...: what it says is looked at by calm.
run() {
  local want=$1 got=0 kind=out
  shift
  n=$((n + 1))
  case " $* " in *' --json '*) kind=json ;; esac
  last=$T/said/$n.$kind
  "$@" >"$last" 2>"$T/said/$n.err" </dev/null || got=$?
  [ "$got" = "$want" ] || {
    cat -v "$last" "$T/said/$n.err" >&2
    die "exit status $got, not $want, of: $(printf '%q ' "$@" | cut -c 1-300)"
  }
}
calm() {
  python3 "$TESTS/tools/plaintext.py" "$T"/said/* >"$T/bad" ||
    die "$(cat "$T/bad")"
  [ -z "$(ls -A "$T/work")" ] || die "appeared: $(ls -A "$T/work")"
}
# Every name below a directory is one that no shell, terminal or option minds.
tame() {
  ! find "$1" -mindepth 1 -printf '%f\0' |
    grep -zEv '^[A-Za-z0-9_+=,@%~][A-Za-z0-9._+=,@%~-]*$' | tr '\0' '\n' |
    cat -v | found . || die "a name in $1 is not tame"
}

new_repo
long=$(printf 'n%.0s' {1..4096})
sources=('../../etc/passwd' '/etc/passwd' '..' '.' '-rf' '--help' 'latest'
  "\$(touch pwned)\`touch pwned\`;touch pwned|touch pwned&" $'two\nlines\r'
  $'\e]0;title\a\e[2J\e[31m' $'\xff\xfe\xc3\x28' $'\xc2\x9b31m' '%s%n%00%2F'
  $'\xe2\x80\xaegnp.exe' '*?[a]~{b}' "quote\"'\\" "$long")
files=(-dash --help '...' $'new\nline' $'\e[2J' $'\x01\x7f' $'bad\xff'
  snapshot.json latest 'sp ace' "\$(touch pwned)" 'a;b|c&d' '%2e%2e' $'\xc2\x9b'
  "$(printf '\377%.0s' {1..255})" "$(printf 'f%.0s' {1..255})")
mkdir "$T/src"
for i in "${!files[@]}"; do
  echo "content $i" >"$T/src/${files[$i]}"
done
for i in "${!sources[@]}"; do
  run 0 amberfs backup "$R" -v --name "${sources[$i]}" "$T/src/${files[$i % 15]}"
done
run 2 amberfs backup "$R" --name "${long}n" "$T/src/latest"
run 0 amberfs backup "$R" --json --name all "$T"/src/*
run 1 amberfs backup "$R" --name none "$T/"$'missing\e[31m\n'
run 0 amberfs backup "$R" --name stream --allow-empty \
  --stdin-name $'../\e[31m\n' -
on_terminal '' amberfs backup "$R" --force-read --name $'\e]0;bar\a' "$T"/src/* \
  >"$T/tty" || die "$(cat -v "$T/tty")"
! grep -aEq $'\e(\\]|\\[2J)|\a' "$T/tty" || die "the bar: $(cat -v "$T/tty")"

# Looking.
run 0 amberfs list "$R"
equal "$(wc -l <"$last")" $((${#sources[@]} + 4)) "one line each"
run 0 amberfs list "$R" --json
equal "$(jq '.snapshots | length' "$last")" $((${#sources[@]} + 3)) snapshots
jq -r '.snapshots[] | .object[10:]' "$last" >"$T/specs"
while read -r spec; do
  run 0 amberfs show "$R" "$spec"
  run 0 amberfs show "$R" "$spec" --json
done <"$T/specs"
for name in "${sources[@]}" $'no\e[31m\nsuch'; do
  run 0 amberfs list "$R" -- "$name"
done
run 1 amberfs show "$R" $'no\e[31m\nsuch/latest'
run 2 amberfs list "$R" $'--opt\e[31m\nion'
run 2 amberfs $'comm\e[31mand'
run 0 amberfs pin "$R" all/latest --note $'note\e[31m\n\xc2\x9b\xe2\x80\xae'
run 0 amberfs list "$R" --json
run 0 amberfs show "$R" all/latest
run 0 amberfs show "$R" all/latest --json
run 0 amberfs key add "$R" --json --new-key-file "$T/key2" \
  --label $'l\e[31m\n\xff\xc2\x9b'
run 0 amberfs key list "$R"
run 0 amberfs key list "$R" --json
run 1 amberfs key remove "$R" $'no\e[31m\nsuch'

# In the mount, at a mount point of that kind.
mnt=$T/$'m \e[31m\n\xff'
mkdir "$mnt"
at_exit umount -l "$mnt"
amberfs mount "$R" "$mnt"
run 0 amberfs sessions "$R"
run 0 amberfs sessions "$R" --json
tame "$mnt"
equal "$(find "$mnt/all/latest/" -type f -printf x)" \
  "$(printf 'x%.0s' snapshot.json "${files[@]}")" "files in the mount"
cat "$mnt"/all/latest/* | grep -a '^content' | sort >"$T/there"
cat "$T"/src/* | sort | cmp - "$T/there" || die "wrong contents"
readlink "$mnt"/*/latest | found -Evx '[0-9]{8}T[0-9]{6}Z' &&
  die "a link leads elsewhere"
k=0
for json in "$mnt"/*/latest/snapshot.json; do
  k=$((k + 1))
  cp "$json" "$T/said/mount$k.json"
done
umount "$mnt"

# Out again, into this directory and no other.
ls -A "$T" >"$T/.before"
k=0
while read -r spec; do
  k=$((k + 1))
  run 0 amberfs restore "$R" -v "$spec" "$T/out/$k" 2>/dev/null ||
    die "restore of $spec"
done < <(mkdir "$T/out" && cat "$T/specs")
tame "$T/out"
equal "$(find "$T/out" -type f -exec cat {} + | grep -ac '^content')" \
  "$((${#sources[@]} + 2 * ${#files[@]}))" "files restored"
run 1 amberfs restore "$R" all/latest/$'no\e[31m\n' "$T/out/x"
run 1 amberfs restore "$R" all/latest "$T/"$'no\e[31m\n/such'

run 0 amberfs verify "$R" --json
run 0 amberfs verify "$R" -v
run 0 amberfs unpin "$R" all/latest
while read -r spec; do
  run 0 amberfs forget -v "$R" "$spec"
done <"$T/specs"
equal "$(snapshot_count)" 0 "snapshots left"
calm

# A repository in such a directory.
R2=$T/$'repo\e[31m\n;touch pwned;\xff'
run 0 amberfs init "$R2"
run 0 amberfs init "$R2.2" --json
run 1 amberfs init "$R2"
run 0 amberfs backup "$R2" -v --name a "$T/src/latest"
run 0 amberfs index "$R2"
run 0 amberfs index "$R2" --json
run 0 amberfs list "$R2" --json
run 0 amberfs restore "$R2" a/latest/latest -v "$T/"$'res\e[31m\n'
run 1 amberfs list "$R2" --key-file "$T/key2"
run 0 amberfs verify "$R2" -v
calm

# Domains. The host's secret, which their disks would like to read:
echo "the host's secret" >"$T/host-secret"
libvirt_start
chmod 644 "$T/host-secret"
cd "$L/images"
qemu-img create -q -f qcow2 -F raw -b "$T/host-secret" evil.raw 1M
# An overlay that does not say its base's format: the base's own bytes may not.
cp evil.raw base.raw
qemu-img create -q -f qcow2 -F raw -b base.raw says.qcow2
LC_ALL=C sed 's/\xe2y[*]\xca/XXXX/' says.qcow2 >silent.qcow2
qemu-img info -U silent.qcow2 | not found 'backing file format'
path=$'a,format=qcow2,b\xc2\x9b;touch pwned'
cp evil.raw "$path"
domain_define "\$(touch pwned) ‮;\`touch pwned\`" \
  "$(domain_disk "$L/images/evil.raw" raw vda)
$(domain_disk "$L/images/says.qcow2" qcow2 vdb)
$(domain_disk "$L/images/$path" raw vdc)"
domain_define "--all%s%n" "$(domain_disk "$L/images/silent.qcow2" qcow2 vda)
$(domain_disk "$L/images/evil.raw" raw vdb)"
libvirt_do sh -c 'virsh -q list --all --name | grep .' >"$T/names"
cd "$T/work"
run 0 amberfs domains --connect "$LIBVIRT_URI"
run 0 amberfs domains --connect "$LIBVIRT_URI" --json
# qemu's programs get no passphrase handed down.
mkdir "$T/bin"
cat >"$T/bin/qemu-nbd" <<END
#!/bin/sh
env >>"$T/environment"
exec $(command -v qemu-nbd) "\$@"
END
chmod +x "$T/bin/qemu-nbd"
PATH=$T/bin:$PATH AMBERFS_PASSPHRASE='not for children' \
  run 3 amberfs backup "$R" --connect "$LIBVIRT_URI" --all-domains --json
[ -s "$T/environment" ] || die "qemu-nbd was not needed"
! grep -q 'not for children' "$T/environment" || die "$(cat "$T/environment")"
jq -r '.snapshots[].skipped[]?.message' "$last" | found 'silent.*probing' ||
  die "a base of unknown format: $(cat "$last")"
run 0 amberfs list "$R"
run 0 amberfs list "$R" --json
equal "$(jq '.snapshots | length' "$last")/$(wc -l <"$T/names")" 2/2 \
  "snapshots of domains, and domains"
k=0
for spec in $(jq -r '.snapshots[] | .object[10:]' "$last"); do
  k=$((k + 1))
  run 0 amberfs show "$R" "$spec"
  run 0 amberfs show "$R" "$spec" --json
  # One of them lacks the disk with the base of unknown format.
  status=0
  found '"complete": *false' <"$last" && status=3
  run "$status" amberfs restore "$R" "$spec" "$T/out/domain$k"
done
tame "$T/out"
! grep -raq "the host's secret" "$T"/out/domain* || die "the host's file was read"
grep -raql QFI "$T"/out/domain* || die "the header is not there as data"
calm
