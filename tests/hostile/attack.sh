# shellcheck shell=sh
# Sourced after tests/lib.sh by the tests that let tests/hostile attack a daemon.
# shellcheck disable=SC2154
hostile=$(dirname "$exe")/tests/hostile/hostile
store=$state/store

# progress: the case to be tried next.
progress() { od -An -tu4 -N4 "$state/store/progress" 2>/dev/null || echo none; }

# attack: one daemon after another, until all cases were tried; what was done goes
# to standard output.
attack() {
	before=''
	until [ -e "$state/store/done" ]; do
		status=0
		timeout 60 "$hostile" daemon "$conf" 2>"$T/daemon.log" || status=$?
		[ ! -e "$state/store/failed" ] || {
			cat "$state/store/failed" >&2
			fail "case $(progress)"
		}
		now=$(progress)
		if [ ! -e "$state/store/done" ]; then
			# It was the worker that died, of what it had sent.
			[ "$status" -eq 1 ] || fail "case before $now: the daemon ended with status $status"
			matches "$T/daemon.log" 'banger: worker ended: Bad message'
			[ "$now" != "$before" ] || fail "stuck behind case $now"
		fi
		before=$now
	done
	cat "$state/store/done"
}

# nothing_left: no jail and no record of a VM.
nothing_left() {
	left=$(find "$state/jail" "$runtime/private/vm" -mindepth 1)
	[ -z "$left" ] || fail "left: $left"
}

# life HOW [COMMAND...]: a daemon, under COMMAND, whose worker does HOW.
life() {
	how=$1
	shift
	rm -f "$store/done"
	install -o "$uid_base" -g "$uid_base" /dev/null "$store/$how"
	status=0
	timeout 60 "$@" "$hostile" daemon "$conf" 2>"$T/daemon.log" || status=$?
	rm "$store/$how"
	# It may end of it, but not of a signal or an error with memory.
	[ "$status" -le 1 ] || {
		cat "$T/daemon.log" >&2
		fail "status $status under: $*"
	}
	[ ! -e "$store/failed" ] || {
		cat "$store/failed" >&2
		fail "$how under: $*"
	}
}

# clean_up TEXT: if the daemon ended of it, or left something, the next one's turn.
# (A child may hold the lock a moment longer.)
clean_up() {
	tries=0
	cp "$T/daemon.log" "$T/fault.log"
	until { [ -e "$store/done" ] && same_lists; } || [ "$tries" -eq 3 ]; do
		[ "$tries" -eq 0 ] || sleep 0.2
		tries=$((tries + 1))
		life clean
	done
	[ -e "$store/done" ] || {
		cat "$T/fault.log" "$T/daemon.log" >&2
		fail "$1: the next daemon does not get to its end"
	}
	same_lists || {
		diff "$T/before" "$T/after" >&2 || :
		cat "$T/fault.log" >&2
		fail "$1: something is left"
	}
}
