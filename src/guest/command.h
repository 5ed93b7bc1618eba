/*
 * Starting one command in the guest: pipes or a pseudo-terminal, a session of
 * its own, a user, a directory, an environment.
 */
#ifndef BANGER_GUEST_COMMAND_H
#define BANGER_GUEST_COMMAND_H

#include <sys/types.h>

#include "base/stream.h"

/* The agent's ends. With a pty, OUT is its master, IN and ERR are -1. */
struct command {
	pid_t pid;
	int in, out, err;
	int report;	/* the child's word on what failed before exec */
};

/* Where the child gave up. */
enum command_stage {
	COMMAND_SETUP = 1,
	COMMAND_USER,
	COMMAND_CWD,
	COMMAND_EXEC,
};

struct command_failure {
	enum command_stage stage;
	int err;		/* positive errno */
};

/*
 * Starts REQ. 0 and *OUT, whose descriptors the caller owns, or -errno when
 * not even a child could be made. The child leads a new session; all that may
 * block (passwd on a slow disk) happens in it.
 */
int	 command_start(const struct exec_request *req, struct command *out);

/*
 * Reads what the ended child reported on fd REPORT: true when it never came as
 * far as running the command.
 */
bool	 command_failed(int report, struct command_failure *out);

#endif
