/*
 * Names of images in registries, as users write them: debian,
 * debian:bookworm, ghcr.io/a/b@sha256:…, localhost:5000/x (distribution's
 * reference grammar; names without a registry are Docker Hub's).
 */
#ifndef BANGER_BASE_REFERENCE_H
#define BANGER_BASE_REFERENCE_H

#include "base/digest.h"

enum {
	REFERENCE_HOST = 254,		/* of a host, with its port and a NUL */
	REFERENCE_PATH = 256,
	REFERENCE_TAG = 129,
	REFERENCE_BYTES = REFERENCE_HOST + REFERENCE_PATH + REFERENCE_TAG,
};

struct reference {
	char host[REFERENCE_HOST];	/* "docker.io", "localhost:5000" */
	char path[REFERENCE_PATH];	/* "library/debian" */
	char tag[REFERENCE_TAG];	/* "latest" if there was none; with a digest "" */
	char digest[DIGEST_TEXT];	/* or "" */
};

/* Reads all of TEXT. 0 or -EINVAL. */
int	 reference_parse(const char *text, struct reference *out);

/* The one form that all that mean the same have: docker.io/library/debian:latest. */
void	 reference_text(const struct reference *ref,
	    char out[REFERENCE_BYTES]);

/*
 * A name for the image, as check_object_name has them: debian, debian-bookworm,
 * b-0123456789ab; never longer than SIZE, which is at least 64.
 */
void	 reference_name(const struct reference *ref, char *out, size_t size);

#endif
