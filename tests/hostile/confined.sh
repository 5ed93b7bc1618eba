# shellcheck shell=sh
# Sourced after tests/lib.sh by the tests that compare what a process is, by /proc,
# with what banger-privsep(7) says.
# shellcheck disable=SC2154,SC2034
none=0000000000000000

# role NAME PID UID CAPABILITIES NO_NEW_PRIVS FILTERS NAMESPACES [BOUND]: permitted
# and effective set are CAPABILITIES, and so is the bounding set unless it is BOUND,
# the other two are empty; NAMESPACES are those that are not the host's.
role() {
	name=$1 pid=$2
	cat >"$T/expected" <<-STATUS
		Uid: $3 $3 $3 $3
		Gid: $3 $3 $3 $3
		Groups:
		CapInh: 0000000000000000
		CapPrm: $4
		CapEff: $4
		CapBnd: ${8:-$4}
		CapAmb: 0000000000000000
		NoNewPrivs: $5
		Seccomp: $((2 * ($6 > 0)))
		Seccomp_filters: $6
		core: 0
		namespaces:$7
	STATUS
	{
		grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters):' "/proc/$pid/status"
		sed -n 's/^Max core file size *\([^ ]*\) .*/core: \1/p' "/proc/$pid/limits"
		printf namespaces:
		for ns in cgroup ipc mnt net pid user uts; do
			[ "$(readlink "/proc/$pid/ns/$ns")" = "$(readlink "/proc/self/ns/$ns")" ] ||
			    printf ' %s' "$ns"
		done
		echo
	} | tr -s '\t ' ' ' | sed 's/ $//' >"$T/is"
	diff "$T/expected" "$T/is" >&2 || fail "$name is not what it should be (< expected)"
}

# descriptors NAME PID KIND...: what its descriptors are, each kind once.
descriptors() {
	name=$1 pid=$2
	shift 2
	printf '%s\n' "$@" | sort >"$T/expected"
	for fd in "/proc/$pid/fd"/*; do
		readlink "$fd"
	done | sed -E "s|^$T||; s/^(socket|pipe|net):.*/\1/; s/^anon_inode:\[?([a-z-]*).*/\1/
	    s|/[0-9a-f]{12}\.|/ID.|; s|^$exe\$|itself|" | sort -u >"$T/is"
	diff "$T/expected" "$T/is" >&2 || fail "descriptors of $name (< expected)"
}
