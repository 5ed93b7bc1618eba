/*
 * Who a command runs as: the guest's own passwd and group files decide.
 */
#ifndef BANGER_GUEST_USER_H
#define BANGER_GUEST_USER_H

#include <sys/types.h>

#include <limits.h>

struct guest_user {
	char name[256];		/* the number when passwd has no such uid */
	char home[PATH_MAX];	/* "/" when unknown */
	char shell[PATH_MAX];	/* "/bin/sh" when unknown */
	uid_t uid;
	gid_t gid;
	gid_t groups[NGROUPS_MAX < 256 ? NGROUPS_MAX : 256];
	int ngroups;
};

/*
 * Resolves SPEC: "" (root), NAME, UID, each optionally followed by :GROUP or
 * :GID. A name wins over a number. Supplementary groups are those of the name,
 * or none when a group is given. Reads files, so call it in the child. 0;
 * -ENOENT: no such user, -ESRCH: no such group, -EINVAL: malformed.
 */
int	 guest_user_find(const char *spec, struct guest_user *out);

/*
 * Becomes that user for good: groups, gid, uid, in that order. 0 or -errno.
 */
int	 guest_user_become(const struct guest_user *user);

#endif
