/*
 * The transport of Firecracker guests: two vsock(7) listeners, one for the
 * control channel and one for streams, a connection each.
 *
 * Who may connect: the host. A process in the guest that got through, by the
 * loopback transport, could ask for a command as root; so a connection counts
 * only if its peer's CID is the host's, which the kernel fills in and nobody in
 * the guest can forge. All others are closed unread.
 *
 * A connection to the stream port says by the nonce of its HELLO which OPEN it
 * belongs to. Until then it is a caller, of which there are at most as many as
 * streams, each for STREAM_HELLO_TIMEOUT_MS at most: further ones wait in the
 * listener's queue.
 */
#ifndef BANGER_GUEST_VSOCK_H
#define BANGER_GUEST_VSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/agent_proto.h"
#include "guest/loop.h"

/* Who is at the other end of a connection, as accept(2) tells it. */
typedef bool vsock_is_host_fn(const struct sockaddr_storage *peer,
	    socklen_t len);

/* A connection that has not said yet whose stream it is; fd -1: none. */
struct vsock_caller {
	struct watch link;
	int64_t deadline;
};

/* Start with vsock_start. */
struct vsock {
	struct loop *loop;
	struct watch control, streams;	/* the listeners */
	struct vsock_caller callers[AGENT_STREAM_PORTS];
	vsock_is_host_fn *is_host;
};

/*
 * Listens on vsock port PORT with a queue of BACKLOG: a non-blocking fd or
 * -errno. What the host sends before it is accepted is not lost.
 */
int	 vsock_listen(uint32_t port, int backlog);

/* Whether PEER is the host (VMADDR_CID_HOST). */
vsock_is_host_fn vsock_is_host;

/*
 * Watches the listeners CONTROL and STREAMS, which V then owns. 0, or -errno
 * with those not taken over left open. IS_HOST is vsock_is_host but in tests.
 */
int	 vsock_start(struct vsock *v, struct loop *loop, int control,
	    int streams, vsock_is_host_fn *is_host);

/*
 * The newest connection to the control port, as a non-blocking fd of the
 * caller's; older ones are closed. -EAGAIN when there is none.
 */
int	 vsock_accept_control(struct vsock *v);

/*
 * The connection of a caller that has said HELLO, which is still to be read
 * from it, and the NONCE in that; the fd is the caller's. -EAGAIN when there
 * is none now: call again after loop_wait() until then.
 */
int	 vsock_take_caller(struct vsock *v, uint8_t nonce[STREAM_NONCE_SIZE]);

/* Whether more is to be done without waiting for the loop. */
bool	 vsock_busy(const struct vsock *v);

/* When vsock_take_caller() must be called at the latest; INT64_MAX: never. */
int64_t	 vsock_deadline(const struct vsock *v);

/* Closes all that V has. */
void	 vsock_stop(struct vsock *v);

#endif
