/*
 * An image's file system as the one layer of a container image: a tar, compressed
 * with gzip, and its two digests.
 */
#ifndef BANGER_IMAGE_OCI_LAYER_H
#define BANGER_IMAGE_OCI_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "image/oci.h"
#include "image/source.h"

struct oci_layer {
	struct oci_blob blob;		/* of the compressed file */
	uint8_t diff_id[DIGEST_BYTES];	/* of the tar in it */
	uint64_t tar_bytes;
	uint64_t entries;
};

/*
 * Writes the file system that the file IMAGE_FD holds to OUT_FD, from where that
 * stands; both stay the caller's. PROGRESS, which may be NULL, is told the bytes of
 * the tar. 0 and *LAYER, or -errno with a line in ERR (ext4_tar); -EUCLEAN when the
 * file system was not unmounted cleanly and has to be mounted once.
 */
int	 oci_layer_write(int image_fd, int out_fd, source_progress *progress,
	    void *arg, struct oci_layer *layer, char *err, size_t err_size);

#endif
