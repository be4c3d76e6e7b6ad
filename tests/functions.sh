# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What the scenarios share. A scenario sources this file, works in its private
# directory $T, and ends with 0 (pass), 77 (this machine can't run it) or anything
# else (fail). Everything it made is removed: mounts, loop devices, processes.
set -euo pipefail

: "${AMBERFS_BUILD:?the build directory, e.g. build}"
AMBERFS_BUILD=$(cd "$AMBERFS_BUILD" && pwd)
TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE_TREE=$(dirname "$TESTS")
export AMBERFS_BUILD TESTS SOURCE_TREE
# shellcheck source=SCRIPTDIR/../scripts/mounts
. "$SOURCE_TREE/scripts/mounts"
PATH=$AMBERFS_BUILD/repo/commands:$AMBERFS_BUILD/fs:$AMBERFS_BUILD/ingest:$PATH
PATH=$PATH:/usr/sbin:/sbin
export PATH LC_ALL=C.UTF-8

# Short, because unix sockets below it have at most 107 bytes.
T=$(mktemp -d "${TMPDIR:-/var/tmp}/amb.XXXXXX")
export T TMPDIR=$T HOME=$T/home XDG_CACHE_HOME=$T/home/.cache
mkdir -p "$XDG_CACHE_HOME"
for variable in ${!AMBERFS_@}; do
  [ "$variable" = AMBERFS_BUILD ] || unset "$variable"
done
# What this machine has seen of each repository.
export AMBERFS_STATE_DIR=$T/state.amberfs

die() {
  echo "FAIL: $*" >&2
  exit 1
}

skip() {
  echo "SKIP: $*" >&2
  exit 77
}

need_root() {
  [ "$(id -u)" = 0 ] || skip "needs root: $*"
}

need_fuse() {
  [ -w /dev/fuse ] || skip "no access to /dev/fuse"
}

need_program() {
  local program
  for program; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}

exit_commands=()
# at_exit COMMAND ARGUMENT...: run when the scenario ends, last given first.
at_exit() {
  exit_commands=("$(printf '%q ' "$@")" "${exit_commands[@]}")
}

detach_loops_below() {
  losetup -l -n -O NAME,BACK-FILE 2>/dev/null |
    while read -r device file; do
      case $file in "$1"/*) losetup -d "$device" ;; esac
    done
}

cleanup() {
  local status=$? command target children
  set +e
  trap - EXIT INT TERM HUP
  cd / || :
  for command in "${exit_commands[@]}"; do
    eval "$command" >/dev/null 2>&1
  done
  children=$(jobs -p)
  # shellcheck disable=SC2086 # a list of numbers
  [ -z "$children" ] || kill -9 $children 2>/dev/null
  wait 2>/dev/null
  for _ in 1 2 3 4 5; do
    mounts_below "$T" | while read -r target; do
      umount "$target" 2>/dev/null || fusermount3 -u "$target" 2>/dev/null ||
        umount -l "$target" 2>/dev/null
    done
    [ -n "$(mounts_below "$T")" ] || break
    sleep 0.2
  done
  if [ "$(id -u)" = 0 ]; then
    detach_loops_below "$T"
  fi
  chmod -R u+rwX "$T" 2>/dev/null
  rm -rf --one-file-system "$T"
  exit "$status"
}
trap cleanup EXIT
trap 'echo "FAIL: $0, line $LINENO: $BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# All that process $1 was given has been dealt with: it does nothing.
ticks() {
  awk '{ print $14 + $15 }' "/proc/$1/stat"
}
is_idle() {
  local before
  before=$(ticks "$1")
  sleep 0.3
  [ "$(ticks "$1")" = "$before" ]
}

# wait_for SECONDS COMMAND...: polls until it succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# For wait_for: no file is in a directory.
is_empty() {
  [ -z "$(find "$1" -type f -print -quit)" ]
}

# For wait_for: a session is registered in REPO ($R); a pack of it has grown
# beyond SIZE (as find takes it) and has no name yet.
session_registered() { # [REPO]
  [ -n "$(find "${1:-$R}/sessions" -name '*.lock' -print -quit)" ]
}
pack_grows() { # [SIZE]
  [ -n "$(find "$R/packs" -name '.tmp*' -size "+${1:-0}" -print -quit)" ]
}

# For wait_for: that process was stopped by a signal.
is_stopped() { # PID
  grep -q '^State:.*stopped' "/proc/$1/status"
}

# at_time TIME COMMAND...: run as if it were that time. What an earlier process
# with this number left in shared memory would keep faketime from starting.
at_time() {
  (
    rm -f "/dev/shm/faketime_shm_$BASHPID" "/dev/shm/sem.faketime_sem_$BASHPID"
    # Its library is loaded before that of ASan.
    export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
    exec faketime "$@"
  )
}

# expect STATUS COMMAND...: its output goes to $T/out and $T/err.
expect() {
  local want=$1 got=0
  shift
  "$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
  [ "$got" = "$want" ] || {
    cat "$T/out" "$T/err" >&2
    die "exit status $got, not $want, of: $*"
  }
}

# found PATTERN: standard input has a matching line. Reads all of it, so that the
# program before the pipe does not die of SIGPIPE.
found() {
  grep "$@" >/dev/null
}

# said PATTERN: the last expect's command wrote it to stderr.
said() {
  [ "$1" != -- ] || shift
  grep -Eqi -e "$1" "$T/err" || {
    cat "$T/err" >&2
    die "stderr has no line with: $1"
  }
}

one_line() {
  [ "$(wc -l <"$1")" = 1 ] || {
    cat "$1" >&2
    die "one line was expected"
  }
}

silent() {
  [ ! -s "$T/out" ] && [ ! -s "$T/err" ] || {
    cat "$T/out" "$T/err" >&2
    die "silence was expected"
  }
}

# on_terminal ANSWERS COMMAND...: on a terminal of its own; each prompt for a
# passphrase, or to agree, is answered with the next of ANSWERS (a,b,c).
on_terminal() {
  local answers=$1
  shift
  python3 - "$answers" "$@" <<'END'
import os, pty, re, sys
answers = sys.argv[1].split(",")
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b""
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if re.search(rb"(assphrase|again|y/N)[^\n]*[:\]] ?$", seen) and answers:
        sys.stdout.write(seen.decode(errors="replace"))
        seen = b""
        os.write(fd, answers.pop(0).encode() + b"\n")
sys.stdout.write(seen.decode(errors="replace"))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
END
}

# same FILE FILE: equal bytes, equal length.
same() {
  cmp -- "$1" "$2" || die "$1 and $2 differ"
}

equal() {
  [ "$1" = "$2" ] || die "${3:-values differ}: '$1' is not '$2'"
}

# Sizes on disk in bytes.
allocated() {
  echo $(($(stat -c '%b * %B' -- "$1")))
}

tree_size() {
  du -s --block-size=1 --apparent-size -- "$1" | cut -f1
}

# make_key FILE: a key file that nobody else can read.
make_key() {
  (umask 077; head -c 64 /dev/urandom >"$1")
}

# id_of REPO; index_of REPO: where this user's index of it is.
id_of() {
  od -An -v -tx1 -j16 -N16 "$1/config" | tr -d ' \n'
}
index_of() {
  echo "$XDG_CACHE_HOME/amberfs/$(id_of "$1")"
}

# new_repo [PATH [OPTION...]]: a repository unlocked by a key file; sets R.
# shellcheck disable=SC2034 # R is for the scenario
new_repo() {
  R=${1:-$T/repo}
  [ $# = 0 ] || shift
  [ -e "$T/key" ] || make_key "$T/key"
  export AMBERFS_KEY_FILE=$T/key
  amberfs init "$R" "$@" >/dev/null
}

# amber_mount REPO DIRECTORY [OPTION...]: returns once it is mounted.
amber_mount() {
  mkdir -p "$2"
  amberfs mount "$@"
  mountpoint -q "$2" || die "amberfs mount returned 0 without a mount at $2"
}

amber_umount() {
  umount "$1" || fusermount3 -u "$1"
  wait_for 10 not mountpoint -q "$1" || die "$1 is still mounted"
}

not() {
  ! "$@"
}

# latest SOURCE: the time of its newest complete snapshot; newest SOURCE: of its
# newest one.
newest() {
  amberfs list --json "$R" "$1" | jq -r '.snapshots[-1].object | sub(".*/"; "")'
}
latest() {
  amberfs show --json "$R" "$1/latest" | jq -r '.object | sub(".*/"; "")'
}

# documented KIND FILE...: these documents of --json are as amberfs-json(5) says of
# KIND. Prints the fields that are there.
documented() {
  python3 "$TESTS/tools/jsonpage.py" \
    "$SOURCE_TREE/repo/commands/amberfs-json.5" "$@"
}

snapshot_count() {
  amberfs list --json "$R" "$@" | jq '.snapshots | length'
}

# make_tree DIRECTORY [MIB]: text, binaries and noise as on a real system.
make_tree() {
  local directory=$1 mib=${2:-8} i
  mkdir -p "$directory/etc" "$directory/usr/lib" "$directory/var/log"
  for ((i = 0; i < mib; i++)); do
    openssl enc -aes-128-ctr -K "$(printf '%032x' "$i")" -iv 0 -in /dev/zero \
      2>/dev/null | head -c 512K >"$directory/usr/lib/noise$i" || :
    seq "$((i * 100000))" "$((i * 100000 + 90000))" | head -c 512K \
      >"$directory/var/log/text$i" || :
  done
  for ((i = 0; i < 40; i++)); do
    echo "setting=$i" >"$directory/etc/file$i.conf"
  done
  ln -s ../usr/lib "$directory/etc/link"
}

# make_noise FILE MIB [SEED]: incompressible bytes, always the same.
make_noise() {
  openssl enc -aes-128-ctr -K "$(printf '%032x' "$((${3:-7} + 1000))")" -iv 0 \
    -in /dev/zero 2>/dev/null | head -c "${2}M" >"$1" || :
}

# small_disk KIND SIZE DIRECTORY: a filesystem of its own (ext4, xfs or tmpfs).
small_disk() {
  mkdir -p "$3"
  if [ "$1" = tmpfs ]; then
    mount -t tmpfs -o "size=$2" none "$3"
    return
  fi
  truncate -s "$2" "$3.disk"
  case $1 in
    ext4) mke2fs -q -t ext4 -m 0 "$3.disk" ;;
    xfs) mkfs.xfs -q "$3.disk" ;;
  esac
  mount -o loop "$3.disk" "$3" || skip "no loop mounts here"
}

# fill_disk DIRECTORY: until no byte is free.
fill_disk() {
  cat /dev/zero >>"$1/filler" 2>/dev/null || :
}

# back_up_mixed NAME STAY GO MIB: three sources NAME0 to NAME2 of MIB each of
# the noise in STAY and in GO, so that their packs hold both.
back_up_mixed() {
  local i
  for i in 0 1 2; do
    dd if="$3" bs=1M skip=$(($4 * i)) count="$4" status=none >"$T/mixed"
    dd if="$2" bs=1M skip=$(($4 * i)) count="$4" status=none >>"$T/mixed"
    amberfs backup "$R" --name "$1$i" "$T/mixed"
  done
}

# make_image_ext4 FILE SIZE DIRECTORY
make_image_ext4() {
  rm -f "$1"
  truncate -s "$2" "$1"
  mke2fs -q -F -t ext4 -E nodiscard -d "$3" "$1"
}

# make_image_xfs FILE SIZE DIRECTORY: needs root; 300 MiB is mkfs.xfs's least.
make_image_xfs() {
  need_root "to fill an xfs image"
  rm -f "$1"
  truncate -s "$2" "$1"
  mkfs.xfs -q "$1"
  mkdir -p "$T/mkfs.mnt"
  mount -o loop "$1" "$T/mkfs.mnt"
  cp -a "$3/." "$T/mkfs.mnt/"
  umount "$T/mkfs.mnt"
}

# Lets the times of FILE... be older than the two seconds within which a file
# is never taken over unread.
age() {
  local file
  for file; do
    while [ $(($(date +%s) - $(stat -c %Z "$file"))) -le 3 ]; do
      sleep 0.2
    done
  done
}

# True in builds with -Db_sanitize.
sanitized() {
  nm -D "$AMBERFS_BUILD/repo/commands/amberfs" 2>/dev/null |
    found -E "__(asan|tsan)_init"
}
