/*
 * sd_notify(3) without libsystemd: datagrams to the socket that a service
 * manager named in NOTIFY_SOCKET, or nothing at all.
 */
#ifndef BANGER_PRIVSEP_NOTIFY_H
#define BANGER_PRIVSEP_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "privsep/util.h"

/* Where to send; start with {0}. */
struct notify {
	int fd;
	socklen_t len;			/* of the address; 0: nobody asked */
	struct sockaddr_un addr;
};

/*
 * Takes NOTIFY_SOCKET out of the environment, so that no child talks to the
 * manager in our name, and opens a socket for it: an absolute path, or "@" and
 * an abstract name (unix(7)). Not set: 0 and nothing will be sent. 0, -EINVAL
 * for another kind of address, or -errno.
 */
int	 notify_open(struct notify *notify);

/*
 * Sends the formatted assignments ("READY=1\nSTATUS=..."), at most 255 bytes,
 * without waiting. 0, also when nobody asked; or -errno.
 */
int	 notify_send(const struct notify *notify, const char *fmt, ...)
	    PRINTF_LIKE(2, 3);

#endif
