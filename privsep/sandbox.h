/*
 * The confinement that every role puts on itself, made of three parts: a
 * system-call allow list (libseccomp), a file-system rule set (landlock) and
 * the process attributes that go with them. Each role's list stands beside
 * the code of that role, with its reasons.
 */
#ifndef BANGER_PRIVSEP_SANDBOX_H
#define BANGER_PRIVSEP_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

/*
 * One system call of a list: its number (SYS_*) and, when COUNT is not 0, the
 * only values of argument ARG that are meant, compared in the bits of MASK (0:
 * all 64). ERROR is for sandbox_refuse.
 */
struct syscall_rule {
	int nr;
	uint32_t arg;
	uint32_t count;
	int error;			/* 0: EPERM */
	uint64_t mask;
	const uint64_t *values;
};

/* Rules, the two usual shapes; CALL reads better where they are refused. */
#define CALL(name) { .nr = SYS_##name }
#define ALLOW(name) { .nr = SYS_##name }
#define ALLOW_ARG(name, n, list) \
	{ .nr = SYS_##name, .arg = (n), .count = ARRAY_SIZE(list), .values = (list) }

/*
 * Lists have what musl makes of our calls, for that is what is shipped; where
 * banger is built with glibc they end with what that does in another way.
 */
#ifdef __GLIBC__
#define ALLOW_OF_GLIBC \
	ALLOW(epoll_wait), ALLOW(newfstatat), ALLOW(openat), ALLOW(lseek), \
	ALLOW(futex), ALLOW(getrandom), ALLOW(getpid), ALLOW(gettid), \
	ALLOW(tgkill), ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), \
	ALLOW(wait4), ALLOW(writev), ALLOW(set_robust_list), ALLOW(rseq), \
	ALLOW(faccessat), ALLOW(dup2), ALLOW(sysinfo),
#else
#define ALLOW_OF_GLIBC
#endif

/*
 * Installs an allow list for this process and all its later children;
 * anything else kills the process (SECCOMP_RET_KILL_PROCESS; seccomp(2)).
 * Sets no_new_privs first. 0 or -errno. With BANGER_SANITIZE builds (ASan's
 * runtime makes calls of its own) the list is compiled but not loaded.
 */
int	 sandbox_syscalls(const struct syscall_rule *rules, size_t count);

/*
 * Refuses RULES for this process and all its later children, with EPERM or
 * the rule's own error, and allows everything else: for programs that are not
 * ours. Other architectures' calls kill. Sets no_new_privs first. 0 or -errno.
 */
int	 sandbox_refuse(const struct syscall_rule *rules, size_t count);

/*
 * Restricts the file system to the directories or files behind FDS: reading
 * below READ_FDS, everything that concerns files below WRITE_FDS, nothing else
 * (landlock(7)). Fds already open stay usable. 0, also when the kernel has no
 * landlock (said once in the log); -errno otherwise.
 */
int	 sandbox_files(const int *read_fds, size_t reads, const int *write_fds,
	    size_t writes);

/*
 * Nothing in the file system can be written, made, renamed or removed any more;
 * reading and executing go on as they were. 0 or -errno, as sandbox_files.
 */
int	 sandbox_no_writes(void);

/*
 * PR_SET_DUMPABLE 0, no core, no_new_privs. 0 or -errno (prctl(2)).
 */
int	 sandbox_process(void);

#endif
