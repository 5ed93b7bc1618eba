/*
 * The client's end of an exec stream (base/stream.h): this process's standard
 * streams, terminal and signals become those of a command in a guest.
 */
#ifndef BANGER_CLIENT_SESSION_H
#define BANGER_CLIENT_SESSION_H

#include "base/stream.h"

struct session_request {
	const uint8_t *nonce;		/* STREAM_NONCE_SIZE, from the worker */
	/*
	 * What to run; NULL strings mean empty. With pty, rows and cols are
	 * taken from the terminal if they are 0.
	 */
	struct exec_request exec;
	int in, out, err;		/* as a rule 0, 1, 2 */
	/*
	 * Called once when everything is open and no byte of the guest has been
	 * read: from then on only these descriptors are needed. 0 or -errno,
	 * which ends the session. May be NULL.
	 */
	int (*enter_sandbox)(void);
};

/*
 * Runs one command over STREAM, a connected socket, which stays the caller's
 * to close, as soon as possible: the guest's port is in use until then.
 *
 * 0 with *EXIT_STATUS the command's own, 126 or 127 when the guest could not
 * execute it, 128 + N when signal N ended it or ended this client. Or -errno with
 * one line about why in ERR: the command was not run, or its end is not known.
 *
 * The terminal, the signal mask and the flags of the standard streams are as
 * before in every case; file status flags are never changed.
 */
int	 session_run(int stream, const struct session_request *req,
	    int *exit_status, char *err, size_t err_size);

#endif
