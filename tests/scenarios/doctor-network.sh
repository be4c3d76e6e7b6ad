#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: where a strict reverse-path filter of this host drops the
# answers of a host that backups need, doctor names it, and after the very
# commands that it prints the answers arrive; likewise for packets that are too
# large for the way.
. "$(dirname "$0")/../functions.sh"
need_root "network namespaces"
need_program ip sysctl jq python3
# As on a host that only restores: without libvirt.
mkdir "$T/bin"
cp "$AMBERFS_BUILD/repo/commands/amberfs" "$T/bin/"
[ ! -e /usr/libexec/amberfs/amberfs-ingest ] || skip "amberfs is installed"
unshare --net true 2>/dev/null || skip "can't make network namespaces"

# The host sends to the peer through eth0 and the router; what comes back takes
# the router's other leg, to eth1.
#
#	host eth0 10.77.0.1 --- 10.77.0.2 r0 router r2 10.77.9.1 --- peer 10.77.9.9
#	     eth1 10.77.1.1 --- 10.77.1.2 r1
ns=amb$$
for name in host router peer; do
  ip netns add "$ns$name"
  at_exit ip netns del "$ns$name"
  ip -n "$ns$name" link set lo up
done
in_host() { ip netns exec "${ns}host" "$@"; }
cable() { # NAMESPACE DEVICE ADDRESS, twice
  ip link add "$2" netns "$ns$1" type veth peer name "$5" netns "$ns$4"
  ip -n "$ns$1" addr add "$3/24" dev "$2"
  ip -n "$ns$4" addr add "$6/24" dev "$5"
  ip -n "$ns$1" link set "$2" up
  ip -n "$ns$4" link set "$5" up
}
cable host eth0 10.77.0.1 router r0 10.77.0.2
cable host eth1 10.77.1.1 router r1 10.77.1.2
cable router r2 10.77.9.1 peer p0 10.77.9.9
ip -n "${ns}peer" route add default via 10.77.9.1
ip -n "${ns}host" route add 10.77.9.0/24 via 10.77.0.2
ip -n "${ns}router" route add 10.77.0.1 via 10.77.1.1
ip netns exec "${ns}router" sysctl -qw net.ipv4.ip_forward=1 \
  net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.r0.rp_filter=0 \
  net.ipv4.conf.r1.rp_filter=0 net.ipv4.conf.r2.rp_filter=0
strict() {
  in_host sysctl -qw net.ipv4.conf.all.rp_filter=1 \
    net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
}

# Any answer is one: to port 22 of the peer, where nothing listens.
reaches() {
  in_host python3 - <<'END'
import socket
try:
    socket.create_connection(("10.77.9.9", 22), timeout=2)
except ConnectionRefusedError:
    pass
END
}
doctor() { # STATUS ARGUMENT...
  local status=$1
  shift
  expect "$status" in_host "$T/bin/amberfs" doctor --json "$@"
  jq -e '.schema == 1' "$T/out" >"$T/schema"
}
way() { # FILTER: of the findings about the way
  jq -r ".findings[] | select(.check == \"peer\") | $1" "$T/out"
}

# Nothing in the way.
in_host sysctl -qw net.ipv4.conf.all.rp_filter=0 \
  net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
reaches || die "the way does not work to begin with"
doctor 0 --peer 10.77.9.9
equal "$(way .level)" ok
way .found | found 'answers (port 22, .* through eth0 as 10.77.0.1; packets of 1500 bytes arrive'
jq -r '.findings[] | select(.check == "filter") | .found' "$T/out" |
  found -xE 'off \(0\) on (eth0, eth1|eth1, eth0)'

# The filter of all counts, although each interface has its own off.
strict
! reaches || die "nothing is dropped"
doctor 1 --peer 10.77.9.9
jq -r '.findings[] | select(.check == "filter") | .found' "$T/out" |
  found 'strict (1) on eth'
equal "$(way .level)" failure
way .object | found -xF 'way to 10.77.9.9 (--peer)'
way .found | found 'sent through eth0, .* arrive on eth1 are dropped by the strict'
way .meaning | found 'RFC 3704'
way '.commands[0]' >"$T/mend"
equal "$(cat "$T/mend")" 'sysctl -w net.ipv4.conf.eth1.rp_filter=2'
way '.commands[1]' | found '>>/etc/sysctl.d/'
# The same for people.
expect 1 in_host "$T/bin/amberfs" doctor --peer 10.77.9.9
found -xF '           mend: sysctl -w net.ipv4.conf.eth1.rp_filter=2' <"$T/out"
in_host bash "$T/mend" >"$T/out"
reaches || die "doctor's command did not mend it"
doctor 0 --peer 10.77.9.9
equal "$(way .level)" ok

# Where the default route is, the route is mended and the filter stays.
strict
ip -n "${ns}host" route add default via 10.77.1.2
doctor 1 --peer 10.77.9.9
way .meaning | found 'eth1 has the default route'
way '.commands[]' >"$T/mend"
equal "$(cat "$T/mend")" 'ip route replace 10.77.9.9 via 10.77.1.2 dev eth1'
in_host bash "$T/mend"
reaches || die "doctor's command did not mend it"
doctor 0 --peer 10.77.9.9
equal "$(in_host sysctl -n net.ipv4.conf.eth1.rp_filter)" 0
ip -n "${ns}host" route del 10.77.9.9
ip -n "${ns}host" route del default

# Drops go on while doctor watches.
while :; do reaches || :; done 2>/dev/null &
talker=$!
doctor 0 --watch 6s
kill "$talker"
jq -r '.findings[] | select(.check == "drops") | .level, .commands[0]' \
  "$T/out" >"$T/drops"
equal "$(cat "$T/drops")" "warning
sysctl -w net.ipv4.conf.all.log_martians=1"

# A router that says what fits, and a way on which large packets get lost.
in_host sysctl -qw net.ipv4.conf.all.rp_filter=0
ip -n "${ns}router" link set r2 mtu 1400
doctor 0 --peer 10.77.9.9
way .found | found 'takes packets of 1400 bytes (eth0: 1500)'
ip -n "${ns}router" link set r2 mtu 1500
ip -n "${ns}host" route flush cache
ip -n "${ns}router" link set r0 mtu 1400
doctor 0 --peer 10.77.9.9
equal "$(way .level | tr '\n' ' ')" "ok warning "
way '.found' | found 'packets of 1500 bytes, .* get lost'
way '.commands[0]?' | grep -v null >"$T/mend"
equal "$(cat "$T/mend")" 'sysctl -w net.ipv4.tcp_mtu_probing=1'
in_host bash "$T/mend" >"$T/out"
doctor 0 --peer 10.77.9.9
equal "$(way .level | tr '\n' ' ')" "ok ok "

# Nobody there, no way there, and a name that is none.
ip -n "${ns}peer" addr del 10.77.9.9/24 dev p0
ip -n "${ns}peer" addr add 10.77.9.8/24 dev p0
doctor 1 --peer 10.77.9.9:2049 --peer 10.99.0.1 --peer no-such-host.invalid
way '.found' | found -i 'no answer on port 2049\|can.t be reached'
way '.found' | found 'there is no route to it'
way '.found' | found "name can't be resolved"
doctor 0 --peer 127.0.0.1
way .found | found 'is this host itself'
