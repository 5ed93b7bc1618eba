/*
 * The worker's side of the wire: a reply is exactly what its op promises, or
 * the monitor counts as gone; events in between are kept in order.
 */
#include "unit.h"

#include <sys/socket.h>

#include "privsep/log.h"
#include "worker/mon.h"

static int monitor;			/* the test's end */
static int worker_end;
static struct mon mon;

static int
set_up(void **state)
{
	int sockets[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets) < 0)
		return -1;
	monitor = sockets[0];
	worker_end = sockets[1];
	mon_init(&mon, worker_end);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	mon_close(&mon);
	close(worker_end);
	if (monitor >= 0)
		close(monitor);
	return 0;
}

/* What the next request's reply will be; sent before the call. */
static void
reply(struct wire_reply header, const void *body, size_t len, uint32_t nfds)
{
	int fds[WIRE_FDS_MAX];
	uint32_t i;

	for (i = 0; i < nfds; i++)
		fds[i] = monitor;
	assert_int_equal(wire_send(monitor, &header, sizeof(header), body,
	    len, fds, nfds), 0);
}

static void
event(uint64_t vm, int32_t code)
{
	struct wire_reply header = { .op = EVENT_VMM_EXIT,
		.len = sizeof(struct vmm_exit_event), .vm = vm };
	struct vmm_exit_event exit = { .status_known = 1, .exit_code = code };

	reply(header, &exit, sizeof(exit), 0);
}

static struct wire_request
request_sent(void)
{
	struct wire_record record;

	assert_int_equal(wire_recv(monitor, &record, MSG_DONTWAIT), 1);
	wire_close_fds(&record);
	return record.request;
}

static void
good_calls(void **state)
{
	struct tap_create_reply tap = { .mac = { 2, 1, 2, 3, 4, 5 },
		.tap = "fc-000000000007" }, got;
	struct wire_request request;
	int fd = -1;

	(void)state;
	reply((struct wire_reply){ .op = OP_TAP_CREATE, .seq = 1, .vm = 7,
	    .len = sizeof(tap) }, &tap, sizeof(tap), 0);
	assert_int_equal(mon_tap_create(&mon, 7, 0xac100002, &got), 0);
	assert_memory_equal(&got, &tap, sizeof(tap));
	request = request_sent();
	assert_int_equal(request.op, OP_TAP_CREATE);
	assert_int_equal(request.vm, 7);
	assert_int_equal(request.len, sizeof(struct tap_create_request));
	reply((struct wire_reply){ .op = OP_SOCKET_OPEN, .seq = 2, .vm = 7,
	    .nfds = 1 }, NULL, 0, 1);
	assert_int_equal(mon_socket_open(&mon, 7, SOCKET_CONTROL, 0, &fd), 0);
	assert_true(fd >= 0);
	close(fd);
	reply((struct wire_reply){ .op = OP_TAP_DELETE, .seq = 3, .vm = 7,
	    .status = -EBUSY, .error = "tap: busy" }, NULL, 0, 0);
	assert_int_equal(mon_tap_delete(&mon, 7), -EBUSY);
	assert_string_equal(mon_error(&mon, -EBUSY), "tap: busy");
	reply((struct wire_reply){ .op = OP_TAP_DELETE, .seq = 4, .vm = 7,
	    .status = -ENOENT }, NULL, 0, 0);
	assert_int_equal(mon_tap_delete(&mon, 7), -ENOENT);
	assert_string_equal(mon_error(&mon, -ENOENT), strerror(ENOENT));
	assert_false(mon.broken);
}

/* Each is the reply to mon_vmm_find of VM 7, wrong in one respect. */
static void
bad_replies(void **state)
{
	const uint32_t len = sizeof(struct vmm_find_reply);
	const struct wire_reply good = { .op = OP_VMM_FIND, .seq = 1, .vm = 7,
		.len = len };
	struct { const char *name; struct wire_reply header; size_t body;
	    uint32_t fds; } cases[] = {
		{ "op", good, len, 0 },
		{ "seq", good, len, 0 },
		{ "vm", good, len, 0 },
		{ "len too small", good, len - 4, 0 },
		{ "len too large", good, len + 4, 0 },
		{ "body short", good, len - 4, 0 },
		{ "body long", good, len + 4, 0 },
		{ "positive status", good, len, 0 },
		{ "body with an error", good, len, 0 },
		{ "pad", good, len, 0 },
		{ "fd undeclared", good, len, 1 },
		{ "fd declared", good, len, 1 },
		{ "fd missing", good, len, 0 },
		{ "text not ended", good, 0, 0 },
		{ "event in its place", good, len, 0 },
		{ "no header", good, 0, 0 },
	};
	char body[128] = { 0 };
	size_t i;

	(void)state;
	cases[0].header.op = OP_VMM_ALIVE;
	cases[1].header.seq = 2;
	cases[2].header.vm = 8;
	cases[3].header.len = len - 4;
	cases[4].header.len = len + 4;
	cases[7].header.status = 1;
	cases[8].header.status = -EIO;
	cases[9].header.pad = 1;
	cases[11].header.nfds = 1;
	cases[12].header.nfds = 1;
	cases[13].header.status = -EIO;
	cases[13].header.len = 0;
	memset(cases[13].header.error, 'x', WIRE_ERROR_MAX);
	cases[14].header.op = EVENT_VMM_EXIT;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmm_find_reply found = { .state = 77 };
		unsigned int fds = count_fds();

		if (i > 0)
			set_up(NULL);
		if (i + 1 < ARRAY_SIZE(cases))
			reply(cases[i].header, body, cases[i].body,
			    cases[i].fds);
		else
			assert_int_equal(send(monitor, "x", 1, 0), 1);
		assert_case(mon_vmm_find(&mon, 7, &found) == -EPIPE, i,
		    cases[i].name);
		assert_case(mon.broken && found.state == 77, i,
		    cases[i].name);
		assert_int_equal(mon_vmm_find(&mon, 7, &found), -EPIPE);
		if (i > 0)
			assert_int_equal(count_fds(), fds + 2);
		tear_down(NULL);
	}
	set_up(NULL);
}

static unsigned int woken;

static void
wake(void *arg)
{
	assert_ptr_equal(arg, &mon);
	woken++;
}

static void
events_between(void **state)
{
	struct mon_event got;
	int i;

	(void)state;
	woken = 0;
	mon.queued = wake;
	mon.arg = &mon;
	event(1, 0);
	event(2, -9);
	reply((struct wire_reply){ .op = OP_VMM_KILL, .seq = 1, .vm = 3 },
	    NULL, 0, 0);
	event(3, 1);
	assert_int_equal(mon_vmm_kill(&mon, 3), 0);
	assert_int_equal(woken, 2);
	assert_int_equal(mon_receive(&mon), 0);
	assert_int_equal(woken, 3);
	for (i = 1; i <= 3; i++) {
		assert_true(mon_next_event(&mon, &got));
		assert_int_equal(got.vm, i);
	}
	assert_int_equal(got.exit.exit_code, 1);
	assert_false(mon_next_event(&mon, &got));
}

static void
end_of_the_wire(void **state)
{
	struct hello_reply hello;

	(void)state;
	close(monitor);
	monitor = -1;
	assert_int_equal(mon_receive(&mon), -EPIPE);
	assert_true(mon.broken);
	assert_int_equal(mon_hello(&mon, &hello), -EPIPE);
}

/* Events have seq 0, so no request may. */
static void
sequence_wraps(void **state)
{
	(void)state;
	mon.seq = UINT32_MAX;
	reply((struct wire_reply){ .op = OP_VMM_KILL, .seq = 1, .vm = 3 },
	    NULL, 0, 0);
	assert_int_equal(mon_vmm_kill(&mon, 3), 0);
	assert_int_equal(request_sent().seq, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_calls),
		TEST(bad_replies),
		TEST(events_between),
		TEST(end_of_the_wire),
		TEST(sequence_wraps),
	};

	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
