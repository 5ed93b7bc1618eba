# shellcheck shell=sh
# banger as a service of the host itself: what system-install, survival, names
# and the runit-* scenarios share. Sourced after lib.sh, which found on_host=1.
# shellcheck disable=SC2154,SC2034

# Anything that is here already is somebody's, and stays.
for path in /etc/banger /etc/systemd/system/banger.service /etc/sv/banger /etc/service/banger \
    /var/lib/banger /run/banger /usr/local/bin/banger; do
	[ ! -e "$path" ] || skip "$path exists; a banger that is installed is left alone"
done

# on_service: from now on `banger` is the client of the installed service.
on_service() {
	conf=/etc/banger/config.toml
	state=/var/lib/banger
	runtime=/run/banger
	uid_base=700000
}

# service_fixture: kernel, image and small VMs for the service, before it starts.
service_fixture() {
	mkdir -p /etc/banger
	: >"$conf"
	with_fixture
}

# service_install: as root would; the owner is nobody.
service_install() {
	at_end service_remove
	expect 0 "$exe" system install --owner nobody
	eventually 30 test -S "$runtime/banger.sock" || fail 'the service does not listen'
}

# service_remove: everything, whatever state it is in; the next scenario wants
# an empty host, and so does the owner of a real one.
service_remove() {
	timeout 90 "$exe" system uninstall --purge --force >/dev/null 2>&1
	[ -z "${BANGER_EMULATED:-}" ] || {
		systemctl stop banger.service 2>/dev/null
		rm -rf /etc/banger /var/lib/banger /run/banger /etc/systemd/system/banger.service \
		    /usr/local/bin/banger /etc/sv/banger /etc/service/banger
		systemctl daemon-reload 2>/dev/null
	}
}

# monitor and worker: their process ids, while systemd runs the service.
monitor() {
	systemctl show -P MainPID banger
}
worker() {
	pgrep -u "$uid_base" -f 'banger worker' | head -n 1
}

# replaced FUNCTION PID: what FUNCTION names is there, and is not PID any more.
replaced() {
	now=$("$1") && [ "${now:-0}" -ne 0 ] && [ "$now" -ne "$2" ]
}

# as_user USER COMMAND...: with that user's ids and nothing of ours.
as_user() {
	as=$1
	shift
	setpriv --reuid "$as" --regid "$(id -g "$as")" --clear-groups -- "$@"
}

# stream_start VM: a session in VM that prints a line every 0.2 s, into $T/stream.
stream_start() {
	# shellcheck disable=SC2016 # the guest's shell expands it
	"$exe" --config "$conf" vm exec "$1" -- \
	    sh -c 'i=0; while :; do i=$((i + 1)); echo "line $i"; sleep 0.2; done' \
	    </dev/null >"$T/stream" 2>&1 &
	stream=$!
	at_end "kill $stream 2>/dev/null"
	eventually 20 grep -q 'line 3' "$T/stream" || fail 'the session does not start'
}

# stream_goes_on WHAT: after WHAT the session is there, and lost no line.
stream_goes_on() {
	lines=$(wc -l <"$T/stream")
	# shellcheck disable=SC2317
	more() { [ "$(wc -l <"$T/stream")" -gt $((lines + 2)) ]; }
	eventually 20 more || fail "$1: the session has stopped"
	kill -0 "$stream" || fail "$1: the session has ended"
	[ -z "$(awk '$0 != "line " NR' "$T/stream" | sed '$d')" ] || fail "$1: lines of the session are missing"
}
