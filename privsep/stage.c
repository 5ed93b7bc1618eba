/*
 * A launch, staged: cgroup, jail, mounts, then a message to the launcher, and
 * the record before its process may become a VMM. Each step registers how to
 * undo it before the next one is tried.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/cgroup.h"
#include "privsep/check.h"
#include "privsep/launcher.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/util.h"

enum { LAUNCHER_TIMEOUT_MS = 10000 };

/* What a VMM needs beside the guest's processors and memory. */
enum { VMM_CPUS = 1, FIRECRACKER_PIDS = 64, QEMU_PIDS = 320 };
#define FIRECRACKER_BYTES (UINT64_C(128) << 20)
/* An emulator's translated code, and its threads' stacks. */
#define QEMU_BYTES (UINT64_C(1536) << 20)

/* Everything a launch acquires before the VMM runs; -1 where it has not. */
struct staged {
	int root;			/* QEMU: the jail */
	int mounts[JAIL_MOUNTS];
	struct chroot chroot;		/* Firecracker */
	int cgroup;
	int errors[2];			/* standard error */
	int go[2];
};

static void
staged_init(struct staged *staged)
{
	/* All of it is fds. */
	memset(staged, 0xff, sizeof(*staged));
}

static void
staged_close(struct staged *staged)
{
	int i;

	close_fdp(&staged->root);
	for (i = 0; i < JAIL_MOUNTS; i++)
		close_fdp(&staged->mounts[i]);
	chroot_close(&staged->chroot);
	close_fdp(&staged->cgroup);
	for (i = 0; i < 2; i++) {
		close_fdp(&staged->errors[i]);
		close_fdp(&staged->go[i]);
	}
}

/* ---- the launcher ---- */

/*
 * The launcher's next message about a launch; exits of other VMMs that come
 * first are handled on the way.
 */
static void
await_launcher(struct monitor *monitor, struct wire_record *record)
{
	struct pollfd pfd = { .fd = monitor->launcher, .events = POLLIN };

	for (;;) {
		if (poll(&pfd, 1, LAUNCHER_TIMEOUT_MS) <= 0)
			fatal("launcher does not answer");
		if (wire_recv(monitor->launcher, record, 0) <= 0 ||
		    record->len < sizeof(record->reply))
			fatal("launcher is gone");
		if (record->reply.op != EVENT_VMM_EXIT)
			break;
		monitor_launcher_event(monitor, record);
	}
	if (record->reply.seq != monitor->launch_seq)
		fatal("launcher answers another launch");
}

/* 0 or the status of the launcher's answer. */
static int
answer_status(struct monitor *monitor, const struct wire_record *answer)
{
	const struct wire_reply *reply = &answer->reply;

	if (reply->status == 0)
		return 0;
	return op_error(monitor, reply->status, "%.*s",
	    (int)strnlen(reply->error, sizeof(reply->error)), reply->error);
}

static int
send_launch(struct monitor *monitor, struct vm *vm, bool api,
    struct staged *staged)
{
	bool qemu = vm->vmm == VMM_QEMU;
	struct wire_request header = { .op = OP_VMM_LAUNCH,
		.seq = ++monitor->launch_seq, .len = sizeof(struct launch),
		.vm = vm->id };
	struct launch launch = { .vmm = vm->vmm, .cgroup = staged->cgroup >= 0,
		.uid = vm_uid(&monitor->table, vm), .api = api };
	/* Standard input is /dev/null: for what this kind of VMM has not. */
	int fds[LAUNCHER_FDS + JAIL_MOUNTS] = {
		[LAUNCHER_EXEC] = monitor->programs[qemu ? PROGRAM_QEMU :
		    PROGRAM_JAILER],
		[LAUNCHER_ROOT] = qemu ? staged->root : staged->chroot.tmpfs,
		[LAUNCHER_OUT] = qemu ? STDIN_FILENO : staged->chroot.console,
		[LAUNCHER_ERR] = staged->errors[1],
		[LAUNCHER_GO] = staged->go[0],
		[LAUNCHER_CGROUP] = launch.cgroup ? staged->cgroup :
		    STDIN_FILENO,
		[LAUNCHER_TAP] = qemu ? vm->tap_fd : STDIN_FILENO,
		[LAUNCHER_DISK] = qemu ? vm->disk.fd : STDIN_FILENO,
		[LAUNCHER_VMM] = qemu ? STDIN_FILENO : staged->chroot.exec,
	};
	uint32_t i;

	for (i = 0; i < JAIL_MOUNTS; i++) {
		if (staged->mounts[i] < 0)
			continue;
		fds[LAUNCHER_FDS + launch.nmounts] = staged->mounts[i];
		launch.targets[launch.nmounts++] = i;
	}
	header.nfds = LAUNCHER_FDS + launch.nmounts;
	return wire_send(monitor->launcher, &header, sizeof(header), &launch,
	    sizeof(launch), fds, header.nfds);
}

/* Who the VMM will be: enough to know it again after a restart. */
static int
identify(struct monitor *monitor, struct vm *vm, const struct staged *staged)
{
	struct proc_identity *identity = &vm->identity;
	bool qemu = vm->vmm == VMM_QEMU;
	struct stat st;

	if (fstat(qemu ? monitor->programs[PROGRAM_QEMU] :
	    staged->chroot.tmpfs, &st) < 0)
		return -errno;
	*identity = (struct proc_identity){ .exe_dev = st.st_dev,
		.exe_ino = qemu ? st.st_ino : 0,
		.uid = vm_uid(&monitor->table, vm) };
	return proc_start_time(monitor->proc, vm->pid, &identity->start_time);
}

/* The process exists: puts it on record, and lets it go on. 0 or -errno. */
static int
record_and_go(struct monitor *monitor, struct vm *vm, struct staged *staged,
    struct wire_record *answer)
{
	struct launched launched;
	char name[VM_ID_HEX + 1];
	int r;

	vm_name(vm->id, name);
	memcpy(&launched, answer->bytes + sizeof(struct wire_reply),
	    sizeof(launched));
	vm->pid = launched.pid;
	vm->pidfd = wire_take_fd(answer, 0);
	r = identify(monitor, vm, staged);
	if (r < 0)
		return op_error(monitor, r, "/proc/%d of the VMM: %s",
		    (int)vm->pid, strerror(-r));
	r = vm_save(&monitor->table, vm);
	if (r == 0)
		r = write_full(staged->go[1], "", 1);
	return r < 0 ? op_error(monitor, r, "record of VM %s: %s", name,
	    strerror(-r)) : 0;
}

/* The VMM that was on its way is gone, and is to be forgotten. */
static void
forget(struct monitor *monitor, struct vm *vm)
{
	close_fdp(&vm->pidfd);
	vm->pid = 0;
	if (vm_save(&monitor->table, vm) < 0)
		log_error("record of a VM that was not started");
}

/* Has the launcher start what is staged. 0 or -errno, and it is gone. */
static int
run(struct monitor *monitor, struct vm *vm, bool api, struct staged *staged)
{
	struct wire_record answer = { .nfds = 0 };
	int r = send_launch(monitor, vm, api, staged), status;

	if (r < 0)
		return op_error(monitor, r, "launcher: %s", strerror(-r));
	await_launcher(monitor, &answer);
	r = answer_status(monitor, &answer);
	if (r < 0)
		return r;
	r = record_and_go(monitor, vm, staged, &answer);
	wire_close_fds(&answer);
	/* Without the word it ends, and the launcher says so. */
	close_fdp(&staged->go[1]);
	await_launcher(monitor, &answer);
	status = answer.reply.status;
	if (r == 0)
		r = answer_status(monitor, &answer);
	wire_close_fds(&answer);
	if (status == 0)
		vm->state = VM_RUNNING;
	else
		forget(monitor, vm);
	return r;
}

/* ---- what is staged ---- */

static int
stage_cgroup(struct monitor *monitor, const struct vm *vm,
    const struct vmm_launch_request *request, struct staged *staged)
{
	bool qemu = vm->vmm == VMM_QEMU;
	const struct cgroup_limits limits = {
		.cpus = request->vcpus + VMM_CPUS,
		.memory_bytes = ((uint64_t)request->mem_mib << 20) +
		    (qemu ? QEMU_BYTES : FIRECRACKER_BYTES),
		.pids = qemu ? QEMU_PIDS : FIRECRACKER_PIDS,
	};
	char name[VM_ID_HEX + 1];
	int r;

	/* QEMU also runs on hosts without; said at the daemon's start. */
	if (monitor->cgroups < 0)
		return 0;
	vm_name(vm->id, name);
	r = cgroup_create(monitor->cgroups, name, &limits);
	if (r < 0)
		return op_error(monitor, r, "cgroup %s: %s", name,
		    strerror(-r));
	staged->cgroup = r;
	return 0;
}

static int
stage_qemu(struct monitor *monitor, struct vm *vm, const int *fds,
    struct staged *staged)
{
	char name[VM_ID_HEX + 1];
	uid_t uid = vm_uid(&monitor->table, vm);
	int r;

	vm_name(vm->id, name);
	r = jail_create(&monitor->host, monitor->jails, name, uid,
	    monitor->kvm, fds[LAUNCH_CONFIG], &staged->root);
	if (r < 0)
		return op_error(monitor, r, "jail %s: %s", name, strerror(-r));
	r = jail_mounts(&monitor->host, uid, fds[LAUNCH_KERNEL],
	    fds[LAUNCH_INITRD], staged->mounts);
	if (r < 0)
		return op_error(monitor, r, "mounts of jail %s: %s", name,
		    strerror(-r));
	return 0;
}

/* Firecracker opens the tap itself: it has to stay without our fd. */
static int
release_tap(struct monitor *monitor, struct vm *vm)
{
	int r = tap_persist(vm->tap_fd);

	close_fdp(&vm->tap_fd);
	return r < 0 ? op_error(monitor, r, "tap: %s", strerror(-r)) : 0;
}

static int
stage_firecracker(struct monitor *monitor, struct vm *vm, const int *fds,
    struct staged *staged)
{
	char name[VM_ID_HEX + 1];
	struct chroot_spec spec = {
		.name = name,
		.uid = vm_uid(&monitor->table, vm),
		.disk = vm->disk.rdev,
		.exec_fd = monitor->programs[PROGRAM_FIRECRACKER],
		.kernel_fd = fds[LAUNCH_KERNEL],
		.initrd_fd = fds[LAUNCH_INITRD],
		.config_fd = fds[LAUNCH_CONFIG],
	};
	int r;

	vm_name(vm->id, name);
	if (spec.disk == 0)
		return op_error(monitor, -ENOTBLK, "disk of VM %s: is no "
		    "block device", name);
	r = chroot_create(&spec, &staged->chroot);
	if (r < 0)
		return op_error(monitor, r, "jail %s: %s", name, strerror(-r));
	staged->mounts[MOUNT_KERNEL] = steal_fd(&staged->chroot.kernel);
	staged->mounts[MOUNT_INITRD] = steal_fd(&staged->chroot.initrd);
	return release_tap(monitor, vm);
}

static int
stage(struct monitor *monitor, struct vm *vm,
    const struct vmm_launch_request *request, const int *fds,
    struct staged *staged)
{
	int r;

	if (pipe2(staged->errors, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    pipe2(staged->go, O_CLOEXEC) < 0)
		return op_error(monitor, -errno, "pipe");
	r = vmm_renew(monitor, (enum vmm_kind)vm->vmm);
	if (r == 0)
		r = stage_cgroup(monitor, vm, request, staged);
	if (r < 0)
		return r;
	return vm->vmm == VMM_QEMU ? stage_qemu(monitor, vm, fds, staged) :
	    stage_firecracker(monitor, vm, fds, staged);
}

/* What a launch that failed leaves; its process has ended. */
static void
undo(struct monitor *monitor, struct vm *vm)
{
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	(void)jail_remove(monitor->jails, name);
	if (monitor->cgroups >= 0 && cgroup_remove(monitor->cgroups, name) < 0)
		log_error("cgroup of VM %s cannot be removed", name);
}

int
stage_launch(struct monitor *monitor, struct vm *vm,
    const struct vmm_launch_request *request, const int *fds, int *stderr_fd)
{
	struct staged staged;
	int r;

	staged_init(&staged);
	vm->vmm = request->vmm;
	r = stage(monitor, vm, request, fds, &staged);
	if (r == 0)
		r = run(monitor, vm, request->api != 0, &staged);
	if (r < 0) {
		undo(monitor, vm);
	} else {
		*stderr_fd = steal_fd(&staged.errors[0]);
		vm->run_fd = vm->vmm == VMM_QEMU ?
		    steal_fd(&staged.mounts[MOUNT_RUN]) :
		    steal_fd(&staged.chroot.run);
		vm->adopted = false;
		close_fdp(&vm->tap_fd);
	}
	staged_close(&staged);
	return r;
}
