/*
 * The event loop: order of timers, tasks, and callbacks that end each other's
 * watches.
 */
#include "unit.h"

#include "base/event.h"

static struct events events;
static char trace[64];

static int
set_up(void **state)
{
	(void)state;
	trace[0] = '\0';
	return events_init(&events);
}

static int
tear_down(void **state)
{
	(void)state;
	events_close(&events);
	return 0;
}

static void
note(void *arg)
{
	strcat(trace, arg);
}

static void
stop(void *arg)
{
	(void)arg;
	events_stop(&events);
}

static void
timers_in_order(void **state)
{
	static char names[][2] = { "a", "b", "c" };
	struct event_timer a = { 0 }, b = { 0 }, c = { 0 }, end = { 0 };

	(void)state;
	event_timer_set(&events, &end, 12, stop, NULL);
	event_timer_set(&events, &c, 6, note, names[2]);
	event_timer_set(&events, &a, 0, note, names[0]);
	event_timer_set(&events, &b, 3, note, names[1]);
	/* Set anew: moves, is not doubled. */
	event_timer_set(&events, &a, 8, note, names[0]);
	assert_int_equal(events_run(&events), 0);
	assert_string_equal(trace, "bca");
	assert_false(a.armed || b.armed || c.armed || end.armed);
}

static void
timer_cleared(void **state)
{
	static char name[] = "x";
	struct event_timer x = { 0 }, end = { 0 };

	(void)state;
	event_timer_clear(&x);
	event_timer_set(&events, &x, 1, note, name);
	event_timer_set(&events, &end, 4, stop, NULL);
	event_timer_clear(&x);
	event_timer_clear(&x);
	assert_int_equal(events_run(&events), 0);
	assert_string_equal(trace, "");
}

static struct event_task second;

static void
post_second(void *arg)
{
	static char name[] = "2";

	strcat(trace, arg);
	event_task_post(&events, &second, note, name);
}

static void
tasks_run_once(void **state)
{
	static char names[][2] = { "1", "3" };
	struct event_task first = { 0 }, third = { 0 }, gone = { 0 };

	(void)state;
	event_task_post(&events, &first, post_second, names[0]);
	event_task_post(&events, &first, post_second, names[0]);
	event_task_post(&events, &third, note, names[1]);
	event_task_post(&events, &gone, note, names[1]);
	event_task_clear(&gone);
	assert_int_equal(events_turn(&events, 0), 0);
	assert_string_equal(trace, "132");
}

/* Two sockets are readable; the first callback ends the other's watch. */
static struct event_io ios[2];
static unsigned int calls;

static void
end_both(void *arg, uint32_t ready)
{
	(void)arg;
	assert_true((ready & EPOLLIN) != 0);
	calls++;
	event_io_stop(&ios[0]);
	event_io_stop(&ios[1]);
}

static void
watches_end_each_other(void **state)
{
	int pipes[2][2], i;

	(void)state;
	calls = 0;
	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
		assert_int_equal(event_io_start(&events, &ios[i], pipes[i][0],
		    EPOLLIN, end_both, NULL), 0);
	}
	assert_int_equal(events_turn(&events, 100), 0);
	assert_int_equal(events_turn(&events, 0), 0);
	assert_int_equal(calls, 1);
	for (i = 0; i < 2; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

static void
count_call(void *arg, uint32_t ready)
{
	(void)ready;
	++*(unsigned int *)arg;
}

static void
masks(void **state)
{
	struct event_io io = EVENT_IO_NONE;
	unsigned int count = 0;
	int pipefd[2];

	(void)state;
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	assert_int_equal(event_io_start(&events, &io, pipefd[1], EPOLLOUT,
	    count_call, &count), 0);
	assert_int_equal(events_turn(&events, 0), 0);
	assert_int_equal(event_io_mask(&io, 0), 0);
	assert_int_equal(events_turn(&events, 0), 0);
	assert_int_equal(count, 1);
	event_io_stop(&io);
	event_io_stop(&io);
	close(pipefd[0]);
	close(pipefd[1]);
	assert_int_equal(event_io_start(&events, &io, pipefd[1], EPOLLIN,
	    count_call, &count), -EBADF);
	assert_null(io.events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_in_order, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(timer_cleared, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(tasks_run_once, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(watches_end_each_other,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(masks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
