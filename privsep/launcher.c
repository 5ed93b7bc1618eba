/*
 * A launch is: fork, enter the jail, become the VM's uid, exec by fd.
 *
 * The threat is on both sides. The VMM must get nothing of ours: the jail is
 * its whole file system (pivot_root, the old root detached), it has its own
 * uid, no capability (bounding set too), no_new_privs, exactly fds 0 to 4, and
 * lives in a network namespace with no interface, so that a VMM that was taken
 * over cannot reach the host's loopback services or abstract sockets. The
 * worker must reach nothing here: its bytes do not come this far.
 */
#include "privsep/launcher.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privsep/drop.h"
#include "privsep/log.h"
#include "privsep/util.h"

static const char *const qemu_argv[] = {
	"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic",
	"-no-reboot", "-cpu", "max", "-sandbox",
	"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	"-add-fd", "fd=4,set=4", "-readconfig",
	"/vmm.conf", NULL,
};

/* What a child tells its parent when it fails before execve. */
struct failure {
	int32_t error;
	uint32_t step;
};

enum step {
	STEP_SESSION, STEP_ROOT, STEP_MOUNT, STEP_PIVOT, STEP_FDS, STEP_LIMITS,
	STEP_IDS, STEP_FILTER, STEP_EXEC,
};

static const char *const step_names[] = {
	[STEP_SESSION] = "setsid",
	[STEP_ROOT] = "enter the jail",
	[STEP_MOUNT] = "mount",
	[STEP_PIVOT] = "pivot_root",
	[STEP_FDS] = "pass fds",
	[STEP_LIMITS] = "set limits",
	[STEP_IDS] = "drop privileges",
	[STEP_FILTER] = "filter system calls",
	[STEP_EXEC] = "execute the VMM",
};

/* One VMM that we started: to name it when it exits. */
struct child {
	pid_t pid;
	uint64_t vm;
};

struct launcher {
	int sock;
	struct child *children;
	size_t count, room;
};

/*
 * The jail becomes a mount of its own in a namespace of its own; device nodes
 * in it must work even where the state directory is mounted nodev.
 */
static int
enter_root(int root)
{
	struct mount_attr attr = {
		.attr_clr = MOUNT_ATTR_NODEV,
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
		.propagation = MS_PRIVATE,
	};
	_cleanup_close_ int tree = -1;

	if (fchdir(root) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, ".",
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
	    sizeof(attr)) < 0 ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, ".",
	    MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(tree) < 0)
		return -errno;
	return 0;
}

static int
attach_mounts(const struct launch *launch, const int *fds)
{
	uint32_t i;

	for (i = 0; i < launch->nmounts; i++)
		if (syscall(SYS_move_mount, fds[i], "", AT_FDCWD,
		    jail_targets[launch->targets[i]],
		    MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -errno;
	return 0;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root vanishes at once. */
static int
pivot(void)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/*
 * Puts the VMM's fds at 0..4 and the executable at 5, close-on-exec; the pipe
 * that reports failure moves to 6. Everything else is closed.
 */
static int
arrange_fds(const int *fds, int *report)
{
	int from[7], i;

	/* The daemon's own, opened for both: /dev/null. */
	from[0] = from[1] = STDIN_FILENO;
	from[2] = fds[LAUNCHER_STDERR];
	from[3] = fds[LAUNCHER_TAP];
	from[4] = fds[LAUNCHER_DISK];
	from[5] = fds[LAUNCHER_EXEC];
	from[6] = *report;
	/* First out of the way of the numbers that are about to be used. */
	for (i = 0; i < 7; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64);
		if (from[i] < 0)
			return -errno;
	}
	for (i = 0; i < 7; i++)
		if (dup3(from[i], i, i >= 5 ? O_CLOEXEC : 0) < 0)
			return -errno;
	*report = 6;
	return syscall(SYS_close_range, 7U, ~0U, 0U) < 0 ? -errno : 0;
}

static int
set_limits(void)
{
	static const struct rlimit none = { 0, 0 }, files = { 1024, 1024 };
	/* Threads of this uid: it has no other process. */
	static const struct rlimit threads = { 256, 256 };

	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    setrlimit(RLIMIT_MSGQUEUE, &none) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    setrlimit(RLIMIT_NPROC, &threads) < 0)
		return -errno;
	return 0;
}

static int
execute(void)
{
	char *const envp[] = { NULL };

	syscall(SYS_execveat, 5, "", qemu_argv, envp, AT_EMPTY_PATH);
	return -errno;
}

/* The child between fork and execve. */
static _Noreturn void
become_vmm(const struct launch *launch, const int *fds, int report)
{
	struct failure failure = { 0 };
	sigset_t none;
	int r;

	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	failure.step = STEP_SESSION;
	r = setsid() < 0 ? -errno : 0;
	if (r == 0) {
		failure.step = STEP_ROOT;
		r = enter_root(fds[LAUNCHER_ROOT]);
	}
	if (r == 0) {
		failure.step = STEP_MOUNT;
		r = attach_mounts(launch, fds + LAUNCHER_FDS);
	}
	if (r == 0) {
		failure.step = STEP_PIVOT;
		r = pivot();
	}
	if (r == 0) {
		failure.step = STEP_FDS;
		r = arrange_fds(fds, &report);
	}
	if (r == 0) {
		failure.step = STEP_LIMITS;
		r = set_limits();
	}
	if (r == 0) {
		failure.step = STEP_IDS;
		r = drop_to_uid(launch->uid);
	}
	if (r == 0) {
		failure.step = STEP_FILTER;
		r = drop_vmm_syscalls();
	}
	if (r == 0) {
		failure.step = STEP_EXEC;
		r = execute();
	}
	failure.error = r;
	(void)write_full(report, &failure, sizeof(failure));
	_exit(127);
}

/*
 * fork with a pidfd (clone3 as fork: no memory is shared). The VMM is the
 * first process of a pid namespace: it sees no other, and what it may have
 * started ends with it. Else that would have the uid of the slot's next VM.
 */
static pid_t
fork_pidfd(int *pidfd)
{
	int fd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWPID,
		.pidfd = (uint64_t)(uintptr_t)&fd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	*pidfd = fd;
	return pid;
}

static int
remember(struct launcher *launcher, pid_t pid, uint64_t vm)
{
	if (launcher->count == launcher->room) {
		size_t room = launcher->room * 2 + 8;
		void *grown = reallocarray(launcher->children, room,
		    sizeof(struct child));

		if (grown == NULL)
			return -ENOMEM;
		launcher->children = grown;
		launcher->room = room;
	}
	if (pid > 0)
		launcher->children[launcher->count++] =
		    (struct child){ .pid = pid, .vm = vm };
	return 0;
}

/*
 * Forks the VMM and waits until it has executed or failed. 0 with *PID and
 * *PIDFD, or -errno with the step that failed in *STEP.
 */
static int
start(struct launcher *launcher, const struct launch *launch, const int *fds,
    uint64_t vm, pid_t *pid, int *pidfd, const char **step)
{
	_cleanup_close_ int reading = -1;
	_cleanup_close_ int writing = -1;
	struct failure failure;
	int pipefd[2], r = remember(launcher, 0, 0);

	*step = "fork";
	if (r < 0)
		return r;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	reading = pipefd[0];
	writing = pipefd[1];
	*pid = fork_pidfd(pidfd);
	if (*pid < 0)
		return -errno;
	if (*pid == 0)
		become_vmm(launch, fds, writing);
	close_fdp(&writing);
	writing = -1;
	r = read_full(reading, &failure, sizeof(failure));
	if (r == -EPIPE) {
		remember(launcher, *pid, vm);
		return 0;
	}
	close_fdp(pidfd);
	*pidfd = -1;
	/* It has called _exit; nobody else may take its status. */
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (r < 0)
		return r;
	if (failure.step < ARRAY_SIZE(step_names))
		*step = step_names[failure.step];
	return failure.error;
}

/* The monitor is trusted; this guards against its bugs, not its malice. */
static int
well_formed(const struct wire_record *record, const struct launch *launch)
{
	uint32_t i;

	if (record->len != sizeof(struct wire_request) + sizeof(*launch) ||
	    launch->nmounts > JAIL_MOUNTS || launch->vmm != VMM_QEMU ||
	    launch->uid == 0 ||
	    record->nfds != LAUNCHER_FDS + launch->nmounts)
		return 0;
	for (i = 0; i < launch->nmounts; i++)
		if (launch->targets[i] >= JAIL_MOUNTS)
			return 0;
	return 1;
}

static void
serve_launch(struct launcher *launcher, struct wire_record *record)
{
	struct wire_reply reply = { .op = record->request.op,
		.seq = record->request.seq, .vm = record->request.vm };
	struct launched launched = { 0 };
	_cleanup_close_ int pidfd = -1;
	const char *step = "read the launch";
	struct launch launch;
	pid_t pid = 0;

	memcpy(&launch, record->bytes + sizeof(struct wire_request),
	    sizeof(launch));
	reply.status = !well_formed(record, &launch) ? -EBADMSG :
	    start(launcher, &launch, record->fds, record->request.vm, &pid,
	    &pidfd, &step);
	if (reply.status < 0) {
		(void)format(reply.error, sizeof(reply.error), "%s: %s", step,
		    strerror(-reply.status));
	} else {
		launched.pid = pid;
		reply.len = sizeof(launched);
		reply.nfds = 1;
	}
	if (wire_send(launcher->sock, &reply, sizeof(reply), &launched,
	    reply.len, &pidfd, reply.nfds) < 0)
		_exit(1);
}

static void
report_exit(struct launcher *launcher, size_t i, int status)
{
	struct wire_reply header = { .op = EVENT_VMM_EXIT,
		.len = sizeof(struct vmm_exit_event),
		.vm = launcher->children[i].vm };
	struct vmm_exit_event event = {
		.status_known = 1,
		.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) :
		    -WTERMSIG(status),
	};

	launcher->children[i] = launcher->children[--launcher->count];
	if (wire_send(launcher->sock, &header, sizeof(header), &event,
	    sizeof(event), NULL, 0) < 0)
		_exit(1);
}

static void
reap(struct launcher *launcher)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		size_t i;

		for (i = 0; i < launcher->count; i++)
			if (launcher->children[i].pid == pid) {
				report_exit(launcher, i, status);
				break;
			}
	}
}

static int
open_child_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -1;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void
launcher_main(int sock)
{
	struct launcher launcher = { .sock = sock };
	struct wire_record record;
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals;

	log_init("launcher", LOG_INFO);
	prctl(PR_SET_NAME, "banger-launch");
	signals = open_child_signal();
	if (epoll < 0 || signals < 0 || watch(epoll, sock) < 0 ||
	    watch(epoll, signals) < 0)
		fatal("start: %s", strerror(errno));
	/* Shared by all VMMs: no interface, no address, not even loopback. */
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
		fatal("network namespace: %s", strerror(errno));
	drop_launcher();
	for (;;) {
		struct epoll_event event;
		struct signalfd_siginfo info;
		int n = epoll_wait(epoll, &event, 1, -1);

		if (n <= 0)
			continue;
		if (event.data.fd == signals) {
			(void)!read(signals, &info, sizeof(info));
			reap(&launcher);
			continue;
		}
		n = wire_recv(sock, &record, 0);
		if (n <= 0)
			_exit(n == 0 ? 0 : 1);
		if (record.len >= sizeof(struct wire_request))
			serve_launch(&launcher, &record);
		wire_close_fds(&record);
	}
}
