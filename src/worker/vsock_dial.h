/*
 * Makes a connection to Firecracker's vsock socket one to a port of its guest,
 * from the event loop and within a deadline: a VMM whose guest is paused, or
 * has not come to its vsock driver yet, may not answer for ever.
 */
#ifndef BANGER_WORKER_VSOCK_DIAL_H
#define BANGER_WORKER_VSOCK_DIAL_H

#include <stdbool.h>

#include "base/event.h"
#include "vmm/vsock.h"

/* One connection being made. Zero it before the first use. */
struct vsock_dial {
	bool active;
	int fd;				/* ours while active */
	struct event_io io;
	struct event_timer deadline;
	char request[VSOCK_REQUEST_MAX];
	size_t request_len, sent;
	struct vsock_reply reply;
	void (*fn)(void *arg, int fd);
	void *arg;
};

/*
 * Takes over FD, a non-blocking socket connected to the VMM, and asks it for
 * PORT of the guest. FN is called later, once: with the same fd, now connected
 * to the guest and FN's to close, or with -ECONNREFUSED (nobody listens there,
 * or the VMM has gone), -ETIMEDOUT, -EPROTO (that was not Firecracker) or
 * another -errno, FD having been closed. 0, or -errno: FN is not called and FD
 * is closed.
 */
int	 vsock_dial_start(struct vsock_dial *dial, struct events *events, int fd,
	    uint32_t port, int64_t timeout_ms, void (*fn)(void *arg, int fd),
	    void *arg);

/* Gives up and closes; FN is not called. Harmless when nothing is under way. */
void	 vsock_dial_cancel(struct vsock_dial *dial);

#endif
