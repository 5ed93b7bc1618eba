/*
 * Replies and events of a monitor's, as the worker reads them: records of the
 * input, with the op and number of the request under way or their own.
 */
#include "fuzz.h"

#include <sys/socket.h>

#include "worker/mon.h"

/* One request of each kind that has a reply of its own. 0 or -errno. */
static int
call(struct mon *mon, uint8_t which)
{
	struct vmm_launch_request launch = { .vmm = VMM_QEMU, .vcpus = 1,
		.mem_mib = 64 };
	const int fds[LAUNCH_FDS] = { STDIN_FILENO, STDIN_FILENO, STDIN_FILENO };
	union {
		struct hello_reply hello;
		struct bridge_ensure_reply bridge;
		struct tap_create_reply tap;
		struct snapshot_status_reply snapshot;
		struct vmm_list_reply list;
		struct vmm_find_reply find;
		struct vmm_stats_reply stats;
	} reply;
	int fd = -1, r;

	switch (which % 10) {
	case 0:
		return mon_hello(mon, &reply.hello);
	case 1:
		return mon_bridge_ensure(mon, &reply.bridge);
	case 2:
		return mon_tap_create(mon, 1, 2, &reply.tap);
	case 3:
		return mon_snapshot_status(mon, 1, &reply.snapshot);
	case 4:
		return mon_vmm_list(mon, 0, &reply.list);
	case 5:
		return mon_vmm_find(mon, 1, &reply.find);
	case 6:
		return mon_vmm_stats(mon, 1, &reply.stats);
	case 7:
		r = mon_vmm_launch(mon, 1, &launch, fds, &fd);
		break;
	case 8:
		r = mon_socket_open(mon, 1, SOCKET_CONSOLE, 0, &fd);
		break;
	default:
		return mon_vmm_kill(mon, 1);
	}
	must((r == 0) == (fd >= 0));
	close_fdp(&fd);
	return r;
}

/* Puts a record of the input on the wire. */
static void
say(int sock, struct input *in, uint32_t op, uint32_t seq)
{
	uint8_t how = take_u8(in), bytes[WIRE_RECORD_MAX] = { 0 };
	struct input piece = take_piece(in);
	const int fds[] = { STDIN_FILENO, STDIN_FILENO };
	struct wire_reply reply;

	if (piece.len > sizeof(bytes))
		piece.len = sizeof(bytes);
	memcpy(bytes, piece.data, piece.len);
	if (how & 1) {
		/* The right header; the input says how much is behind it. */
		memset(&reply, 0, sizeof(reply));
		reply.op = op;
		reply.seq = seq;
		reply.vm = op == OP_HELLO || op == OP_BRIDGE_ENSURE ||
		    op == OP_VMM_LIST ? 0 : 1;
		reply.len = piece.len < sizeof(reply) ? 0 :
		    (uint32_t)(piece.len - sizeof(reply));
		reply.nfds = how >> 6 & 1;
		memcpy(bytes, &reply, sizeof(reply));
		if (piece.len < sizeof(reply))
			piece.len = sizeof(reply);
	}
	if (piece.len > 0)
		(void)wire_send(sock, bytes, piece.len, NULL, 0, fds, how >> 6 & 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint32_t ops[] = { OP_HELLO, OP_BRIDGE_ENSURE, OP_TAP_CREATE,
		OP_SNAPSHOT_STATUS, OP_VMM_LIST, OP_VMM_FIND, OP_VMM_STATS,
		OP_VMM_LAUNCH, OP_SOCKET_OPEN, OP_VMM_KILL };
	struct input in = { data, len };
	int fd = lowest_fd(), wire[2], r;
	struct mon_event event;
	struct mon mon;
	uint8_t which = take_u8(&in);

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) == 0);
	/* What has no room any more is not said. */
	must(fcntl(wire[1], F_SETFL, O_NONBLOCK) == 0);
	mon_init(&mon, wire[0]);
	while (in.len > 0)
		say(wire[1], &in, ops[which % ARRAY_SIZE(ops)], 1);
	must(shutdown(wire[1], SHUT_WR) == 0);
	r = call(&mon, which);
	must(r <= 0 && strlen(mon_error(&mon, r)) < WIRE_ERROR_MAX);
	(void)mon_receive(&mon);
	while (mon_next_event(&mon, &event))
		;
	mon_close(&mon);
	close(wire[0]);
	close(wire[1]);
	must(lowest_fd() == fd);
	return 0;
}
