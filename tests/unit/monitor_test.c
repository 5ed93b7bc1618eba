/*
 * The monitor's loop with a worker and a launcher that are played: which end
 * of a worker is in order, and that none can stall or outlive the monitor.
 */
#include "unit.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "privsep/log.h"
#include "privsep/monitor.h"

#define VM_ID UINT64_C(0x1234)

/* What the played worker does; its end of the wire, and of the launcher's. */
typedef void (*worker_fn)(int wire, int launcher);

static struct config cfg = { .state_dir = "/nowhere", .uid_base = 700000 };
static struct temp temp;

static int
own_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void
open_signals(struct monitor *monitor)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	monitor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The process that is the monitor. ADOPT: with a VM whose VMM is that pid. */
static int
be_monitor(worker_fn play, pid_t adopt)
{
	const struct timeval patience = { .tv_usec = 200000 };
	struct monitor monitor = { .cfg = &cfg, .cgroups = -1 };
	int wire[2], launcher[2];
	struct vm *vm;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    launcher) < 0)
		return 99;
	/* As daemon.c does it, but with less patience. */
	setsockopt(wire[0], SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience));
	open_signals(&monitor);
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		close(wire[0]);
		close(launcher[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		play(wire[1], launcher[1]);
		_exit(0);
	}
	/* Of the launcher's end a copy stays: the worker's end is not its. */
	close(wire[1]);
	monitor.wire = wire[0];
	monitor.launcher = launcher[0];
	monitor.worker = own_pidfd(pid);
	monitor.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (vm_table_init(&monitor.table, 4, 700001, temp.fd) < 0)
		return 98;
	vm = vm_allocate(&monitor.table, VM_ID);
	vm->ipv4 = 1;
	vm->state = VM_RUNNING;
	vm->pidfd = own_pidfd(adopt > 0 ? adopt : pid);
	vm->adopted = adopt > 0;
	if (adopt > 0 && monitor_watch(&monitor, vm) < 0)
		return 97;
	return monitor_loop(&monitor);
}

static pid_t
start_monitor(worker_fn play, pid_t adopt)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(be_monitor(play, adopt));
	return pid;
}

static int
status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
run(worker_fn play)
{
	return status_of(start_monitor(play, 0));
}

/* --- workers --- */

static void
ends(int wire, int launcher)
{
	(void)wire;
	(void)launcher;
}

static void
fails(int wire, int launcher)
{
	(void)wire;
	(void)launcher;
	_exit(3);
}

static void
crashes(int wire, int launcher)
{
	(void)wire;
	(void)launcher;
	kill(getpid(), SIGKILL);
}

static void
hangs_up(int wire, int launcher)
{
	(void)launcher;
	close(wire);
	for (;;)
		pause();
}

static void
sends_nothing(int wire, int launcher)
{
	(void)launcher;
	(void)!send(wire, "", 0, 0);
	for (;;)
		pause();
}

static void
sends_garbage(int wire, int launcher)
{
	char garbage[100];

	(void)launcher;
	memset(garbage, 0xff, sizeof(garbage));
	(void)!send(wire, garbage, sizeof(garbage), 0);
	for (;;)
		pause();
}

static void
never_reads(int wire, int launcher)
{
	const struct wire_request request = { .op = OP_VMM_FIND, .vm = VM_ID };

	(void)launcher;
	for (;;)
		if (wire_send(wire, &request, sizeof(request), NULL, 0, NULL,
		    0) < 0)
			pause();
}

static void
asks_and_ends(int wire, int launcher)
{
	const struct wire_request request = { .op = OP_VMM_FIND, .seq = 5,
		.vm = VM_ID };
	struct vmm_find_reply found;
	struct wire_record record;

	(void)launcher;
	if (wire_send(wire, &request, sizeof(request), NULL, 0, NULL, 0) < 0 ||
	    wire_recv(wire, &record, 0) != 1 ||
	    record.reply.op != OP_VMM_FIND || record.reply.seq != 5 ||
	    record.reply.status != 0)
		_exit(10);
	memcpy(&found, record.bytes + sizeof(record.reply), sizeof(found));
	_exit(found.state == VM_RUNNING && found.uid == 700001 ? 0 : 11);
}

/* Waits for the exit event; 0 when it is EXPECTED. */
static int
await_event(int wire, const struct vmm_exit_event *expected)
{
	struct wire_record record;

	if (wire_recv(wire, &record, 0) != 1 ||
	    record.len != sizeof(record.reply) + sizeof(*expected) ||
	    record.reply.op != EVENT_VMM_EXIT || record.reply.vm != VM_ID ||
	    record.reply.seq != 0 || record.nfds != 0)
		return 10;
	return memcmp(record.bytes + sizeof(record.reply), expected,
	    sizeof(*expected)) == 0 ? 0 : 11;
}

/* Plays the launcher, too. */
static void
hears_of_exit(int wire, int launcher)
{
	const struct vmm_exit_event event = { 1, 42 };
	const struct wire_reply header = { .op = EVENT_VMM_EXIT,
		.len = sizeof(event), .vm = VM_ID };
	const struct wire_reply other = { .op = EVENT_VMM_EXIT,
		.len = sizeof(event), .vm = VM_ID + 1 };

	(void)wire_send(launcher, &other, sizeof(other), &event, sizeof(event),
	    NULL, 0);
	(void)wire_send(launcher, &header, sizeof(header), &event,
	    sizeof(event), NULL, 0);
	_exit(await_event(wire, &event));
}

static void
hears_of_adopted_exit(int wire, int launcher)
{
	static const struct vmm_exit_event unknown;

	(void)launcher;
	_exit(await_event(wire, &unknown));
}

static void
launcher_goes(int wire, int launcher)
{
	(void)wire;
	shutdown(launcher, SHUT_RDWR);
	for (;;)
		pause();
}

static void
launcher_babbles(int wire, int launcher)
{
	char garbage[400];

	(void)wire;
	memset(garbage, 0xff, sizeof(garbage));
	(void)!send(launcher, garbage, sizeof(garbage), 0);
	for (;;)
		pause();
}

static void
ends_when_told(int wire, int launcher)
{
	(void)wire;
	(void)launcher;
	signal(SIGTERM, SIG_DFL);
	kill(getppid(), SIGTERM);
	for (;;)
		pause();
}

static void
exit_zero(int signo)
{
	(void)signo;
	_exit(0);
}

static void
ends_in_order_when_told(int wire, int launcher)
{
	(void)wire;
	(void)launcher;
	signal(SIGTERM, exit_zero);
	kill(getppid(), SIGTERM);
	for (;;)
		pause();
}

/* With requests all the time, so that the loop is never idle. */
static void
does_not_end(int wire, int launcher)
{
	const struct wire_request request = { .op = OP_VMM_FIND, .vm = VM_ID };
	struct wire_record record;

	(void)launcher;
	signal(SIGTERM, SIG_IGN);
	kill(getppid(), SIGTERM);
	for (;;) {
		(void)wire_send(wire, &request, sizeof(request), NULL, 0, NULL,
		    0);
		(void)wire_recv(wire, &record, 0);
		usleep(100000);
	}
}

/* --- tests --- */

static pid_t stubborn;

static void
ends_of_a_worker(void **state)
{
	(void)state;
	assert_int_equal(run(ends), 0);
	assert_int_equal(run(fails), 1);
	assert_int_equal(run(crashes), 1);
	assert_int_equal(run(asks_and_ends), 0);
}

static void
bad_workers(void **state)
{
	(void)state;
	assert_int_equal(run(hangs_up), 1);
	assert_int_equal(run(sends_nothing), 1);
	assert_int_equal(run(sends_garbage), 1);
	assert_int_equal(run(never_reads), 1);
}

static void
exit_events(void **state)
{
	pid_t vmm, monitor;

	(void)state;
	assert_int_equal(run(hears_of_exit), 0);
	vmm = fork();
	if (vmm == 0)
		for (;;)
			pause();
	monitor = start_monitor(hears_of_adopted_exit, vmm);
	usleep(50000);
	kill(vmm, SIGKILL);
	waitpid(vmm, NULL, 0);
	assert_int_equal(status_of(monitor), 0);
}

static void
bad_launchers(void **state)
{
	(void)state;
	assert_int_equal(run(launcher_goes), 1);
	assert_int_equal(run(launcher_babbles), 1);
}

static void
told_to_end(void **state)
{
	(void)state;
	assert_int_equal(run(ends_in_order_when_told), 0);
	assert_int_equal(run(ends_when_told), 1);
	/* This one was started first: it takes its time. */
	assert_int_equal(status_of(stubborn), 1);
}

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	stubborn = start_monitor(does_not_end, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_of_a_worker),
		cmocka_unit_test(bad_workers),
		cmocka_unit_test(exit_events),
		cmocka_unit_test(bad_launchers),
		cmocka_unit_test(told_to_end),
	};

	log_init("monitor_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
