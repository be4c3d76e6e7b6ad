#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a job backs up, rotates, prunes, copies and verifies, silent
# if all is well; what fails, an overlap and a signal are told readably with the
# right exit status, and keep no later step that is safe from being done.
. "$(dirname "$0")/../functions.sh"
need_program jq openssl python3

config=$T/amberfs.conf
# The locks of repositories are this user's.
at_exit find /run/amberfs "/run/user/$(id -u)" "/tmp/amberfs-$(id -u)" \
  -name "repository-*${T##*/}*.lock" -delete
new_repo "$T/main"
make_key "$T/away.key"
AMBERFS_KEY_FILE=$T/away.key amberfs init "$T/away"
unset AMBERFS_KEY_FILE
# jobs_are LINE...: the two repositories, then these lines; each job with a lock
# of this test's own.
jobs_are() {
  printf '%s\n' "[repository main]" "place = $T/main" "key-file = $T/key" \
    "[repository away]" "place = $T/away" "key-file = $T/away.key" \
    "$@" | sed "s|^\[job \(.*\)\]|&\nlock = $T/\1.lock|" >"$config"
  chmod 600 "$config"
}
job() { # STATUS [ARGUMENT...]
  local status=$1
  shift
  expect "$status" amberfs run --config "$config" "$@"
}
sources() { # REPOSITORY
  amberfs list "$1" --json --config "$config" |
    jq -r '[.snapshots[].source] | sort | join(" ")'
}
whole=("[job whole]" "repository = main" "file = two $T/a" "file = two $T/b c"
  "command = out words.txt echo 'one; two' three" "keep-last = 1"
  "max-unused = 0%" "copy-to = away" "verify = data" "jobs = 2"
  "schedule = Mon..Fri 02:30")
make_noise "$T/a" 4 1
make_noise "$T/b c" 4 2
jobs_are "${whole[@]}"

# The commands that it would run, and none of them run.
job 0 --dry-run
for line in 'backup .* --name two -- .*/a .*/b c' 'stdin-from-command' \
  'forget .* --keep-last 1' 'prune .* --max-unused 0%' "copy .* $T/away" \
  'verify .* --read-data'; do
  found -E "^AMBERFS_KEY_FILE=$T/key amberfs $line|$line" <"$T/out" ||
    die "no command $line"
done
job 0 --dry-run --json
documented run "$T/out" >"$T/seen"
jq -e '.dry_run and (.jobs[0].steps | length) == 6' "$T/out" >/dev/null ||
  die "$(cat "$T/out")"
equal "$(sources main)" "" "sources after a dry run"

# All of it, twice: silent; the first snapshots go, and their space.
job 0
silent
equal "$(sources main)/$(sources away)" "out two/out two" sources
equal "$(amberfs restore main out/latest/words.txt - --config "$config")" \
  "one; two three" "the command's output"
amberfs restore away "two/latest/b%20c" - --config "$config" | cmp - "$T/b c"
before=$(tree_size "$T/main/packs")
echo small >"$T/a"
job 0 whole --json
equal "$(jq -r '.schema, .exit_status, .jobs[0].job, .jobs[0].repository,
    .jobs[0].status' "$T/out" | tr '\n' ' ')" "1 0 whole main done " "the report"
equal "$(jq -r '[.jobs[0].steps[] | .step + ":" + .status] | join(" ")' \
  "$T/out")" "backup:done backup:done forget:done prune:done copy:done \
verify:done" "the steps"
documented run "$T/out" >>"$T/seen"
cp "$T/out" "$T/run.json"
jq -r '.jobs[0].steps[].step' "$T/run.json" >"$T/steps"
i=0
while read -r step; do
  jq ".jobs[0].steps[$((i++))].report" "$T/run.json" >"$T/step.json"
  documented "$step" "$T/step.json" >/dev/null
done <"$T/steps"
jq -e '.jobs[0].steps[5].report.frames > 0' "$T/out" >/dev/null ||
  die "verify's own report is missing"
equal "$(sources main)/$(sources away)" "out two/out out two two" sources
[ "$(tree_size "$T/main/packs")" -lt $((before - 3000000)) ] ||
  die "nothing was freed"

# A step that fails is told, and the others are done.
rm "$T/b c"
jobs_are "${whole[@]}" "file = more $T/a"
job 3
said 'job whole of .* PARTLY FAILED'
said '^Files of two:'
said "^  .*two: opening $T/b c: No such file"
not found -E '^(Files of more|Copying|Verifying)' <"$T/err" ||
  die "what went well is told: $(cat "$T/err")"
[ "$(wc -l <"$T/err")" -le 6 ] || die "too many words: $(cat "$T/err")"
case $(sources main) in *more*) ;; *) die "no other backup was made" ;; esac
case $(sources away) in *more*) ;; *) die "nothing was copied" ;; esac
# Without forget, no prune; the rest is done, and said once.
jobs_are "${whole[@]}" "keep-source = nobody"
job 3 --json
equal "$(jq -r '[.jobs[0].steps[] | .step + ":" + .status] | join(" ")' \
  "$T/out")" "backup:failed backup:done forget:failed prune:skipped copy:done \
verify:done" "the steps"
documented run "$T/out" >>"$T/seen"
said '^Freeing space:' # on standard error, as ever
job 3
said '^Freeing space:'
said 'not done, as old snapshots could not be removed'
# Nothing at all can be done.
jobs_are "[job gone]" "repository = main" "file = x $T/nowhere"
job 1
said 'job gone .* FAILED'
mv "$T/main" "$T/moved"
jobs_are "${whole[@]}"
job 1
said "no repository at $T/main"
said 'for the same reason'
mv "$T/moved" "$T/main"

# Jobs that are wrong are not run, the others are.
touch "$T/b c"
jobs_are "[job wrong]" "repository = main" "keep-daly = 7" "file = w $T/a" \
  "[job right]" "repository = main" "file = right $T/a"
job 3 --json
documented run "$T/out" >>"$T/seen"
equal "$(jq -r '.problems[0].line, .jobs[0].error.code' "$T/out" | tr '\n' ' ')" \
  "10 invalid " "what is wrong"
for kind in run job step; do
  documented --fields | grep "^$kind\\."
done | sort >"$T/wanted"
missing=$(sort -u "$T/seen" | comm -23 "$T/wanted" -)
[ -z "$missing" ] || die "in amberfs-json(5), and never printed: $missing"
job 3
said 'line 10: .*did you mean "keep-daily"'
said 'job wrong: not run'
case $(sources main) in
  *right*) ;;
  *) die "the right job was not run" ;;
esac
job 2 wrong
job 2 nobody
said 'no job is called nobody; .* wrong, right'
job 2 nobody --json
equal "$(jq -r .error.code "$T/out")" not-found "why nothing was run"
expect 2 amberfs run --config "$T/nowhere"

# An overlap: the second run of a job says since when the first is at work;
# another job of the repository waits for it.
make_noise "$T/slow" 16 5
jobs_are "[job slow]" "repository = main" "file = slow $T/slow" "bwlimit = 4M" \
  "[job other]" "repository = main" "file = other $T/a"
amberfs run slow --config "$config" 2>"$T/first.err" &
first=$!
wait_for 20 session_registered || die "no session"
job 1 slow --json
said 'the run that began .* is still active'
one_line "$T/err"
equal "$(jq -r .jobs[0].error.code "$T/out")" busy "why it was not begun"
amberfs run other --config "$config" -v 2>"$T/other.err" &
other=$!
wait_for 20 grep -q 'waiting' "$T/other.err" || die "it does not wait"
# Also when only the backup is still at work.
kill -9 "$first"
wait "$first" 2>/dev/null || :
job 1 slow
said 'still active'
wait "$other" || die "the other job: $(cat "$T/other.err")"
case $(sources main) in
  *other*slow*) ;;
  *) die "one of the two was not done: $(sources main)" ;;
esac

# A signal ends it cleanly.
make_noise "$T/slow" 24 6
jobs_are "[job slow]" "repository = main" "file = slow $T/slow" \
  "file = never $T/a" "bwlimit = 4M" "copy-to = away"
amberfs run --config "$config" 2>"$T/err" &
pid=$!
wait_for 20 pack_grows || die "it writes nothing"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
equal "$status" 130 "status of a run that was ended"
said 'Ended by SIGTERM'
said 'not done, as the run was ended'
not session_registered || die "a session remains"
case $(sources main) in *never*) die "it went on after SIGTERM" ;; esac

# A share of the data at a time finds the damage once, and all of it is read.
pack=$(find "$T/main/packs" -type f -size +1M | sort | head -1)
printf 'damage' | dd of="$pack" bs=1 seek=200000 conv=notrunc status=none
failed=0
frames=0
for part in 1/3 2/3 3/3; do
  amberfs verify main --read-data-subset "$part" --json --config "$config" \
    >"$T/part.json" 2>/dev/null || failed=$((failed + 1))
  frames=$((frames + $(jq .frames "$T/part.json")))
done
[ "$failed" -ge 1 ] || die "the damage was not found"
amberfs verify main --read-data --json --config "$config" >"$T/all.json" \
  2>/dev/null && die "the damage was not found"
equal "$frames" "$(jq .frames "$T/all.json")" "frames in all parts"
expect 2 amberfs verify main --read-data-subset 4/3 --config "$config"
jobs_are "[job check]" "repository = main" "verify = data"
job 1
said '^Verifying:'
said 'frame'

# Domains by pattern, of libvirt's own test driver, whose disks are not here.
if amberfs domains --connect test:///default >/dev/null 2>&1; then
  jobs_are "[job domains]" "repository = main" "domains = te*" \
    "connect = test:///default"
  job 1
  said 'test'
  jobs_are "[job domains]" "repository = main" "domains = other-*" \
    "connect = test:///default"
  job 1
  said 'no domains to back up'
  jobs_are "[job domains]" "repository = main" "domains = other" "domains = *" \
    "exclude = te*" "connect = test:///default"
  job 0 --dry-run
  found -- '--domain other' <"$T/out" || die "$(cat "$T/out")"
  found -- "--all-domains .*--exclude 'te\*' --exclude other" <"$T/out" ||
    die "$(cat "$T/out")"
fi
