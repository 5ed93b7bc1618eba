# shellcheck shell=sh
# What the scripts of tools/ share; each sources it after setting $me, its own
# name, and $top, the top of the work tree.

# say TEXT...: a line of progress on standard error.
# shellcheck disable=SC2154
say() {
	echo "$me: $*" >&2
}

# die TEXT...: says which step failed, why and what to do, and ends.
die() {
	echo "$me: error: $*" >&2
	exit 1
}

# What is downloaded or made once and may be deleted at any time; never in the
# work tree, so that a fresh clone starts with it.
# shellcheck disable=SC2034
if [ -n "${BANGER_CACHE:-}" ]; then
	cache=$BANGER_CACHE
elif [ "$(id -u)" -eq 0 ]; then
	cache=/var/cache/banger
else
	cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/banger
fi

# 16 hex digits that change when what comes on standard input does.
digest() {
	sha256sum | cut -c 1-16
}

# list_sources SUITE: its repositories as this machine's apt has them, updates included;
# nothing when it has another suite, then mmdebstrap knows an address.
list_sources() {
	# shellcheck disable=SC2016 # it is apt that expands it
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
	    'Created-By: Packages' 'Origin: Debian' 'Component: main' 2>/dev/null |
	    grep " $1" | sort -u || :
}
