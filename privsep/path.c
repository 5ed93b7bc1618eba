/*
 * See path.h. The rule of this file: a name is used once, to get an fd, and
 * everything after that is asked of the fd.
 */
#include "privsep/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/util.h"

enum { TREE_DEPTH_MAX = 64 };

static int
open_resolved(int dir, const char *path, int flags, mode_t mode,
    uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = resolve,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int
path_open(int dir, const char *path, int flags, mode_t mode)
{
	return open_resolved(dir, path, flags, mode,
	    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/* Root's, and nobody else may replace what is in it. */
static int
trusted_dir(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != 0)
		return -EPERM;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    (st.st_mode & S_ISVTX) == 0)
		return -EPERM;
	return 0;
}

int
path_open_trusted_dir(const char *path)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];

	if (dir < 0)
		return -errno;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");
		int next, made, r;

		if (len == 0 || len >= sizeof(name))
			return -EINVAL;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		made = mkdirat(dir, name, 0755) == 0;
		if (!made && errno != EEXIST)
			return -errno;
		next = path_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		close(dir);
		dir = next;
		r = trusted_dir(dir);
		if (r < 0)
			return r;
		/* The umask took away what others need to reach the socket. */
		if (made && fchmod(dir, 0755) < 0)
			return -errno;
	}
	return steal_fd(&dir);
}

int
path_new_dir(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (mkdirat(dir, name, 0700) < 0)
		return -errno;
	fd = path_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		r = fd;
	/* In this order: another's directory is not ours to chmod any more. */
	else if (fchmod(fd, mode) < 0 || fchown(fd, uid, gid) < 0)
		r = -errno;
	if (r == 0)
		return steal_fd(&fd);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
	return r;
}

int
path_make_dir(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	_cleanup_close_ int fd = path_new_dir(dir, name, uid, gid, mode);
	struct stat st;

	if (fd != -EEXIST)
		return steal_fd(&fd);
	fd = path_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != uid || st.st_gid != gid ||
	    (st.st_mode & 07777) != mode)
		return -EPERM;
	return steal_fd(&fd);
}

static int	remove_below(int dir, const char *name, int depth);

/* Empties the directory FD, of which it takes ownership. */
static int
empty_dir(int fd, int depth)
{
	DIR *stream = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (stream == NULL) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_below(dirfd(stream), entry->d_name, depth + 1);
	}
	if (r == 0 && errno != 0)
		r = -errno;
	closedir(stream);
	return r;
}

static int
remove_below(int dir, const char *name, int depth)
{
	int fd, r;

	if (depth > TREE_DEPTH_MAX)
		return -ELOOP;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = open_resolved(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
	    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
	    RESOLVE_NO_XDEV);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r = empty_dir(fd, depth);
	if (r < 0)
		return r;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int
path_remove_tree(int dir, const char *name)
{
	return remove_below(dir, name, 0);
}

int
path_replace_file(int dir, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = -1;
	char temporary[NAME_MAX + 1];
	int r = format(temporary, sizeof(temporary), ".%s.new", name);

	if (r < 0)
		return r;
	if (unlinkat(dir, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = path_open(dir, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = write_full(fd, data, len);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, temporary, 0);
	return r;
}
