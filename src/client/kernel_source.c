/*
 * An archive is passed on unread. For a kernel file the modules have to be
 * found, which kernel_pack.h does in a child.
 */
#include "client/kernel_source.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/kernel_pack.h"
#include "image/bzimage.h"
#include "image/elf64.h"
#include "image/errmsg.h"

enum { HEAD_BYTES = 1024, BZIMAGE_MAGIC_AT = 0x202 };

#define MODULES_DIR "/lib/modules"

enum kernel_file
kernel_file_kind(const uint8_t *buf, size_t len)
{
	if (elf64_magic(buf, len))
		return KERNEL_FILE_ELF;
	if (len >= BZIMAGE_MAGIC_AT + 4 &&
	    memcmp(buf + BZIMAGE_MAGIC_AT, "HdrS", 4) == 0)
		return KERNEL_FILE_BZIMAGE;
	return KERNEL_FILE_ARCHIVE;
}

const char *
kernel_file_release(const char *path)
{
	static const char *const prefixes[] = { "vmlinuz-", "vmlinux-" };
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], len) == 0 && name[len] != '\0')
			return name + len;
	}
	return NULL;
}

/* Opens PATH for reading; a file, or for archives a pipe. An fd or -errno. */
static int
open_file(const char *path, char err[API_TEXT_MAX])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "%s: %s", path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a file; give "
		    "it a linux-image package, a tar, a vmlinuz or a vmlinux",
		    path);
	return steal_fd(&fd);
}

/* The release that the bzImage behind FD names, or "". */
static void
bzimage_release(int fd, char release[128])
{
	struct bzimage image;
	struct stat st;
	void *map;
	size_t len;

	release[0] = '\0';
	if (fstat(fd, &st) < 0 || st.st_size <= 0 ||
	    (uint64_t)st.st_size > BZIMAGE_BYTES_MAX)
		return;
	len = (size_t)st.st_size;
	map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return;
	if (bzimage_parse(map, len, &image, NULL, 0) == 0)
		snprintf(release, 128, "%s", image.version);
	munmap(map, len);
}

/*
 * The modules directory that belongs to the kernel PATH behind FD, in DIR. 0,
 * or -ENOENT and why in ERR.
 */
static int
find_modules(int fd, const char *path, enum kernel_file kind,
    char dir[PATH_MAX], char err[API_TEXT_MAX])
{
	const char *named = kernel_file_release(path);
	char release[128] = "";

	if (kind == KERNEL_FILE_BZIMAGE)
		bzimage_release(fd, release);
	if (release[0] == '\0' && named != NULL)
		(void)format(release, sizeof(release), "%s", named);
	if (release[0] == '\0')
		return errmsg(err, API_TEXT_MAX, -ENOENT, "%s: does not tell its "
		    "release; give its modules with --modules DIR", path);
	if (strchr(release, '/') != NULL ||
	    format(dir, PATH_MAX, MODULES_DIR "/%s", release) < 0 ||
	    access(dir, F_OK) < 0)
		return errmsg(err, API_TEXT_MAX, -ENOENT, "%s: no modules in "
		    MODULES_DIR "/%s; give them with --modules DIR", path,
		    release);
	return 0;
}

/* PATH NULL: the running kernel. */
struct kernel_paths {
	const char *path, *modules;
};

static int
pack(const void *arg, int out, char *err, size_t err_size)
{
	const struct kernel_paths *paths = arg;

	return kernel_pack(paths->path, paths->modules, out, err, err_size);
}

static int
start_packer(struct source_fd *source, const char *path, const char *modules,
    char err[API_TEXT_MAX])
{
	const struct kernel_paths paths = { path, modules };

	return source_fd_pack(source, pack, &paths, err);
}

/* PATH is a kernel file, open as FD. */
static int
pack_file(struct source_fd *source, int fd, const char *path,
    enum kernel_file kind, const char *modules, char err[API_TEXT_MAX])
{
	char dir[PATH_MAX];
	int r;

	if (modules == NULL) {
		r = find_modules(fd, path, kind, dir, err);
		if (r == 0)
			modules = dir;
		/* A vmlinux without modules has everything built in. */
		else if (kind != KERNEL_FILE_ELF ||
		    kernel_file_release(path) == NULL)
			return r;
	}
	return start_packer(source, path, modules, err);
}

int
kernel_source_open(struct source_fd *source, const char *path,
    const char *modules, char err[API_TEXT_MAX])
{
	_cleanup_close_ int fd = -1;
	uint8_t head[HEAD_BYTES];
	enum kernel_file kind;
	ssize_t n;

	*source = (struct source_fd)SOURCE_FD_NONE;
	if (strcmp(path, "host") == 0) {
		if (modules != NULL)
			return errmsg(err, API_TEXT_MAX, -EINVAL, "host: finds "
			    "its own modules; leave --modules out");
		return start_packer(source, NULL, NULL, err);
	}
	fd = open_file(path, err);
	if (fd < 0)
		return fd;
	n = pread(fd, head, sizeof(head), 0);
	kind = kernel_file_kind(head, n > 0 ? (size_t)n : 0);
	if (kind != KERNEL_FILE_ARCHIVE)
		return pack_file(source, fd, path, kind, modules, err);
	if (modules != NULL)
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a vmlinuz or "
		    "vmlinux, so --modules does not apply", path);
	source->fd = steal_fd(&fd);
	return 0;
}
