/*
 * A user's file, or pipe, becomes an image, whatever it is: the tar of a root
 * file system, an OCI image layout in a tar, what `docker save` wrote, or an ext4
 * file system; each plain or compressed.
 */
#ifndef BANGER_IMAGE_IMAGE_FILE_H
#define BANGER_IMAGE_IMAGE_FILE_H

#include "image/image_import.h"

/* What it is made of and into, all of them the caller's. */
struct image_file {
	int in;			/* a file or pipe, read from where it stands */
	struct image_out out;	/* the image */
	int config;		/* empty, for writing: what it is to run */
	int spool;		/* empty, for both; a place for what is needed twice */
};

/*
 * 0 and *RESULT, or -errno with a line in ERR (image_import_tar): what OUT and
 * CONFIG hold is then garbage. PROGRESS may be NULL. Nothing is synced.
 */
int	 image_file_import(const struct image_file *file,
	    source_progress *progress, void *arg,
	    struct image_import_result *result, char *err, size_t err_size);

#endif
