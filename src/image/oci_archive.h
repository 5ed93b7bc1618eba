/*
 * A container image in one file: an OCI image layout in a tar (image-spec,
 * image-layout.md), or what `docker save` and its kin write (manifest.json
 * beside the layers). Both may be in the same tar; the layout then counts, for
 * its digests are of the files as they are.
 */
#ifndef BANGER_IMAGE_OCI_ARCHIVE_H
#define BANGER_IMAGE_OCI_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "image/image_import.h"
#include "image/source.h"

/*
 * Whether a tar that begins with the LEN bytes of TAR is one, by the names of
 * its first entries: a root file system's tar has none of these.
 */
bool	 oci_archive_is(const void *tar, size_t len);

/*
 * Imports from S, which reads all of FD, into OUT as image_import_layers does,
 * and appends what the image is to run to CONFIG (oci_config_read). START: FD is
 * a plain tar in a file, from there on, and the layers are read in place; when it
 * is negative they are put into SPOOL_FD, an empty file, first; as much as the
 * image may have. PROGRESS tells of the layers.
 */
int	 oci_archive_import(struct source *s, int fd, int64_t start,
	    int spool_fd, const struct image_out *out,
	    source_progress *progress, void *arg, struct buf *config,
	    struct image_import_result *result, char *err, size_t err_size);

#endif
