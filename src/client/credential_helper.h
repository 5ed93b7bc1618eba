/*
 * Docker's credential helpers: programs that keep a user's secrets elsewhere
 * than in a file (docker-credential-helpers, README: "Development").
 */
#ifndef BANGER_CLIENT_CREDENTIAL_HELPER_H
#define BANGER_CLIENT_CREDENTIAL_HELPER_H

#include "client/registry_auth.h"

enum {
	CREDENTIAL_HELPER_TIMEOUT_MS = 30 * 1000,
	CREDENTIAL_HELPER_OUTPUT = 64 * 1024,	/* bytes */
};

/*
 * Asks docker-credential-NAME, found in an absolute directory of $PATH, for what
 * it has under KEY. It runs as the user, with the user's environment and
 * standard error, without a shell; after TIMEOUT_MS it is killed. 0, and OUT,
 * which is empty when it has nothing; or -errno with a line in ERR that does not
 * repeat what the helper said, and OUT is empty.
 */
int	 credential_helper_get(const char *name, const char *key,
	    int timeout_ms, struct registry_auth *out, char err[API_TEXT_MAX]);

#endif
