/*
 * What tars have in common once they are taken in (tar_import.c): the file system
 * is begun before and completed after, and looked at for an init.
 */
#include "image/image_import.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/errmsg.h"
#include "image/tar_import.h"

enum { ERR_BYTES = 384 };

struct import {
	struct tree tree;
	struct tar_import tar;
	locale_t utf8, before;
	source_progress *progress;
	void *progress_arg;
	uint64_t bytes_before;		/* of the layers that are done */
	uint64_t bytes;
	char *err;
	size_t err_size;
};

/* Errors without an entry to blame. */
static int
fail_image(const struct import *im, int r)
{
	if (tar_import_no_room(&im->tar, r))
		return r;
	return errmsg(im->err, im->err_size, r, "writing the image: %s",
	    tar_import_reason(r));
}

static void
on_progress(void *arg, uint64_t bytes)
{
	struct import *im = arg;

	im->bytes = im->bytes_before + bytes;
	if (im->progress != NULL)
		im->progress(im->progress_arg, im->bytes);
}

const char *const image_init_paths[] = {
	"sbin/init", "usr/sbin/init", "lib/systemd/systemd",
	"usr/lib/systemd/systemd", NULL,
};

static bool
find_init(struct import *im)
{
	for (size_t i = 0; image_init_paths[i] != NULL; i++) {
		struct ext4_stat st;
		uint32_t ino;

		if (tree_lookup(&im->tree, image_init_paths[i], true,
		    &ino) == 0 &&
		    ext4_writer_stat(im->tree.w, ino, &st) == 0 &&
		    S_ISREG(st.mode))
			return true;
	}
	return false;
}

static int
finish(struct import *im, struct image_import_result *result)
{
	struct ext4_writer_result written;
	struct image_import_result res = { .entries = im->tar.entries };
	int r;

	if (im->tar.named == 0)
		return errmsg(im->err, im->err_size, -ENODATA,
		    "the archive holds no files");
	if (!im->tar.root_seen && (r = ext4_writer_set_attr(im->tree.w,
	    EXT4_WRITER_ROOT, &im->tree.implied)) < 0)
		return fail_image(im, r);
	res.has_init = find_init(im);
	if ((r = ext4_writer_finish(im->tree.w, &written)) < 0)
		return fail_image(im, r);
	res.size_bytes = written.size_bytes;
	res.content_bytes = written.content_bytes;
	*result = res;
	return 0;
}

/* NULL, or an import that may have failed already, which *ERROR tells. */
static struct import *
import_begin(const struct image_out *out, char *err, size_t err_size,
    int *error)
{
	struct import *im = calloc(1, sizeof(*im));

	if (im == NULL) {
		*error = errmsg(err, err_size, -ENOMEM, "out of memory");
		return NULL;
	}
	im->err = im->tar.err = err;
	im->err_size = im->tar.err_size = err_size;
	im->tar.tree = &im->tree;
	im->tar.max_bytes = out->max_bytes;
	/* For libarchive: names in pax headers are UTF-8, and stay so. */
	im->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	im->before = uselocale(im->utf8);
	*error = ext4_writer_begin(out->fd, out->max_bytes, &im->tree.w);
	if (*error < 0)
		fail_image(im, *error);
	return im;
}

/* Completes it unless R says that it has failed, and frees it. R, or -errno. */
static int
import_end(struct import *im, int r, struct image_import_result *result)
{
	if (r == 0)
		r = finish(im, result);
	uselocale(im->before);
	if (im->utf8 != (locale_t)0)
		freelocale(im->utf8);
	ext4_writer_free(im->tree.w);
	free(im);
	return r;
}

int
image_import_tar(struct source *s, const struct image_out *out,
    struct image_import_result *result, char *err, size_t err_size)
{
	int r;
	struct import *im = import_begin(out, err, err_size, &r);

	if (im == NULL)
		return r;
	if (r == 0)
		r = tar_import(&im->tar, s);
	return import_end(im, r, result);
}

/* One layer, to its end, and whether it was the right one. */
static int
apply(struct import *im, const struct image_layer *layer)
{
	bool of_file = layer->digest_of == LAYER_OF_FILE;
	uint8_t sha256[DIGEST_BYTES];
	struct source *s = NULL;
	struct digest digest;
	bool compare;
	int r = ext4_writer_layer(im->tree.w);

	if (r < 0)
		return fail_image(im, r);
	tree_forget(&im->tree);
	r = source_open(&layer->piece, on_progress, im, &s, im->err,
	    im->err_size);
	if (r < 0)
		return r;
	digest_init(&digest);
	source_digest(s, of_file ? &digest : NULL, of_file ? NULL : &digest);
	r = tar_import(&im->tar, s);
	/* What is damaged is, as a rule, not what it should be. */
	compare = r == 0 || (r == -EBADMSG && of_file && source_skip(s) == 0);
	source_close(s);
	digest_end(&digest, sha256);
	im->bytes_before = im->bytes;
	if (compare && memcmp(sha256, layer->sha256, sizeof(sha256)) != 0)
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "its digest is not what it should be");
	return r;
}

static int
apply_all(struct import *im, const struct image_layer *layers, size_t count)
{
	char why[ERR_BYTES];
	size_t i;
	int r = 0;

	im->tar.layer = true;
	for (i = 0; r == 0 && i < count; i++)
		r = apply(im, &layers[i]);
	if (r == 0 || tar_import_no_room(&im->tar, r))
		return r;
	snprintf(why, sizeof(why), "%s", im->err);
	return errmsg(im->err, im->err_size, r, "layer %zu of %zu: %s", i,
	    count, why);
}

int
image_import_layers(const struct image_layer *layers, size_t count,
    const struct image_out *out, source_progress *progress, void *arg,
    struct image_import_result *result, char *err, size_t err_size)
{
	int r;
	struct import *im = import_begin(out, err, err_size, &r);

	if (im == NULL)
		return r;
	im->progress = progress;
	im->progress_arg = arg;
	if (r == 0)
		r = apply_all(im, layers, count);
	return import_end(im, r, result);
}
