/*
 * `banger daemon`: from a command of root's to monitor, launcher and worker.
 */
#ifndef BANGER_PRIVSEP_DAEMON_H
#define BANGER_PRIVSEP_DAEMON_H

#include <stdbool.h>

/* Fd on which an embedded daemon reports: '+' when it listens, else one line. */
enum { DAEMON_READY_FD = 3 };

/* Fds of the worker when it is executed; without names DNS is /dev/null. */
enum { WORKER_WIRE_FD = 3, WORKER_LISTEN_FD, WORKER_EXE_FD, WORKER_DNS_FD,
	WORKER_FDS_END };

/*
 * Runs the daemon in the foreground until SIGTERM or SIGINT; VMs outlive it.
 * CONFIG_PATH as for config_load. EMBEDDED: started by a client that found no
 * daemon; it reports on DAEMON_READY_FD and ends when its last client has gone.
 * Returns the exit status.
 */
int	 daemon_main(const char *config_path, bool embedded);

#endif
