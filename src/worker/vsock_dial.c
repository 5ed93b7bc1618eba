/*
 * Writes the request, then peeks at the answer and takes exactly its line: what
 * the guest says after it belongs to whoever gets the descriptor.
 */
#include "worker/vsock_dial.h"

#include <string.h>
#include <sys/socket.h>

#include "privsep/util.h"

void
vsock_dial_cancel(struct vsock_dial *dial)
{
	if (!dial->active)
		return;
	dial->active = false;
	event_io_stop(&dial->io);
	event_timer_clear(&dial->deadline);
	close_fdp(&dial->fd);
}

/* Ends it with RESULT, an -errno or 0 for success. FN may start DIAL anew. */
static void
finish(struct vsock_dial *dial, int result)
{
	if (result == 0) {
		event_io_stop(&dial->io);
		result = steal_fd(&dial->fd);
	}
	vsock_dial_cancel(dial);
	dial->fn(dial->arg, result);
}

static void
too_late(void *arg)
{
	finish(arg, -ETIMEDOUT);
}

/* A VMM that closes with our request unread makes it a reset. */
static int
socket_error(int error)
{
	return error == ECONNRESET || error == EPIPE ? -ECONNREFUSED : -error;
}

/* 1 when the request is out, 0 when the socket takes no more, or -errno. */
static int
send_request(struct vsock_dial *dial)
{
	while (dial->sent < dial->request_len) {
		ssize_t n = send(dial->fd, dial->request + dial->sent,
		    dial->request_len - dial->sent, MSG_DONTWAIT |
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : socket_error(errno);
		dial->sent += (size_t)n;
	}
	return 1;
}

/* 1 when the line has been taken, 0 when more is to come, or -errno. */
static int
receive_reply(struct vsock_dial *dial)
{
	uint8_t bytes[VSOCK_REPLY_MAX];
	ssize_t n = recv(dial->fd, bytes, sizeof(bytes), MSG_PEEK |
	    MSG_DONTWAIT);
	size_t used;
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 :
		    socket_error(errno);
	if (n == 0)
		return -ECONNREFUSED;
	r = vsock_reply_feed(&dial->reply, bytes, (size_t)n, &used);
	/* These bytes are here: a receive cannot fall short of them. */
	if (r >= 0 && recv(dial->fd, bytes, used, MSG_DONTWAIT) !=
	    (ssize_t)used)
		return -EIO;
	return r;
}

static void
on_socket(void *arg, uint32_t ready UNUSED)
{
	struct vsock_dial *dial = arg;
	bool writing = dial->sent < dial->request_len;
	int r = send_request(dial);

	if (r == 1 && writing)
		r = event_io_mask(&dial->io, EPOLLIN);
	else if (r == 1)
		r = receive_reply(dial);
	if (r == 1)
		finish(dial, 0);
	else if (r < 0)
		finish(dial, r);
}

int
vsock_dial_start(struct vsock_dial *dial, struct events *events, int fd,
    uint32_t port, int64_t timeout_ms, void (*fn)(void *arg, int fd), void *arg)
{
	int r;

	vsock_dial_cancel(dial);
	memset(dial, 0, sizeof(*dial));
	dial->active = true;
	dial->fd = fd;
	dial->fn = fn;
	dial->arg = arg;
	dial->request_len = vsock_request(dial->request, port);
	/* A fresh socket has room for it: one turn of the loop is saved. */
	r = send_request(dial);
	if (r >= 0)
		r = event_io_start(events, &dial->io, fd, r == 1 ? EPOLLIN :
		    EPOLLOUT, on_socket, dial);
	if (r < 0) {
		vsock_dial_cancel(dial);
		return r;
	}
	event_timer_set(events, &dial->deadline, timeout_ms, too_late, dial);
	return 0;
}
