/*
 * The agent's event loop: descriptors are registered once, edge-triggered, and
 * collect what they are ready for in a word; whoever owns them tries until
 * EAGAIN and clears the bit. There are no callbacks, so nothing is freed under
 * the loop's feet.
 */
#ifndef BANGER_GUEST_LOOP_H
#define BANGER_GUEST_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

/* One registered descriptor; FD is -1 when there is none. */
struct watch {
	int fd;
	uint32_t ready;		/* EPOLL* bits seen and not cleared yet */
};

#define WATCH_NONE { -1, 0 }

struct loop {
	int epfd;
};

/* 0 or -errno. */
int	 loop_init(struct loop *loop);
void	 loop_close(struct loop *loop);

/*
 * Makes FD non-blocking and watches it with W, which must stay where it is. On
 * success W owns FD; on failure (-errno) W has none and FD is the caller's.
 */
int	 loop_watch(struct loop *loop, struct watch *w, int fd);

/*
 * Ends the watch and closes its descriptor. A close alone would not end it: a
 * child between fork and exec may still hold a copy (epoll(7), Q6).
 */
void	 loop_unwatch(struct loop *loop, struct watch *w);

/* As loop_unwatch(), but the descriptor is returned and stays open. */
int	 loop_release(struct loop *loop, struct watch *w);

/* Waits at most TIMEOUT_MS (-1: for ever) and marks what is ready. */
void	 loop_wait(struct loop *loop, int timeout_ms);

/*
 * What W is ready for at this moment (EPOLL* bits, EPOLLRDHUP with them), marked
 * as well. A look may take the edge away: virtio_console's poll takes a buffer
 * off its queue, and the interrupt that comes for it then wakes nobody
 * (port_has_data() and vring_interrupt() of Linux).
 */
uint32_t loop_look(struct watch *w);

#endif
