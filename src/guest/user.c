/*
 * libc reads passwd(5) and group(5); the guest may have neither (an image made
 * of one program), which numbers and root survive.
 */
#include "guest/user.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

/* (uid_t)-1 means "leave it" to setresuid(2). */
#define ID_MAX 0xfffffffeu

static void
set_unknown(struct guest_user *user, uid_t uid)
{
	snprintf(user->name, sizeof(user->name), "%u", (unsigned int)uid);
	if (uid == 0)
		snprintf(user->name, sizeof(user->name), "root");
	snprintf(user->home, sizeof(user->home), "/");
	snprintf(user->shell, sizeof(user->shell), "/bin/sh");
	user->uid = uid;
	user->gid = 0;
	user->ngroups = 0;
}

static int
set_known(struct guest_user *user, const struct passwd *pw)
{
	int n = ARRAY_SIZE(user->groups);

	if (format(user->name, sizeof(user->name), "%s", pw->pw_name) < 0 ||
	    format(user->home, sizeof(user->home), "%s",
	    pw->pw_dir[0] != '\0' ? pw->pw_dir : "/") < 0 ||
	    format(user->shell, sizeof(user->shell), "%s",
	    pw->pw_shell[0] != '\0' ? pw->pw_shell : "/bin/sh") < 0)
		return -EINVAL;
	user->uid = pw->pw_uid;
	user->gid = pw->pw_gid;
	if (getgrouplist(user->name, user->gid, user->groups, &n) < 0)
		return -EINVAL;
	user->ngroups = n;
	return 0;
}

static int
find_user(const char *name, struct guest_user *user)
{
	const struct passwd *pw = getpwnam(name);
	uint64_t uid;

	if (pw == NULL && parse_u64(name, ID_MAX, &uid) == 0) {
		pw = getpwuid((uid_t)uid);
		if (pw == NULL) {
			set_unknown(user, (uid_t)uid);
			return 0;
		}
	}
	if (pw != NULL)
		return set_known(user, pw);
	if (strcmp(name, "root") != 0)
		return -ENOENT;
	set_unknown(user, 0);
	return 0;
}

static int
find_group(const char *name, gid_t *gid)
{
	const struct group *gr = getgrnam(name);
	uint64_t number;

	if (gr != NULL) {
		*gid = gr->gr_gid;
		return 0;
	}
	if (parse_u64(name, ID_MAX, &number) < 0)
		return -ESRCH;
	*gid = (gid_t)number;
	return 0;
}

int
guest_user_find(const char *spec, struct guest_user *out)
{
	char name[256];
	const char *colon = strchr(spec, ':');
	size_t len = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
	int r;

	if (len >= sizeof(name) || (colon != NULL &&
	    (len == 0 || colon[1] == '\0' || strchr(colon + 1, ':') != NULL)))
		return -EINVAL;
	memcpy(name, spec, len);
	name[len] = '\0';
	r = find_user(len == 0 ? "root" : name, out);
	if (r < 0 || colon == NULL)
		return r;
	out->ngroups = 0;
	return find_group(colon + 1, &out->gid);
}

int
guest_user_become(const struct guest_user *user)
{
	/* Already that user without privilege (unit tests): nothing to drop. */
	if (geteuid() != 0 && geteuid() == user->uid)
		return 0;
	if (setgroups((size_t)user->ngroups, user->groups) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}
