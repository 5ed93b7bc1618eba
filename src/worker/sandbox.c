/*
 * What the worker, its jobs, the process that serves names and those that pull
 * images may ask the kernel for. The threat: a client's request or a guest's
 * bytes that take over the worker, an archive that takes over a job, a packet
 * from whoever is on this host, and a registry. No list has a way to execute
 * anything, to change an identity, to trace, or to mount; only who pulls has one
 * to make a socket.
 *
 * A filter is inherited by fork and another one only adds to it, so that the
 * worker's list contains what jobs need; theirs is what is left when the
 * worker's own means are taken away: names, sockets, processes.
 */
#include "worker/sandbox.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "privsep/sandbox.h"
#include "privsep/util.h"
#include "worker/job.h"

enum {
	/* An image's is bounded but for the window of its compression. */
	JOB_MEMORY_MIB = 768, IMAGE_MEMORY_MIB = 256, JOB_CPU_S = 3600,
	JOB_NOFILE = JOB_FDS_MAX + 64,
	FETCH_MEMORY_MIB = 256, FETCH_CPU_S = 3600, FETCH_NOFILE = 640,
};

#ifdef __GLIBC__
/* fork() of glibc; no namespace, no thread. */
static const uint64_t clone_flags[] = {
	CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD,
};
#endif

/* Reflinks of disks; anything else is a device's business. */
static const uint64_t ioctls[] = { FICLONE };

static const uint64_t prctls[] = {
	PR_SET_PDEATHSIG,	/* a job dies with the worker */
	PR_SET_NO_NEW_PRIVS,	/* set again by what confines a job */
	PR_SET_DUMPABLE,
};

/* What every process that reads and writes open fds needs. */
#define RULES_FOR_DATA \
	ALLOW(read), ALLOW(write), ALLOW(pread64), ALLOW(pwrite64), \
	ALLOW(lseek), ALLOW(fstat), \
	/* disks and images: sparse, copied in the kernel, synced */ \
	ALLOW(ftruncate), ALLOW(fallocate), ALLOW(copy_file_range), \
	ALLOW(fdatasync), \
	/* how much room there is for them */ \
	ALLOW(fstatfs), \
	/* malloc */ \
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), \
	ALLOW(madvise), ALLOW(mprotect), \
	/* where there is no vdso */ \
	ALLOW(clock_gettime), \
	ALLOW(exit_group)

static const struct syscall_rule worker_rules[] = {
	RULES_FOR_DATA,
	/* the store */
	ALLOW(openat), ALLOW(open), ALLOW(close), ALLOW(renameat),
	ALLOW(unlinkat), ALLOW(faccessat2), ALLOW(getdents64), ALLOW(fcntl),
	ALLOW(fsync), ALLOW_ARG(ioctl, 1, ioctls),
	/* the event loop; random numbers, of ids and nonces */
	ALLOW(epoll_pwait), ALLOW(epoll_ctl), ALLOW(getrandom),
	/* clients and the wire: accepted and passed sockets, none made here */
	ALLOW(accept4), ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(recvfrom),
	ALLOW(sendto), ALLOW(getsockopt),
	/* starting, watching and ending jobs */
	ALLOW(pipe2), ALLOW(pidfd_open), ALLOW(waitid), ALLOW(kill),
	ALLOW(fork), ALLOW(getpid), ALLOW(gettid), ALLOW(rt_sigprocmask),
	/* what a job does to confine itself */
	ALLOW(dup3), ALLOW(close_range), ALLOW(getppid),
	ALLOW_ARG(prctl, 0, prctls), ALLOW(seccomp), ALLOW(prlimit64),
	ALLOW(landlock_create_ruleset), ALLOW(landlock_restrict_self),
#ifdef __GLIBC__
	ALLOW_ARG(clone, 0, clone_flags),
#endif
	ALLOW_OF_GLIBC
};

static const struct syscall_rule job_rules[] = {
	RULES_FOR_DATA,
	ALLOW_OF_GLIBC
};

/*
 * No sendmsg(2), whose control data could give a datagram another source
 * address (ip(7), IP_PKTINFO) than the loopback one that the socket has.
 */
static const struct syscall_rule names_rules[] = {
	/* questions of resolvers, and to the worker */
	ALLOW(recvfrom), ALLOW(sendto),
	/* its last words */
	ALLOW(write), ALLOW(exit_group),
	/* free(), of what the filter was made from */
	ALLOW(brk), ALLOW(munmap), ALLOW(madvise),
	ALLOW_OF_GLIBC
};

/* Directories whose resolv.conf may be read; most hosts have one or two. */
static const char *const resolv_dirs[] = {
	"/etc", "/run/systemd/resolve", "/run/resolvconf",
	"/run/NetworkManager",
};

/* Those that are there; how many. */
static size_t
open_resolv_dirs(int dirs[ARRAY_SIZE(resolv_dirs)])
{
	size_t count = 0, i;

	for (i = 0; i < ARRAY_SIZE(resolv_dirs); i++) {
		int fd = open(resolv_dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			dirs[count++] = fd;
	}
	return count;
}

int
worker_confine(int store)
{
	int dirs[ARRAY_SIZE(resolv_dirs)], r = sandbox_process();
	size_t count = open_resolv_dirs(dirs), i;

	if (r == 0)
		r = sandbox_files(dirs, count, &store, 1);
	for (i = 0; i < count; i++)
		close(dirs[i]);
	return r < 0 ? r :
	    sandbox_syscalls(worker_rules, ARRAY_SIZE(worker_rules));
}

static int
limit(int which, rlim_t value)
{
	struct rlimit rlimit = { value, value };

	return setrlimit((__typeof__(RLIMIT_CORE))which, &rlimit) < 0 ?
	    -errno : 0;
}

int
job_confine(uint64_t file_max)
{
	int r = limit(RLIMIT_CPU, JOB_CPU_S);

	if (r == 0 && file_max > 0)
		r = limit(RLIMIT_FSIZE, file_max);

#ifndef BANGER_SANITIZE
	/* ASan's shadow alone is larger. */
	if (r == 0)
		r = limit(RLIMIT_AS, (rlim_t)(file_max > 0 ? IMAGE_MEMORY_MIB :
		    JOB_MEMORY_MIB) << 20);
#endif
	if (r == 0)
		r = limit(RLIMIT_NOFILE, JOB_NOFILE);
	if (r == 0)
		r = limit(RLIMIT_CORE, 0);
	if (r == 0)
		r = sandbox_files(NULL, 0, NULL, 0);
	return r < 0 ? r :
	    sandbox_syscalls(job_rules, ARRAY_SIZE(job_rules));
}

/*
 * Whoever pulls opens what it resolves names with, and blobs; it makes sockets,
 * to the network alone, and can neither listen nor pass an fd.
 */
#define RULES_FOR_PULL \
	/* blobs, and what names are resolved with */ \
	ALLOW(openat), ALLOW(open), ALLOW(close), ALLOW(renameat), \
	ALLOW(newfstatat), ALLOW(fstat), ALLOW(fcntl), ALLOW(flock), \
	ALLOW(read), ALLOW(pread64), ALLOW(write), ALLOW(pwrite64), \
	ALLOW(ftruncate), ALLOW(fdatasync), ALLOW(fstatfs), \
	/* the network */ \
	ALLOW_ARG(socket, 0, families), ALLOW(connect), ALLOW(bind), \
	ALLOW(sendto), ALLOW(recvfrom), ALLOW(recvmsg), ALLOW(getsockopt), \
	ALLOW(setsockopt), ALLOW(getsockname), ALLOW(poll), \
	/* mbedTLS's random numbers, which must not survive a fork */ \
	ALLOW(getrandom), ALLOW(getpid), \
	/* malloc; time where there is no vdso; the end */ \
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), \
	ALLOW(madvise), ALLOW(mprotect), ALLOW(clock_gettime), \
	ALLOW(exit_group)

static const uint64_t families[] = { AF_INET, AF_INET6 };

static const struct syscall_rule pull_rules[] = {
	RULES_FOR_PULL,
	ALLOW_OF_GLIBC
};

static const struct syscall_rule fetcher_rules[] = {
	RULES_FOR_PULL,
	/* starting and ending those that pull */
	ALLOW(fork), ALLOW(gettid), ALLOW(rt_sigprocmask), ALLOW(getppid),
	ALLOW(pidfd_open), ALLOW(waitid), ALLOW(kill),
	/* what one of them does to confine itself */
	ALLOW_ARG(prctl, 0, prctls), ALLOW(seccomp), ALLOW(prlimit64),
#ifdef __GLIBC__
	ALLOW_ARG(clone, 0, clone_flags),
#endif
	ALLOW_OF_GLIBC
};

int
fetcher_confine(int blobs)
{
	int dirs[ARRAY_SIZE(resolv_dirs)], r = sandbox_process();
	size_t count = open_resolv_dirs(dirs), i;

	if (r == 0)
		r = sandbox_files(dirs, count, &blobs, 1);
	for (i = 0; i < count; i++)
		close(dirs[i]);
	return r < 0 ? r :
	    sandbox_syscalls(fetcher_rules, ARRAY_SIZE(fetcher_rules));
}

int
pull_confine(void)
{
	int r = limit(RLIMIT_CPU, FETCH_CPU_S);

#ifndef BANGER_SANITIZE
	if (r == 0)
		r = limit(RLIMIT_AS, (rlim_t)FETCH_MEMORY_MIB << 20);
#endif
	if (r == 0)
		r = limit(RLIMIT_NOFILE, FETCH_NOFILE);
	if (r == 0)
		r = limit(RLIMIT_CORE, 0);
	return r < 0 ? r :
	    sandbox_syscalls(pull_rules, ARRAY_SIZE(pull_rules));
}

int
names_confine(void)
{
	int r = sandbox_process();

	if (r == 0)
		r = sandbox_files(NULL, 0, NULL, 0);
	return r < 0 ? r :
	    sandbox_syscalls(names_rules, ARRAY_SIZE(names_rules));
}
