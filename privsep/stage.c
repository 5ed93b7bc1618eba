/*
 * A launch, staged: jail, mounts, record, then one message to the launcher.
 * Each step registers how to undo it before the next one is tried.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/check.h"
#include "privsep/launcher.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/util.h"

enum { LAUNCHER_TIMEOUT_MS = 10000 };

/* Everything a launch acquires before the VMM runs. */
struct staged {
	int root;
	int pipe[2];
	int mounts[JAIL_MOUNTS];
};

static void
staged_close(struct staged *staged)
{
	int i;

	close_fdp(&staged->root);
	close_fdp(&staged->pipe[0]);
	close_fdp(&staged->pipe[1]);
	for (i = 0; i < JAIL_MOUNTS; i++)
		close_fdp(&staged->mounts[i]);
}

/* The launcher's next message. */
static void
receive(struct monitor *monitor, struct wire_record *record)
{
	struct pollfd pfd = { .fd = monitor->launcher, .events = POLLIN };

	if (poll(&pfd, 1, LAUNCHER_TIMEOUT_MS) <= 0)
		fatal("launcher does not answer");
	if (wire_recv(monitor->launcher, record, 0) <= 0 ||
	    record->len < sizeof(record->reply))
		fatal("launcher is gone");
}

/*
 * Waits for the launcher's answer; exits of other VMMs that come first are
 * handled on the way.
 */
static void
await_launched(struct monitor *monitor, struct wire_record *record)
{
	receive(monitor, record);
	while (record->reply.op == EVENT_VMM_EXIT) {
		monitor_launcher_event(monitor, record);
		receive(monitor, record);
	}
}

/* Ends a VMM that runs already, and waits for it: its jail goes next. */
static void
end_launched(struct monitor *monitor, struct vm *vm)
{
	struct wire_record record;

	(void)proc_signal(vm->pidfd, SIGKILL);
	while (vm->state == VM_RUNNING) {
		receive(monitor, &record);
		monitor_launcher_event(monitor, &record);
	}
}

static int
send_launch(struct monitor *monitor, struct vm *vm, int disk,
    struct staged *staged, struct wire_record *answer)
{
	struct wire_request header = { .op = OP_VMM_LAUNCH,
		.seq = ++monitor->launch_seq, .len = sizeof(struct launch),
		.vm = vm->id };
	struct launch launch = { .vmm = vm->vmm,
		.uid = vm_uid(&monitor->table, vm) };
	int fds[LAUNCHER_FDS + JAIL_MOUNTS];
	uint32_t i;
	int r;

	fds[LAUNCHER_EXEC] = monitor->qemu;
	fds[LAUNCHER_ROOT] = staged->root;
	fds[LAUNCHER_STDERR] = staged->pipe[1];
	fds[LAUNCHER_TAP] = vm->tap_fd;
	fds[LAUNCHER_DISK] = disk;
	for (i = 0; i < JAIL_MOUNTS; i++) {
		if (staged->mounts[i] < 0)
			continue;
		fds[LAUNCHER_FDS + launch.nmounts] = staged->mounts[i];
		launch.targets[launch.nmounts++] = i;
	}
	header.nfds = LAUNCHER_FDS + launch.nmounts;
	r = wire_send(monitor->launcher, &header, sizeof(header), &launch,
	    sizeof(launch), fds, header.nfds);
	if (r == 0)
		await_launched(monitor, answer);
	return r;
}

/* Takes pid and pidfd out of the launcher's answer. */
static int
take_launched(struct monitor *monitor, struct vm *vm,
    struct wire_record *answer)
{
	struct launched launched;
	struct stat st;
	int r;

	if (answer->reply.seq != monitor->launch_seq)
		fatal("launcher answers another launch");
	if (answer->reply.status < 0)
		return op_error(monitor, answer->reply.status, "%.*s",
		    (int)strnlen(answer->reply.error,
		    sizeof(answer->reply.error)), answer->reply.error);
	memcpy(&launched, answer->bytes + sizeof(struct wire_reply),
	    sizeof(launched));
	vm->pid = launched.pid;
	vm->pidfd = wire_take_fd(answer, 0);
	vm->identity.uid = vm_uid(&monitor->table, vm);
	vm->adopted = false;
	vm->state = VM_RUNNING;
	if (fstat(monitor->qemu, &st) == 0) {
		vm->identity.exe_dev = st.st_dev;
		vm->identity.exe_ino = st.st_ino;
	}
	r = proc_start_time(monitor->proc, vm->pid, &vm->identity.start_time);
	/*
	 * A VMM that ended already has no start time: its exit comes next. One
	 * that is only hidden (hidepid) could not be adopted one day.
	 */
	if (r < 0 && proc_signal(vm->pidfd, 0) == 0)
		return op_error(monitor, r, "/proc/%d of the VMM: %s",
		    (int)vm->pid, strerror(-r));
	return 0;
}

static int
stage(struct monitor *monitor, struct vm *vm, const int *fds,
    struct staged *staged)
{
	char name[VM_ID_HEX + 1];
	int r;

	vm_name(vm->id, name);
	if (pipe2(staged->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return op_error(monitor, -errno, "pipe");
	r = jail_create(&monitor->host, monitor->jails, name,
	    vm_uid(&monitor->table, vm), monitor->kvm, fds[LAUNCH_CONFIG],
	    &staged->root);
	if (r < 0)
		return op_error(monitor, r, "jail %s: %s", name, strerror(-r));
	r = jail_mounts(&monitor->host, vm_uid(&monitor->table, vm),
	    fds[LAUNCH_KERNEL], fds[LAUNCH_INITRD], staged->mounts);
	if (r < 0)
		return op_error(monitor, r, "mounts of jail %s: %s", name,
		    strerror(-r));
	return 0;
}

int
stage_launch(struct monitor *monitor, struct vm *vm,
    const struct vmm_launch_request *request, const int *fds, int *stderr_fd)
{
	struct staged staged = { .root = -1, .pipe = { -1, -1 } };
	struct wire_record answer = { .nfds = 0 };
	char name[VM_ID_HEX + 1];
	int i, r;

	for (i = 0; i < JAIL_MOUNTS; i++)
		staged.mounts[i] = -1;
	vm_name(vm->id, name);
	vm->vmm = request->vmm;
	r = stage(monitor, vm, fds, &staged);
	if (r == 0)
		r = send_launch(monitor, vm, fds[LAUNCH_DISK], &staged,
		    &answer);
	if (r == 0)
		r = take_launched(monitor, vm, &answer);
	if (r == 0) {
		r = vm_save(&monitor->table, vm);
		if (r < 0)
			(void)op_error(monitor, r, "record of VM %s: %s", name,
			    strerror(-r));
	}
	wire_close_fds(&answer);
	if (r < 0) {
		if (vm->state == VM_RUNNING)
			end_launched(monitor, vm);
		(void)jail_remove(monitor->jails, name);
	} else {
		*stderr_fd = steal_fd(&staged.pipe[0]);
		vm->run_fd = steal_fd(&staged.mounts[MOUNT_RUN]);
		close_fdp(&vm->tap_fd);
		vm->tap_fd = -1;
	}
	staged_close(&staged);
	return r;
}
