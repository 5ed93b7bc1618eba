/*
 * How a host process reaches a vsock port of a Firecracker guest (its
 * docs/vsock.md): it connects to the VMM's Unix socket and writes
 * "CONNECT <port>\n"; "OK <host port>\n" comes back when the guest has taken the
 * connection, and from then on the socket is the connection. If nobody listens
 * the VMM just closes it; it never says why, and it may never answer at all.
 *
 * This is the handshake without any I/O. The VMM is not trusted: what comes is
 * bounded, and anything but that one line is an error. Whatever follows the line
 * is the guest's and must stay in the socket for whoever gets the connection, so
 * the caller peeks, and takes no more than it is told.
 */
#ifndef BANGER_VMM_VSOCK_H
#define BANGER_VMM_VSOCK_H

#include <stddef.h>
#include <stdint.h>

/* "CONNECT 4294967295\n", and a NUL. */
#define VSOCK_REQUEST_MAX	20
/* "OK 4294967295\n": a longer line is none. */
#define VSOCK_REPLY_MAX		14

/* What came of the VMM's line so far. Zero it before the first use. */
struct vsock_reply {
	char line[VSOCK_REPLY_MAX];
	size_t len;
};

/* Writes the request for PORT into OUT, terminated. Its length. */
size_t	 vsock_request(char out[VSOCK_REQUEST_MAX], uint32_t port);

/*
 * Takes bytes of the VMM's line from the LEN bytes of DATA, up to its end and
 * not further; *USED says how many and is set in every case. 1: the connection
 * stands. 0: all taken, the line is not complete. -EPROTO: that is not the line.
 */
int	 vsock_reply_feed(struct vsock_reply *reply, const void *data,
	    size_t len, size_t *used);

#endif
