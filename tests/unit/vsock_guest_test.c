/*
 * The guest's end of vsock, played over Unix sockets: who may connect, which
 * connection is whose, and what callers that say nothing or too much can do.
 */
#include "unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "guest/control.h"
#include "guest/vsock.h"

static const uint8_t nonces[2][STREAM_NONCE_SIZE] = {
	"0123456789abcde", "fedcba987654321",
};

static struct loop loop;
static struct vsock v;
static struct sockaddr_un control_name, stream_name;
static bool trusted;
static unsigned int fds_before;

static bool
is_trusted(const struct sockaddr_storage *peer, socklen_t len)
{
	(void)peer;
	(void)len;
	return trusted;
}

/* A listener with an abstract name of the kernel's choice. */
static int
listener(struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(*name);

	assert_true(fd >= 0);
	memset(name, 0, sizeof(*name));
	assert_int_equal(bind(fd, (struct sockaddr *)&any,
	    sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)name, &len), 0);
	return fd;
}

static int
set_up(void **state)
{
	(void)state;
	fds_before = count_fds();
	trusted = true;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(vsock_start(&v, &loop, listener(&control_name),
	    listener(&stream_name), is_trusted), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	vsock_stop(&v);
	loop_close(&loop);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

static int
dial(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* An abstract name of the kernel's own has five digits. */
	assert_int_equal(connect(fd, (const struct sockaddr *)name,
	    sizeof(sa_family_t) + 6), 0);
	loop_wait(&loop, 0);
	return fd;
}

static void
put(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
	loop_wait(&loop, 0);
}

static int
take(uint8_t nonce[STREAM_NONCE_SIZE])
{
	int fd = vsock_take_caller(&v, nonce);

	loop_wait(&loop, 0);
	return fd;
}

/* Whether the agent has closed the other end of FD. */
static bool
closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

static void
only_the_host(void **state)
{
	static const struct {
		sa_family_t family;
		unsigned int cid;
		socklen_t len;
		bool host;
	} peers[] = {
		{ AF_VSOCK, VMADDR_CID_HOST, sizeof(struct sockaddr_vm), true },
		{ AF_VSOCK, VMADDR_CID_HYPERVISOR, sizeof(struct sockaddr_vm),
		    false },
		{ AF_VSOCK, 1, sizeof(struct sockaddr_vm), false },
		{ AF_VSOCK, 3, sizeof(struct sockaddr_vm), false },
		{ AF_VSOCK, VMADDR_CID_ANY, sizeof(struct sockaddr_vm),
		    false },
		{ AF_VSOCK, VMADDR_CID_HOST, 4, false },
		{ AF_VSOCK, VMADDR_CID_HOST, 0, false },
		{ AF_UNIX, VMADDR_CID_HOST, sizeof(struct sockaddr_vm),
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(peers); i++) {
		struct sockaddr_vm address = { .svm_family = peers[i].family,
			.svm_cid = peers[i].cid };
		struct sockaddr_storage peer = { 0 };

		memcpy(&peer, &address, sizeof(address));
		assert_case(vsock_is_host(&peer, peers[i].len) ==
		    peers[i].host, i, "peer");
	}
}

static void
strangers_are_closed(void **state)
{
	uint8_t nonce[STREAM_NONCE_SIZE];
	int control, stream;

	(void)state;
	trusted = false;
	control = dial(&control_name);
	stream = dial(&stream_name);
	assert_int_equal(vsock_accept_control(&v), -EAGAIN);
	assert_int_equal(take(nonce), -EAGAIN);
	assert_true(closed(control) && closed(stream));
	assert_false(vsock_busy(&v));
	assert_int_equal(vsock_deadline(&v), INT64_MAX);
	close(control);
	close(stream);
}

/* A restarted worker's connection counts, its predecessor's does not. */
static void
newest_control(void **state)
{
	int old, new, got;

	(void)state;
	assert_int_equal(vsock_accept_control(&v), -EAGAIN);
	old = dial(&control_name);
	new = dial(&control_name);
	got = vsock_accept_control(&v);
	assert_true(got >= 0);
	assert_int_equal(vsock_accept_control(&v), -EAGAIN);
	assert_true(closed(old));
	put(new, "x", 1);
	assert_false(closed(got));
	close(old);
	close(new);
	close(got);
}

/* Two callers in the other order; HELLO stays to be read. */
static void
callers_by_nonce(void **state)
{
	uint8_t hello[2][STREAM_CONTROL_MAX], got[STREAM_CONTROL_MAX];
	uint8_t nonce[STREAM_NONCE_SIZE];
	size_t len = 0;
	int fds[2], i;

	(void)state;
	for (i = 0; i < 2; i++) {
		len = stream_put_hello(hello[i], nonces[i]);
		fds[i] = dial(&stream_name);
	}
	assert_int_equal(take(nonce), -EAGAIN);
	for (i = 1; i >= 0; i--) {
		int fd;

		put(fds[i], hello[i], len);
		put(fds[i], "more", 4);
		fd = take(nonce);
		assert_true(fd >= 0);
		assert_memory_equal(nonce, nonces[i], sizeof(nonce));
		assert_int_equal(recv(fd, got, len, MSG_DONTWAIT), len);
		assert_memory_equal(got, hello[i], len);
		close(fd);
		close(fds[i]);
	}
	assert_int_equal(take(nonce), -EAGAIN);
	assert_int_equal(vsock_deadline(&v), INT64_MAX);
}

static void
hello_byte_by_byte(void **state)
{
	uint8_t hello[STREAM_CONTROL_MAX], nonce[STREAM_NONCE_SIZE];
	size_t len = stream_put_hello(hello, nonces[0]), i;
	int fd = dial(&stream_name), got;

	(void)state;
	for (i = 0; i < len; i++) {
		assert_int_equal(take(nonce), -EAGAIN);
		assert_false(vsock_busy(&v));
		put(fd, hello + i, 1);
	}
	got = take(nonce);
	assert_true(got >= 0);
	assert_memory_equal(nonce, nonces[0], sizeof(nonce));
	close(got);
	close(fd);
}

/* Another version's HELLO still says whose it is: the session refuses it. */
static void
hello_of_another_version(void **state)
{
	uint8_t hello[STREAM_CONTROL_MAX], nonce[STREAM_NONCE_SIZE];
	size_t len = stream_put_hello(hello, nonces[1]);
	int fd = dial(&stream_name), got;

	(void)state;
	hello[STREAM_HEADER_SIZE + 8]++;
	put(fd, hello, len);
	got = take(nonce);
	assert_true(got >= 0);
	assert_memory_equal(nonce, nonces[1], sizeof(nonce));
	close(got);
	close(fd);
}

static void
bad_callers(void **state)
{
	static const char rubbish[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n1234567890";
	uint8_t frame[STREAM_CONTROL_MAX], nonce[STREAM_NONCE_SIZE];
	int fds[3], i;

	(void)state;
	for (i = 0; i < 3; i++)
		fds[i] = dial(&stream_name);
	put(fds[0], rubbish, strlen(rubbish));
	put(fds[1], frame, stream_put_eof(frame));
	(void)shutdown(fds[2], SHUT_WR);
	loop_wait(&loop, 0);
	assert_int_equal(take(nonce), -EAGAIN);
	for (i = 0; i < 3; i++) {
		assert_true(closed(fds[i]));
		close(fds[i]);
	}
	assert_int_equal(vsock_deadline(&v), INT64_MAX);
}

/* More than there are streams wait outside; time makes room. */
static void
callers_are_bounded(void **state)
{
	enum { MORE = (int)AGENT_STREAM_PORTS + 3 };
	uint8_t hello[STREAM_CONTROL_MAX], nonce[STREAM_NONCE_SIZE];
	size_t len = stream_put_hello(hello, nonces[0]), i;
	int fds[MORE], got;

	(void)state;
	for (i = 0; i < MORE; i++)
		fds[i] = dial(&stream_name);
	put(fds[MORE - 1], hello, len);
	assert_int_equal(take(nonce), -EAGAIN);
	assert_false(vsock_busy(&v));
	assert_true(vsock_deadline(&v) < INT64_MAX);
	for (i = 0; i < AGENT_STREAM_PORTS; i++) {
		assert_true(v.callers[i].link.fd >= 0);
		v.callers[i].deadline = 0;
	}
	assert_int_equal(take(nonce), -EAGAIN);
	assert_true(vsock_busy(&v));
	for (i = 0; i < AGENT_STREAM_PORTS; i++)
		assert_true(closed(fds[i]));
	got = take(nonce);
	assert_true(got >= 0);
	close(got);
	for (i = 0; i < MORE; i++)
		close(fds[i]);
}

/* ---- the control channel on a connection ---- */

static void
control_ends(void **state)
{
	static struct control c;
	struct agent_msg ping = { .type = AGENT_PING, .seq = 7 }, got;
	uint8_t bytes[AGENT_MSG_SIZE];
	int fd = dial(&control_name);

	(void)state;
	control_init(&c);
	assert_int_equal(loop_watch(&loop, &c.link, vsock_accept_control(&v)),
	    0);
	c.connection = true;
	agent_msg_encode(bytes, &ping);
	put(fd, bytes, sizeof(bytes));
	put(fd, bytes, sizeof(bytes) - 1);
	/* The last whole request of a worker that has gone still counts. */
	close(fd);
	loop_wait(&loop, 0);
	assert_true(control_receive(&c, &got));
	assert_int_equal(got.seq, 7);
	assert_false(control_receive(&c, &got));
	assert_true(c.over);
	got.reply = true;
	control_send(&c, &got);
	control_close(&c, &loop);
	assert_false(c.over);
	assert_int_equal(c.link.fd, -1);
	assert_int_equal(c.rx.len + c.tx.len, 0);
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_host),
		WITH(strangers_are_closed),
		WITH(newest_control),
		WITH(callers_by_nonce),
		WITH(hello_byte_by_byte),
		WITH(hello_of_another_version),
		WITH(bad_callers),
		WITH(callers_are_bounded),
		WITH(control_ends),
	};

	/* A write to a caller that has gone is for its status to tell. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
