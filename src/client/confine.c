/*
 * The threat: a guest whose stream takes over the client, which runs as the
 * user, mostly as root; and a guest's disk, which became an image, that takes
 * over whoever reads it.
 */
#include "client/confine.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "privsep/sandbox.h"
#include "privsep/util.h"

#define READER_MEMORY (768ULL << 20)

/* Terminals: attributes, size, and isatty(3). */
static const uint64_t ioctls[] = { TCGETS, TCSETS, TCSETSW, TIOCGWINSZ };

/* Stopping oneself (Ctrl-Z sent from outside). */
static const uint64_t kill_signals[] = { SIGSTOP };

static const struct syscall_rule rules[] = {
	/* the stream, the standard streams, the API connection, complaints */
	ALLOW(read), ALLOW(write), ALLOW(writev), ALLOW(recvfrom),
	ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(shutdown),
	ALLOW(poll), ALLOW(close), ALLOW_ARG(ioctl, 1, ioctls),
	/* signals as frames; release_signals() */
	ALLOW(rt_sigprocmask), ALLOW(rt_sigtimedwait),
	ALLOW_ARG(kill, 1, kill_signals), ALLOW(getpid),
	ALLOW(restart_syscall),
	/* malloc, and clocks without a vdso */
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW(mprotect), ALLOW(clock_gettime),
	ALLOW(exit_group),
	ALLOW_OF_GLIBC
};

static const struct syscall_rule reader_rules[] = {
	/* the image, what is made of it, and the pipe to tell of it */
	ALLOW(read), ALLOW(pread64), ALLOW(write), ALLOW(pwrite64),
	ALLOW(lseek), ALLOW(fstat), ALLOW(ftruncate), ALLOW(copy_file_range),
	/* malloc, and clocks without a vdso */
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW(mprotect), ALLOW(clock_gettime),
	ALLOW(exit_group),
	ALLOW_OF_GLIBC
};

static int
confine(const struct syscall_rule *allowed, size_t count)
{
	int r = 0;

#ifndef BANGER_SANITIZE
	/* The sanitizers trace this process and read /proc when it ends. */
	r = sandbox_process();
	if (r == 0)
		r = sandbox_files(NULL, 0, NULL, 0);
#endif
	return r < 0 ? r : sandbox_syscalls(allowed, count);
}

int
client_confine(void)
{
	return confine(rules, ARRAY_SIZE(rules));
}

/*
 * A damaged file system may want any amount of memory: the host's is not to go to
 * it. ASan's shadow alone is larger.
 */
static int
limit_memory(void)
{
#ifndef BANGER_SANITIZE
	const struct rlimit most = { READER_MEMORY, READER_MEMORY };

	if (setrlimit(RLIMIT_AS, &most) < 0)
		return -errno;
#endif
	return 0;
}

int
client_confine_reader(void)
{
	int r = limit_memory();

	return r < 0 ? r : confine(reader_rules, ARRAY_SIZE(reader_rules));
}
