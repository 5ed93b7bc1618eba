/*
 * The worker: an unprivileged process that talks to clients on one side and to
 * the monitor on the other, and keeps the store. Everything it knows is in
 * one struct.
 */
#ifndef BANGER_WORKER_WORKER_H
#define BANGER_WORKER_WORKER_H

#include "base/event.h"
#include "vmm/driver.h"
#include "worker/dns.h"
#include "worker/job.h"
#include "worker/mon.h"
#include "worker/rows.h"
#include "worker/store.h"

/* The fds that the daemon starts it with. */
enum { WORKER_WIRE = 3, WORKER_LISTENER, WORKER_EXE, WORKER_DNS };

struct worker {
	struct events events;
	struct mon mon;
	struct hello_reply config;	/* texts are terminated */
	struct store store;
	struct jobs jobs;
	struct list machines;		/* struct machine */
	struct list images, kernels;	/* struct image, struct kernel */
	struct list makings;		/* struct making: names taken */
	struct list peers;		/* struct peer */
	unsigned int peer_count;
	int listener;
	int exe;			/* becomes /init of guests */
	int fetcher;			/* to what pulls images, or negative */
	char build_id[64];		/* of that executable */
	struct tsc_sample tsc;		/* at the start */
	uint64_t host_mem_mib;		/* UINT64_MAX: not known */
	struct event_io wire_io, listener_io, signal_io;
	struct dns dns;
	int signal_fd;
	struct event_task settle;	/* see worker_settle */
	struct event_timer lonely;	/* embedded, and no client yet */
	struct event_timer relisten;	/* no fds were left for a client */
	bool net_moved;			/* the configured subnet was taken */
	bool had_peer;
	bool ending;			/* SIGTERM came */
};

/*
 * Runs the worker on the fds above; returns its exit status. Never returns
 * before its clients and jobs are gone.
 */
int	 worker_main(void);

/*
 * To be called when a peer, a job, or a VM's transition has ended: handles what
 * the monitor reported meanwhile and, if there is nothing left to stay for,
 * ends the loop. Done later, from the loop.
 */
void	 worker_settle(struct worker *w);

/*
 * Start and end of it, apart from worker_main() for the tests, which do not
 * CONFINE themselves. WIRE, LISTENER and EXE are borrowed. 0 or -errno;
 * worker_close() in either case.
 */
int	 worker_open(struct worker *w, int wire, int listener, int exe,
	    bool confine);
void	 worker_close(struct worker *w);

/* This program's version, as `banger version` has it. */
const char *worker_version(void);

/* Unix time in seconds. */
uint64_t worker_now_s(void);

#endif
