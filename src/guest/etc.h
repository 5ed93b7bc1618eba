/*
 * The few files below /etc that tell a guest its name and its resolvers.
 */
#ifndef BANGER_GUEST_ETC_H
#define BANGER_GUEST_ETC_H

#include "guest/config.h"

/*
 * Writes hostname, hosts and resolv.conf below the directory ETC, each only
 * when given in CONFIG and not already so. A symlink is replaced, not followed:
 * systemd's stub resolv.conf points into /run. 0, or the first -errno; the
 * others are tried.
 */
int	 etc_write(int etc, const struct guest_config *config);

#endif
