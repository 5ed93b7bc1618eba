/*
 * Root writes here where systemd and everybody's PATH look, so a directory
 * that somebody else can change is refused, names are used once, below an open
 * directory, and a reader sees the old file or the new one.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "client/system.h"
#include "client/text.h"

/* Below ROOT whatever PATH says: symlinks of the host's are its own business. */
static int
open_below(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, root, *path != '\0' ? path : ".",
		    &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether only root can change what is in the directory that ST is of. */
static bool
roots_own(const struct stat *st)
{
	if (st->st_uid != geteuid())
		return false;
	if ((st->st_mode & S_ISVTX) != 0)
		return true;
	return (st->st_mode & S_IWOTH) == 0 &&
	    ((st->st_mode & S_IWGRP) == 0 || st->st_gid == 0);
}

/* DIR and its parents up to ROOT. 0, -EPERM or another -errno. */
static int
check_parents(int root, int dir)
{
	_cleanup_close_ int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	struct stat end, st;
	int depth, up;

	if (at < 0 || fstat(root, &end) < 0)
		return -errno;
	for (depth = 0; depth < 64; depth++) {
		if (fstat(at, &st) < 0)
			return -errno;
		if (same_file(&st, &end))
			return 0;
		if (!roots_own(&st))
			return -EPERM;
		up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return -errno;
		close(at);
		at = up;
	}
	return -ELOOP;
}

/* Makes the directory PATH, its parents exist. 0 or -errno. */
static int
make_dir(int root, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	_cleanup_close_ int parent = -1, made = -1;
	char dir[PATH_BYTES] = "";

	if (slash != NULL && format(dir, sizeof(dir), "%.*s",
	    (int)(slash - path), path) < 0)
		return -ENAMETOOLONG;
	parent = system_dir(root, dir, true);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	made = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	/* Whatever the umask is. */
	return made < 0 || fchmod(made, 0755) < 0 ? -errno : 0;
}

int
system_dir(int root, const char *path, bool make)
{
	_cleanup_close_ int dir = open_below(root, path,
	    O_RDONLY | O_DIRECTORY);
	int r;

	if (dir == -ENOENT && make) {
		r = make_dir(root, path);
		if (r < 0)
			return r;
		dir = open_below(root, path, O_RDONLY | O_DIRECTORY);
	}
	if (dir < 0)
		return dir;
	r = check_parents(root, dir);
	return r < 0 ? r : steal_fd(&dir);
}

/* The directory of the file PATH, and in *NAME its name there. */
static int
dir_of(int root, const char *path, bool make, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_BYTES];

	if (slash == NULL || format(dir, sizeof(dir), "%.*s",
	    (int)(slash - path), path) < 0)
		return -EINVAL;
	*name = slash + 1;
	return system_dir(root, dir, make);
}

int
system_check(int root, const char *path)
{
	_cleanup_close_ int dir = -ENOENT;
	char at[PATH_BYTES], *slash;

	if (format(at, sizeof(at), "%s", path) < 0)
		return -ENAMETOOLONG;
	/* What is missing is made in what is there. */
	while (dir == -ENOENT && (slash = strrchr(at, '/')) != NULL) {
		*slash = '\0';
		dir = open_below(root, at, O_RDONLY | O_DIRECTORY);
	}
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	return check_parents(root, dir);
}

int
system_read(int root, const char *path, struct buf *out)
{
	_cleanup_close_ int dir = -1, fd = -1;
	const char *name;
	struct stat st;

	dir = dir_of(root, path, false, &name);
	if (dir < 0)
		return dir;
	/* Not blocking on a FIFO. */
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? buf_read_all(out, fd) : -EINVAL;
}

/* Whether NAME in DIR is a regular file of these contents, mode and owner. */
static bool
is_so(int dir, const char *name, mode_t mode, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dir, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct buf there _cleanup_buf_ = BUF_INIT(SYSTEM_FILE_MAX);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 07777) == mode &&
	    (size_t)st.st_size == len && buf_read_all(&there, fd) == 0 &&
	    there.len == len && (len == 0 || memcmp(there.data, data, len) == 0);
}

static int
write_new(int dir, const char *name, mode_t mode, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dir, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = write_full(fd, data, len);
	if (r == 0 && (fchown(fd, geteuid(), getegid()) < 0 ||
	    fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	return r;
}

int
system_put(int root, const char *path, mode_t mode, const void *data,
    size_t len)
{
	_cleanup_close_ int dir = -1;
	char temporary[NAME_BYTES];
	const char *name;
	struct stat st;
	int r;

	dir = dir_of(root, path, true, &name);
	if (dir < 0)
		return dir;
	if (is_so(dir, name, mode, data, len))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		return -EEXIST;
	r = format(temporary, sizeof(temporary), ".%s.new", name);
	if (r == 0 && unlinkat(dir, temporary, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = write_new(dir, temporary, mode, data, len);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 1;
}

int
system_remove(int root, const char *path)
{
	_cleanup_close_ int dir = -1;
	const char *name;

	dir = dir_of(root, path, false, &name);
	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* A text of ours, whatever became of it: the mark is in its first lines. */
static bool
has_mark(const struct buf *text)
{
	const char *mark = text->data == NULL ? NULL :
	    memmem(text->data, text->len, SYSTEM_MARK, strlen(SYSTEM_MARK));

	return mark != NULL && mark - text->data < 64;
}

int
system_take(int root, struct system_list *list, const char *path)
{
	struct system_entry *entry = system_list_find(list, path);
	struct buf there _cleanup_buf_ = BUF_INIT(SYSTEM_FILE_MAX);
	bool changed;
	int r;

	r = system_read(root, path, &there);
	if (r == -ENOENT)
		return 0;
	changed = r < 0 || entry == NULL ||
	    entry->digest != system_digest(there.data, there.len);
	if (changed && (entry == NULL || r < 0 || !has_mark(&there))) {
		printf("left: /%s, which %s\n", path, entry == NULL ?
		    "`banger system install` did not put there" :
		    "was changed since it was installed");
		return 0;
	}
	r = system_remove(root, path);
	if (r < 0) {
		complain("/%s: cannot be removed: %s", path, strerror(-r));
		return r;
	}
	printf("removed: /%s%s\n", path, changed ?
	    ", which had been changed by hand" : "");
	return 0;
}

int
system_list_load(int root, struct system_list *list)
{
	struct buf text _cleanup_buf_ = BUF_INIT(CONFIG_BYTES_MAX);
	int r = system_read(root, SYSTEM_LIST, &text);

	list->count = 0;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = system_list_parse(text.data != NULL ? text.data : "", list);
	if (r < 0)
		complain("/" SYSTEM_LIST ": %s; without it what was installed "
		    "is not known: mend or remove it", r == -EBADMSG ?
		    "is damaged" : strerror(-r));
	return r;
}
