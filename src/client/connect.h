/*
 * Finding the daemon, or being root and starting one for as long as clients
 * are there: the embedded default.
 */
#ifndef BANGER_CLIENT_CONNECT_H
#define BANGER_CLIENT_CONNECT_H

#include "client/api.h"
#include "privsep/config.h"

/* The socket's name in the runtime directory. */
#define API_SOCKET "banger.sock"

/*
 * Connects to the daemon of CFG and greets it, so that the request which
 * follows never meets one that is just leaving. With nobody listening, root
 * starts an embedded daemon with CONFIG_FILE (NULL: the default file) and anyone
 * else is told what to do. Waits at most 10 s for a service that is about to
 * listen, and for two daemons that come and go at once. 0, or -errno with one
 * line in ERR.
 */
int	 client_open(struct api *api, const struct config *cfg,
	    const char *config_file, char err[API_TEXT_MAX]);

/*
 * One attempt of the above that starts nothing: connects and reads the reply
 * of the greeting into *HELLO (see API "version"; free it with
 * api_reply_free). 0, or -errno as api_connect and api_call, with api closed;
 * hello->result is NULL when the daemon refuses this user.
 */
int	 client_greet(struct api *api, const struct config *cfg,
	    struct api_reply *hello);

/*
 * What an embedded daemon said on its pipe while it started: 0 listening,
 * -EALREADY another one runs, -EIO it failed; its line is in TEXT then.
 * Reads FD for at most TIMEOUT_MS. Exported for the tests.
 */
int	 embedded_verdict(int fd, int timeout_ms, char text[API_TEXT_MAX]);

#endif
