/*
 * Theory of operation. A daemon starts as root with every capability and ends
 * as four processes, none of which could start it again:
 *
 *  1. drop_initial: what came from the caller (fds, umask, working directory,
 *     signals) is replaced by known values. Of the environment only
 *     NOTIFY_SOCKET and JOURNAL_STREAM are ever read.
 *  2. The configuration is read, sockets and directories are opened, records
 *     of running VMMs are checked against the kernel. This needs root and
 *     touches nothing that a worker or a guest wrote, except the records,
 *     which only root can write.
 *  3. drop_mounts, then the launcher is forked (drop_launcher), then the
 *     resolver (drop_resolver), where there is a resolvectl to run, then the
 *     worker (drop_to_uid, execve of our own executable by fd).
 *  4. drop_monitor: from here on the monitor serves requests, with six
 *     capabilities and no system call that executes, forks or changes ids.
 */
#include "privsep/drop.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/dm-ioctl.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/log.h"
#include "privsep/sandbox.h"
#include "privsep/util.h"

enum { FDS_WANTED = 8192 };

/* Taps; the index of one just made; receive offload of uplinks. */
static const uint64_t network_ioctls[] = {
	TUNSETIFF, TUNSETOWNER, TUNSETGROUP, TUNSETPERSIST, SIOCGIFINDEX,
	SIOCETHTOOL,
};

/* To the network only through the netlink sockets that are open. */
static const uint64_t families[] = { AF_UNIX };

/*
 * Disks: a loop device for a file; a device of device mapper made, started,
 * looked at, removed. No other change of either.
 */
static const uint64_t disk_ioctls[] = {
	LOOP_CTL_GET_FREE, LOOP_CONFIGURE, DM_DEV_CREATE, DM_TABLE_LOAD,
	DM_DEV_SUSPEND, DM_DEV_STATUS, DM_TABLE_STATUS, DM_DEV_REMOVE,
};

/* What the monitor does after start-up, by the reason it does it. */
static const struct syscall_rule monitor_syscalls[] = {
	/* the loop and the wire */
	ALLOW(epoll_pwait), ALLOW(epoll_ctl), ALLOW(recvmsg), ALLOW(sendmsg),
	ALLOW(read), ALLOW(close), ALLOW(poll), ALLOW(clock_gettime),
	/* log lines, records, jail files */
	ALLOW(write), ALLOW(pread64),
	/* checks of passed fds; moving them */
	ALLOW(fcntl), ALLOW(fstat), ALLOW(pipe2),
	/* jails, and nodes of disks: the tree, its nodes, its mounts, its end */
	ALLOW(openat2), ALLOW(mkdirat), ALLOW(mknodat), ALLOW(symlinkat),
	ALLOW(fchmod), ALLOW(fchmodat), ALLOW(fchown), ALLOW(fchownat),
	ALLOW(open_tree), ALLOW(mount_setattr), ALLOW(unlinkat),
	ALLOW(fsopen), ALLOW(fsconfig), ALLOW(fsmount),
	ALLOW(renameat), ALLOW(getdents64),
	/* sockets of VMMs; netlink sockets are open already */
	ALLOW_ARG(socket, 0, families), ALLOW(connect), ALLOW(sendto),
	ALLOW(recvfrom),
	/* taps */
	ALLOW(open), ALLOW_ARG(ioctl, 1, network_ioctls),
	/* disks; the command of ioctl(2) is 32 bits wide; udev's lock */
	{ .nr = SYS_ioctl, .arg = 1, .count = ARRAY_SIZE(disk_ioctls),
	    .mask = UINT32_MAX, .values = disk_ioctls },
	ALLOW(flock),
	/* VMMs and the worker, by pidfd only */
	ALLOW(pidfd_send_signal), ALLOW(waitid),
	/* memory; the kernel's own after a stop; the end */
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW(mprotect), ALLOW(restart_syscall), ALLOW(exit_group),
	ALLOW_OF_GLIBC
};

/*
 * Dispositions and mask survive execve(2): an ignored SIGCHLD would hide the
 * end of every VMM. A log that nobody reads any more must not end us.
 */
static void
reset_signals(void)
{
	sigset_t none;
	int i;

	for (i = 1; i < _NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The monitor holds up to five fds for each VM. */
static void
raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max < FDS_WANTED ? limit.rlim_max :
	    FDS_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("limit of open files: %s", strerror(errno));
}

/*
 * What the fd of a tap lets its holder do without any capability: make it
 * outlive us, give it away, give it another guest's MAC address.
 */
static const uint64_t tap_ioctls[] = {
	TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, TUNSETLINK, TUNSETCARRIER,
	TUNSETDEBUG, TUNSETIFINDEX, TUNATTACHFILTER, TUNDETACHFILTER,
	TUNSETSTEERINGEBPF, TUNSETFILTEREBPF, SIOCSIFHWADDR,
};
/*
 * And the fd of a loop device: put another file under it, have the kernel look
 * for partitions in what the guest wrote, make it outlive its user.
 */
static const uint64_t loop_ioctls[] = {
	LOOP_SET_FD, LOOP_CLR_FD, LOOP_SET_STATUS, LOOP_SET_STATUS64,
	LOOP_CHANGE_FD, LOOP_SET_CAPACITY, LOOP_SET_DIRECT_IO,
	LOOP_SET_BLOCK_SIZE, LOOP_CONFIGURE,
};
static const uint64_t new_user[] = { CLONE_NEWUSER };

/*
 * A VMM that was taken over attacks the kernel next: it gets no namespace in
 * which it would be root, and none of the interfaces that are known for it.
 */
static const struct syscall_rule vmm_refused[] = {
	{ .nr = SYS_ioctl, .arg = 1, .count = ARRAY_SIZE(tap_ioctls),
	    .mask = UINT32_MAX, .values = tap_ioctls },
	{ .nr = SYS_ioctl, .arg = 1, .count = ARRAY_SIZE(loop_ioctls),
	    .mask = UINT32_MAX, .values = loop_ioctls },
	{ .nr = SYS_clone, .arg = 0, .count = 1, .mask = CLONE_NEWUSER,
	    .values = new_user },
	/* Its flags are in memory; the C library then takes clone(2). */
	{ .nr = SYS_clone3, .error = ENOSYS },
	CALL(unshare), CALL(setns), CALL(mount), CALL(umount2),
	CALL(move_mount), CALL(open_tree), CALL(fsopen), CALL(fspick),
	CALL(pivot_root), CALL(chroot), CALL(ptrace),
	CALL(process_vm_readv), CALL(process_vm_writev), CALL(bpf),
	CALL(perf_event_open), CALL(userfaultfd), CALL(io_uring_setup),
	CALL(keyctl), CALL(add_key), CALL(request_key),
	CALL(name_to_handle_at), CALL(open_by_handle_at),
	CALL(personality), CALL(modify_ldt), CALL(kcmp),
};

int
drop_vmm_syscalls(void)
{
	return sandbox_refuse(vmm_refused, ARRAY_SIZE(vmm_refused));
}

void
drop_initial(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	reset_signals();
	raise_fd_limit();
	umask(077);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || chdir("/") < 0 ||
	    syscall(SYS_close_range, (unsigned int)keep + 1, ~0U, 0) < 0)
		fatal("start: %s", strerror(errno));
}

void
drop_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		fatal("mount namespace: %s", strerror(errno));
}

/* Keeps COUNT capabilities, in the bounding set too, and nothing else. */
static void
keep_capabilities(const unsigned int *caps, size_t count)
{
	size_t i;

	capng_clear(CAPNG_SELECT_ALL);
	for (i = 0; i < count; i++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED |
		    CAPNG_BOUNDING_SET, caps[i]);
	if (capng_apply(CAPNG_SELECT_ALL) != 0)
		fatal("capabilities: cannot drop: %s", strerror(errno));
}

void
drop_launcher(void)
{
	static const unsigned int caps[] = {
		CAP_SYS_ADMIN,		/* the VMM's mount namespace */
		CAP_SETUID, CAP_SETGID,	/* the VMM's uid */
		CAP_SETPCAP,		/* the VMM's bounding set */
		/* the jailer's, see drop_to_jailer */
		CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_MKNOD,
	};

	keep_capabilities(caps, ARRAY_SIZE(caps));
}

void
drop_monitor(void)
{
	static const unsigned int caps[] = {
		CAP_CHOWN,		/* device nodes of a jail */
		CAP_DAC_OVERRIDE,	/* /run of a jail is the VM's, 0700 */
		CAP_KILL,		/* VMMs have other uids */
		CAP_MKNOD,		/* /dev of a jail, nodes of disks */
		CAP_NET_ADMIN,		/* bridge, taps, rules */
		CAP_SYS_ADMIN,		/* detached mounts, device mapper */
	};
	int r;

	keep_capabilities(caps, ARRAY_SIZE(caps));
	r = sandbox_process();
	if (r == 0)
		r = sandbox_syscalls(monitor_syscalls,
		    ARRAY_SIZE(monitor_syscalls));
	if (r < 0)
		fatal("system-call filter: %s", strerror(-r));
}

/*
 * Effective and permitted become KEEP (bit 1 << capability), inheritable and
 * with it ambient become empty. By hand, and not with libcap-ng, which keeps
 * the pid that it saw first: here that is the parent's.
 */
static int
set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	size_t i;

	memset(sets, 0, sizeof(sets));
	for (i = 0; i < ARRAY_SIZE(sets); i++)
		sets[i].effective = sets[i].permitted =
		    (uint32_t)(keep >> (32 * i));
	return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

/* Leaves KEEP in the bounding set. Needs CAP_SETPCAP. */
static int
bound_capabilities(uint64_t keep)
{
	unsigned long cap;
	int r = 0;

	for (cap = 0; r == 0; cap++)
		if (cap >= 64 || (keep & UINT64_C(1) << cap) == 0)
			r = prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	/* EINVAL: beyond the last capability that this kernel has. */
	return errno == EINVAL ? 0 : -errno;
}

/*
 * Out of the session keyring of whoever started the daemon: possession, not
 * the uid, gives access to what is in it (session-keyring(7)). Where keyctl is
 * not allowed, it is not allowed to what follows either.
 */
static int
leave_keyring(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 &&
	    errno != ENOSYS && errno != EPERM)
		return -errno;
	return 0;
}

void
drop_resolver(void)
{
	int r;

	keep_capabilities(NULL, 0);
	r = leave_keyring();
	if (r == 0)
		r = sandbox_process();
	if (r == 0)
		r = sandbox_no_writes();
	/* What a program of the host's needs as little as a VMM does. */
	if (r == 0)
		r = drop_vmm_syscalls();
	if (r < 0)
		fatal("cannot drop privileges: %s", strerror(-r));
}

int
drop_to_jailer(void)
{
	static const uint64_t keep =
	    UINT64_C(1) << CAP_SYS_ADMIN |	/* mounts, pivot_root */
	    UINT64_C(1) << CAP_MKNOD |		/* kvm, tun, urandom */
	    UINT64_C(1) << CAP_CHOWN |		/* of what it makes */
	    UINT64_C(1) << CAP_DAC_OVERRIDE |	/* in what it gave away */
	    UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID;
	int r = bound_capabilities(keep);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = leave_keyring();
	return r < 0 ? r : set_capabilities(keep);
}

int
drop_to_uid(uid_t uid)
{
	int r = bound_capabilities(0);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || leave_keyring() < 0)
		return -errno;
	return set_capabilities(0);
}
