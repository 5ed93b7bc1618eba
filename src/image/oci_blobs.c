#include "image/oci_blobs.h"

#include <string.h>
#include <sys/stat.h>

#include "image/errmsg.h"
#include "image/oci.h"
#include "privsep/util.h"

enum { MANIFEST, CONFIG, LAYERS };

struct parts {
	struct oci_manifest manifest;
	struct image_layer layers[OCI_LAYERS_MAX];
};

/* All of FD, and its digest. 0 or -errno with a line. */
static int
read_text(int fd, const char *what, struct buf *out,
    uint8_t sha256[DIGEST_BYTES], char *err, size_t err_size)
{
	int r;

	buf_clear(out);
	r = buf_read_all(out, fd);
	if (r == 0 && out->len == 0)
		r = -EBADMSG;
	if (r < 0)
		return errmsg(err, err_size, r, "its %s cannot be read: %s",
		    what, strerror(-r));
	digest_of(out->data, out->len, sha256);
	return 0;
}

static int
find_layers(struct parts *parts, const int *fds, size_t count, char *err,
    size_t err_size)
{
	uint32_t i;

	if (count != LAYERS + (size_t)parts->manifest.layer_count)
		return errmsg(err, err_size, -EBADMSG,
		    "its blobs are not those of its manifest");
	for (i = 0; i < parts->manifest.layer_count; i++) {
		const struct oci_blob *blob = &parts->manifest.layers[i];
		struct image_layer *layer = &parts->layers[i];
		struct stat st;

		if (fstat(fds[LAYERS + i], &st) < 0 ||
		    (uint64_t)st.st_size != blob->size)
			return errmsg(err, err_size, -EBADMSG, "layer %u of "
			    "%u: is not as large as it should be", i + 1,
			    parts->manifest.layer_count);
		layer->piece = (struct source_piece){ fds[LAYERS + i], 0,
			blob->size };
		layer->digest_of = LAYER_OF_FILE;
		memcpy(layer->sha256, blob->sha256, DIGEST_BYTES);
	}
	return 0;
}

int
oci_blobs_import(const int *fds, size_t count, const struct image_out *out,
    source_progress *progress, void *arg, struct buf *config,
    struct image_import_result *result, char *err, size_t err_size)
{
	_cleanup_free_ struct parts *parts = calloc(1, sizeof(*parts));
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_JSON_MAX + 1);
	uint8_t manifest[DIGEST_BYTES], sha256[DIGEST_BYTES];
	int r;

	if (parts == NULL)
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	r = count < LAYERS ? errmsg(err, err_size, -EBADMSG,
	    "it has no blobs") : read_text(fds[MANIFEST], "manifest", &text,
	    manifest, err, err_size);
	if (r == 0)
		r = oci_manifest_read(text.data, text.len, &parts->manifest,
		    err, err_size);
	if (r == 0)
		r = find_layers(parts, fds, count, err, err_size);
	if (r == 0)
		r = read_text(fds[CONFIG], "configuration", &text, sha256, err,
		    err_size);
	if (r == 0 && memcmp(sha256, parts->manifest.config.sha256,
	    sizeof(sha256)) != 0)
		r = errmsg(err, err_size, -EBADMSG, "its configuration does "
		    "not have the digest that it should have");
	if (r == 0)
		r = oci_config_read(text.data, text.len, NULL, config, err,
		    err_size);
	if (r == 0)
		r = image_import_layers(parts->layers,
		    parts->manifest.layer_count, out, progress, arg, result,
		    err, err_size);
	if (r < 0)
		return r;
	result->layers = parts->manifest.layer_count;
	memcpy(result->digest, manifest, sizeof(manifest));
	return 0;
}
