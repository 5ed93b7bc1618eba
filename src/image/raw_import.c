#include "image/raw_import.h"

#include <string.h>
#include <unistd.h>

#include "image/errmsg.h"
#include "image/ext4_internal.h"
#include "image/ext4_reader.h"
#include "image/room.h"
#include "image/tar_import.h"
#include "privsep/util.h"

enum { BLOCK = 4096 };

static bool
is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* An image that is being written, up to AT. */
struct writer {
	const struct image_out *out;
	struct room room;
	uint64_t at;
};

/* Writes LEN bytes but for blocks of zeros. 0 or -errno. */
static int
write_sparse(struct writer *w, const char *bytes, size_t len)
{
	if (w->out->max_bytes - w->at < len)
		return -EDQUOT;
	while (len > 0) {
		/* To the next block's beginning. */
		size_t n = BLOCK - w->at % BLOCK;
		int r = 0;

		if (n > len)
			n = len;
		if (!is_zero(bytes, n)) {
			r = room_take(&w->room, w->out->fd, n);
			if (r == 0)
				r = write_at(w->out->fd, bytes, n, w->at);
		}
		if (r < 0)
			return r;
		bytes += n;
		len -= n;
		w->at += n;
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

static int
fail_write(const struct writer *w, int r, char *err, size_t err_size)
{
	const struct tar_import im = { .max_bytes = w->out->max_bytes,
		.err = err, .err_size = err_size };

	return tar_import_no_room(&im, r) ? r : errmsg(err, err_size, r,
	    "writing the image: %s", strerror(-r));
}

int
raw_import(struct source *s, const struct image_out *out,
    struct image_import_result *result, char *err, size_t err_size)
{
	struct writer w = { .out = out };
	const void *bytes;
	size_t len;
	int r;

	while ((r = source_read(s, &bytes, &len, err, err_size)) == 0 &&
	    len > 0) {
		r = write_sparse(&w, bytes, len);
		if (r < 0)
			return fail_write(&w, r, err, err_size);
	}
	if (r == 0 && ftruncate(out->fd, (off_t)w.at) < 0)
		r = fail_write(&w, -errno, err, err_size);
	return r < 0 ? r : raw_import_check(out->fd, result, err, err_size);
}
