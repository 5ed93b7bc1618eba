#include "image/oci_layer.h"

#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "image/errmsg.h"
#include "image/ext4_tar.h"
#include "privsep/util.h"

/* Level 3 takes half of the time that 6 takes, for some percent more. */
enum { OUT_BYTES = 256 << 10, LEVEL = 3, GZIP_WINDOW = MAX_WBITS + 16 };

struct writer {
	int fd;
	z_stream gzip;
	struct digest plain, compressed;
	struct oci_layer *layer;
	source_progress *progress;
	void *arg;
	uint8_t out[OUT_BYTES];
};

/* Compresses and writes what zlib has been given; with FINISH to the end. */
static int
drain(struct writer *w, bool finish)
{
	int r;

	do {
		size_t len;

		w->gzip.next_out = w->out;
		w->gzip.avail_out = OUT_BYTES;
		r = deflate(&w->gzip, finish ? Z_FINISH : Z_NO_FLUSH);
		if (r == Z_STREAM_ERROR)
			return -EIO;
		len = OUT_BYTES - w->gzip.avail_out;
		digest_add(&w->compressed, w->out, len);
		w->layer->blob.size += len;
		if (write_full(w->fd, w->out, len) < 0)
			return errno != 0 ? -errno : -EIO;
	} while (w->gzip.avail_out == 0);
	return 0;
}

static int
on_tar(void *arg, const void *bytes, size_t len)
{
	struct writer *w = arg;

	digest_add(&w->plain, bytes, len);
	w->layer->tar_bytes += len;
	if (w->progress != NULL)
		w->progress(w->arg, w->layer->tar_bytes);
	w->gzip.next_in = bytes;
	w->gzip.avail_in = (uInt)len;
	return drain(w, false);
}

static int
write_layer(struct writer *w, int image_fd, char *err, size_t err_size)
{
	ext2_filsys fs _cleanup_ext4_ = NULL;
	struct ext4_info info;
	int r = ext4_reader_open(image_fd, &fs, err, err_size);

	if (r < 0)
		return r;
	ext4_reader_look(fs, &info);
	if (info.unclean)
		return errmsg(err, err_size, -EUCLEAN, "its file system was "
		    "not unmounted: its journal has to be replayed; start a VM "
		    "with it, stop that, and promote it");
	r = ext4_tar(fs, on_tar, NULL, w, &w->layer->entries, err,
	    err_size);
	if (r == 0 && (r = drain(w, true)) < 0)
		r = errmsg(err, err_size, r, "writing: %s", strerror(-r));
	return r;
}

int
oci_layer_write(int image_fd, int out_fd, source_progress *progress, void *arg,
    struct oci_layer *layer, char *err, size_t err_size)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r;

	memset(layer, 0, sizeof(*layer));
	if (w == NULL || deflateInit2(&w->gzip, LEVEL, Z_DEFLATED,
	    GZIP_WINDOW, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(w);
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	}
	w->fd = out_fd;
	w->layer = layer;
	w->progress = progress;
	w->arg = arg;
	digest_init(&w->plain);
	digest_init(&w->compressed);
	r = write_layer(w, image_fd, err, err_size);
	digest_end(&w->plain, layer->diff_id);
	digest_end(&w->compressed, layer->blob.sha256);
	deflateEnd(&w->gzip);
	free(w);
	return r;
}
