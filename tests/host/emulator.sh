# shellcheck shell=sh
# What run and powerloss share: the emulated machine. Sourced after setting
# $me and $top, and after tools/lib.sh; makes $work, removed at the end.
# shellcheck disable=SC2154

# shellcheck source=tests/distributions.sh
. "$top/tests/distributions.sh"

[ "$(id -u)" -eq 0 ] || die "must be root: sudo sh tests/host/$(basename "$0")"
banger_exe=${BANGER:-$top/build/banger}
[ -x "$banger_exe" ] || die "there is no $banger_exe; run: sh tools/build"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/banger-host.XXXXXX")
# The worker and the guests' monitors have uids of their own.
chmod 755 "$work"
emulator_pid=

emulator_finish() {
	status=$?
	trap - EXIT INT TERM
	[ -z "$emulator_pid" ] || kill "$emulator_pid" 2>/dev/null || :
	[ -z "$emulator_pid" ] || wait "$emulator_pid" 2>/dev/null || :
	rm -rf "$work"
	exit "$status"
}
trap emulator_finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# make_fixture DIR EXE [SCENARIO...]: a store with a kernel and the image "small", as
# the banger EXE imports them, in DIR/store; and what these scenarios need else.
make_fixture() {
	mkdir -p "$1"
	cat >"$1/config.toml" <<-CONF
		state_dir = "$1"
		runtime_dir = "$1/run"
		uid_base = $((1300000 + $$ % 500 * 1100))
	CONF
	fixture_banger="$banger_exe --config $1/config.toml"
	# shellcheck disable=SC2086
	unshare -n $fixture_banger daemon >"$1/log" 2>&1 &
	emulator_pid=$!
	tries=0
	until [ -S "$1/run/banger.sock" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] || die "banger daemon does not start: $(tail -n 3 "$1/log")"
		sleep 0.1
	done
	if ! $fixture_banger kernel import --name default "$host/kernel.deb" >>"$1/log" 2>&1 ||
	    ! $fixture_banger image import --name small "$host/small.tar" >>"$1/log" 2>&1; then
		die "the import of kernel and image failed: $(tail -n 3 "$1/log")"
	fi
	kill "$emulator_pid"
	wait "$emulator_pid" || :
	emulator_pid=
	rm -rf "$1/run" "$1/jail" "$1/config.toml"
	cp "$host/small.tar" "$1/"
	case " $* " in
	*' distributions '*)
		! distributions_possible || distributions_make "$1/images" ;;
	esac
}

# make_tree [SCENARIO...]: $work/tree becomes what the machine finds in /banger.
make_tree() {
	tree=$work/tree
	mkdir -p "$tree/build/tests/bench" "$tree/build/tests/hostile" "$tree/tools" "$tree/tests"
	cp "$banger_exe" "$tree/build/banger"
	# Of a build, not of an executable alone: what benches and attacks need.
	for file in "${banger_exe%/*}"/tests/bench/* "${banger_exe%/*}"/tests/hostile/*; do
		[ ! -f "$file" ] || cp "$file" "$tree/build/${file#"${banger_exe%/*}/"}"
	done
	cp "$top/tools/lib.sh" "$tree/tools/"
	cp "$top/tests/lib.sh" "$top/tests/distributions.sh" "$tree/tests/"
	cp -r "$top/tests/host" "$top/tests/bench" "$top/tests/hostile" "$tree/tests/"
	make_fixture "$tree/fixture" "$tree/build/banger" "$@"
}

# make_drive: $work/drive.img of that tree, read-only there.
make_drive() {
	mke2fs -q -t ext4 -m 0 -d "$work/tree" "$work/drive.img" \
	    "$(($(du -sk "$work/tree" | cut -f 1) * 12 / 10 + 16384))k" >"$work/mke2fs" 2>&1 ||
	    die "mke2fs failed: $(tail -n 1 "$work/mke2fs")"
}

# emulator SECONDS APPEND ARG...: becomes the machine, for so long at most (0:
# for ever). APPEND is added to its kernel command line. Nothing that it does
# changes root.img.
emulator() {
	seconds=$1
	# Periodic ticks: the emulation of AMD-V (QEMU 7.2, do_vmexit) changes the mask
	# of pending interrupts without a lock, and when it loses that of a timer which
	# fires once, the machine hangs. One that fires again brings it back.
	append="console=ttyS0 quiet loglevel=2 mitigations=off nohz=off highres=off tsc=reliable"
	append="$append systemd.show_status=no $2"
	shift 2
	# In the foreground it may read from the terminal.
	foreground=
	[ "$seconds" -gt 0 ] || foreground=--foreground
	# Without erms, as src/vmm/qemu.c says: rep stosb is emulated byte by byte.
	exec timeout $foreground -k 5 "$seconds" qemu-system-x86_64 -M q35 \
	    -accel tcg,thread=multi -cpu max,erms=off,fsrm=off -smp 2 -m 4096 \
	    -nodefaults -no-user-config -display none -no-reboot -device virtio-rng-pci \
	    -kernel "$host/vmlinuz" -initrd "$host/initrd" -append "$append" \
	    -drive "file=$host/root.img,if=virtio,format=raw,snapshot=on,cache=unsafe" \
	    -drive "file=$work/drive.img,if=virtio,format=raw,read-only=on" "$@"
}

command -v qemu-system-x86_64 >/dev/null ||
    die 'there is no qemu-system-x86_64; run: sh tools/install-deps host'
host=$(sh "$top/tests/host/image")
