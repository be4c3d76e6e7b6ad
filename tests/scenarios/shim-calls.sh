#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the shim that the fault tests rest on sees every call that
# changes the repository, by strace's list of all threads and children, and its
# losses take what was not fsynced and nothing else.
. "$(dirname "$0")/../functions.sh"
! sanitized || skip "the shim is preloaded into the plain program only"
need_program strace
shim=$AMBERFS_BUILD/tests/shim/killshim.so
# The repository and the index are in one directory.
W=$T/watched
mkdir "$W"
export XDG_CACHE_HOME=$W/cache

# A call that another process' calls interrupted is in two lines.
whole_calls() {
  awk '{ pid = $1; sub(/^[0-9]+ +/, "") }
    sub(/ *<unfinished \.\.\.>$/, "") { begun[pid] = $0; next }
    sub(/^<\.\.\. [a-z0-9_]+ resumed>/, "") { $0 = begun[pid] $0 }
    { print }' "$1"
}

# One line per call and file; what the shim itself links away is not counted.
calls_of_strace() {
  whole_calls "$T/strace" |
    awk -v repo="$W" '
      function path(n) { return parts[n] }
      # A line may have the repository in the bytes written elsewhere.
      function own(n) { return index(parts[n], repo) == 1 }
      index($0, repo) == 0 { next }
      # Paths stand in <> after descriptors and in quotes.
      { call = $0; sub(/\(.*/, "", call)
        line = $0; count = 0; split("", parts)
        while (match(line, /<[^>]*>|"[^"]*"/)) {
          parts[++count] = substr(line, RSTART + 1, RLENGTH - 2)
          line = substr(line, RSTART + RLENGTH) } }
      call ~ /^p?write(v|64)?$|^pwritev2?$/ {
        if (own(1)) print "write", path(1); next }
      call ~ /^(fsync|fdatasync)$/ { print call, path(1); next }
      call == "sync_file_range" { print "writeback", path(1); next }
      call == "ftruncate" { print "truncate", path(1); next }
      call == "fallocate" { print "fallocate", path(1); next }
      call ~ /^(copy_file_range|sendfile|splice)$/ {
        if (own(1) && call == "sendfile") print "copy", path(1)
        else if (own(2)) print "copy", path(2); next }
      call ~ /^openat?$/ {
        if (/O_EXCL/ && / = [0-9]/) print "open"; else if (/O_TRUNC/)
          print "truncate"
        next }
      call == "mmap" {
        if (/PROT_WRITE/ && /MAP_SHARED/) print "map", path(1); next }
      call ~ /^rename/ { print "rename"; next }
      call ~ /^unlink|^rmdir/ { if (!/state\.kept/) print "unlink"; next }
      call ~ /^mkdir/ { print "mkdir"; next }
      call ~ /^link/ { if (!/state\.kept/) print "link"; next }
      { print call, "which the shim does not know" }'
}
calls_of_shim() {
  awk '{ sub(/^p?writev?$/, "write", $2) }
    # Opened without O_EXCL: strace does not tell whether they were there.
    $2 == "create" && $3 ~ /cache\/.*\/(lock|lock\.mdb|data\.mdb)$/ { next }
    $2 == "create" { print "open"; next }
    $2 ~ /^(rename|unlink|mkdir|link)$/ { print $2; next }
    { print $2, $3 }' "$T/log"
}

traced=trace=write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync
traced+=,sync_file_range,truncate,ftruncate,fallocate,copy_file_range,sendfile
traced+=,splice,open,openat,openat2,creat,mmap,msync,rename,renameat,renameat2
traced+=,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat
traced+=,mknod,mknodat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat
traced+=,utimensat,setxattr,fsetxattr,io_uring_setup
compare() { # COMMAND...
  rm -rf "$T"/state* "$T/log" "$T/strace"
  touch "$T/log"
  SHIM_DIR=$W SHIM_STATE=$T/state SHIM_LOG=$T/log LD_PRELOAD=$shim \
    strace -f -y -qq -s 400 -e "$traced" -o "$T/strace" "$@" >/dev/null
  calls_of_strace | sort | uniq -c >"$T/of-strace"
  calls_of_shim | sort | uniq -c >"$T/of-shim"
  diff "$T/of-strace" "$T/of-shim" || die "other calls than strace's: $*"
  [ "$(wc -l <"$T/log")" -gt 4 ] || die "hardly any calls: $*"
}

new_repo "$W/repo"
make_tree "$T/tree" 4
make_noise "$T/noise" 3
compare amberfs backup "$R" --name vm "$T/noise"
compare amberfs backup "$R" --name vm "$T/noise" "$T/tree/var/log/text1"
compare amberfs index --rebuild "$R"
compare amberfs forget "$R" vm/latest
compare amberfs prune "$R" --max-unused 0
compare amberfs key add "$R" --new-key-file "$T/key2"
amberfs init "$T/from" >/dev/null
amberfs backup "$T/from" --name other "$T/noise"
AMBERFS_TO_KEY_FILE=$T/key compare amberfs copy "$T/from" "$R"

# Losses, of a directory that a shell works in.
D=$T/directory
lose() { # CALL COMMANDS
  rm -rf "$D" "$T"/state* "$T/log"
  mkdir "$D"
  printf 'old' >"$D/a"
  printf 'kept' >"$D/b"
  touch -d 2001-01-01 "$D"
  (
    SHIM_DIR=$D SHIM_STATE=$T/state SHIM_LOG=$T/log SHIM_AT=$1 SHIM_ACT=loss \
      LD_PRELOAD=$shim setsid -w python3 -c "import os
os.chdir('$D')
def put(name, text, at=0):
  fd = os.open(name, os.O_RDWR | os.O_CREAT)
  os.pwrite(fd, text, at)
  return fd
def sync():
  os.fsync(os.open('.', os.O_RDONLY))
$2"
    exit
  ) 2>/dev/null || [ "$?" = 137 ] || die "not killed: $2"
}
is() { # FILE TEXT
  equal "$(cat "$D/$1")" "$2" "$1"
}
lose 1 "put('a', b'new and longer')"
is a old
lose 4 "fd = put('a', b'new'); os.fsync(fd); os.pwrite(fd, b'NE', 0); put('b', b'+', 4)"
is a new
is b kept
lose 2 "os.rename('a', 'b'); os.unlink('b')"
is a old
is b kept
equal "$(stat -c %y "$D" | cut -c1-4)" 2001 "the directory's time"
lose 3 "os.rename('a', 'b'); sync(); os.unlink('b')"
is b old
[ ! -e "$D/a" ] || die "a rename was lost in spite of its fsync"
lose 4 "fd = put('c', b'new'); os.fsync(fd); os.rename('c', 'd')"
equal "$(ls "$D")" "$(printf 'a\nb')" "the directory"
lose 3 "os.unlink('a'); sync(); os.ftruncate(os.open('b', os.O_RDWR), 1)"
[ ! -e "$D/a" ] || die "a deletion was lost in spite of its fsync"
is b kept
lose 1 "os.pwrite(os.open('b', os.O_RDWR | os.O_DSYNC), b'K', 0)"
is b Kept
lose 3 "import mmap
m = mmap.mmap(os.open('a', os.O_RDWR), 3); m[0:3] = b'new'; os.mkdir('e'); put('b', b'?')"
is a old
is b kept
[ ! -e "$D/e" ] || die "a directory was not lost"
