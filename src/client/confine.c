/*
 * The threat: a guest whose stream takes over the client, which runs as the
 * user, mostly as root.
 */
#include "client/confine.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <signal.h>
#include <sys/syscall.h>

#include "privsep/sandbox.h"
#include "privsep/util.h"

/* Terminals: attributes, size, and isatty(3). */
static const uint64_t ioctls[] = { TCGETS, TCSETS, TCSETSW, TIOCGWINSZ };

/* Stopping oneself (Ctrl-Z sent from outside), and abort(3) by tgkill. */
static const uint64_t kill_signals[] = { SIGSTOP };

static const struct syscall_rule rules[] = {
	/* the stream, the standard streams, the API connection */
	ALLOW(read), ALLOW(write), ALLOW(writev), ALLOW(recvfrom),
	ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(shutdown),
	ALLOW(poll), ALLOW(ppoll), ALLOW(close), ALLOW(lseek),
	ALLOW_ARG(ioctl, 1, ioctls),
	/* stdio looks at what it writes to */
	ALLOW(fstat), ALLOW(newfstatat), ALLOW(fcntl),
	/* signals as frames; release_signals() */
	ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), ALLOW(rt_sigreturn),
	ALLOW(rt_sigtimedwait), ALLOW_ARG(kill, 1, kill_signals),
	ALLOW(restart_syscall), ALLOW(getpid), ALLOW(gettid), ALLOW(tgkill),
	ALLOW(tkill),
	/* malloc, and clocks without a vdso */
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW(mprotect), ALLOW(futex), ALLOW(getrandom),
	ALLOW(clock_gettime), ALLOW(gettimeofday),
	ALLOW(exit), ALLOW(exit_group),
};

int
client_confine(void)
{
	int r = 0;

#ifndef BANGER_SANITIZE
	/* The sanitizers trace this process and read /proc when it ends. */
	r = sandbox_process();
	if (r == 0)
		r = sandbox_files(NULL, 0, NULL, 0);
#endif
	if (r == 0)
		r = sandbox_syscalls(rules, ARRAY_SIZE(rules));
	return r;
}
