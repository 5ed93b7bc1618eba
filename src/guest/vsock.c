/*
 * Listeners are watched like everything else, edge-triggered: an accept goes on
 * until there is nothing more, or for a while only, so that whoever floods a
 * port from inside the guest holds up nobody.
 */
#include "guest/vsock.h"

#include <linux/vm_sockets.h>

#include <string.h>

#include "privsep/util.h"

/* Connections looked at before others have their turn. */
#define ACCEPT_ROUNDS	32
#define HELLO_FRAME	(STREAM_HEADER_SIZE + STREAM_HELLO_SIZE)

int
vsock_listen(uint32_t port, int backlog)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	_cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address,
	    sizeof(address)) < 0 || listen(fd, backlog) < 0)
		return -errno;
	return steal_fd(&fd);
}

bool
vsock_is_host(const struct sockaddr_storage *peer, socklen_t len)
{
	struct sockaddr_vm address;

	if (len < sizeof(address) || peer->ss_family != AF_VSOCK)
		return false;
	memcpy(&address, peer, sizeof(address));
	return address.svm_cid == VMADDR_CID_HOST;
}

int
vsock_start(struct vsock *v, struct loop *loop, int control, int streams,
    vsock_is_host_fn *is_host)
{
	size_t i;
	int r;

	memset(v, 0, sizeof(*v));
	v->loop = loop;
	v->is_host = is_host;
	v->control = v->streams = (struct watch)WATCH_NONE;
	for (i = 0; i < ARRAY_SIZE(v->callers); i++)
		v->callers[i].link = (struct watch)WATCH_NONE;
	r = loop_watch(loop, &v->control, control);
	return r < 0 ? r : loop_watch(loop, &v->streams, streams);
}

void
vsock_stop(struct vsock *v)
{
	size_t i;

	loop_unwatch(v->loop, &v->control);
	loop_unwatch(v->loop, &v->streams);
	for (i = 0; i < ARRAY_SIZE(v->callers); i++)
		loop_unwatch(v->loop, &v->callers[i].link);
}

/* The next connection from the host, or -EAGAIN. */
static int
accept_host(const struct vsock *v, struct watch *listener)
{
	int round;

	for (round = 0; round < ACCEPT_ROUNDS &&
	    (listener->ready & EPOLLIN) != 0; round++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		_cleanup_close_ int fd = accept4(listener->fd,
		    (struct sockaddr *)&peer, &len, SOCK_CLOEXEC |
		    SOCK_NONBLOCK);

		if (fd >= 0 && v->is_host(&peer, len))
			return steal_fd(&fd);
		/* Without memory for one, too, the next edge is waited for. */
		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			listener->ready = 0;
	}
	return -EAGAIN;
}

int
vsock_accept_control(struct vsock *v)
{
	int newest = -EAGAIN, round;

	for (round = 0; round < ACCEPT_ROUNDS; round++) {
		int fd = accept_host(v, &v->control);

		if (fd < 0)
			break;
		if (newest >= 0)
			close(newest);
		newest = fd;
	}
	return newest;
}

static struct vsock_caller *
free_caller(struct vsock *v)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(v->callers); i++)
		if (v->callers[i].link.fd < 0)
			return &v->callers[i];
	return NULL;
}

static void
take_in(struct vsock *v)
{
	struct vsock_caller *caller;

	while ((caller = free_caller(v)) != NULL) {
		int fd = accept_host(v, &v->streams);

		if (fd < 0)
			return;
		if (loop_watch(v->loop, &caller->link, fd) < 0) {
			close(fd);
			return;
		}
		/* What it has sent already makes no edge any more. */
		caller->link.ready = EPOLLIN;
		caller->deadline = monotonic_ms() + STREAM_HELLO_TIMEOUT_MS;
	}
}

/*
 * Looks at what LINK has received, without taking it: 1 with NONCE for a HELLO,
 * 0 for less than one, or -errno when it will never be one.
 */
static int
peek_hello(struct watch *link, uint8_t nonce[STREAM_NONCE_SIZE])
{
	uint8_t bytes[HELLO_FRAME];
	struct stream_frame frame;
	ssize_t n = recv(link->fd, bytes, sizeof(bytes),
	    MSG_PEEK | MSG_DONTWAIT);
	long r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		link->ready = 0;
		return 0;
	}
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	r = stream_next(bytes, (size_t)n, STREAM_CLIENT, &frame);
	if (r < 0 || bytes[0] != STREAM_HELLO)
		return -EPROTO;
	link->ready = 0;
	if (r > 0)
		memcpy(nonce, stream_hello_nonce(&frame), STREAM_NONCE_SIZE);
	return r > 0;
}

int
vsock_take_caller(struct vsock *v, uint8_t nonce[STREAM_NONCE_SIZE])
{
	size_t i;

	take_in(v);
	for (i = 0; i < ARRAY_SIZE(v->callers); i++) {
		struct vsock_caller *caller = &v->callers[i];
		int r = 0;

		if (caller->link.fd < 0)
			continue;
		if ((caller->link.ready & ~(uint32_t)EPOLLOUT) != 0)
			r = peek_hello(&caller->link, nonce);
		if (r == 1)
			return loop_release(v->loop, &caller->link);
		if (r < 0 || monotonic_ms() >= caller->deadline)
			loop_unwatch(v->loop, &caller->link);
	}
	return -EAGAIN;
}

bool
vsock_busy(const struct vsock *v)
{
	size_t i;

	if ((v->control.ready & EPOLLIN) != 0)
		return true;
	if ((v->streams.ready & EPOLLIN) == 0)
		return false;
	for (i = 0; i < ARRAY_SIZE(v->callers); i++)
		if (v->callers[i].link.fd < 0)
			return true;
	return false;
}

int64_t
vsock_deadline(const struct vsock *v)
{
	int64_t deadline = INT64_MAX;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(v->callers); i++)
		if (v->callers[i].link.fd >= 0 &&
		    v->callers[i].deadline < deadline)
			deadline = v->callers[i].deadline;
	return deadline;
}
