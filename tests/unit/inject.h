/*
 * Makes one system call of a function fail, each in turn: the function runs in a
 * child that is traced (ptrace(2)), as `strace -e inject` would do it, but for the
 * calls of that function alone. What is left behind is looked at afterwards.
 */
#ifndef BANGER_TESTS_INJECT_H
#define BANGER_TESTS_INJECT_H

#include <stdbool.h>

enum inject_flags {
	INJECT_MENDS = 1 << 0,		/* a failure may be no failure of RUN */
	INJECT_ENDS = 1 << 1,		/* RUN need not return: fatal() */
	INJECT_EIO = 1 << 2,		/* no other error: it would take long */
};

struct act {
	const char *name;
	/* In the child, before RUN; may be NULL. */
	void (*prepare)(void);
	/* In the child: 0 or more, or -errno. */
	int (*run)(void);
	/*
	 * In the child, after RUN gave R: whether all is as R says. Gives back what
	 * was acquired: fds are counted then. NULL, or what is wrong. May be NULL.
	 */
	const char *(*check)(int r);
	int flags;			/* enum inject_flags */
	/* Calls that are left alone, ended by -1, or NULL. */
	const long *harmless;
};

/*
 * Runs ACT once whole, then with each of its system calls failing, with EIO, which
 * RUN must tell of, with EINTR, which it may mend, and with EMFILE. Returns how
 * many failed; fails the test with the number and place of the one that RUN did
 * not stand.
 */
unsigned int	 inject_all(const struct act *act);

#endif
