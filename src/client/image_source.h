/*
 * What the user gave to `image import`: a file or standard input as it is, an OCI
 * image layout in a directory packed into a tar.
 */
#ifndef BANGER_CLIENT_IMAGE_SOURCE_H
#define BANGER_CLIENT_IMAGE_SOURCE_H

#include "client/source_fd.h"

/*
 * Opens PATH, "-" being standard input. What is no archive is the importer's to
 * say; what cannot be one is said here. 0, or -errno with a line in ERR.
 */
int	 image_source_open(struct source_fd *source, const char *path,
	    char err[API_TEXT_MAX]);

#endif
