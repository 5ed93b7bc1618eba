/*
 * The proxy that the environment names, read as curl reads it (curl(1),
 * ENVIRONMENT; Go's httpproxy agrees but for ALL_PROXY).
 */
#ifndef BANGER_CLIENT_PROXY_H
#define BANGER_CLIENT_PROXY_H

#include <stdbool.h>

#include "client/api.h"

/*
 * The proxy for https:// or http:// URLs, and the hosts to reach without it, as
 * the user wrote them: "http://proxy:3128", "proxy:3128", ".lan,10.0.0.1". NULL
 * for none. Both point into the environment. The proxy may hold a password:
 * it is not for messages. 0, or -EPROTONOSUPPORT with a line in ERR when the
 * proxy speaks something else than HTTP; outputs are then left alone.
 */
int	 proxy_find(bool https, const char **proxy, const char **no_proxy,
	    char err[API_TEXT_MAX]);

#endif
