/*
 * The transport of QEMU guests: named virtio-serial ports, one for control and
 * AGENT_STREAM_PORTS for streams, each with its own device node
 * (drivers/char/virtio_console.c).
 *
 * What the driver does and this relies on: a port can be opened once at a time;
 * closing it throws away what the host had sent; while no host is connected it
 * polls as hung up, reads as ended and takes no writes; what the guest wrote
 * and the host did not take is thrown away by QEMU when the host closes. That a
 * host has connected is told on another queue than its bytes, and may be later.
 *
 * A transport gives the agent: an edge to wait for until there is a control
 * channel, a control channel, and a descriptor per reserved stream. With vsock
 * (Firecracker) the last two come from accept(2) instead, and the end of a
 * connection travels in-band; sessions do not see the difference.
 */
#ifndef BANGER_GUEST_PORTS_H
#define BANGER_GUEST_PORTS_H

#include <stdint.h>

#include "base/agent_proto.h"

#define PORTS_CTL AGENT_STREAM_PORTS	/* the index of the control port */

/* Device names (vport2p1) by port; empty while the port is not there. */
struct ports {
	char device[AGENT_STREAM_PORTS + 1][32];
};

/*
 * A netlink socket that becomes readable when a device comes or gets its name
 * (kobject_uevent(3)); non-blocking. Open it before ports_scan(), so that no
 * change falls in between. An fd or -errno.
 */
int	 ports_events(void);

/* Reads all that is queued on that socket and forgets it. */
void	 ports_events_drain(int fd);

/* Looks for ports by name in /sys/class/virtio-ports. 0 or -errno. */
int	 ports_scan(struct ports *ports);

/*
 * Opens port INDEX: a non-blocking fd, -ENOENT when there is no such port yet,
 * -EBUSY when it is open, or another -errno.
 */
int	 ports_open(struct ports *ports, uint32_t index);

/* As ports_open(), but -EBUSY as well while a host is connected. */
int	 ports_open_idle(struct ports *ports, uint32_t index);

#endif
