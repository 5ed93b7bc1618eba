/*
 * Pulling an image for the user: what the user's files and environment say about
 * the registry goes with the request; all else is the daemon's.
 */
#ifndef BANGER_CLIENT_PULL_H
#define BANGER_CLIENT_PULL_H

#include "client/command.h"

struct pull_options {
	const char *reference;
	const char *name;		/* NULL: of the reference's parts */
	const char *ca;			/* NULL: whom the host trusts */
	bool plain;			/* HTTP */
};

/*
 * Pulls it. 0 with the image in *REPLY, or -errno after a complaint; free *REPLY
 * in every case. CLIENT is connected.
 */
int	 pull_image(struct client *client, const struct pull_options *options,
	    struct api_reply *reply);

/*
 * Pulls IMAGE if it is written as a registry's, with a tag, a digest or a path, and
 * is not there. 0, also when there was nothing to do; or -errno after a complaint.
 */
int	 pull_missing(struct client *client, const char *image);

#endif
