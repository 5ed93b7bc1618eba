/*
 * The tar of a root file system, or the layers of a container image, become an
 * ext4 image in one pass. For a job that may open nothing: all of it are fds.
 */
#ifndef BANGER_IMAGE_IMAGE_IMPORT_H
#define BANGER_IMAGE_IMAGE_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/source.h"

/* What of a layer SHA256 is the digest of. */
enum layer_digest { LAYER_OF_FILE, LAYER_OF_TAR };

struct image_layer {
	struct source_piece piece;
	enum layer_digest digest_of;
	uint8_t sha256[DIGEST_BYTES];
};

/* Where an image goes: an empty regular file, open for reading and writing. */
struct image_out {
	int fd;
	uint64_t max_bytes;	/* that it may have, EXT4_WRITER_MAX at most */
};

struct image_import_result {
	uint64_t size_bytes;	/* of the image */
	uint64_t content_bytes;	/* file data in it, holes not counted */
	uint64_t entries;	/* read from the tars */
	bool has_init;		/* one of image_init_paths is there */
	uint32_t layers;	/* of a container image; 0: of none */
	uint64_t checksum;	/* of the image (image/checksum.h) */
	uint8_t digest[DIGEST_BYTES];	/* of its manifest, or its id */
};

/* Where the init of an image is, if it has one: files, or links to them; NULL ends
 * the list. */
extern const char *const image_init_paths[];

/*
 * Imports the tar that S gives into OUT, whose fd stays the caller's; nothing is
 * synced.
 *
 * A later entry replaces an earlier one of the same name, whatever their
 * types; a directory keeps what is in it if it stays a directory. Extended
 * attributes outside user, trusted, security and POSIX ACLs are left out.
 *
 * 0 and *RESULT; or -errno with one line in ERR (printable ASCII), and OUT then
 * holds garbage: -ENODATA empty, -EBADMSG damaged, cut off or no tar, -EINVAL an
 * entry that cannot be (the line names it), -ENOSPC, -EDQUOT it would need more
 * than it may have, -ENOMEM, …
 */
int	 image_import_tar(struct source *s, const struct image_out *out,
	    struct image_import_result *result, char *err, size_t err_size);

/*
 * Likewise the COUNT LAYERS, the lowest first: what one hides (OCI image-spec,
 * layer.md) is not in the image. -EBADMSG also when a layer's digest is not what
 * it should be. PROGRESS, which may be NULL, is told the bytes of all of them.
 */
int	 image_import_layers(const struct image_layer *layers, size_t count,
	    const struct image_out *out, source_progress *progress, void *arg,
	    struct image_import_result *result, char *err, size_t err_size);

#endif
