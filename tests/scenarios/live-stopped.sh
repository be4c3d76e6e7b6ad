#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: a guest never stands still because of its backup: each
# process of a live backup is stopped at each stage, the scratch space runs out
# and the job is ended meanwhile, and the guest's ticks go on.
. "$(dirname "$0")/../functions.sh"
. "$TESTS/functions-libvirt.sh"
. "$TESTS/functions-guest.sh"
. "$TESTS/functions-live.sh"
live_prepare
small_disk tmpfs 32M "$T/small"
chmod 711 "$T/small"

guest_new still
mkdir -p "$T/files"
make_noise "$T/files/noise" 64
guest_disk vda qcow2 96M "$T/files"
guest_define tick=200
guest_start
guest_wait 'GUEST AGENT'

# ticks_on WHAT: and goes on to tick.
ticks_on() {
  guest_ticks 2 40 || die "the guest stands still: $1"
  guest_ticks 2 40
}

# begin_backup [VARIABLE=VALUE...]: it stops itself where the shim says.
begin_backup() {
  rm -f "$T/done"
  env LD_PRELOAD="$LIVE_SHIM" SHIM_SIGNAL=19 SHIM_DONE="$T/done" "$@" \
    amberfs backup "$R" --connect "$LIBVIRT_URI" --domain still --force-read \
    --scratch-dir "$scratch" "${hook[@]}" >"$T/out" 2>"$T/err" </dev/null &
  backup_pid=$!
}
stops_itself() {
  wait_for 90 test -e "$T/done" || die "not reached: $(cat "$T/err")"
  wait_for 10 is_stopped "$backup_pid"
}
scratch=$L/scratch hook=()

# ends STATUS...: it goes on, ends with one of these, which $ended tells, and
# nothing is left.
ends() {
  ended=0
  kill -CONT "$backup_pid" 2>/dev/null || :
  wait "$backup_pid" || ended=$?
  [[ " $* " == *" $ended "* ]] || die "status $ended ($(cat "$T/err"))"
  wait_for 20 live_no_job || die "a job is left"
  equal "$(find "$scratch" -mindepth 1 -name 'amberfs-*')" '' "what is left"
  ticks_on "after the end"
}

mapfile -t calls < <(live_stages virDomainFSFreeze/before \
  virDomainFSFreeze/after virDomainBackupBegin/before \
  virDomainBackupBegin/after virDomainFSThaw/before virDomainFSThaw/after \
  virDomainAbortJob/before virDomainAbortJob/after)
for call in recv/before "${calls[@]}"; do
  echo "stopped $call" >&2
  begin_backup SHIM_CALL="${call%/*}" SHIM_ACT="${call#*/}" SHIM_SKIP="$(
    case $call in recv*) echo 150 ;; *) echo 0 ;; esac)"
  stops_itself
  ticks_on "$call"
  ends 0
done

echo "somebody ends the job of one that is stopped while it reads" >&2
begin_backup SHIM_CALL=recv SHIM_ACT=before SHIM_SKIP=150
stops_itself
virsh_do domjobabort still >&2 &
ticks_on "domjobabort"
wait $! || :
ends 1
said 'somebody else ended its backup job'

echo "qemu has to wait for it, as it is suspended" >&2
begin_backup SHIM_CALL=recv SHIM_ACT=before SHIM_SKIP=150
stops_itself
virsh_do suspend still
virsh_do resume still
ticks_on "suspend"
# With nothing on its way to it just then, qemu did not have to wait.
ends 0 1
[ "$ended" = 0 ] || {
  said 'stood still for 5 s'
  said 'did not go on reading'
}

# fill_scratch: the guest overwrites more than fits there.
fill_scratch() {
  guest_tell poke /mnt/vda/noise 64 700
}

echo "the scratch space runs out while it is stopped" >&2
scratch=$T/small
begin_backup SHIM_CALL=recv SHIM_ACT=before SHIM_SKIP=150
stops_itself
fill_scratch
ticks_on "full"
ends 1
said 'ran out of space.*--scratch-dir'

# A reader of somebody else: it asks for all and reads nothing.
mkdir "$T/slow"
cat >"$T/slow/reader" <<TEXT
#!/bin/bash
[ "\$AMBERFS_PHASE" = after-thaw ] || exit 0
nbdcopy "nbd+unix:///vda?socket=\$AMBERFS_NBD_SOCKET" null: &
LD_PRELOAD='$LIVE_SHIM' SHIM_CALL=recv SHIM_ACT=before SHIM_SKIP=100 SHIM_SIGNAL=19 \\
  SHIM_DONE='$T/hook.done' \\
  nbdcopy "nbd+unix:///vda?socket=\$AMBERFS_NBD_SOCKET" '$T/copy' &
wait
TEXT
chmod 755 "$T/slow/reader"
for what in full abort; do
  echo "a hook is stopped: $what" >&2
  rm -f "$T/hook.done"
  hook=(--hook "$T/slow")
  scratch=$T/small
  [ "$what" = full ] || scratch=$L/scratch
  begin_backup
  wait_for 90 test -e "$T/hook.done" || die "no hook: $(cat "$T/err")"
  ticks_on "a hook that is stopped"
  if [ "$what" = full ]; then
    fill_scratch
  else
    virsh_do domjobabort still >&2 &
  fi
  ticks_on "a hook that is stopped: $what"
  ends 1
done
hook=() scratch=$L/scratch

echo "its watchdog is stopped" >&2
begin_backup SHIM_CALL=recv SHIM_ACT=before SHIM_SKIP=150
stops_itself
guard=$(pgrep -P "$backup_pid" -f live-guard)
kill -STOP "$guard"
ticks_on "no watchdog"
kill -CONT "$backup_pid"
ticks_on "no watchdog, it reads on"
wait_for 60 live_no_job || die "a job is left"
kill -CONT "$guard"
ends 0

live_backup 0
live_right 0
live_changes vda
