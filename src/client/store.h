/*
 * What the commands about images and kernels have in common.
 */
#ifndef BANGER_CLIENT_STORE_H
#define BANGER_CLIENT_STORE_H

#include "client/objects.h"

/*
 * Sends FD, which stays the caller's, to be imported as NAME of KIND, an image to
 * be booted by KERNEL unless that is NULL, and tells that it is DONE. The
 * command's exit code.
 */
int	 store_import(struct client *client, const struct kind *kind,
	    const char *name, const char *kernel, int fd, const char *done);

/*
 * Connects, and sees that NAME can become an image's: 0, or -errno after a
 * complaint, -EEXIST when there is one.
 */
int	 store_new_image(struct client *client, const char *name);

#endif
