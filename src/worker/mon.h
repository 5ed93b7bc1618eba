/*
 * The worker's side of the wire to the monitor: one function per op, like
 * OpenSSH's mm_*(). Calls are synchronous and take a few milliseconds at most;
 * what the monitor reports meanwhile is queued.
 *
 * All return 0 or -errno, outputs untouched on failure; mon_error() then has
 * the monitor's own words. After a reply that is not exactly what the op
 * promises, or the end of the wire, `broken` is set and everything fails with
 * -EPIPE: a worker without its monitor has nothing left to do.
 */
#ifndef BANGER_WORKER_MON_H
#define BANGER_WORKER_MON_H

#include <stdbool.h>
#include <stdint.h>

#include "privsep/wire.h"

struct mon_event {
	struct mon_event *next;
	uint64_t vm;
	struct vmm_exit_event exit;
};

struct mon {
	int sock;			/* not owned */
	uint32_t seq;
	bool broken;
	char error[WIRE_ERROR_MAX];
	struct mon_event *first, **last; /* queued events */
	void (*queued)(void *arg);	/* called when one is; may be NULL */
	void *arg;
};

/* The worker's end of the wire; SOCK becomes MON's. */
void	 mon_init(struct mon *mon, int sock);

/* Frees queued events. */
void	 mon_close(struct mon *mon);

/* Why the last call failed: the monitor's text, else strerror(ERROR). */
const char *mon_error(const struct mon *mon, int error);

/*
 * One function per op, with the op's name, request and reply (proto.h). Each
 * sends, waits for the reply, and returns 0 or the monitor's -errno; mon_error
 * tells the reason. Fds that come back are the caller's.
 */
int	 mon_hello(struct mon *mon, struct hello_reply *reply);
int	 mon_ready(struct mon *mon);
int	 mon_bridge_ensure(struct mon *mon, struct bridge_ensure_reply *reply);
int	 mon_tap_create(struct mon *mon, uint64_t vm, uint32_t ipv4,
	    struct tap_create_reply *reply);
int	 mon_tap_delete(struct mon *mon, uint64_t vm);
int	 mon_nat_set(struct mon *mon, uint64_t vm, bool enabled);

/* FD stays the caller's. */
int	 mon_disk_attach(struct mon *mon, uint64_t vm, int fd, bool loop);

/* FDS as enum SNAPSHOT_*; they stay the caller's. */
int	 mon_snapshot_create(struct mon *mon, uint64_t vm, const int *fds,
	    uint64_t disk_bytes, bool transient);
int	 mon_snapshot_status(struct mon *mon, uint64_t vm,
	    struct snapshot_status_reply *reply);
int	 mon_snapshot_remove(struct mon *mon, uint64_t vm);

/*
 * FDS as enum LAUNCH_*; they stay the caller's. *STDERR_FD is the reading end
 * of the VMM's standard error, the caller's.
 */
int	 mon_vmm_launch(struct mon *mon, uint64_t vm,
	    const struct vmm_launch_request *request, const int *fds,
	    int *stderr_fd);

/* *FD is the connected, non-blocking socket, the caller's. */
int	 mon_socket_open(struct mon *mon, uint64_t vm, enum vmm_socket socket,
	    uint32_t index, int *fd);
int	 mon_vmm_list(struct mon *mon, uint32_t slot,
	    struct vmm_list_reply *reply);
int	 mon_vmm_find(struct mon *mon, uint64_t vm,
	    struct vmm_find_reply *reply);
int	 mon_vmm_kill(struct mon *mon, uint64_t vm);
int	 mon_jail_cleanup(struct mon *mon, uint64_t vm);
int	 mon_vmm_stats(struct mon *mon, uint64_t vm,
	    struct vmm_stats_reply *reply);
int	 mon_resolver_set(struct mon *mon);
int	 mon_resolver_clear(struct mon *mon);

/*
 * Queues what waits on the wire, without blocking. 0, or -EPIPE when the wire
 * is at its end.
 */
int	 mon_receive(struct mon *mon);

/* Takes the oldest event: true and *EVENT. */
bool	 mon_next_event(struct mon *mon, struct mon_event *event);

#endif
