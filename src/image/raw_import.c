#include "image/raw_import.h"

#include <string.h>
#include <unistd.h>

#include "image/errmsg.h"
#include "image/ext4_reader.h"
#include "privsep/util.h"

enum { BLOCK = 4096 };

static bool
is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Writes LEN bytes at AT but for blocks of zeros. 0 or -errno. */
static int
write_sparse(int fd, const char *bytes, size_t len, uint64_t at)
{
	while (len > 0) {
		/* To the next block's beginning. */
		size_t n = BLOCK - at % BLOCK;
		ssize_t done;

		if (n > len)
			n = len;
		done = is_zero(bytes, n) ? (ssize_t)n :
		    pwrite(fd, bytes, n, (off_t)at);
		if (done < 0)
			return -errno;
		bytes += done;
		len -= (size_t)done;
		at += (size_t)done;
	}
	return 0;
}

int
raw_import_check(int out_fd, struct image_import_result *result, char *err,
    size_t err_size)
{
	ext2_filsys fs _cleanup_ext4_ = NULL;
	struct ext4_info info;
	int r = ext4_reader_open(out_fd, &fs, err, err_size);

	if (r < 0)
		return r;
	ext4_reader_look(fs, &info);
	if (ftruncate(out_fd, (off_t)info.size_bytes) < 0)
		return errmsg(err, err_size, -errno, "writing the image: %s",
		    strerror(errno));
	*result = (struct image_import_result){
		.size_bytes = info.size_bytes,
		.content_bytes = info.used_bytes,
		.entries = info.inodes,
		.has_init = info.has_init,
	};
	return 0;
}

int
raw_import(struct source *s, int out_fd, struct image_import_result *result,
    char *err, size_t err_size)
{
	uint64_t at = 0;
	const void *bytes;
	size_t len;
	int r;

	while ((r = source_read(s, &bytes, &len, err, err_size)) == 0 &&
	    len > 0) {
		r = write_sparse(out_fd, bytes, len, at);
		if (r < 0)
			return errmsg(err, err_size, r, "writing the image: %s",
			    strerror(-r));
		at += len;
	}
	if (r == 0 && ftruncate(out_fd, (off_t)at) < 0)
		r = errmsg(err, err_size, -errno, "writing the image: %s",
		    strerror(errno));
	return r < 0 ? r : raw_import_check(out_fd, result, err, err_size);
}
