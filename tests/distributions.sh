# shellcheck shell=sh
# Container images of Debian bookworm, of Debian trixie and of one static program with
# nothing around it, made by mmdebstrap and umoci, buildah and skopeo. For
# machine/distributions and for the scenario of that name.
# shellcheck disable=SC2154

quiet() {
	"$@" >"$where/said" 2>&1 || {
		cat "$where/said" >&2
		die "failed: $*"
	}
}

# distributions_possible: whether what makes them is there.
distributions_possible() {
	for program in umoci buildah skopeo jq; do
		command -v "$program" >/dev/null || return 1
	done
}

# codename: what a guest says of itself.
# shellcheck disable=SC2016
codename='. /etc/os-release; echo "$VERSION_CODENAME in $PWD as $(id -u)"'

# distributions_make DIR: bookworm and trixie are OCI layouts there, alone is a
# docker-archive, and plain the same as a layout.
distributions_make() {
	where=$1
	mkdir -p "$where"
	# Buildah's own storage, without a network.
	export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
	printf '[storage]\ndriver = "vfs"\nrunroot = "%s/buildah-run"\ngraphroot = "%s/buildah"\n' "$where" "$where" >"$where/storage.conf"
	export CONTAINERS_STORAGE_CONF="$where/storage.conf"

	quiet umoci init --layout "$where/bookworm"
	quiet umoci new --image "$where/bookworm:t"
	quiet umoci raw add-layer --image "$where/bookworm:t" "$(sh "$top/tools/fetch-guest" rootfs)"
	quiet umoci config --image "$where/bookworm:t" --config.user nobody --config.workingdir /usr \
	    --config.cmd sh --config.cmd -c --config.cmd "$codename"

	quiet buildah from --name trixie scratch
	quiet buildah add trixie "$(sh "$top/tools/fetch-guest" rootfs trixie)" /
	quiet buildah config --workingdir /srv --cmd '[]' trixie
	quiet buildah config --entrypoint "$(jq -nc --arg code "$codename" '["sh", "-c", $code]')" trixie
	quiet buildah commit --rm trixie "oci:$where/trixie:t"
	quiet buildah rmi --all

	mkdir "$where/root"
	cat >"$where/hello.c" <<-'C'
		#include <stdio.h>
		int main(int argc, char **argv) { printf("%s with nothing around\n", argv[argc - 1]); return 7; }
	C
	quiet cc -O1 -static -s -o "$where/root/hello" "$where/hello.c"
	quiet umoci init --layout "$where/plain"
	quiet umoci new --image "$where/plain:t"
	tar -C "$where/root" -cf "$where/root.tar" hello
	quiet umoci raw add-layer --image "$where/plain:t" "$where/root.tar"
	quiet umoci config --image "$where/plain:t" --config.entrypoint /hello --config.cmd hello
	quiet skopeo copy --insecure-policy "oci:$where/plain:t" "docker-archive:$where/alone:alone:t"
	rm -rf "$where/plain"
	quiet skopeo copy --insecure-policy "docker-archive:$where/alone" "oci:$where/plain:t"
	rm -rf "$where/buildah" "$where/buildah-run" "$where/root"
}

# distributions_boot: they are imported under these names.
distributions_boot() {
	expect 0 banger vm run bookworm
	[ "$(cat "$T/out")" = 'bookworm in /usr as 65534' ] || fail "bookworm: $(cat "$T/out")"
	expect 0 banger vm run trixie
	[ "$(cat "$T/out")" = 'trixie in /srv as 0' ] || fail "trixie: $(cat "$T/out")"
	expect 7 banger vm run alone
	[ "$(cat "$T/out")" = 'hello with nothing around' ] || fail "alone: $(cat "$T/out")"
	expect 7 banger vm run alone -- /hello another
	[ "$(cat "$T/out")" = 'another with nothing around' ] || fail "alone, another word: $(cat "$T/out")"
	expect 127 banger vm run alone -- sh
}
