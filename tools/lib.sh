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
