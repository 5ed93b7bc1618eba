/*
 * What a VM's block device is made of. Either a file of the worker's as it is,
 * or with a loop device over it for a VMM that wants a device node, or a
 * snapshot:
 *
 *	image (file, read-only) <- loop \
 *	                                 linear, zero = fc-origin-… \
 *	                      zero target                            snapshot
 *	COW file (sparse) <- loop -----------------------------------/
 *	                                              = fc-rootfs-<id>
 *
 * The origin is one for all VMs of the same image and disk size. The kernel
 * removes it with its last snapshot (deferred removal), and the loop devices
 * with what lies on them (autoclear): nothing is counted here, and nothing of
 * it stays when we are killed. A device in use cannot be removed, so that a
 * VM that runs never loses its disk.
 */
#ifndef BANGER_PRIVSEP_DISK_H
#define BANGER_PRIVSEP_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "privsep/loop.h"
#include "privsep/mapper.h"
#include "privsep/proto.h"

/* What disks are made with on this host. */
struct disk_host {
	int nodes;			/* node_dir_open; -1: neither of these */
	struct loops loops;
	int mapper;			/* -1: no snapshots here */
	int64_t udev_ms;		/* udev_keep_out; until then, locks */
};

/* A VM's disk. Survives the daemon where the VMM holds it. */
struct disk {
	int fd;				/* to be passed; -1: none, or adopted */
	dev_t rdev;			/* of the block device; 0: a plain file */
	int locks[2];			/* of loop devices against udev, or -1 */
};

/*
 * Opens what is here; to be called before privileges are dropped. STORE is
 * where the files are that the worker passes. Whatever is missing is said in
 * the log at most.
 */
void	 disk_host_open(struct disk_host *host, const char *store);

/* Whether disk_snapshot can work here. */
bool	 disk_snapshots(const struct disk_host *host);

/* No disk. */
void	 disk_init(struct disk *disk);

/*
 * DISK becomes the file FD, which stays the caller's, or a loop device over
 * it. 0, or -errno with *WHAT that failed; nothing is left then.
 */
int	 disk_attach(const struct disk_host *host, struct disk *disk, int fd,
	    bool loop, const char **what);

/*
 * DISK becomes the snapshot of VM ID: image and COW file as FDS (SNAPSHOT_*),
 * which stay the caller's, as REQUEST wants it. A snapshot with exceptions in
 * its COW file goes on with them. 0, or -errno with *WHAT that failed; nothing
 * is left then. -EEXIST: a device of that name is not ours.
 */
int	 disk_snapshot(const struct disk_host *host, struct disk *disk,
	    uint64_t id, const int *fds,
	    const struct snapshot_create_request *request, const char **what);

/* How the snapshot of VM ID is: 0 and *STATUS, -ENODEV when it has none. */
int	 disk_status(const struct disk_host *host, uint64_t id,
	    struct mapper_snapshot *status);

/* Closes what DISK holds: no disk then. A snapshot stays. */
void	 disk_close(struct disk *disk);

/* The VMM has its own by now, or has ended. */
void	 disk_close_fd(struct disk *disk);

/*
 * The rule against udev is in force: DISK's loop devices need no locks, for which
 * udev would keep every later event waiting.
 */
void	 disk_unlock(struct disk *disk);

/*
 * Takes DISK of VM ID apart; no disk is no error. One that is still open goes
 * when it is closed. 0 or -errno.
 */
int	 disk_release(const struct disk_host *host, struct disk *disk,
	    uint64_t id);

/*
 * Removes what a daemon that was killed has left: snapshots of ours that
 * nobody has open, of VMs for which LIVE says no, and origins without any.
 */
void	 disk_sweep(const struct disk_host *host,
	    bool (*live)(void *arg, uint64_t id), void *arg);

#endif
