/*
 * A package or a tar is passed on unread, several are put into one tar. For a
 * kernel file, or a tree of files, the modules have to be found, which
 * kernel_pack.h does in a child.
 */
#include "client/kernel_source.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "client/kernel_pack.h"
#include "client/kernel_tree.h"
#include "client/tar_out.h"
#include "image/bzimage.h"
#include "image/elf64.h"
#include "image/errmsg.h"
#include "image/kernel_arch.h"

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

/* What was given, open. */
struct given {
	const char *path;
	int fd;
	bool seekable;
	enum kernel_file kind;
};

/*
 * Opens PATH for reading; a file, or for an archive a pipe. 0, or -errno; one
 * for another processor is refused.
 */
static int
open_file(const char *path, struct given *given, char err[API_TEXT_MAX])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	uint8_t head[HEAD_BYTES];
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "%s: %s", path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a file; give "
		    "it a package of a kernel, a tar, a vmlinuz or a vmlinux",
		    path);
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		n = 0;
	r = kernel_arch_check(path, head, (size_t)n, err, API_TEXT_MAX);
	if (r < 0)
		return r;
	*given = (struct given){ path, steal_fd(&fd), S_ISREG(st.st_mode),
		kernel_file_kind(head, (size_t)n) };
	return 0;
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

struct kernel_paths {
	const char *kernel, *modules;
};

static int
pack(const void *arg, int out, char *err, size_t err_size)
{
	const struct kernel_paths *paths = arg;

	return kernel_pack(paths->kernel, paths->modules, out, err, err_size);
}

/* A kernel file, whose modules are MODULES or looked for. */
static int
pack_file(struct source_fd *source, const struct given *given,
    const char *modules, char err[API_TEXT_MAX])
{
	char dir[PATH_MAX];
	int r;

	if (modules == NULL) {
		r = find_modules(given->fd, given->path, given->kind, dir, err);
		if (r == 0)
			modules = dir;
		/* A vmlinux without modules has everything built in. */
		else if (given->kind != KERNEL_FILE_ELF ||
		    kernel_file_release(given->path) == NULL)
			return r;
	}
	return source_fd_pack(source, pack, &(struct kernel_paths){ given->path,
	    modules }, err);
}

/* The tree ROOT, or with a RELEASE the kernel of that in it. */
static int
pack_tree(struct source_fd *source, const char *root, const char *release,
    char err[API_TEXT_MAX])
{
	struct kernel_tree tree;
	int r = kernel_tree_find(root, release, &tree, err, API_TEXT_MAX);

	if (r < 0)
		return r;
	return source_fd_pack(source, pack, &(struct kernel_paths){ tree.kernel,
	    tree.modules }, err);
}

static int
pack_host(struct source_fd *source, char err[API_TEXT_MAX])
{
	struct utsname u;

	if (uname(&u) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "uname: %s",
		    strerror(errno));
	return pack_tree(source, "", u.release, err);
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Adds the package PATH to the tar. */
static int
put_package(const struct tar_out *tar, const char *path,
    char err[API_TEXT_MAX])
{
	struct given given = { .fd = -1 };
	const char *slash = strrchr(path, '/');
	char name[100];
	int r = open_file(path, &given, err);

	if (r < 0)
		return r;
	if (given.kind != KERNEL_FILE_ARCHIVE || !given.seekable)
		r = errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a package: with "
		    "more than one PATH, each has to be one", path);
	/* The name is for errors alone. */
	snprintf(name, sizeof(name), "%s", slash == NULL ? path : slash + 1);
	if (r == 0 && (r = tar_out_file(tar, "packages", name, given.fd)) < 0)
		(void)errmsg(err, API_TEXT_MAX, r, "%s: %s", path,
		    strerror(-r));
	close_fdp(&given.fd);
	return r;
}

/*
 * In memory, not through a pipe: the import reads again where modules have
 * unusual names.
 */
static int
pack_packages(struct source_fd *source, char *const *paths,
    char err[API_TEXT_MAX])
{
	_cleanup_close_ int fd = memfd_create("packages", MFD_CLOEXEC);
	const struct tar_out tar = { fd, err, API_TEXT_MAX };
	int r = 0;

	for (; r == 0 && fd >= 0 && *paths != NULL; paths++)
		r = put_package(&tar, *paths, err);
	if (r < 0)
		return r;
	if (fd < 0 || tar_out_end(&tar) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "cannot hold the "
		    "packages: %s", strerror(errno));
	source->fd = steal_fd(&fd);
	return 0;
}

/* What PATH is, for which --modules is of no use; or NULL. */
static const char *
finds_modules(char *const *paths, bool dir)
{
	return paths[1] != NULL ? "more than one PATH" :
	    strcmp(paths[0], "host") == 0 ? "host" : dir ? "a directory" : NULL;
}

int
kernel_source_open(struct source_fd *source, char *const *paths,
    const char *modules, char err[API_TEXT_MAX])
{
	bool dir = paths[1] == NULL && is_dir(paths[0]);
	const char *what = finds_modules(paths, dir);
	struct given given = { .fd = -1 };
	int r;

	*source = (struct source_fd)SOURCE_FD_NONE;
	if (modules != NULL && what != NULL)
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: brings its own "
		    "modules; leave --modules out", what);
	if (paths[1] != NULL)
		return pack_packages(source, paths, err);
	if (strcmp(paths[0], "host") == 0)
		return pack_host(source, err);
	if (dir)
		return pack_tree(source, paths[0], NULL, err);
	r = open_file(paths[0], &given, err);
	if (r < 0)
		return r;
	if (given.kind == KERNEL_FILE_ARCHIVE && modules == NULL)
		source->fd = steal_fd(&given.fd);
	else if (given.kind == KERNEL_FILE_ARCHIVE)
		r = errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a vmlinuz or "
		    "vmlinux, so --modules does not apply", paths[0]);
	else
		r = pack_file(source, &given, modules, err);
	close_fdp(&given.fd);
	return r;
}
