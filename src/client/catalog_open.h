/*
 * The catalogue that a command is to use: what a flag or the configuration names,
 * a file or an address, else the one that is built in.
 */
#ifndef BANGER_CLIENT_CATALOG_OPEN_H
#define BANGER_CLIENT_CATALOG_OPEN_H

#include "client/catalog.h"
#include "client/command.h"

/*
 * Reads it into *OUT; one that is not built in needs a signature, of the key that a
 * flag, the configuration or the build names. ARGS may be NULL: no flags. CLIENT is
 * connected, for the daemon fetches what has an address. 0, or -errno after a
 * complaint; free *OUT in either case.
 */
int	 catalog_open(struct client *client, const struct args *args,
	    struct catalog *out);

#endif
