/*
 * See cgroup.h. The controllers stay switched on in the parent; a cgroup that
 * exists already is a leftover of this id and is taken away first.
 */
#include "privsep/cgroup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "privsep/path.h"
#include "privsep/util.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The kernel takes a moment to take killed processes out of a cgroup. */
enum { REMOVE_TRIES = 200, REMOVE_PAUSE_MS = 5, PERIOD_US = 100000 };

static int
write_file(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = path_open(dir, name, O_WRONLY, 0);

	return fd < 0 ? fd : write_full(fd, text, strlen(text));
}

/* A cgroup has the controllers that its parent's subtree_control names. */
static int
enable_controllers(int dir)
{
	static const char *const controllers[] = { "+cpu", "+memory", "+pids" };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(controllers); i++)
		r = write_file(dir, "cgroup.subtree_control", controllers[i]);
	/* For `vm stats` only, and not everywhere there. */
	if (r == 0)
		(void)write_file(dir, "cgroup.subtree_control", "+io");
	return r;
}

static int
make_dir(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	/* The umask left it to root alone: it is no secret. */
	if (fchmodat(dir, name, 0755, 0) < 0)
		return -errno;
	return path_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
}

int
cgroup_open(void)
{
	_cleanup_close_ int root = open(CGROUP_ROOT,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int base = -1;
	struct statfs fs;
	int r;

	if (root < 0 || fstatfs(root, &fs) < 0)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	if ((unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EOPNOTSUPP;
	r = enable_controllers(root);
	if (r < 0)
		return r == -EINVAL || r == -ENOENT ? -EOPNOTSUPP : r;
	base = make_dir(root, CGROUP_PARENT);
	if (base < 0)
		return base;
	r = enable_controllers(base);
	return r < 0 ? r : steal_fd(&base);
}

static int
set_limits(int dir, const struct cgroup_limits *limits)
{
	char text[48];
	int r;

	snprintf(text, sizeof(text), "%" PRIu64 " %d",
	    (uint64_t)limits->cpus * PERIOD_US, PERIOD_US);
	r = write_file(dir, "cpu.max", text);
	if (r == 0) {
		snprintf(text, sizeof(text), "%" PRIu64, limits->memory_bytes);
		r = write_file(dir, "memory.max", text);
	}
	if (r == 0) {
		snprintf(text, sizeof(text), "%" PRIu32, limits->pids);
		r = write_file(dir, "pids.max", text);
	}
	return r;
}

int
cgroup_create(int base, const char *name, const struct cgroup_limits *limits)
{
	_cleanup_close_ int dir = -1;
	int r = cgroup_remove(base, name);

	if (r < 0)
		return r;
	dir = make_dir(base, name);
	r = dir < 0 ? dir : set_limits(dir, limits);
	if (r == 0)
		return steal_fd(&dir);
	(void)unlinkat(base, name, AT_REMOVEDIR);
	return r;
}

int
cgroup_remove(int base, const char *name)
{
	int tries;

	for (tries = 0; tries < REMOVE_TRIES; tries++) {
		_cleanup_close_ int dir = -1;

		if (unlinkat(base, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		dir = path_open(base, name, O_RDONLY | O_DIRECTORY, 0);
		/* Linux 5.14; without it only the VMM itself was killed. */
		if (dir >= 0)
			(void)write_file(dir, "cgroup.kill", "1");
		sleep_ms(REMOVE_PAUSE_MS);
	}
	return -EBUSY;
}
