/*
 * epoll(7), edge-triggered, with the readiness kept by the owner.
 */
#include "guest/loop.h"

#include <fcntl.h>
#include <poll.h>

#include "privsep/util.h"

int
loop_init(struct loop *loop)
{
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epfd < 0 ? -errno : 0;
}

void
loop_close(struct loop *loop)
{
	close(loop->epfd);
	loop->epfd = -1;
}

int
loop_watch(struct loop *loop, struct watch *w, int fd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.ptr = w,
	};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	w->ready = 0;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	w->fd = fd;
	return 0;
}

int
loop_release(struct loop *loop, struct watch *w)
{
	int fd = w->fd;

	if (fd >= 0)
		(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, fd, NULL);
	w->fd = -1;
	w->ready = 0;
	return fd;
}

void
loop_unwatch(struct loop *loop, struct watch *w)
{
	int fd = loop_release(loop, w);

	if (fd >= 0)
		close(fd);
}

void
loop_wait(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[32];
	int i, n;

	n = epoll_wait(loop->epfd, events, ARRAY_SIZE(events), timeout_ms);
	for (i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		w->ready |= events[i].events;
	}
}

uint32_t
loop_look(struct watch *w)
{
	struct pollfd pfd = {
		.fd = w->fd,
		.events = POLLIN | POLLOUT | POLLRDHUP,
	};

	if (poll(&pfd, 1, 0) != 1)
		return 0;
	w->ready |= (uint16_t)pfd.revents;
	return (uint16_t)pfd.revents;
}
