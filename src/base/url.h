/*
 * Addresses of files on the web, as a catalogue and a configuration have them:
 * of HTTP or HTTPS, in ASCII, without a user or a fragment. What libcurl makes of
 * one (RFC 3986) cannot be another host than what is read here.
 */
#ifndef BANGER_BASE_URL_H
#define BANGER_BASE_URL_H

#include <stdbool.h>

enum { URL_BYTES = 1024, URL_HOST = 254 };

struct url {
	bool plain;			/* http:// */
	char host[URL_HOST];		/* with its port, if it has one */
};

/* Reads all of TEXT. 0 or -EINVAL. */
int	 url_parse(const char *text, struct url *out);

#endif
