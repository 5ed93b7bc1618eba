/*
 * The transport of QEMU guests: virtio-serial ports, one for control and
 * AGENT_STREAM_PORTS for streams, each with its own device node
 * (drivers/char/virtio_console.c). They belong to two devices, and the second is
 * probed (sysfs-bus-virtio's drivers_autoprobe and bind) when it is needed.
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

#include <stdbool.h>
#include <stdint.h>

#include "base/agent_proto.h"

/*
 * A netlink socket that becomes readable when a device comes (kobject_uevent(3));
 * non-blocking. Open it before the driver is loaded, so that nothing falls in
 * between. An fd or -errno.
 */
int	 ports_events(void);

/* Reads all that is queued on that socket and forgets it. */
void	 ports_events_drain(int fd);

/* SYS is a directory descriptor of sysfs: its mount may be hidden by others later. */

/*
 * Whether a virtio device gets its driver by itself, which it does unless this
 * said no. 0 or -errno.
 */
int	 ports_probe_all(int sys, bool on);

/*
 * Probes the next virtio-serial device that has no driver yet, the first one
 * first: its ports come then, one by one. 0, -ENOENT when there is none, or
 * another -errno. It takes 60 ms in an emulated guest.
 */
int	 ports_probe_next(int sys);

/*
 * Opens the port with NUMBER (AGENT_CTL_PORT, or from AGENT_STREAM_PORT on): a
 * non-blocking fd, -ENOENT when there is no such port yet, -EBUSY when it is
 * open, or another -errno.
 */
int	 ports_open(int sys, uint32_t number);

/* As ports_open(), but -EBUSY as well while a host is connected. */
int	 ports_open_idle(int sys, uint32_t number);

#endif
