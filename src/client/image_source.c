#include "client/image_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/hex.h"
#include "client/tar_out.h"
#include "image/errmsg.h"
#include "privsep/util.h"

#define BLOBS "blobs/sha256"

/* A layout that is being packed. */
struct layout {
	const char *path;
	int dir;
	struct tar_out tar;
	char *err;
	size_t err_size;
};

static int
fail(const struct layout *l, const char *dir, const char *name, int r)
{
	if (l->err[0] != '\0')
		return r;
	return errmsg(l->err, l->err_size, r, "%s/%s/%s: %s", l->path, dir,
	    name, strerror(-r));
}

/* The file NAME of directory DIR below the layout's. */
static int
put_file(const struct layout *l, int dir_fd, const char *dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir_fd, name,
	    O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(l, dir, name, -errno);
	if (!S_ISREG(st.st_mode))
		return fail(l, dir, name, -EINVAL);
	r = tar_out_file(&l->tar, dir, name, fd);
	return r < 0 ? fail(l, dir, name, r) : 0;
}

/* All blobs; what is not named like one belongs to nobody here. */
static int
put_blobs(const struct layout *l)
{
	int fd = openat(l->dir, BLOBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint8_t digest[DIGEST_BYTES];
	int r = 0;

	if (dir == NULL) {
		r = fail(l, "blobs", "sha256", -errno);
		close_fdp(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (hex_parse(entry->d_name, digest, sizeof(digest)) == 0)
			r = put_file(l, fd, BLOBS, entry->d_name);
	closedir(dir);
	return r;
}

static int
pack(const void *arg, int out, char *err, size_t err_size)
{
	const char *path = arg;
	_cleanup_close_ int dir = open(path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct layout l = { path, dir, { out, err, err_size }, err,
		err_size };
	int r;

	if (dir < 0)
		return errmsg(err, err_size, -errno, "%s: %s", path,
		    strerror(errno));
	if (faccessat(dir, "oci-layout", F_OK, 0) < 0)
		return errmsg(err, err_size, -EINVAL, "%s: a directory, but "
		    "not an OCI image layout: it has no oci-layout", path);
	r = put_file(&l, dir, ".", "oci-layout");
	if (r == 0)
		r = put_file(&l, dir, ".", "index.json");
	if (r == 0)
		r = put_blobs(&l);
	if (r == 0 && (r = tar_out_end(&l.tar)) < 0)
		r = fail(&l, ".", "", r);
	return r;
}

int
image_source_open(struct source_fd *source, const char *path,
    char err[API_TEXT_MAX])
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	*source = (struct source_fd)SOURCE_FD_NONE;
	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "%s: %s", path,
		    strerror(errno));
	if (S_ISDIR(st.st_mode))
		return source_fd_pack(source, pack, path, err);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) &&
	    !S_ISSOCK(st.st_mode))
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not a regular "
		    "file or a pipe; give it a tar", path);
	source->fd = steal_fd(&fd);
	return 0;
}
