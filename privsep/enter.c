/*
 * See enter.h. Each kind of VMM is a list of steps, done in order; the first
 * that fails is told, by name.
 *
 * QEMU gets everything from us: the jail as its whole file system (pivot_root,
 * the old root detached), no interface to see, its uid, no capability, a
 * filter. Firecracker's jailer does these for its child, and must therefore be
 * able to: it starts as root with the six capabilities that it uses, and no way
 * to any other. Firecracker opens its tap by name, so it lives where the taps
 * are, in the host's network namespace; the filter that it puts on itself knows
 * no socket but Unix ones.
 */
#include "privsep/enter.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/cgroup.h"
#include "privsep/drop.h"
#include "privsep/util.h"
#include "privsep/vm.h"

static const char *const step_names[ENTER_STEPS] = {
	[ENTER_GO] = "wait for the record",
	[ENTER_SESSION] = "setsid",
	[ENTER_NETNS] = "enter the network namespace",
	[ENTER_ROOT] = "enter the jail",
	[ENTER_MOUNT] = "mount",
	[ENTER_PIVOT] = "pivot_root",
	[ENTER_FDS] = "pass fds",
	[ENTER_LIMITS] = "set limits",
	[ENTER_IDS] = "drop privileges",
	[ENTER_FILTER] = "filter system calls",
	[ENTER_EXEC] = "execute the VMM",
};

/* Where arrange_fds puts what is no standard fd. */
enum { FD_TAP = 3, FD_DISK, FD_EXEC, FD_REPORT, FDS_END };

const char *
enter_step_name(uint32_t step)
{
	return step < ENTER_STEPS ? step_names[step] : "?";
}

/*
 * The monitor has us on record when it says go; without that word it has
 * changed its mind or is gone, and nobody would ever end this VMM.
 */
static int
wait_for_go(struct enter *e)
{
	char go;

	return read_full(e->fds[LAUNCHER_GO], &go, 1) < 0 ? -ECANCELED : 0;
}

static int
new_session(struct enter *e)
{
	sigset_t none;

	(void)e;
	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return setsid() < 0 ? -errno : 0;
}

static int
enter_netns(struct enter *e)
{
	return setns(e->netns, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int
attach(int mount, int dir, const char *target)
{
	return syscall(SYS_move_mount, mount, "", dir, target,
	    MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/*
 * The jail becomes a mount of its own in a namespace of its own; device nodes
 * in it must work even where the state directory is mounted nodev.
 */
static int
enter_root(struct enter *e)
{
	struct mount_attr attr = {
		.attr_clr = MOUNT_ATTR_NODEV,
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
		.propagation = MS_PRIVATE,
	};
	_cleanup_close_ int tree = -1;
	int r;

	if (fchdir(e->fds[LAUNCHER_ROOT]) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, ".",
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
	    sizeof(attr)) < 0)
		return -errno;
	r = attach(tree, AT_FDCWD, ".");
	if (r == 0 && fchdir(tree) < 0)
		r = -errno;
	return r;
}

static int
attach_mounts(struct enter *e)
{
	const int *mounts = e->fds + LAUNCHER_FDS;
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < e->launch->nmounts; i++)
		r = attach(mounts[i], AT_FDCWD,
		    jail_targets[e->launch->targets[i]]);
	return r;
}

/* Firecracker's jail over the jail directory, in a namespace of its own. */
static int
attach_chroot(struct enter *e)
{
	int root = e->fds[LAUNCHER_ROOT];

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	return attach(root, AT_FDCWD, e->jail_dir);
}

static int
attach_files(struct enter *e)
{
	int root = e->fds[LAUNCHER_ROOT], r;
	char name[VM_ID_HEX + 1], target[64];
	uint32_t i;

	vm_name(e->vm, name);
	r = attach(e->fds[LAUNCHER_VMM], root, "exec/firecracker");
	for (i = 0; r == 0 && i < e->launch->nmounts; i++) {
		snprintf(target, sizeof(target), "firecracker/%s/root/%s",
		    name, jail_targets[e->launch->targets[i]]);
		r = attach(e->fds[LAUNCHER_FDS + i], root, target);
	}
	return r;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root vanishes at once. */
static int
pivot(struct enter *e)
{
	(void)e;
	if (syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/*
 * Puts the fds where the program expects them: 0 to 2, and tap and disk for
 * QEMU; executable and report follow, close-on-exec. All others are closed.
 */
static int
arrange_fds(struct enter *e)
{
	const int *fds = e->fds;
	/* Standard input is the daemon's own: /dev/null. */
	int from[FDS_END] = { STDIN_FILENO, fds[LAUNCHER_OUT],
		fds[LAUNCHER_ERR], fds[LAUNCHER_TAP], fds[LAUNCHER_DISK],
		fds[LAUNCHER_EXEC], e->report };
	bool qemu = e->launch->vmm == VMM_QEMU;
	int i;

	/* First out of the way of the numbers that are about to be used. */
	for (i = 0; i < FDS_END; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64);
		if (from[i] < 0)
			return -errno;
	}
	for (i = 0; i < FDS_END; i++)
		if (dup3(from[i], i, i >= FD_EXEC ||
		    (i >= FD_TAP && !qemu) ? O_CLOEXEC : 0) < 0)
			return -errno;
	e->report = FD_REPORT;
	return syscall(SYS_close_range, (unsigned int)FDS_END, ~0U, 0U) < 0 ?
	    -errno : 0;
}

static int
set_limits(struct enter *e)
{
	static const struct rlimit none = { 0, 0 }, files = { 1024, 1024 };
	/* Threads of this uid: it has no other process. */
	static const struct rlimit threads = { 256, 256 };

	(void)e;
	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    setrlimit(RLIMIT_MSGQUEUE, &none) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    setrlimit(RLIMIT_NPROC, &threads) < 0)
		return -errno;
	return 0;
}

static int
become_uid(struct enter *e)
{
	return drop_to_uid(e->launch->uid);
}

static int
become_jailer(struct enter *e)
{
	(void)e;
	return drop_to_jailer();
}

static int
refuse_syscalls(struct enter *e)
{
	(void)e;
	return drop_vmm_syscalls();
}

static int
execute(const char *const *argv)
{
	char *const envp[] = { NULL };

	syscall(SYS_execveat, FD_EXEC, "", argv, envp, AT_EMPTY_PATH);
	return -errno;
}

static int
execute_qemu(struct enter *e)
{
	static const char sandbox[] = "on,obsolete=deny,"
	    "elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
	static const char *const argv[] = {
		"qemu-system-x86_64", "-nodefaults", "-no-user-config",
		"-nographic", "-no-reboot", "-cpu", "max", "-sandbox", sandbox,
		"-add-fd", "fd=4,set=4", "-readconfig", "/vmm.conf", NULL,
	};

	(void)e;
	return execute(argv);
}

/*
 * Flags of jailer 1.0 to 1.14 (docs/jailer.md of Firecracker). Without a
 * --cgroup of its own it only joins the cgroup that it is in already; not told
 * of one, it would look for one of the executable's name. Its own default
 * number of files is above our limit.
 */
static int
execute_jailer(struct enter *e)
{
	char name[VM_ID_HEX + 1], uid[16], exec[PATH_BYTES + 32], cgroup[64];
	const char *const argv[] = {
		"jailer", "--id", name, "--exec-file", exec, "--uid", uid,
		"--gid", uid, "--chroot-base-dir", e->jail_dir,
		"--cgroup-version", "2", "--parent-cgroup", cgroup,
		"--resource-limit", "no-file=1024",
		"--", "--config-file", "/vmm.conf", "--level", "Error",
		e->launch->api != 0 ? "--api-sock" : "--no-api",
		e->launch->api != 0 ? "/run/api.sock" : NULL, NULL,
	};

	vm_name(e->vm, name);
	snprintf(uid, sizeof(uid), "%u", e->launch->uid);
	snprintf(exec, sizeof(exec), "%s/exec/firecracker", e->jail_dir);
	snprintf(cgroup, sizeof(cgroup), CGROUP_PARENT "/%s", name);
	return execute(argv);
}

struct step {
	enum enter_step name;
	int (*act)(struct enter *e);
};

static const struct step qemu_steps[] = {
	{ ENTER_GO, wait_for_go },
	{ ENTER_SESSION, new_session },
	{ ENTER_ROOT, enter_root },
	{ ENTER_MOUNT, attach_mounts },
	{ ENTER_PIVOT, pivot },
	{ ENTER_FDS, arrange_fds },
	{ ENTER_LIMITS, set_limits },
	{ ENTER_IDS, become_uid },
	{ ENTER_FILTER, refuse_syscalls },
	{ ENTER_EXEC, execute_qemu },
};

static const struct step firecracker_steps[] = {
	{ ENTER_GO, wait_for_go },
	{ ENTER_SESSION, new_session },
	{ ENTER_NETNS, enter_netns },
	{ ENTER_ROOT, attach_chroot },
	{ ENTER_MOUNT, attach_files },
	{ ENTER_FDS, arrange_fds },
	{ ENTER_LIMITS, set_limits },
	{ ENTER_IDS, become_jailer },
	{ ENTER_EXEC, execute_jailer },
};

void
enter_vmm(const struct enter *enter)
{
	bool qemu = enter->launch->vmm == VMM_QEMU;
	const struct step *steps = qemu ? qemu_steps : firecracker_steps;
	size_t count = qemu ? ARRAY_SIZE(qemu_steps) :
	    ARRAY_SIZE(firecracker_steps), i;
	struct enter_failure failure = { 0 };
	struct enter e = *enter;

	for (i = 0; i < count && failure.error == 0; i++) {
		failure.step = (uint32_t)steps[i].name;
		failure.error = steps[i].act(&e);
	}
	(void)write_full(e.report, &failure, sizeof(failure));
	_exit(127);
}
