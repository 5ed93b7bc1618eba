/*
 * What the user's own files say about logging in to a registry: what `docker
 * login` and `podman login` left there, and the credential helpers they name.
 */
#ifndef BANGER_CLIENT_REGISTRY_AUTH_H
#define BANGER_CLIENT_REGISTRY_AUTH_H

#include <stdbool.h>

#include "client/api.h"

enum {
	REGISTRY_USER = 256,		/* bytes, with the NUL */
	REGISTRY_SECRET = 8192,
};

/*
 * Start with {0}. Without credentials both are empty; with TOKEN there is no
 * user.
 */
struct registry_auth {
	char user[REGISTRY_USER];
	char secret[REGISTRY_SECRET];
	bool token;			/* SECRET is an identity (refresh) token */
};

/*
 * Looks for credentials for HOST, as struct reference has it ("docker.io",
 * "localhost:5000"), in $DOCKER_CONFIG/config.json, else
 * $HOME/.docker/config.json (docker login(1)), then in $REGISTRY_AUTH_FILE, else
 * $XDG_RUNTIME_DIR/containers/auth.json (containers-auth.json(5)); a file may
 * name a helper, which is run. 0, and OUT, which is empty when there are none; or
 * -errno with a line in ERR that names the file or the helper and holds no
 * secret, and OUT is empty. The caller ends OUT with registry_auth_clear.
 */
int	 registry_auth_find(const char *host, struct registry_auth *out,
	    char err[API_TEXT_MAX]);

/* Whether there are any. */
bool	 registry_auth_given(const struct registry_auth *auth);

/*
 * Sets OUT to USER and SECRET; it stays empty without a USER, or with TOKEN
 * without a SECRET. 0, or -EINVAL when one is too long.
 */
int	 registry_auth_set(struct registry_auth *out, const char *user,
	    const char *secret, bool token);

/* Wipes the secret, and all else. */
void	 registry_auth_clear(struct registry_auth *auth);

#define _cleanup_auth_ __attribute__((cleanup(registry_auth_clear)))

/* Wipes what BUF holds, or all strings of a JSON tree, and frees it. */
void	 secret_buf_free(struct buf *buf);
void	 secret_json_freep(cJSON **tree);

#define _cleanup_secret_buf_ __attribute__((cleanup(secret_buf_free)))
#define _cleanup_secret_json_ __attribute__((cleanup(secret_json_freep)))

#endif
