/*
 * newc: per member a header of 110 ASCII bytes, the terminated name, the
 * data; name and data are each padded so that the next thing begins at a
 * multiple of four.
 */
#include "image/cpio.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/util.h"

#define HEADER_BYTES	110U
#define COPY_BYTES	(64U << 10)

struct member {
	const char	*name;
	uint32_t	 mode;
	uint32_t	 nlink;
	uint64_t	 size_bytes;
	unsigned	 rdev_major;
	unsigned	 rdev_minor;
};

void
cpio_start(struct cpio *c, int fd)
{
	*c = (struct cpio){ .fd = fd };
}

static int
put(struct cpio *c, const void *data, size_t len)
{
	int rc = write_full(c->fd, data, len);

	if (rc == 0)
		c->written_bytes += len;
	return rc;
}

static int
pad(struct cpio *c)
{
	static const char zeros[4];

	return put(c, zeros, (4 - c->written_bytes % 4) % 4);
}

static int
put_header(struct cpio *c, const struct member *m)
{
	char buf[HEADER_BYTES + PATH_MAX];
	size_t name_size = strlen(m->name) + 1;
	int n, rc;

	if (name_size > PATH_MAX)
		return -ENAMETOOLONG;
	if (m->size_bytes > UINT32_MAX)
		return -EFBIG;
	/* ino mode uid gid nlink mtime size dev rdev namesize check */
	n = snprintf(buf, sizeof(buf),
	    "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s",
	    ++c->ino, m->mode, 0U, 0U, m->nlink, 0U, (uint32_t)m->size_bytes,
	    0U, 0U, m->rdev_major, m->rdev_minor, (uint32_t)name_size, 0U,
	    m->name);
	rc = put(c, buf, (size_t)n + 1);
	return rc < 0 ? rc : pad(c);
}

int
cpio_dir(struct cpio *c, const char *name, mode_t mode)
{
	const struct member m = {
		.name = name, .mode = S_IFDIR | (mode & 07777U), .nlink = 2,
	};

	return put_header(c, &m);
}

int
cpio_chardev(struct cpio *c, const char *name, mode_t mode, unsigned major,
    unsigned minor)
{
	const struct member m = {
		.name = name, .mode = S_IFCHR | (mode & 07777U), .nlink = 1,
		.rdev_major = major, .rdev_minor = minor,
	};

	return put_header(c, &m);
}

int
cpio_file(struct cpio *c, const char *name, mode_t mode, const void *data,
    size_t len)
{
	const struct member m = {
		.name = name, .mode = S_IFREG | (mode & 07777U), .nlink = 1,
		.size_bytes = len,
	};
	int rc = put_header(c, &m);

	if (rc == 0)
		rc = put(c, data, len);
	return rc < 0 ? rc : pad(c);
}

int
cpio_file_from(struct cpio *c, const char *name, mode_t mode, int from_fd,
    uint64_t len)
{
	const struct member m = {
		.name = name, .mode = S_IFREG | (mode & 07777U), .nlink = 1,
		.size_bytes = len,
	};
	_cleanup_free_ char *buf = malloc(COPY_BYTES);
	uint64_t done = 0;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = put_header(c, &m);
	while (rc == 0 && done < len) {
		size_t want = len - done < COPY_BYTES ?
		    (size_t)(len - done) : COPY_BYTES;
		ssize_t n = pread(from_fd, buf, want, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		rc = put(c, buf, (size_t)n);
		done += (uint64_t)n;
	}
	return rc < 0 ? rc : pad(c);
}

int
cpio_finish(struct cpio *c)
{
	const struct member m = { .name = "TRAILER!!!", .nlink = 1 };

	return put_header(c, &m);
}
