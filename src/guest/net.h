/*
 * The guest's network: lo, and eth0 with a static IPv4 address.
 */
#ifndef BANGER_GUEST_NET_H
#define BANGER_GUEST_NET_H

#include "guest/config.h"

/*
 * Brings lo up and, when CONFIG has an address, eth0 with it and the default
 * route (netdevice(7)). 0, or -errno of what failed first.
 */
int	 net_setup(const struct guest_config *config);

#endif
