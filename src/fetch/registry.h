/*
 * A registry, as the OCI distribution-spec has it: where things are, and how one
 * is let in (Basic, and Bearer with a token from somewhere else: Docker's token
 * authentication specification).
 */
#ifndef BANGER_FETCH_REGISTRY_H
#define BANGER_FETCH_REGISTRY_H

#include "base/reference.h"
#include "fetch/http.h"

enum {
	REGISTRY_URL = 1024,
	REGISTRY_TOKEN = 16 << 10,
	REGISTRY_TRIES = 4,
	REGISTRY_ERR = 384,
};

struct registry {
	struct http http;
	struct reference ref;		/* without a path: a host of files */
	const char *user, *secret;	/* "" : nobody */
	bool identity;			/* SECRET is a token that gives tokens */
	char *bearer;			/* what let us in last, or NULL */
	bool basic;			/* it wants user and secret themselves */
	char err[REGISTRY_ERR];
};

/* https://HOST/v2/PATH/KIND/WHAT, or http:// where that was asked for. */
int	 registry_url(const struct registry *r, const char *kind,
	    const char *what, char url[REGISTRY_URL]);

/* What to prove oneself with now; NULL for nothing. AUTH is room for it. */
const struct http_auth *registry_auth(const struct registry *r,
	    struct http_auth *auth);

/*
 * After TRANSFER was answered 401: does what its challenge wants. 0 when it is
 * worth another try, or -EACCES, -EBADMSG, … with a line in R->err.
 */
int	 registry_answer(struct registry *r, const struct transfer *transfer);

/*
 * Gets URL, at most LIMIT bytes, into BODY; tries again what may pass, and lets
 * itself be let in. 0, or -errno with a line in R->err.
 */
int	 registry_get(struct registry *r, const char *url, const char *accept,
	    struct buf *body, size_t limit);

/* Milliseconds to wait before try number TRY (from 1), as TRANSFER asks. */
int	 registry_backoff(const struct transfer *transfer, unsigned int try);

/* Formats a line into R->err (errmsg); returns ERROR. */
int	 registry_fail(struct registry *r, int error, const char *fmt, ...)
	    PRINTF_LIKE(3, 4);

/* Forgets the token. */
void	 registry_free(struct registry *r);

#endif
