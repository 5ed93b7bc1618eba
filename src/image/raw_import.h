/*
 * An ext4 file system that is already made becomes an image as it is.
 */
#ifndef BANGER_IMAGE_RAW_IMPORT_H
#define BANGER_IMAGE_RAW_IMPORT_H

#include <stddef.h>

#include "image/image_import.h"
#include "image/source.h"

/*
 * Copies what S gives into OUT: zeros become holes. 0 and *RESULT, of which
 * entries are the inodes in use; or -errno with a line in ERR (image_import_tar):
 * -EBADMSG for what is no whole ext4 file system.
 */
int	 raw_import(struct source *s, const struct image_out *out,
	    struct image_import_result *result, char *err, size_t err_size);

/*
 * Likewise for a file system that is in OUT_FD already: checks it, and cuts off
 * what is behind it.
 */
int	 raw_import_check(int out_fd, struct image_import_result *result,
	    char *err, size_t err_size);

#endif
