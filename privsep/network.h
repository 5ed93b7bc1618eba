/*
 * What the host's network owes to banger at this moment: bridge, rule set,
 * forwarding. It comes with the first VM and goes with the last.
 */
#ifndef BANGER_PRIVSEP_NETWORK_H
#define BANGER_PRIVSEP_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "privsep/config.h"
#include "privsep/link.h"
#include "privsep/netlink.h"
#include "privsep/vm.h"

struct network {
	const struct config *cfg;
	bool ready;			/* bridge and rules are in place, or left */
	int state_dir;			/* holds the forwarding record */
	struct ipv4_net net;		/* of the bridge, once ready */
	struct forward_state forward;
	int64_t let_out_ms;		/* when forwarding was last ensured; 0: not */
	struct netlink route;
	struct netlink filter;
};

/* Opens the sockets and reads the forwarding record. 0 or -errno. */
int	 network_open(struct network *network, const struct config *cfg,
	    int state_dir);

/*
 * Bridge and rules are there, with all VMs of TABLE that have a tap, and the
 * way out for those with NAT: what somebody flushed is put back. 0 or -errno as
 * bridge_ensure, nft_ensure, forward_enable.
 */
int	 network_ensure(struct network *network, const struct vm_table *table);

/*
 * Creates VM's tap (vm->tap_fd) and lets its address through. On failure
 * nothing is left. 0 or -errno as tap_create.
 */
int	 network_add(struct network *network, const struct vm_table *table,
	    struct vm *vm);

/* Takes VM's tap and its set elements away; missing ones are no error. */
int	 network_remove(struct network *network, struct vm *vm);

/* Sets whether VM reaches the outside, and vm->nat. 0 or -errno. */
int	 network_nat(struct network *network, struct vm *vm, bool enabled);

/* Reads the counters of VM's tap. 0 or -errno as tap_stats. */
int	 network_stats(struct network *network, const struct vm *vm,
	    struct link_stats *out);

/*
 * Takes all away: rules, left-over taps, bridge, forwarding. What cannot be is
 * logged, and network->ready stays: call it again.
 */
void	 network_close(struct network *network);

#endif
