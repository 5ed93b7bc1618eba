/*
 * NAME.vm: a name server for the VMs that run, on one UDP socket of the host's
 * loopback. It answers for the zone `vm` and for the addresses of the VMs'
 * network, and refuses everything else: whoever is to use it must be told which
 * names to send here (see resolver_set in banger-privsep(7), and NAMES in
 * banger(1)).
 *
 * The socket is in a process of its own, which asks the worker in records of
 * fixed size: packets are taken apart where nothing is lost but names, and a
 * worker that was taken over has no socket from which it could send to the
 * network.
 */
#ifndef BANGER_WORKER_DNS_H
#define BANGER_WORKER_DNS_H

#include <stdint.h>

#include "base/event.h"

struct worker;

struct dns {
	struct worker *w;
	int fd;				/* to the process */
	struct event_io io;
};

/*
 * Forks the process, which serves UDP, a bound socket, and ends with this one.
 * To be called before anything was opened and before any filter. The fd on
 * which it asks, for dns_start; -ENOTSOCK when there is nothing to serve; or
 * -errno. UDP stays the caller's.
 */
int	 dns_spawn(int udp);

/* Answers what is asked on FD, which becomes DNS's. 0 or -errno. */
int	 dns_start(struct dns *dns, struct worker *w, int fd);

/* Harmless when it was never started. */
void	 dns_stop(struct dns *dns);

/*
 * Asks the monitor to send the host's questions for our zone here, where
 * systemd-resolved is what answers them. To be called when the bridge is there;
 * returns at once. What goes wrong is said in the log and stops nobody.
 */
void	 dns_route(struct worker *w);

/* Asks it to end that; for the worker's own end. */
void	 dns_unroute(struct worker *w);

#endif
