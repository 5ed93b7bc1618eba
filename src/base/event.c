/*
 * epoll_wait(2) with room for one event: an event that was fetched together
 * with another would outlive the watch that the other's callback ended. Fair
 * all the same: the kernel moves a level-triggered event to the list's end.
 */
#include "base/event.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "privsep/util.h"

int
events_init(struct events *events)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -errno;
	events->epoll = epoll;
	events->stop = false;
	list_init(&events->timers);
	list_init(&events->tasks);
	return 0;
}

void
events_close(struct events *events)
{
	close(events->epoll);
	events->epoll = -1;
}

int
event_io_start(struct events *events, struct event_io *io, int fd,
    uint32_t mask, void (*fn)(void *arg, uint32_t ready), void *arg)
{
	struct epoll_event event = { .events = mask, .data = { .ptr = io } };

	if (epoll_ctl(events->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	io->events = events;
	io->fd = fd;
	io->mask = mask;
	io->fn = fn;
	io->arg = arg;
	return 0;
}

int
event_io_mask(struct event_io *io, uint32_t mask)
{
	struct epoll_event event = { .events = mask, .data = { .ptr = io } };

	if (io->mask == mask)
		return 0;
	if (epoll_ctl(io->events->epoll, EPOLL_CTL_MOD, io->fd, &event) < 0)
		return -errno;
	io->mask = mask;
	return 0;
}

void
event_io_stop(struct event_io *io)
{
	if (io->events == NULL)
		return;
	(void)epoll_ctl(io->events->epoll, EPOLL_CTL_DEL, io->fd, NULL);
	io->events = NULL;
	io->fd = -1;
}

void
event_timer_set(struct events *events, struct event_timer *timer,
    int64_t delay_ms, void (*fn)(void *arg), void *arg)
{
	struct list *node, *following;

	event_timer_clear(timer);
	timer->deadline_ms = monotonic_ms() + delay_ms;
	timer->fn = fn;
	timer->arg = arg;
	timer->armed = true;
	list_each(node, following, &events->timers)
		if (list_entry(node, struct event_timer, node)->deadline_ms >
		    timer->deadline_ms)
			break;
	list_insert(node, &timer->node);
}

void
event_timer_clear(struct event_timer *timer)
{
	if (timer->armed)
		list_remove(&timer->node);
	timer->armed = false;
}

void
event_task_post(struct events *events, struct event_task *task,
    void (*fn)(void *arg), void *arg)
{
	if (task->posted)
		return;
	task->fn = fn;
	task->arg = arg;
	task->posted = true;
	list_insert(&events->tasks, &task->node);
}

void
event_task_clear(struct event_task *task)
{
	if (task->posted)
		list_remove(&task->node);
	task->posted = false;
}

/* Those that are there now; what they post waits until others had a turn. */
static void
run_tasks(struct events *events)
{
	struct list batch;

	/* Another head for the same ring. */
	list_insert(&events->tasks, &batch);
	list_remove(&events->tasks);
	while (!list_empty(&batch)) {
		struct event_task *task = list_entry(batch.next,
		    struct event_task, node);

		event_task_clear(task);
		task->fn(task->arg);
	}
}

static void
run_timers(struct events *events)
{
	int64_t now = monotonic_ms();

	while (!list_empty(&events->timers)) {
		struct event_timer *timer = list_entry(events->timers.next,
		    struct event_timer, node);

		if (timer->deadline_ms > now)
			break;
		event_timer_clear(timer);
		timer->fn(timer->arg);
	}
}

/* How long the loop may wait: to what is due first, LIMIT_MS at most. */
static int
wait_ms(const struct events *events, int limit_ms)
{
	int64_t left;

	if (!list_empty(&events->tasks))
		return 0;
	if (list_empty(&events->timers))
		return limit_ms;
	left = list_entry(events->timers.next, struct event_timer, node)->
	    deadline_ms - monotonic_ms();
	if (left < 0)
		left = 0;
	if (left > INT_MAX)
		left = INT_MAX;
	return limit_ms >= 0 && limit_ms < left ? limit_ms : (int)left;
}

int
events_turn(struct events *events, int limit_ms)
{
	struct epoll_event event;
	int n;

	run_tasks(events);
	if (events->stop)
		return 0;
	n = epoll_wait(events->epoll, &event, 1, wait_ms(events, limit_ms));
	if (n < 0 && errno != EINTR)
		return -errno;
	if (n > 0) {
		struct event_io *io = event.data.ptr;

		io->fn(io->arg, event.events);
	}
	run_timers(events);
	run_tasks(events);
	return 0;
}

int
events_run(struct events *events)
{
	int r = 0;

	while (!events->stop && r == 0)
		r = events_turn(events, -1);
	return r;
}

void
events_stop(struct events *events)
{
	events->stop = true;
}
