/*
 * How a VMM's kind chooses the way to the agent, and the agent's link over vsock:
 * streams asked for while it is being made, a guest too young, a VMM that goes.
 */
#include "unit.h"

#include <sys/socket.h>

#include "worker/machine.h"

enum { LONG_MS = 20 * 1000 };

static struct worker worker;
static struct machine machine;
static struct vsock_dial dial;
static int vmm = -1;			/* the VMM's end of the last socket */
static uint32_t asked_socket, asked_index;
static int open_error;
static int readies, losses, opened, connected;
static int open_result, stream_fd;

int	 __wrap_mon_socket_open(struct mon *mon, uint64_t vm,
	    enum vmm_socket kind, uint32_t index, int *fd);

int
__wrap_mon_socket_open(struct mon *mon UNUSED, uint64_t vm UNUSED,
    enum vmm_socket kind, uint32_t index, int *fd)
{
	int fds[2];

	asked_socket = kind;
	asked_index = index;
	if (open_error < 0)
		return open_error;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fds), 0);
	if (vmm >= 0)
		close(vmm);
	vmm = fds[0];
	*fd = fds[1];
	return 0;
}

static void
on_ready(void *arg UNUSED, const struct agent_hello *hello UNUSED)
{
	readies++;
}

static void
on_lost(void *arg UNUSED, const char *why)
{
	assert_non_null(why);
	losses++;
}

static void
on_open(void *arg UNUSED, int error, uint32_t port UNUSED)
{
	opened++;
	open_result = error;
}

static void
on_connected(void *arg, int fd)
{
	assert_ptr_equal(arg, &machine);
	connected++;
	stream_fd = fd;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(&dial, 0, sizeof(dial));
	readies = losses = opened = connected = open_error = 0;
	open_result = stream_fd = 0;
	asked_socket = asked_index = UINT32_MAX;
	assert_int_equal(events_init(&worker.events), 0);
	machine.w = &worker;
	machine.row.vmm = VMM_FIRECRACKER;
	agent_link_init(&machine.link, &worker.events, on_ready, on_lost,
	    &machine);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	agent_link_stop(&machine.link);
	vsock_dial_cancel(&dial);
	events_close(&worker.events);
	if (vmm >= 0)
		close(vmm);
	vmm = -1;
	return 0;
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 5; i++)
		assert_int_equal(events_turn(&worker.events, 0), 0);
}

static void
expect(const char *request)
{
	char text[64] = "";

	turn();
	assert_int_equal(recv(vmm, text, strlen(request), MSG_DONTWAIT),
	    strlen(request));
	assert_string_equal(text, request);
}

/* The agent gets a message of TYPE; true when its REPLY was sent. */
static void
answer(enum agent_type type)
{
	uint8_t bytes[AGENT_MSG_SIZE];
	struct agent_msg msg;

	turn();
	assert_int_equal(recv(vmm, bytes, sizeof(bytes), MSG_DONTWAIT),
	    AGENT_MSG_SIZE);
	assert_int_equal(agent_msg_decode(bytes, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.type, type);
	msg.reply = true;
	if (type == AGENT_HELLO)
		msg.hello.version = AGENT_VERSION;
	else
		msg.open.port = 3;
	agent_msg_encode(bytes, &msg);
	assert_int_equal(send(vmm, bytes, sizeof(bytes), MSG_NOSIGNAL),
	    AGENT_MSG_SIZE);
	turn();
}

static void
link_over_vsock(void **state)
{
	struct stream_request request = { .pending = false };

	(void)state;
	assert_int_equal(machine_link(&machine), 0);
	assert_int_equal(asked_socket, SOCKET_VSOCK);
	assert_int_equal(asked_index, 0);
	assert_true(agent_link_active(&machine.link));
	/* Already under way: no second socket. */
	asked_socket = UINT32_MAX;
	assert_int_equal(machine_link(&machine), 0);
	assert_int_equal(asked_socket, UINT32_MAX);
	assert_int_equal(agent_link_open(&machine.link, &request, LONG_MS,
	    on_open, &machine), 0);
	expect("CONNECT 1023\n");
	assert_int_equal(send(vmm, "OK 1\n", 5, MSG_NOSIGNAL), 5);
	answer(AGENT_HELLO);
	assert_int_equal(readies, 1);
	assert_int_equal(opened, 0);
	answer(AGENT_OPEN);
	assert_int_equal(opened, 1);
	assert_int_equal(open_result, 0);
	assert_int_equal(losses, 0);
}

/* A refusal fails what waits, and the link can be tried anew. */
static void
link_refused(void **state)
{
	struct stream_request request = { .pending = false };

	(void)state;
	assert_int_equal(machine_link(&machine), 0);
	assert_int_equal(agent_link_open(&machine.link, &request, LONG_MS,
	    on_open, &machine), 0);
	expect("CONNECT 1023\n");
	close(vmm);
	vmm = -1;
	turn();
	assert_int_equal(losses, 1);
	assert_int_equal(opened, 1);
	assert_int_equal(open_result, -ECONNREFUSED);
	assert_false(agent_link_active(&machine.link));
	assert_int_equal(agent_link_open(&machine.link, &request, LONG_MS,
	    on_open, &machine), -EAGAIN);
	assert_int_equal(machine_link(&machine), 0);
	expect("CONNECT 1023\n");
	assert_int_equal(send(vmm, "OK 1\n", 5, MSG_NOSIGNAL), 5);
	answer(AGENT_HELLO);
	assert_int_equal(readies, 1);
}

static void
link_stopped_while_dialling(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(machine_link(&machine), 0);
	agent_link_stop(&machine.link);
	assert_false(agent_link_active(&machine.link));
	turn();
	assert_int_equal(losses, 0);
	assert_true(recv(vmm, text, sizeof(text), MSG_DONTWAIT) >= 0);
	assert_int_equal(recv(vmm, text, sizeof(text), MSG_DONTWAIT), 0);
	open_error = -ENOENT;
	assert_int_equal(machine_link(&machine), -ENOENT);
}

static void
stream_over_vsock(void **state)
{
	(void)state;
	machine_stream(&machine, 5, &dial, on_connected, &machine);
	assert_int_equal(asked_socket, SOCKET_VSOCK);
	assert_int_equal(asked_index, 0);
	assert_int_equal(connected, 0);
	expect("CONNECT 1024\n");
	assert_int_equal(send(vmm, "OK 1\n", 5, MSG_NOSIGNAL), 5);
	turn();
	assert_int_equal(connected, 1);
	assert_true(stream_fd >= 0);
	close(stream_fd);
	machine_stream(&machine, 5, &dial, on_connected, &machine);
	expect("CONNECT 1024\n");
	close(vmm);
	vmm = -1;
	turn();
	assert_int_equal(connected, 2);
	assert_int_equal(stream_fd, -ECONNREFUSED);
	open_error = -ESRCH;
	machine_stream(&machine, 5, &dial, on_connected, &machine);
	assert_int_equal(connected, 3);
	assert_int_equal(stream_fd, -ESRCH);
}

static void
over_ports(void **state)
{
	(void)state;
	machine.row.vmm = VMM_QEMU;
	assert_int_equal(machine_link(&machine), 0);
	assert_int_equal(asked_socket, SOCKET_CONTROL);
	assert_true(machine.link.fd >= 0);
	answer(AGENT_HELLO);
	assert_int_equal(readies, 1);
	machine_stream(&machine, 5, &dial, on_connected, &machine);
	assert_int_equal(asked_socket, SOCKET_STREAM);
	assert_int_equal(asked_index, 5);
	assert_int_equal(connected, 1);
	assert_false(dial.active);
	close(stream_fd);
	open_error = -ENOENT;
	machine_stream(&machine, 5, &dial, on_connected, &machine);
	assert_int_equal(connected, 2);
	assert_int_equal(stream_fd, -ENOENT);
}

/* What each VMM cannot start. */
static void
kernels(void **state)
{
	static const struct {
		struct kernel_row kernel;
		uint32_t vmm;
		const char *says;
	} rows[] = {
		{ { .vsock = true }, VMM_FIRECRACKER, NULL },
		{ { .acpi = true, .pvh = true }, VMM_FIRECRACKER,
		    "kernel k: has no vsock, by" },
		{ { .acpi = true, .pvh = true }, VMM_QEMU, NULL },
		{ { .acpi = true, .vmlinuz_bytes = 1 }, VMM_QEMU, NULL },
		{ { .vsock = true, .pvh = true }, VMM_QEMU,
		    "kernel k: has no ACPI, by" },
		{ { .vsock = true, .acpi = true }, VMM_QEMU,
		    "kernel k: has no PVH entry point, at" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kernel_row kernel = rows[i].kernel;
		struct failure f = { .code = FAIL_NONE };
		int r;

		strcpy(kernel.name, "k");
		r = machine_check_kernel("m", rows[i].vmm, &kernel, &f);
		assert_int_equal(r, rows[i].says == NULL ? 0 : -1);
		if (r < 0)
			assert_non_null(strstr(f.text, rows[i].says));
		failure_clear(&f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(link_over_vsock),
		TEST(link_refused),
		TEST(link_stopped_while_dialling),
		TEST(stream_over_vsock),
		TEST(over_ports),
		cmocka_unit_test(kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
