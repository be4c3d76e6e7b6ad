#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: keys are added, listed and removed; each opens the
# repository; whatever is done, concurrently or by mistake, at least one working
# key is left.
. "$(dirname "$0")/../functions.sh"
umask 077
need_program jq python3

keys() {
  amberfs key list --json "$R" "$@"
}

key_count() {
  find "$R/keys" -type f | wc -l
}

new_repo
echo data >"$T/file"
amberfs backup "$R" --name a "$T/file"
equal "$(keys | jq -r '.slots | map(.kind, .opened) | @csv')" \
  '"key file",true' "the first slot"

# More keys: a passphrase from a file, from a command, asked for; a key file.
echo 'open sesame' >"$T/pass"
amberfs key add "$R" --new-passphrase-file "$T/pass" --label 'the office'
silent_key=$(amberfs key add -v "$R" --new-key-file "$T/key2" --label laptop \
  2>"$T/err")
echo "$silent_key" | found 'Added the key file'
said 'created the key file .*key2'
equal "$(stat -c %a "$T/key2")" 600 "the new key file's mode"
unset AMBERFS_KEY_FILE
on_terminal 'open sesame,my word,my word' amberfs key add "$R" \
  --new-passphrase >"$T/tty" || die "adding on a terminal: $(cat "$T/tty")"
! grep -Eq 'sesame|my word' "$T/tty" || die "a passphrase is echoed"
equal "$(key_count)" 4 slots
echo 'my word' >"$T/word"
for opener in --key-file="$T/key" --key-file="$T/key2" \
  --passphrase-file="$T/pass" --passphrase-command="cat $T/word"; do
  equal "$(keys "$opener" | jq '.slots | map(select(.opened)) | length')" 1 \
    "slots that opened it with $opener"
done
equal "$(keys --passphrase-file "$T/pass" |
  jq -r '.slots[] | select(.opened) | .label')" 'the office' "which opened it"
amberfs key list "$R" --key-file "$T/key2" >"$T/list"
grep -Eq '^[0-9a-f]{16}  key file +[0-9]{8}T[0-9]{6}Z  laptop +used now$' \
  "$T/list" || die "the list: $(cat "$T/list")"
equal "$(wc -l <"$T/list")" 5 "lines of the list"

# What was removed opens no more.
export AMBERFS_KEY_FILE=$T/key
amberfs key remove --json "$R" 'the office' >"$T/json"
equal "$(jq -r .removed.label "$T/json")" 'the office' "the label removed"
expect 1 amberfs list "$R" \
  --passphrase-file "$T/pass"
said 'wrong passphrase'

# A recovery key: shown once, typed in as people type.
amberfs key add "$R" --recovery --label paper >"$T/recovery" 2>"$T/err"
said 'not.*shown again'
grep -Eqx '([0-9A-HJKMNP-TV-Z]{5}-){7}[0-9A-HJKMNP-TV-Z]{5}' "$T/recovery" ||
  die "no recovery key: $(cat "$T/recovery")"
recovery=$(cat "$T/recovery")
unset AMBERFS_KEY_FILE
typed=$(echo "$recovery" | tr 'A-Z0' 'a-zo' | tr -d -)
on_terminal "$typed" amberfs key list "$R" >"$T/tty" || die "typed: $typed"
grep -q 'paper  *used now' "$T/tty" || die "another slot opened: $(cat "$T/tty")"
amberfs restore "$R" a/latest/file - --passphrase-file "$T/recovery" |
  cmp - "$T/file"
sed 's/^\(.\{20\}\)./\1U/' "$T/recovery" >"$T/mistyped"
expect 1 amberfs list "$R" --passphrase-file "$T/mistyped"
one_line "$T/err"
said 'group 4 of the recovery key is mistyped'
cut -c 1-41 "$T/recovery" >"$T/mistyped"
expect 1 amberfs list "$R" --passphrase-file "$T/mistyped"
said '40 in all'
export AMBERFS_KEY_FILE=$T/key
expect 2 amberfs key add "$R" --recovery --json
if amberfs key add "$R" --recovery >/dev/full 2>"$T/err"; then
  die "a recovery key that nobody saw was kept"
fi
said 'printing the recovery key'
equal "$(key_count)" 4 "slots, without the one that nobody saw"

# What can't be.
expect 2 amberfs key
expect 2 amberfs key destroy "$R"
expect 2 amberfs key add "$R"
expect 2 amberfs key add "$R" --recovery --new-passphrase
expect 1 amberfs key add "$R" --new-passphrase-file "$T/missing"
expect 1 setsid -w amberfs key add "$R" --new-passphrase
said 'no terminal.*--new-passphrase-file'
expect 1 amberfs key add "$R" --recovery --label laptop
said 'already has the label laptop'
expect 1 amberfs key add "$R" --recovery --label "$(printf 'x%.0s' {1..49})"
said 'too long'
[ ! -s "$T/out" ] || die "a key without a slot was shown"
expect 1 amberfs key remove "$R" nosuch
said 'no key slot'
: >"$T/empty"
expect 1 amberfs key add "$R" --new-key-file "$T/empty"
equal "$(key_count)" 4 "slots, after what can't be"
unset AMBERFS_KEY_FILE
expect 0 amberfs init "$T/plain" --no-encryption
expect 0 amberfs key list "$T/plain"
expect 1 amberfs key add "$T/plain" --recovery
said 'not encrypted'
export AMBERFS_KEY_FILE=$T/key

# Labels are names from outside.
label=$'two\nlines\e[31m'
amberfs key add "$R" --new-key-file "$T/key3" --label "$label" 2>/dev/null
amberfs key list "$R" >"$T/list"
grep -q 'two%0Alines%1B%5B31m' "$T/list" || die "$(cat -v "$T/list")"
! grep -q $'\e' "$T/list" || die "an escape reached the terminal"
amberfs key remove "$R" "$label"

# Removing by digits.
digits=$(keys | jq -r '.slots[] | select(.kind == "passphrase") | .slot')
expect 1 amberfs key remove "$R" "${digits:0:3}"
amberfs key remove "$R" "${digits:0:10}"
equal "$(key_count)" 3 slots

# The one that opened it: only on request.
own=$(keys | jq -r '.slots[] | select(.opened) | .slot')
expect 1 amberfs key remove "$R" "$own"
said 'is the one that just opened'
said -- '--force'
expect 1 on_terminal n amberfs key remove "$R" "$own"
equal "$(key_count)" 3 "slots, after a no"
on_terminal y amberfs key remove "$R" "$own" >/dev/null || die "after a yes"
expect 1 amberfs list "$R"
export AMBERFS_KEY_FILE=$T/key2
amberfs key remove "$R" paper
# A damaged slot is no key to rely on, and may go.
head -c 256 /dev/urandom >"$R/keys/00112233445566aa"
amberfs key list "$R" | found '^00112233445566aa  damaged'
expect 1 amberfs key remove "$R" laptop --force
said 'last intact one'
amberfs key remove "$R" 0011
expect 1 amberfs key remove "$R" laptop --force
said 'last intact one'
equal "$(key_count)" 1 "the last slot"

# Two at once, each removing the key it opened the repository with.
for round in 1 2 3 4; do
  amberfs key add "$R" --new-key-file "$T/round" --label other 2>/dev/null
  amberfs key remove "$R" laptop --force 2>"$T/err1" &
  one=$!
  AMBERFS_KEY_FILE=$T/round amberfs key remove "$R" other --force 2>"$T/err2" &
  two=$!
  gone=0
  wait "$one" && gone=$((gone + 1)) && left=round || said1=$(cat "$T/err1")
  wait "$two" && gone=$((gone + 1)) && left=key2 || said1=$(cat "$T/err2")
  equal "$gone/$(key_count)" 1/1 "removed and left in round $round"
  echo "$said1" | found -E 'already doing this|last intact one|wrong key' ||
    die "the loser said: $said1"
  mv "$T/$left" "$T/kept"
  amberfs list "$R" --key-file "$T/kept" >/dev/null || die "no key opens it"
  # Back to one that is called laptop.
  rm -f "$T/round" "$T/key2"
  slot=$(amberfs key list --json "$R" --key-file "$T/kept" |
    jq -r '.slots[].slot')
  amberfs key add "$R" --key-file "$T/kept" --new-key-file "$T/key2" \
    --label new 2>/dev/null
  amberfs key remove "$R" "$slot"
  slot=$(keys | jq -r '.slots[].slot')
  amberfs key add "$R" --new-key-file "$T/kept2" --label laptop 2>/dev/null
  AMBERFS_KEY_FILE=$T/kept2 amberfs key remove "$R" "$slot"
  mv "$T/kept2" "$T/key2"
done
[ -z "$(find "$R/sessions" -name '*.lock')" ] || die "a session was left"
equal "$(find "$R/sessions" -name 'keys.*' | wc -l)" 1 "objects that count"
amberfs verify "$R"

# Slots that somebody adds who can write there but has no key: they ask for as
# much as a slot may (64 passes over 1 GiB, a minute each). The right passphrase
# opens all the same, and a wrong one is refused with their name.
echo 'right words' >"$T/words"
amberfs init "$T/forged" --passphrase-file "$T/words" >/dev/null
python3 -IS - "$T"/forged/keys/* <<'END'
import hashlib, os, sys
with open(sys.argv[1], "rb") as f:
    slot = bytearray(f.read())
slot[12:16] = (64).to_bytes(4, "little")
slot[16:20] = (1 << 20).to_bytes(4, "little")
for i in range(8):
    slot[32:48] = os.urandom(16)
    slot[240:] = hashlib.blake2b(slot[:240], digest_size=16).digest()
    name = os.path.join(os.path.dirname(sys.argv[1]), "0" * 15 + str(i))
    with open(name, "wb") as f:
        f.write(slot)
END
expect 0 amberfs key list "$T/forged" --passphrase-file "$T/words"
equal "$(grep -c passphrase "$T/out")" 9 "slots that are read"
echo 'wrong words' >"$T/words"
expect 1 amberfs list "$T/forged" --passphrase-file "$T/words"
said 'keys/000000000000000[0-9] would take too long to try \(64 passes over 1024 MiB\)'
