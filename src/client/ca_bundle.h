/*
 * The certificate authorities that TLS connections trust, as the one file of
 * PEM certificates that a distribution or the user provides.
 */
#ifndef BANGER_CLIENT_CA_BUNDLE_H
#define BANGER_CLIENT_CA_BUNDLE_H

#include "client/api.h"

enum { CA_BUNDLE_MAX = 4 * 1024 * 1024 };	/* bytes; Debian's has 0.2 MiB */

/*
 * Opens PATH when it is not NULL, else the file that $SSL_CERT_FILE names (as
 * OpenSSL and Go have it), else the first of the distributions' that is there.
 * An fd at its start (O_RDONLY, O_CLOEXEC) of a regular file with 1 to
 * CA_BUNDLE_MAX bytes, which the caller closes; what is in it, is not looked
 * at. Or -errno with a line in ERR.
 */
int	 ca_bundle_open(const char *path, char err[API_TEXT_MAX]);

#endif
