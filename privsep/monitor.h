/*
 * The monitor: root's side of the wire. monitor.c is the loop, ops.c the table
 * of what a worker may ask, network.c and stage.c what the ops are made of.
 */
#ifndef BANGER_PRIVSEP_MONITOR_H
#define BANGER_PRIVSEP_MONITOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "privsep/config.h"
#include "privsep/disk.h"
#include "privsep/jail.h"
#include "privsep/network.h"
#include "privsep/program.h"
#include "privsep/notify.h"
#include "privsep/util.h"
#include "privsep/vm.h"
#include "privsep/wire.h"

struct monitor {
	const struct config *cfg;
	bool embedded;
	bool kvm;			/* it really runs guests */
	int wire;			/* to the worker */
	int launcher;			/* to the launcher */
	int worker;			/* pidfd */
	int signals;			/* signalfd */
	int epoll;
	int proc;			/* /proc */
	int jails;			/* directory of the jails */
	int programs[PROGRAMS];		/* program_open; -1: none */
	int cgroups;			/* cgroup_open; -1: none */
	enum vmm_kind vmm;		/* that new VMs get */
	char vmm_problem[WIRE_ERROR_MAX]; /* why they cannot, or "" */
	int resolver;			/* non-blocking; -1: nobody to tell */
	bool names;			/* the worker has a socket to serve them */
	uint32_t launch_seq;
	int64_t end_ms;			/* of the worker's patience; 0: not ending */
	bool ready;			/* the worker serves clients */
	uint32_t told;			/* running VMs, as last notified */
	struct notify notify;		/* the service manager */
	struct jail_host host;
	struct network net;
	struct disk_host disks;
	struct vm_table table;
	char error[WIRE_ERROR_MAX];	/* context of the op that is failing */
};

/*
 * Serves the worker until it ends; returns the daemon's exit status: 0 when
 * the worker ended in order, 1 otherwise. VMs go on.
 */
int	 monitor_loop(struct monitor *monitor);

/*
 * Answers one request of the worker, which is in RECORD; its fds that no op
 * took are for the caller to close. 0; or -EBADMSG for a request that no worker
 * of ours sends (said in the log): the worker must be ended.
 */
int	 ops_dispatch(struct monitor *monitor, struct wire_record *record);

/* What the table says of an op: the tests are made from it. */
struct op_info {
	const char *name;
	uint32_t request_len;		/* bytes after the header */
	uint32_t reply_len;
	uint32_t fds;			/* that come with the request */
	uint32_t states;		/* bit 1 << state; 0: concerns no VM */
};

/* Fills *INFO for OP. 0, or -ENOENT when there is no such op. */
int	 ops_info(uint32_t op, struct op_info *info);

/* Tells the worker that VM's VMM has ended, as EVENT says. 0 or -errno. */
int	 ops_send_exit(struct monitor *monitor, uint64_t vm,
	    const struct vmm_exit_event *event);

/*
 * Opens the programs and the parent cgroup, and chooses the kind of VMM that
 * new VMs get: Firecracker where KVM runs guests and it is installed, else
 * QEMU, unless the configuration says which. Needs monitor->cfg and ->kvm.
 */
void	 vmm_choose(struct monitor *monitor);

/*
 * Opens the programs of VMM anew, as vmm_choose did, if they have been deleted
 * since: an upgrade puts others in their place, and goes on with these. 0 or
 * -errno (op_error).
 */
int	 vmm_renew(struct monitor *monitor, enum vmm_kind vmm);

/* Puts "what: why" into the reply of the op under way; returns ERROR. */
int	 op_error(struct monitor *monitor, int error, const char *fmt, ...)
	    PRINTF_LIKE(3, 4);

/*
 * Stages the jail of VM and starts its VMM. FDS are those of OP_VMM_LAUNCH, the
 * caller's. On success *STDERR_FD is the reading end of the VMM's standard
 * error. On failure nothing is left of it. 0 or -errno (op_error).
 */
int	 stage_launch(struct monitor *monitor, struct vm *vm,
	    const struct vmm_launch_request *request, const int *fds,
	    int *stderr_fd);

/* Lets the loop watch the VMM of an adopted VM. 0 or -errno. */
int	 monitor_watch(struct monitor *monitor, struct vm *vm);

/* Takes an exit event of the launcher out of RECORD. */
void	 monitor_launcher_event(struct monitor *monitor,
	    const struct wire_record *record);

/*
 * Tells the service manager, if there is one, how many VMs run when that has
 * changed, and the first time that the daemon is ready.
 */
void	 monitor_status(struct monitor *monitor);

/* VM's VMM has ended: state, fds, and the worker is told. */
void	 monitor_vmm_gone(struct monitor *monitor, struct vm *vm,
	    const struct vmm_exit_event *event);

#endif
