/*
 * Device nodes without /dev: what is there was made by udev or by nobody, may
 * be late, and is watched. A node made here is opened, checked and unlinked
 * before anyone could have seen it.
 */
#ifndef BANGER_PRIVSEP_NODE_H
#define BANGER_PRIVSEP_NODE_H

#include <sys/types.h>

/*
 * A directory for node_open: a tmpfs that is mounted nowhere (fsmount(2)),
 * since those that are may be nodev. An fd or -errno.
 */
int	 node_dir_open(void);

/*
 * Opens the device RDEV of TYPE (S_IFBLK or S_IFCHR) with FLAGS, by way of a
 * node in DIR. Opening the node of a driver that is not loaded makes the
 * kernel load it. An fd or -errno.
 */
int	 node_open(int dir, mode_t type, dev_t rdev, int flags);

#endif
