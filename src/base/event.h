/*
 * The worker's event loop: callbacks for descriptors, timers and work put off
 * to the next turn. The structures belong to the caller and are linked in
 * while active, so nothing is allocated and any callback may end any other
 * watch, its own included: events are taken from the kernel one at a time.
 */
#ifndef BANGER_BASE_EVENT_H
#define BANGER_BASE_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"

struct events {
	int epoll;
	bool stop;
	struct list timers;		/* by deadline, soonest first */
	struct list tasks;
};

/* A watched descriptor. Zero it, or EVENT_IO_NONE, before the first use. */
struct event_io {
	struct events *events;		/* NULL: not watched */
	int fd;
	uint32_t mask;
	void (*fn)(void *arg, uint32_t ready);
	void *arg;
};

#define EVENT_IO_NONE { .fd = -1 }

struct event_timer {
	struct list node;
	int64_t deadline_ms;
	bool armed;
	void (*fn)(void *arg);
	void *arg;
};

struct event_task {
	struct list node;
	bool posted;
	void (*fn)(void *arg);
	void *arg;
};

/* 0 or -errno. */
int	 events_init(struct events *events);
void	 events_close(struct events *events);

/*
 * Watches FD, which stays the caller's, for MASK (EPOLLIN, …; level-triggered;
 * epoll_ctl(2)). 0 or -errno.
 */
int	 event_io_start(struct events *events, struct event_io *io, int fd,
	    uint32_t mask, void (*fn)(void *arg, uint32_t ready), void *arg);

/* Changes the mask of a watch. 0 or -errno. */
int	 event_io_mask(struct event_io *io, uint32_t mask);

/* Ends a watch, to be called before the fd is closed; harmless without one. */
void	 event_io_stop(struct event_io *io);

/* Calls FN once in DELAY_MS; an armed timer is set anew. */
void	 event_timer_set(struct events *events, struct event_timer *timer,
	    int64_t delay_ms, void (*fn)(void *arg), void *arg);
void	 event_timer_clear(struct event_timer *timer);

/* Calls FN once, before the loop waits again; posting twice is posting once. */
void	 event_task_post(struct events *events, struct event_task *task,
	    void (*fn)(void *arg), void *arg);
void	 event_task_clear(struct event_task *task);

/* Runs until event_stop(). 0, or -errno when the kernel fails us. */
int	 events_run(struct events *events);
void	 events_stop(struct events *events);

/* One turn, waiting at most LIMIT_MS (-1: no limit). 0 or -errno. */
int	 events_turn(struct events *events, int limit_ms);

#endif
