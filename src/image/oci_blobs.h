/*
 * A container image in blobs, each in a file of its own.
 */
#ifndef BANGER_IMAGE_OCI_BLOBS_H
#define BANGER_IMAGE_OCI_BLOBS_H

#include <stddef.h>

#include "base/buf.h"
#include "image/image_import.h"

/*
 * Imports the COUNT files of FDS, all the caller's: the manifest, the
 * configuration and the layers that it names, the lowest first. Each of them but
 * the first is compared with its digest. OUT, CONFIG, RESULT and what it
 * returns are as in oci_archive_import.
 */
int	 oci_blobs_import(const int *fds, size_t count,
	    const struct image_out *out,
	    source_progress *progress, void *arg, struct buf *config,
	    struct image_import_result *result, char *err, size_t err_size);

#endif
