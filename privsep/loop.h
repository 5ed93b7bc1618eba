/*
 * Loop devices over files that somebody else opened (loop(4)). They end by
 * themselves with their last user (LO_FLAGS_AUTOCLEAR), whatever happens to us.
 */
#ifndef BANGER_PRIVSEP_LOOP_H
#define BANGER_PRIVSEP_LOOP_H

#include <stdbool.h>
#include <sys/types.h>

struct loops {
	int nodes;			/* node_dir_open; borrowed */
	int control;			/* loop-control; -1: no loop devices here */
	int sysfs;			/* block devices in /sys, or -1 */
};

struct loop {
	int fd;
	int lock;			/* or -1 */
	dev_t rdev;
};

enum loop_mode {
	LOOP_READ_ONLY = 1 << 0,
	LOOP_DIRECT = 1 << 1,		/* past the page cache, where possible */
	LOOP_LOCK = 1 << 2,		/* udev shall not look at it (udev.h) */
};

/* Opens what the others need; to be called before privileges are dropped. */
void	 loops_open(struct loops *loops, int nodes);

/*
 * Binds a free loop device, of 512-byte blocks, to the file FD and opens it.
 * MODE is enum loop_mode bits; with LOOP_READ_ONLY FD need not be open for
 * writing. It ends when LOOP's fds and all its other users are closed. 0 and
 * *LOOP, whose fds are the caller's, or -errno, -ENODEV without loop devices,
 * -EBUSY when others were faster every time.
 */
int	 loop_attach(const struct loops *loops, int fd, int mode,
	    struct loop *loop);

/* Closes both fds. */
void	 loop_drop(struct loop *loop);

#endif
