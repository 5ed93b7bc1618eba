/*
 * HTTP for those who pull: several transfers at once by libcurl, over TLS that
 * is checked, bounded in size and time, and ended when nobody waits for them.
 * All addresses are those of the request, or come from whom they lead to.
 */
#ifndef BANGER_FETCH_HTTP_H
#define BANGER_FETCH_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	HTTP_CHALLENGE = 1024,
	HTTP_REDIRECTS = 5,
	HTTP_CONNECT_S = 20,
	HTTP_STALL_S = 15,		/* without a byte */
	HTTP_SMALL_S = 60,		/* for all of a small answer */
};

/* What all transfers have in common; the strings are the caller's. */
struct http {
	CURLM *multi;
	void *ca;			/* PEM: who is trusted */
	size_t ca_len;
	const char *proxy, *no_proxy;	/* "" : none */
	bool plain;			/* http:// may be spoken at all */
	int leash;			/* a pipe: its reader has to be there */
};

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	/* Takes what comes; false ends the transfer. */
	bool (*sink)(void *arg, const char *bytes, size_t len);
	void *arg;
	bool running, ended;
	CURLcode code;			/* at the end */
	long status;			/* likewise; 0: there was no answer */
	long retry_after_s;
	char challenge[HTTP_CHALLENGE];	/* WWW-Authenticate, Bearer if there is one */
	char error[CURL_ERROR_SIZE];
};

/* How a transfer proves who it is; NULL: not at all. */
struct http_auth {
	const char *bearer;		/* a token, or */
	const char *user, *password;
};

/* 0 or -ENOMEM; http_close in either case. */
int	 http_open(struct http *http);
void	 http_close(struct http *http);

/*
 * Starts to get URL from byte FROM on. ACCEPT and FORM (a body to be posted
 * instead) may be NULL; TRANSFER's sink is set. LIMIT_S seconds are enough for
 * all of it; 0: as long as it moves. 0 or -ENOMEM. In every case transfer_end has
 * to follow.
 */
int	 transfer_start(struct http *http, struct transfer *transfer,
	    const char *url, const char *accept, const struct http_auth *auth,
	    const char *form, uint64_t from, int limit_s);

/* Stops it if it is running, and frees what it took. */
void	 transfer_end(struct http *http, struct transfer *transfer);

/*
 * Goes on with all that run until one has ended, or for LIMIT_MS at most. 0, or
 * -ECANCELED when the leash is gone, or -EIO.
 */
int	 http_turn(struct http *http, int limit_ms);

/*
 * Whether TRANSFER, which has ended, may succeed when it is tried again: no
 * connection, a broken one, or an answer that says "not now".
 */
bool	 transfer_is_transient(const struct transfer *transfer);

/* What was wrong with it, in words. */
const char *transfer_why(const struct transfer *transfer, char *text,
	    size_t size);

#endif
