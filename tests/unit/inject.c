/*
 * See inject.h. At its entry the call's number becomes one that no kernel has,
 * and at its exit the result becomes the error.
 */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "inject.h"

enum { EXIT_CHECK = 77, RUNS_MAX = 2000, FDS_MAX = 256 };

/* What the child tells of itself. */
struct told {
	volatile bool on;		/* RUN is under way */
	volatile int result;
	char wrong[256];
};

/* One run. */
struct attempt {
	const struct act *act;
	struct told *told;
	unsigned int when;		/* the call that is to fail; 0: none */
	int error;
	unsigned int seen;		/* calls so far */
	long nr;			/* of the one that failed, or -1 */
};

/*
 * What cannot fail, what the runtime of a sanitizer does, and what leaves a
 * descriptor as it is, which no kernel does.
 */
static const long never[] = {
	SYS_close, SYS_exit_group, SYS_exit, SYS_mmap, SYS_munmap, SYS_mprotect,
	SYS_madvise, SYS_brk, SYS_futex, SYS_getpid, SYS_gettid, SYS_getuid,
	SYS_geteuid, SYS_getgid, SYS_getegid, SYS_umask, SYS_sched_yield,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_restart_syscall,
};

static bool
is_in(long nr, const long *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (list[i] == nr)
			return true;
	return false;
}

/* Lists of an act end with -1. */
static bool
is_harmless(const struct act *act, long nr)
{
	size_t n = 0;

	while (act->harmless != NULL && act->harmless[n] != -1)
		n++;
	return is_in(nr, act->harmless, n);
}

/* Where /proc may not be readable any more. */
static unsigned int
open_fds(void)
{
	unsigned int count = 0;
	int fd;

	for (fd = 0; fd < FDS_MAX; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static _Noreturn void
child(const struct attempt *attempt)
{
	const struct act *act = attempt->act;
	struct told *told = attempt->told;
	unsigned int fds, left;
	const char *wrong;
	int r;

	if (act->prepare != NULL)
		act->prepare();
	fds = open_fds();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(EXIT_CHECK);
	(void)kill(getpid(), SIGSTOP);
	told->on = true;
	r = act->run();
	told->on = false;
	told->result = r;
	wrong = act->check != NULL ? act->check(r) : NULL;
	left = open_fds();
	if (wrong != NULL || left > fds) {
		snprintf(told->wrong, sizeof(told->wrong),
		    "%s (result %d, %u fds, then %u)",
		    wrong != NULL ? wrong : "fds were left", r, fds, left);
		_exit(EXIT_CHECK);
	}
	_exit(0);
}

/* At the entry of a call: whether it is the one that is to fail. */
static bool
is_wanted(struct attempt *attempt, pid_t pid, struct user_regs_struct *regs)
{
	long nr;

	if (!attempt->told->on || ptrace(PTRACE_GETREGS, pid, NULL, regs) < 0)
		return false;
	nr = (long)regs->orig_rax;
	if (is_in(nr, never, ARRAY_SIZE(never)) ||
	    is_harmless(attempt->act, nr) ||
	    ++attempt->seen != attempt->when)
		return false;
	attempt->nr = nr;
	return true;
}

/* Lets the child run to its end; its wait status. */
static int
trace(struct attempt *attempt, pid_t pid)
{
	bool entry = true, wanted = false;
	struct user_regs_struct regs;
	int status, deliver = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status))
		return status;
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
	    PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	for (;;) {
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, (long)deliver);
		deliver = 0;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return status;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			deliver = WSTOPSIG(status);
			continue;
		}
		if (entry && (wanted = is_wanted(attempt, pid, &regs))) {
			regs.orig_rax = (unsigned long long)-1;
			(void)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
		} else if (!entry && wanted &&
		    ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
			regs.rax = (unsigned long long)-attempt->error;
			(void)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
		}
		entry = !entry;
	}
}

/* What is wrong with how it ended, or NULL. */
static const char *
judge(const struct attempt *attempt, int status)
{
	const struct told *told = attempt->told;

	if (told->wrong[0] != '\0')
		return told->wrong;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return "died";
	if (told->on)
		return (attempt->act->flags & INJECT_ENDS) != 0 &&
		    (attempt->nr >= 0 || WEXITSTATUS(status) == 0) ? NULL :
		    "ended";
	if (WEXITSTATUS(status) != 0)
		return "failed";
	if (attempt->nr >= 0 && attempt->error == EIO && told->result >= 0 &&
	    (attempt->act->flags & INJECT_MENDS) == 0)
		return "nothing was said";
	if (attempt->nr < 0 && told->result < 0)
		return "failed by itself";
	return NULL;
}

/* Whether there was a call to fail. */
static bool
try(const struct act *act, struct told *told, unsigned int when, int error)
{
	struct attempt attempt = { act, told, when, error, 0, -1 };
	const char *wrong;
	int status;
	pid_t pid;

	*told = (struct told){ .on = false };
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(&attempt);
	status = trace(&attempt, pid);
	wrong = judge(&attempt, status);
	if (wrong != NULL)
		fail_msg("%s, call %u (number %ld) failing with %s: %s",
		    act->name, when, attempt.nr, strerror(error), wrong);
	return attempt.nr >= 0;
}

unsigned int
inject_all(const struct act *act)
{
	static const int errors[] = { EIO, EINTR, EMFILE };
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t count = (act->flags & INJECT_EIO) != 0 ? 1 : ARRAY_SIZE(errors);
	unsigned int when = 0, failed = 0;
	size_t i;

	assert_true(told != MAP_FAILED);
	(void)try(act, told, 0, 0);
	for (i = 0; i < count; i++) {
		for (when = 1; try(act, told, when, errors[i]); when++) {
			failed++;
			assert_true(when < RUNS_MAX);
		}
	}
	munmap(told, sizeof(*told));
	return failed;
}
