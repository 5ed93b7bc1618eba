/*
 * What the agent tells of its guest: numbers, and the sockets that wait for
 * peers. Read from proc(5), each within a bound, so that a guest with many
 * sockets or processes gets a shorter answer and not a slower agent.
 */
#ifndef BANGER_GUEST_INSPECT_H
#define BANGER_GUEST_INSPECT_H

#include "base/agent_proto.h"

/*
 * Fills OUT from PROC, an fd of /proc, and the file system of ROOT, an fd on
 * it; what cannot be read stays 0.
 */
void	 inspect_stats(int proc, int root, struct agent_stats *out);

/*
 * Fills OUT, room for AGENT_LISTENERS_MAX, with the listening TCP and the
 * unconnected UDP sockets of PROC's network namespace, and the process that has
 * each as far as it is found among the first thousands of descriptors. Returns
 * how many; index, total and more are set in each.
 */
size_t	 inspect_listeners(int proc, struct agent_listener *out);

#endif
