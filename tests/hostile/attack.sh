# shellcheck shell=sh
# Sourced after tests/lib.sh by the tests that let tests/hostile attack a daemon.
# shellcheck disable=SC2154
hostile=$(dirname "$exe")/tests/hostile/hostile

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
