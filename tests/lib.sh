# shellcheck shell=sh
# What the tests of machine/, bench/ and host/ share. A test sources it first:
#
#	. "$(dirname "$0")/../lib.sh"
#
# and then runs in a network and a mount namespace of its own, with an
# instance of banger of its own (state, runtime directory, configuration) in
# $T, which is removed at the end with every VM that it left running.
set -eu
export LC_ALL=C

top=$(cd "$(dirname "$0")/../.." && pwd)
# The scenarios of host/ lie one deeper.
[ -e "$top/tests/lib.sh" ] || top=$(dirname "$top")
test_name=$(basename "$0")
# The cache, and say and die.
me=$test_name
# shellcheck source=tools/lib.sh
. "$top/tools/lib.sh"

[ "$(id -u)" -eq 0 ] || die 'must be root'

# on_host=1, set before this is sourced: on the host itself, for the few that
# are about its service manager or its resolver.
on_host=${on_host:-}
if [ -z "${BANGER_TEST_ISOLATED:-}$on_host" ]; then
	BANGER_TEST_ISOLATED=1 exec unshare -n -m --propagation private -- "$0" "$@"
fi

umask 022
T=$(mktemp -d "${TMPDIR:-/tmp}/banger-test.XXXXXX")
chmod 755 "$T"
exe=${BANGER:-$top/build/banger}
conf=$T/config.toml
state=$T/state
runtime=$T/run
# Not empty: every round, however long it takes (tests/run --all).
# shellcheck disable=SC2034
all=${BANGER_TEST_ALL:-}
# Of this run alone: other runs on this machine have processes, too, and
# tests/run runs three tests at once.
uid_base=$((710000 + ($$ % 170 * 3 + ${BANGER_TEST_LANE:-0}) * 1100))

# banger ARG...: this instance's.
banger() {
	"$exe" --config "$conf" "$@"
}

# client_start ARG...: banger in the background as process $client, with the
# signals that a shell makes its background jobs ignore, output to $T/client.
client_start() {
	env --default-signal=INT --default-signal=QUIT "$exe" --config "$conf" "$@" \
	    </dev/null >"$T/client" 2>&1 &
	# shellcheck disable=SC2034 # the test's
	client=$!
}

# fail TEXT...: the test has failed.
fail() {
	echo "$test_name: FAILED: $*" >&2
	exit 1
}

# skip TEXT...: the test cannot run here, and why.
skip() {
	echo "$*"
	exit 77
}

# eventually SECONDS COMMAND...: until it succeeds; fails at the deadline.
eventually() {
	tries=$(($1 * 20))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

# expect STATUS COMMAND...: the exit status; output goes to $T/out and $T/err.
expect() {
	want=$1
	shift
	status=0
	"$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
	[ "$status" -eq "$want" ] || {
		tail -n 20 "$T/out" "$T/err" "$runtime/private/daemon.log" >&2 || :
		fail "status $status, not $want: $*"
	}
}

# matches FILE PATTERN: some line of FILE matches the extended regex.
matches() {
	grep -qE -e "$2" "$1" || {
		cat "$1" >&2
		fail "no line of $1 matches: $2"
	}
}

# host_lists: what banger could leave behind on this host, as text.
host_lists() {
	echo "# links, addresses, routes, forwarding"
	ip -o link | sed 's/^[0-9]*: //; s/ qlen .*//'
	ip -o addr | sed 's/^[0-9]*: //'
	ip route show table all
	grep -H . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding
	echo "# rules"
	nft list ruleset
	echo "# mounts"
	cut -d' ' -f5- /proc/self/mountinfo | sort
	echo "# device mapper, loop devices, cgroups, mounts of the host"
	dmsetup ls 2>/dev/null | grep -E '^(fc|banger)-' | sort
	losetup -nO BACK-FILE,RO,SIZELIMIT -l 2>/dev/null | grep -F "$state" | sort
	find /sys/fs/cgroup/banger -mindepth 1 -type d 2>/dev/null | sort
	cut -d' ' -f5- /proc/1/mountinfo | grep -E "$T|banger" | sort
	echo "# processes of the range"
	# VMMs and jobs; the worker of a daemon that runs is none of these.
	ps -eo uid=,args= | awk -v base="$uid_base" \
	    '$1 >= base && $1 < base + 1024 && !/banger worker$|<defunct>$/'
	echo "# jails, records, store"
	find "$state" "$runtime" ! -name '*.log' ! -name kvm ! -name lock ! -name banger.sock \
	    ! -path "$runtime/private/forwarding" 2>/dev/null | sort
}

# remember: the lists before. unchanged: the lists now are the same.
remember() {
	host_lists >"$T/before"
}
unchanged() {
	# The embedded daemon goes a moment after its client.
	if ! eventually 10 same_lists; then
		diff "$T/before" "$T/after" >&2 || :
		fail 'something was left behind'
	fi
}
same_lists() {
	host_lists >"$T/after"
	cmp -s "$T/before" "$T/after"
}

# daemon_start: `banger daemon` in the background, listening.
daemon_start() {
	"$exe" --config "$conf" daemon 2>>"$T/daemon.log" &
	daemon_pid=$!
	eventually 10 test -S "$runtime/banger.sock" || {
		cat "$T/daemon.log" >&2
		fail 'the daemon does not answer'
	}
}

daemon_stop() {
	kill "$daemon_pid" 2>/dev/null || return 0
	wait "$daemon_pid" || :
}

# at_end TEXT: commands to be run at the end, whatever comes; the last given is
# run first.
end_commands=
at_end() {
	end_commands="$1
$end_commands"
}

finish() {
	status=$?
	trap - EXIT
	set +e
	# Nobody would see it otherwise: the VM runs all the same.
	if grep -hs 'could not be grown' "$runtime/private/daemon.log" "$T/daemon.log"; then
		status=1
	fi
	[ "$status" -eq 0 ] || {
		tail -n 30 "$runtime/private/daemon.log" "$T/daemon.log" 2>/dev/null
		# Without space a complaint is lost, too.
		df -m "$T"
	}
	for vm in $(banger vm list --json 2>/dev/null | each id); do
		banger vm delete --force "$vm" >/dev/null 2>&1
	done
	[ -z "${daemon_pid:-}" ] || daemon_stop
	eval "$end_commands"
	[ -z "${internet_pid:-}" ] || kill "$internet_pid"
	rm -rf "$T"
	exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

cat >"$conf" <<CONF
state_dir = "$state"
runtime_dir = "$runtime"
uid_base = $uid_base
log_level = "info"
CONF
if [ -z "$on_host" ]; then
	ip link set lo up
	# Addresses that come and go by themselves would look like something left.
	echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
fi

# with_fixture: kernel and image as tests/fixtures imported them, or those that
# BANGER_FIXTURE names, of which the image is small and called so.
with_fixture() {
	mkdir -p "$state"
	cp -a --sparse=always "${BANGER_FIXTURE:-$cache/fixture}/store" "$state/"
	chown -R "$uid_base:$uid_base" "$state/store"
	[ -z "${BANGER_FIXTURE:-}" ] || cat >>"$conf" <<-CONF
		default_image_name = "small"
		[vm_defaults]
		vcpu = 1
		memory_mib = 256
		disk_size = "512M"
	CONF
}

# config_line LINE: before all others, so outside of the tables.
config_line() {
	printf '%s\n' "$1" | cat - "$conf" >"$T/config.new"
	cat "$T/config.new" >"$conf"
}

# each KEY: its values, a line each, of a list in JSON on standard input.
each() {
	tr '{' '\n' | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# field VM KEY: of what `vm show --json` tells.
field() {
	banger vm show "$1" --json 2>/dev/null | each "$2"
}

# is VM STATE: it is in that state.
is() {
	[ "$(field "$1" state)" = "$2" ]
}

# boot_id VM: which boot of the guest this is.
boot_id() {
	banger vm exec "$1" -- cat /proc/sys/kernel/random/boot_id </dev/null
}

# ended PID: no such process, or one that only waits to be waited for.
ended() {
	! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null
}

# refused STATUS PATTERN COMMAND...: one line on standard error that matches,
# and nothing is left or changed.
refused() {
	refused_status=$1 refused_pattern=$2
	shift 2
	expect "$refused_status" "$@"
	[ "$(wc -l <"$T/err")" -eq 1 ] || {
		cat "$T/err" >&2
		fail "not one line: $*"
	}
	matches "$T/err" "$refused_pattern"
	unchanged
}

# between LOW NUMBER HIGH: it is one of these, or lies between them.
between() {
	[ "$1" -le "$2" ] && [ "$2" -le "$3" ]
}

# need PROGRAM...: skips the test where one is missing.
need() {
	for program; do
		command -v "$program" >/dev/null || skip "there is no $program"
	done
}

# with_internet: a second namespace behind a veth pair, 192.0.2.1, our uplink
# is 192.0.2.2.
with_internet() {
	unshare -n sleep 900 &
	internet_pid=$!
	eventually 5 sh -c "[ \"\$(readlink /proc/$internet_pid/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]" ||
	    fail 'no second namespace'
	ip link add wan type veth peer name eth0 netns "$internet_pid"
	ip addr add 192.0.2.2/24 dev wan
	ip link set wan up
	ip route add default via 192.0.2.1
	in_internet sh -c 'ip link set lo up; ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up'
}
in_internet() {
	nsenter -t "$internet_pid" -n "$@"
}

# internet_server COMMAND...: the same in the background, until the test ends. (A
# function in the background would be a shell whose child nobody ends.)
internet_server() {
	nsenter -t "$internet_pid" -n "$@" &
	at_end "kill $! 2>/dev/null"
}

# pss PID: what that process has of memory, in KiB; what is shared counts in part.
pss() {
	awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"
}
