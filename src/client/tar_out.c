#include "client/tar_out.h"

#include <stdio.h>
#include <sys/stat.h>

#include "image/errmsg.h"
#include "privsep/util.h"

#define TAR_BLOCK	((size_t)512)
#define COPY_BYTES	(64U << 10)

/* POSIX pax, "ustar Interchange Format". */
struct tar_header {
	char	name[100];
	char	mode[8];
	char	uid[8];
	char	gid[8];
	char	size[12];
	char	mtime[12];
	char	chksum[8];
	char	typeflag;
	char	linkname[100];
	char	magic[6];
	char	version[2];
	char	uname[32];
	char	gname[32];
	char	devmajor[8];
	char	devminor[8];
	char	prefix[155];
	char	pad[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "ustar header");

/* A member DIR/NAME, of which DIR goes into the prefix field. */
static int
put_header(const struct tar_out *tar, const char *dir, const char *name,
    uint64_t len)
{
	struct tar_header h = {
		.mode = "0000644", .uid = "0000000", .gid = "0000000",
		.mtime = "00000000000", .chksum = "       ", .typeflag = '0',
		.magic = "ustar", .version = { '0', '0' },
	};
	const unsigned char *byte = (const unsigned char *)&h;
	unsigned sum = 0;
	int rc;

	rc = format(h.name, sizeof(h.name), "%s", name);
	if (rc == 0)
		rc = format(h.prefix, sizeof(h.prefix), "%s", dir);
	if (rc < 0)
		return errmsg(tar->err, tar->err_size, rc,
		    "\"%s/%s\" has too long a name", dir, name);
	/* Octal, and binary where that has no room (GNU tar's base 256). */
	if (len >> 33 == 0) {
		(void)format(h.size, sizeof(h.size), "%011llo",
		    (unsigned long long)len);
	} else {
		h.size[0] = (char)0x80;
		for (int i = 0; i < 8; i++)
			h.size[4 + i] = (char)(len >> (56 - 8 * i));
	}
	h.chksum[7] = ' ';
	for (size_t i = 0; i < sizeof(h); i++)
		sum += byte[i];
	rc = format(h.chksum, sizeof(h.chksum), "%06o", sum);
	return rc < 0 ? rc : write_full(tar->fd, &h, sizeof(h));
}

static int
put_zeros(const struct tar_out *tar, size_t len)
{
	static const char zeros[2 * TAR_BLOCK];

	return write_full(tar->fd, zeros, len);
}

static int
put_padding(const struct tar_out *tar, uint64_t len)
{
	return put_zeros(tar, (TAR_BLOCK - len % TAR_BLOCK) % TAR_BLOCK);
}

int
tar_out_data(const struct tar_out *tar, const char *dir, const char *name,
    const void *data, size_t len)
{
	int rc = put_header(tar, dir, name, len);

	if (rc == 0)
		rc = write_full(tar->fd, data, len);
	return rc < 0 ? rc : put_padding(tar, len);
}

static int
copy(const struct tar_out *tar, int fd, uint64_t left)
{
	_cleanup_free_ char *buf = malloc(COPY_BYTES);
	int rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0 && left > 0) {
		size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;

		rc = read_full(fd, buf, n);
		if (rc == 0)
			rc = write_full(tar->fd, buf, n);
		left -= n;
	}
	return rc;
}

int
tar_out_file(const struct tar_out *tar, const char *dir, const char *name,
    int fd)
{
	struct stat st;
	uint64_t size;
	int rc;

	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	size = (uint64_t)st.st_size;
	rc = put_header(tar, dir, name, size);
	if (rc == 0)
		rc = copy(tar, fd, size);
	return rc < 0 ? rc : put_padding(tar, size);
}

int
tar_out_end(const struct tar_out *tar)
{
	return put_zeros(tar, 2 * TAR_BLOCK);
}
