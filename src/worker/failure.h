/*
 * Why a request failed, for the user: a code that programs can tell apart, one
 * line (what, which object, why, what next), and the guest's last words where
 * they help.
 */
#ifndef BANGER_WORKER_FAILURE_H
#define BANGER_WORKER_FAILURE_H

#include "privsep/util.h"

enum failure_code {
	FAIL_NONE,
	FAIL_NOT_FOUND,
	FAIL_EXISTS,
	FAIL_INVALID,
	FAIL_STATE,
	FAIL_BUSY,
	FAIL_NO_SPACE,
	FAIL_NO_ADDRESS,
	FAIL_UNAVAILABLE,
	FAIL_TIMEOUT,
	FAIL_DENIED,
	FAIL_INTERNAL,
	FAIL_CODES,
};

/* Zeroed: nothing failed. */
struct failure {
	enum failure_code code;
	char text[512];
	char *console;			/* last console lines, or NULL; owned */
};

/* The code's name on the API: "not-found", … */
const char *failure_name(enum failure_code code);

/* Sets *F anew. Returns -1, so that `return failure_set(…)` reads well. */
int	 failure_set(struct failure *f, enum failure_code code, const char *fmt, ...)
	    PRINTF_LIKE(3, 4);

/* The code for ERROR, a -errno of storage or of the monitor. */
enum failure_code failure_of(int error);

/* Frees what F owns; it is zeroed then. */
void	 failure_clear(struct failure *f);

#define _cleanup_failure_ __attribute__((cleanup(failure_clear)))

#endif
