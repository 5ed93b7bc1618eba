/*
 * Pulling images and kernels for the user: what the user's files and environment
 * say about the way goes with the request; all else is the daemon's.
 */
#ifndef BANGER_CLIENT_PULL_H
#define BANGER_CLIENT_PULL_H

#include "client/command.h"
#include "client/objects.h"

/*
 * Pulls the KIND that is called NAME here, or in a registry or a catalogue, unless
 * it is there. 1 when it was pulled; 0 when it was there; -ENOENT when nobody knows
 * it, which is the daemon's to say; or another -errno after a complaint. CLIENT is
 * connected.
 */
int	 pull_missing(struct client *client, const struct kind *kind,
	    const char *name);

/*
 * Appends to OUT what is at URL, a small file, which the daemon fetches over HTTPS,
 * trusting the authorities in CA (NULL: the host's). 0, or -errno after a complaint.
 */
int	 pull_text(struct client *client, const char *url, const char *ca,
	    struct buf *out);

#endif
