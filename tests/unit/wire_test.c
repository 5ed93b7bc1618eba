/*
 * Records and their fds: what arrives is exactly what was declared, or it is
 * an error and every fd that came is closed.
 */
#include "unit.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include "privsep/wire.h"

enum { SCM_FDS_MAX = 253 };		/* of a record, unix(7) */

static int sockets[2];			/* the test's end, wire_recv's end */
static unsigned int fds_before;

static int
set_up(void **state)
{
	(void)state;
	fds_before = count_fds();
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets);
}

static int
tear_down(void **state)
{
	(void)state;
	close(sockets[0]);
	close(sockets[1]);
	/* A failed case leaks; what passed must not. */
	return count_fds() == fds_before ? 0 : -1;
}

/* Sends LEN bytes and COUNT fds, past all of wire_send's own limits. */
static void
send_raw(const void *data, size_t len, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * SCM_FDS_MAX)];
	} control = { 0 };
	char copy[2 * WIRE_RECORD_MAX];
	struct iovec iov = { copy, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t i;

	memcpy(copy, data, len);
	if (count > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (i = 0; i < count; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &sockets[0],
			    sizeof(int));
	}
	assert_int_equal(sendmsg(sockets[0], &msg, 0), (ssize_t)len);
}

static void
every_number_of_fds(void **state)
{
	struct wire_record record;
	uint32_t count, i;

	(void)state;
	for (count = 0; count <= SCM_FDS_MAX; count++) {
		int r;

		send_raw("abc", 3, count);
		r = wire_recv(sockets[1], &record, 0);
		if (count > WIRE_FDS_MAX) {
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(record.nfds, 0);
		} else {
			assert_int_equal(r, 1);
			assert_int_equal(record.len, 3);
			assert_memory_equal(record.bytes, "abc", 3);
			assert_int_equal(record.nfds, count);
		}
		for (i = 0; i < record.nfds; i++)
			assert_int_equal(fcntl(record.fds[i], F_GETFD),
			    FD_CLOEXEC);
		wire_close_fds(&record);
		assert_int_equal(count_fds(), fds_before + 2);
	}
}

static void
sizes(void **state)
{
	static char data[WIRE_RECORD_MAX + 2];
	struct wire_record record;

	(void)state;
	memset(data, 'x', sizeof(data));
	send_raw(data, 1, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	assert_int_equal(record.len, 1);
	send_raw(data, WIRE_RECORD_MAX, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	assert_int_equal(record.len, WIRE_RECORD_MAX);
	send_raw(data, WIRE_RECORD_MAX + 1, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), -EBADMSG);
	/* Truncated, and its fds are closed. */
	send_raw(data, WIRE_RECORD_MAX + 1, 2);
	assert_int_equal(wire_recv(sockets[1], &record, 0), -EBADMSG);
	assert_int_equal(record.nfds, 0);
	/* The one after it is whole again. */
	send_raw("next", 4, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	assert_int_equal(record.len, 4);
}

/* Taken for the end of file, and its fds are closed. */
static void
empty_record(void **state)
{
	struct wire_record record;

	(void)state;
	send_raw("", 0, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 0);
	send_raw("", 0, 3);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 0);
	assert_int_equal(record.nfds, 0);
	assert_int_equal(record.len, 0);
}

static void
end_of_file(void **state)
{
	struct wire_record record;

	(void)state;
	send_raw("last", 4, 1);
	assert_int_equal(shutdown(sockets[0], SHUT_WR), 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	wire_close_fds(&record);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 0);
}

static void
nothing_there(void **state)
{
	struct wire_record record;

	(void)state;
	assert_int_equal(wire_recv(sockets[1], &record, MSG_DONTWAIT),
	    -EAGAIN);
	assert_int_equal(wire_recv(-1, &record, 0), -EBADF);
	assert_int_equal(record.nfds, 0);
}

/* With SO_PASSCRED the kernel adds a header that nobody asked for here. */
static void
other_control_data(void **state)
{
	struct wire_record record;
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(sockets[1], SOL_SOCKET, SO_PASSCRED, &on,
	    sizeof(on)), 0);
	send_raw("abc", 3, 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), -EBADMSG);
	assert_int_equal(record.nfds, 0);
}

static void
sending(void **state)
{
	struct wire_request header = { .op = 7, .seq = 9, .vm = 11 };
	int many[WIRE_FDS_MAX + 1];
	char body[WIRE_RECORD_MAX];
	struct wire_record record;
	uint32_t i;

	(void)state;
	memset(body, 'b', sizeof(body));
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = sockets[0];
	assert_int_equal(wire_send(sockets[0], &header, sizeof(header), body,
	    5, many, WIRE_FDS_MAX), 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	assert_int_equal(record.len, sizeof(header) + 5);
	assert_memory_equal(&record.request, &header, sizeof(header));
	assert_memory_equal(record.bytes + sizeof(header), "bbbbb", 5);
	assert_int_equal(record.nfds, WIRE_FDS_MAX);
	wire_close_fds(&record);

	assert_int_equal(wire_send(sockets[0], &header, sizeof(header), body,
	    5, many, WIRE_FDS_MAX + 1), -EMSGSIZE);
	assert_int_equal(wire_send(sockets[0], &header, sizeof(header), body,
	    WIRE_RECORD_MAX, NULL, 0), -EMSGSIZE);
	assert_int_equal(wire_send(sockets[0], &header, sizeof(header), body,
	    WIRE_RECORD_MAX - sizeof(header), NULL, 0), 0);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	assert_int_equal(record.len, WIRE_RECORD_MAX);
	/* Nothing of the refused ones was sent. */
	assert_int_equal(wire_recv(sockets[1], &record, MSG_DONTWAIT),
	    -EAGAIN);
	close(sockets[1]);
	sockets[1] = -1;
	assert_int_equal(wire_send(sockets[0], &header, sizeof(header), NULL,
	    0, NULL, 0), -EPIPE);
}

static void
taking_fds(void **state)
{
	struct wire_record record;
	int fd;

	(void)state;
	send_raw("abc", 3, 2);
	assert_int_equal(wire_recv(sockets[1], &record, 0), 1);
	fd = wire_take_fd(&record, 1);
	assert_true(fd >= 0);
	assert_int_equal(wire_take_fd(&record, 1), -1);
	assert_int_equal(wire_take_fd(&record, 2), -1);
	assert_int_equal(wire_take_fd(&record, UINT32_MAX), -1);
	wire_close_fds(&record);
	wire_close_fds(&record);
	/* What was taken is the taker's. */
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* Layout: what the comment in proto.h says of padding. */
static void
layout(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct wire_request), 24);
	assert_int_equal(sizeof(struct wire_reply), 32 + WIRE_ERROR_MAX);
	assert_int_equal(sizeof(struct wire_empty), 0);
	assert_int_equal(sizeof(struct hello_reply), 16 * 4 + 2 * 8 +
	    PATH_BYTES + 2 * NAME_BYTES);
	assert_int_equal(sizeof(struct vmm_find_reply), 24);
	assert_int_equal(sizeof(struct vmm_list_reply), 16);
	assert_int_equal(sizeof(struct tap_create_reply), 24);
	assert_true(sizeof(struct wire_reply) + sizeof(struct hello_reply) <=
	    WIRE_RECORD_MAX);
}

#define wire_unit_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		wire_unit_test(every_number_of_fds),
		wire_unit_test(sizes),
		wire_unit_test(empty_record),
		wire_unit_test(end_of_file),
		wire_unit_test(nothing_there),
		wire_unit_test(other_control_data),
		wire_unit_test(sending),
		wire_unit_test(taking_fds),
		cmocka_unit_test(layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
