/*
 * The handshake with Firecracker's vsock socket: its line in every way it can be
 * cut and garbled, and the dial against a VMM that is late, silent, gone, or
 * something else altogether.
 */
#include "unit.h"

#include <sys/socket.h>

#include "worker/vsock_dial.h"

/* ---- the line ---- */

static const struct {
	const char *data;
	int result;
	size_t used;
} lines[] = {
	{ "OK 1073741824\n", 1, 14 },
	{ "OK 0\n", 1, 5 },
	{ "OK 4294967295\n", 1, 14 },
	{ "OK 1\nOK 2\n", 1, 5 },
	{ "OK 1\n\n", 1, 5 },
	{ "OK 4294967296\n", -EPROTO, 14 },
	{ "OK 00000000001\n", -EPROTO, 13 },
	{ "OK 01\n", -EPROTO, 6 },
	{ "OK -1\n", -EPROTO, 6 },
	{ "OK 1 \n", -EPROTO, 6 },
	{ "OK 1\r\n", -EPROTO, 6 },
	{ "OK  1\n", -EPROTO, 6 },
	{ "OK \n", -EPROTO, 4 },
	{ "OK\n", -EPROTO, 3 },
	{ "ok 1\n", -EPROTO, 5 },
	{ "OK1\n", -EPROTO, 4 },
	{ "\n", -EPROTO, 1 },
	{ " OK 1\n", -EPROTO, 6 },
	{ "ERR 1\n", -EPROTO, 6 },
	{ "HTTP/1.1 400 Bad Request\r\n", -EPROTO, 13 },
	{ "", 0, 0 },
	{ "O", 0, 1 },
	{ "OK 107374182", 0, 12 },
	{ "OK 1073741824", 0, 13 },
};

/* Feeds in pieces of STEP bytes, as a split read would; *USED is the sum. */
static int
feed(const char *data, size_t len, size_t step, size_t *used)
{
	struct vsock_reply reply = { .len = 0 };
	size_t at = 0, taken;
	int r = 0;

	while (r == 0 && at < len) {
		size_t n = len - at < step ? len - at : step;

		r = vsock_reply_feed(&reply, data + at, n, &taken);
		assert_true(taken <= n);
		at += taken;
	}
	*used = at;
	return r;
}

static void
reply_lines(void **state)
{
	size_t i, step, used;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lines); i++)
		for (step = 1; step < 30; step++) {
			size_t len = strlen(lines[i].data);
			int r = feed(lines[i].data, len, step, &used);

			assert_case(r == lines[i].result, i, lines[i].data);
			assert_case(used == lines[i].used, i, lines[i].data);
		}
}

static void
reply_nul_and_endless(void **state)
{
	char endless[4096];
	size_t used;

	(void)state;
	assert_int_equal(feed("OK 1\0\n", 6, 30, &used), -EPROTO);
	assert_int_equal(feed("OK 1\0002\n", 7, 1, &used), -EPROTO);
	memset(endless, '1', sizeof(endless));
	memcpy(endless, "OK ", 3);
	assert_int_equal(feed(endless, sizeof(endless), sizeof(endless),
	    &used), -EPROTO);
	assert_true(used < VSOCK_REPLY_MAX);
}

static void
request(void **state)
{
	char text[VSOCK_REQUEST_MAX];

	(void)state;
	assert_int_equal(vsock_request(text, 1023), 13);
	assert_string_equal(text, "CONNECT 1023\n");
	assert_int_equal(vsock_request(text, UINT32_MAX),
	    VSOCK_REQUEST_MAX - 1);
	assert_string_equal(text, "CONNECT 4294967295\n");
}

/* ---- the dial ---- */

enum { LONG_MS = 20 * 1000 };

static struct events events;
static struct vsock_dial dial;
static int vmm;				/* the VMM's end */
static int calls, result;
static unsigned int fds_before;

static void
on_dialled(void *arg, int fd)
{
	assert_ptr_equal(arg, &dial);
	assert_false(dial.active);
	calls++;
	result = fd;
}

static int
set_up(void **state)
{
	(void)state;
	fds_before = count_fds();
	calls = 0;
	result = 0;
	memset(&dial, 0, sizeof(dial));
	return events_init(&events);
}

static int
tear_down(void **state)
{
	(void)state;
	vsock_dial_cancel(&dial);
	events_close(&events);
	if (vmm >= 0)
		close(vmm);
	vmm = -1;
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

static void
start(int64_t timeout_ms)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fds), 0);
	vmm = fds[1];
	assert_int_equal(vsock_dial_start(&dial, &events, fds[0], 1024,
	    timeout_ms, on_dialled, &dial), 0);
	assert_int_equal(calls, 0);
}

static void
turn(int times)
{
	while (times-- > 0)
		assert_int_equal(events_turn(&events, 0), 0);
}

/* The VMM reads the request, whole and nothing else. */
static void
expect_request(void)
{
	char text[64] = "";

	turn(2);
	assert_int_equal(recv(vmm, text, sizeof(text), MSG_DONTWAIT), 13);
	assert_string_equal(text, "CONNECT 1024\n");
}

static void
say(const char *text)
{
	assert_int_equal(send(vmm, text, strlen(text), MSG_NOSIGNAL),
	    strlen(text));
}

/* Success: FD is the same socket, and its next byte is what follows the line. */
static void
expect_stream(const char *text)
{
	char got[64] = "";

	assert_int_equal(calls, 1);
	assert_true(result >= 0);
	if (text[0] != '\0')
		assert_int_equal(recv(result, got, sizeof(got), MSG_DONTWAIT),
		    strlen(text));
	assert_string_equal(got, text);
	assert_int_equal(recv(result, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(result);
}

static void
dial_at_once(void **state)
{
	(void)state;
	start(LONG_MS);
	expect_request();
	say("OK 7\n");
	turn(1);
	expect_stream("");
}

/* The guest speaks first, in the same segment. */
static void
dial_keeps_the_stream(void **state)
{
	(void)state;
	start(LONG_MS);
	expect_request();
	say("OK 1073741824\nOK 5\nstream");
	turn(1);
	expect_stream("OK 5\nstream");
}

static void
dial_byte_by_byte(void **state)
{
	static const char line[] = "OK 1073741824\n";
	size_t i;

	(void)state;
	start(LONG_MS);
	expect_request();
	for (i = 0; line[i] != '\0'; i++) {
		turn(3);
		assert_int_equal(calls, 0);
		assert_int_equal(send(vmm, line + i, 1, MSG_NOSIGNAL), 1);
	}
	say("x");
	turn(1);
	expect_stream("x");
}

static void
dial_refused(void **state)
{
	(void)state;
	start(LONG_MS);
	expect_request();
	close(vmm);
	vmm = -1;
	turn(1);
	assert_int_equal(calls, 1);
	assert_int_equal(result, -ECONNREFUSED);
	turn(2);
	assert_int_equal(calls, 1);
}

/* It goes without having read the request, and in the middle of its line. */
static void
dial_refused_rudely(void **state)
{
	(void)state;
	start(LONG_MS);
	close(vmm);
	vmm = -1;
	turn(2);
	assert_int_equal(result, -ECONNREFUSED);
	calls = result = 0;
	start(LONG_MS);
	expect_request();
	say("OK 12");
	close(vmm);
	vmm = -1;
	turn(3);
	assert_int_equal(calls, 1);
	assert_int_equal(result, -ECONNREFUSED);
}

static void
dial_garbage(void **state)
{
	static const char *const said[] = {
		"OK\n", "HTTP/1.1 400\r\n\r\n", "\n", "OK 1234567890123456",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(said); i++) {
		calls = result = 0;
		start(LONG_MS);
		expect_request();
		say(said[i]);
		turn(2);
		assert_int_equal(calls, 1);
		assert_int_equal(result, -EPROTO);
		close(vmm);
		vmm = -1;
	}
}

/* Silent, or stuck in its line: the deadline of 0 ms is over at once. */
static void
dial_stalls(void **state)
{
	(void)state;
	start(LONG_MS);
	expect_request();
	say("OK 1");
	turn(5);
	assert_int_equal(calls, 0);
	vsock_dial_cancel(&dial);
	close(vmm);
	start(0);
	assert_int_equal(events_turn(&events, 1000), 0);
	turn(1);
	assert_int_equal(calls, 1);
	assert_int_equal(result, -ETIMEDOUT);
}

static void
dial_cancelled(void **state)
{
	char byte;

	(void)state;
	start(0);
	vsock_dial_cancel(&dial);
	vsock_dial_cancel(&dial);
	turn(3);
	assert_int_equal(calls, 0);
	/* Closed: the request that was under way, then the end. */
	while (recv(vmm, &byte, 1, MSG_DONTWAIT) == 1)
		;
	assert_int_equal(recv(vmm, &byte, 1, MSG_DONTWAIT), 0);
}

/* A socket without room takes the request when it has. */
static void
dial_full_socket(void **state)
{
	static char filler[4096];
	char text[sizeof(filler)], last[14] = "";
	int fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fds), 0);
	vmm = fds[1];
	while (send(fds[0], filler, sizeof(filler), MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(vsock_dial_start(&dial, &events, fds[0], 1024,
	    LONG_MS, on_dialled, &dial), 0);
	turn(3);
	assert_true(dial.sent < dial.request_len);
	while ((n = recv(vmm, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		if (n >= 13)
			memcpy(last, text + n - 13, 13);
		turn(1);
	}
	assert_string_equal(last, "CONNECT 1024\n");
	say("OK 9\n");
	turn(2);
	expect_stream("");
}

static void
dial_bad_fd(void **state)
{
	(void)state;
	vmm = -1;
	assert_true(vsock_dial_start(&dial, &events, open("/dev/null",
	    O_RDWR | O_CLOEXEC), 1024, LONG_MS, on_dialled, &dial) < 0);
	assert_false(dial.active);
	assert_int_equal(calls, 0);
}

#define DIAL(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reply_lines),
		cmocka_unit_test(reply_nul_and_endless),
		cmocka_unit_test(request),
		DIAL(dial_at_once),
		DIAL(dial_keeps_the_stream),
		DIAL(dial_byte_by_byte),
		DIAL(dial_refused),
		DIAL(dial_refused_rudely),
		DIAL(dial_garbage),
		DIAL(dial_stalls),
		DIAL(dial_cancelled),
		DIAL(dial_full_socket),
		DIAL(dial_bad_fd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
