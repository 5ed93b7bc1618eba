/*
 * Names of VMs on the host. The resolver is the one process that tells
 * systemd-resolved to send questions for `vm` to banger's name server, by
 * running resolvectl with a fixed command line. It is forked by the daemon
 * before the monitor's filter goes on, as the launcher is, but needs nothing of
 * what that has: it keeps no capability, so that neither does what it runs.
 *
 * It hears nothing from the monitor but which of two ops it is, and nothing
 * from the worker. It answers nothing: nobody waits for it.
 */
#ifndef BANGER_PRIVSEP_RESOLVER_H
#define BANGER_PRIVSEP_RESOLVER_H

#include "privsep/config.h"

/*
 * The UDP socket of the name server, bound to where CFG says, for the worker.
 * -1 when names are off, or, said in the log, the address is in use.
 */
int	 resolver_bind(const struct config *cfg);

/*
 * Forks the resolver; PRIVATE is the root-only runtime directory. The monitor's
 * end of its socket, non-blocking, for records of struct wire_request of which
 * only op counts (OP_RESOLVER_SET, OP_RESOLVER_CLEAR); closing it ends the
 * resolver, which first takes back what it has set. -1 when there is no
 * resolvectl on this host, or it is not root's own.
 */
int	 resolver_start(const struct config *cfg, int private);

#endif
