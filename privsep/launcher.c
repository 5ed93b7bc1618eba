/*
 * A launch is: fork, say who it will be, wait until that is on record, become
 * the VMM (enter.c).
 *
 * The threat is on both sides. The VMM must get nothing of ours: the jail is
 * its whole file system, it has its own uid, no capability, no_new_privs, and
 * only the fds that it needs; QEMU lives in a network namespace with no
 * interface, so that one that was taken over cannot reach the host's loopback
 * services or abstract sockets. The worker must reach nothing here: its bytes
 * do not come this far.
 */
#include "privsep/launcher.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privsep/drop.h"
#include "privsep/enter.h"
#include "privsep/log.h"
#include "privsep/util.h"

/* One VMM that we started: to name it when it exits. */
struct child {
	pid_t pid;
	uint64_t vm;
};

struct launcher {
	int sock;
	int netns;			/* the host's */
	const char *jail_dir;
	struct child *children;
	size_t count, room;
};

/*
 * fork with a pidfd (clone3 as fork: no memory is shared). The VMM is the
 * first process of a pid namespace: it sees no other, and what it may have
 * started ends with it. Else that would have the uid of the slot's next VM.
 */
static pid_t
fork_pidfd(int cgroup, int *pidfd)
{
	int fd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWPID,
		.pidfd = (uint64_t)(uintptr_t)&fd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned int)cgroup;
	}
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
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

/* A launch under way. */
struct start {
	struct launch launch;
	pid_t pid;
	int pidfd;
	int report;			/* reading end */
	const char *step;		/* that failed */
};

/* Forks; the child waits for the monitor's word. 0 or -errno. */
static int
start_child(struct launcher *launcher, const struct wire_record *record,
    struct start *start)
{
	const struct launch *launch = &start->launch;
	_cleanup_close_ int reading = -1;
	_cleanup_close_ int writing = -1;
	int pipefd[2], r = remember(launcher, 0, 0);

	start->step = "fork";
	if (r < 0)
		return r;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	reading = pipefd[0];
	writing = pipefd[1];
	start->pid = fork_pidfd(launch->cgroup ?
	    record->fds[LAUNCHER_CGROUP] : -1, &start->pidfd);
	if (start->pid < 0)
		return -errno;
	if (start->pid == 0)
		enter_vmm(&(struct enter){ .launch = launch,
		    .fds = record->fds, .vm = record->request.vm,
		    .jail_dir = launcher->jail_dir,
		    .netns = launcher->netns, .report = writing });
	start->report = steal_fd(&reading);
	return 0;
}

/* Waits until the child has executed or failed. 0 or -errno. */
static int
await_child(struct launcher *launcher, uint64_t vm, struct start *start)
{
	struct enter_failure failure;
	int r = read_full(start->report, &failure, sizeof(failure));

	if (r == -EPIPE) {
		remember(launcher, start->pid, vm);
		return 0;
	}
	/* It has called _exit; nobody else may take its status. */
	while (waitpid(start->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (r < 0)
		return r;
	start->step = enter_step_name(failure.step);
	return failure.error;
}

/* The monitor is trusted; this guards against its bugs, not its malice. */
static bool
well_formed(const struct wire_record *record, const struct launch *launch)
{
	uint32_t i;

	if (record->len != sizeof(struct wire_request) + sizeof(*launch) ||
	    launch->nmounts > JAIL_MOUNTS || launch->uid == 0 ||
	    (launch->vmm != VMM_QEMU && launch->vmm != VMM_FIRECRACKER) ||
	    record->nfds != LAUNCHER_FDS + launch->nmounts)
		return false;
	for (i = 0; i < launch->nmounts; i++)
		if (launch->targets[i] >= JAIL_MOUNTS)
			return false;
	return true;
}

static void
send_status(struct launcher *launcher, const struct wire_record *record,
    const struct start *start, int status)
{
	struct wire_reply reply = { .op = record->request.op,
		.seq = record->request.seq, .vm = record->request.vm,
		.status = status };

	if (status < 0)
		(void)format(reply.error, sizeof(reply.error), "%s: %s",
		    start->step, strerror(-status));
	if (wire_send(launcher->sock, &reply, sizeof(reply), NULL, 0, NULL,
	    0) < 0)
		_exit(1);
}

static void
send_launched(struct launcher *launcher, const struct wire_record *record,
    const struct start *start)
{
	struct launched launched = { .pid = start->pid };
	struct wire_reply reply = { .op = record->request.op,
		.seq = record->request.seq, .vm = record->request.vm,
		.len = sizeof(launched), .nfds = 1 };

	if (wire_send(launcher->sock, &reply, sizeof(reply), &launched,
	    sizeof(launched), &start->pidfd, 1) < 0)
		_exit(1);
}

static void
serve_launch(struct launcher *launcher, struct wire_record *record)
{
	struct start start = { .pidfd = -1, .report = -1,
		.step = "read the launch" };
	int r;

	memcpy(&start.launch, record->bytes + sizeof(struct wire_request),
	    sizeof(start.launch));
	r = well_formed(record, &start.launch) ?
	    start_child(launcher, record, &start) : -EBADMSG;
	if (r == 0) {
		send_launched(launcher, record, &start);
		/* Only the monitor's end of these may be left. */
		wire_close_fds(record);
		r = await_child(launcher, record->request.vm, &start);
	}
	send_status(launcher, record, &start, r);
	close_fdp(&start.pidfd);
	close_fdp(&start.report);
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
launcher_main(int sock, const char *jail_dir)
{
	struct launcher launcher = { .sock = sock, .jail_dir = jail_dir };
	struct wire_record record;
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals;

	log_init("launcher", LOG_INFO);
	prctl(PR_SET_NAME, "banger-launch");
	signals = open_child_signal();
	if (epoll < 0 || signals < 0 || watch(epoll, sock) < 0 ||
	    watch(epoll, signals) < 0)
		fatal("start: %s", strerror(errno));
	launcher.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (launcher.netns < 0)
		fatal("network namespace: %s", strerror(errno));
	/* Shared by all QEMUs: no interface, no address, not even loopback. */
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
