/*
 * Device mapper, by its ioctls (linux/dm-ioctl.h): the few that are needed to
 * make a device of targets, ask how it is, and remove it.
 *
 * Every device of ours carries the UUID "banger-" and its name, and is
 * addressed by that alone: one of the same name that is somebody else's is
 * never touched. No udev rule but the kernel's own bookkeeping shall look at
 * it (the DM_UDEV_DISABLE flags below): its contents are a guest's.
 */
#ifndef BANGER_PRIVSEP_MAPPER_H
#define BANGER_PRIVSEP_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAPPER_NAME_BYTES = 64, MAPPER_PARAMS_BYTES = 64 };

/* A piece of a device; sectors are of 512 bytes. */
struct mapper_target {
	uint64_t start, sectors;
	const char *type;
	char params[MAPPER_PARAMS_BYTES];
};

/* What a snapshot says of itself. */
struct mapper_snapshot {
	uint64_t used_sectors, total_sectors, metadata_sectors;
	bool invalid;			/* nothing can be read or written */
	bool overflow;			/* its COW device is full */
};

/*
 * Opens device mapper's control node by way of NODES (node_dir_open). An fd,
 * or -errno when there is none of a version that we know.
 */
int	 mapper_open(int nodes);

/* Whether there is a target TYPE; the kernel loads its module if need be. */
bool	 mapper_has_target(int control, const char *type);

/*
 * Makes and starts the device NAME of COUNT targets. 0 and *RDEV, or -errno,
 * -EEXIST when the name is taken; nothing is left then.
 */
int	 mapper_create(int control, const char *name, bool read_only,
	    const struct mapper_target *targets, size_t count, dev_t *rdev);

/* Our device NAME: 0 and *RDEV, -ENXIO when there is none, or -errno. */
int	 mapper_find(int control, const char *name, dev_t *rdev);

/*
 * Removes our device NAME; one that is not there is no error. -EBUSY while it
 * is in use; with WHEN_UNUSED it is then removed by the kernel, later, and the
 * answer is 0. Other -errno otherwise.
 */
int	 mapper_remove(int control, const char *name, bool when_unused);

/* The status of our snapshot NAME: 0 and *STATUS, -ENXIO, or -errno. */
int	 mapper_status(int control, const char *name,
	    struct mapper_snapshot *status);

/*
 * Calls EACH with the name of every device, whosever. 0, the first result of
 * EACH that is not 0, or -errno. EACH may remove devices.
 */
int	 mapper_each(int control, int (*each)(void *arg, const char *name),
	    void *arg);

/*
 * The parts that have no kernel in them, for the tests as well.
 *
 * mapper_build fills BUF (SIZE bytes, zeroed, aligned as struct dm_ioctl) with
 * the request for DM_TABLE_LOAD. 0, or -ENOBUFS.
 */
int	 mapper_build(void *buf, size_t size, const char *name, bool read_only,
	    const struct mapper_target *targets, size_t count);

/*
 * TEXT as the snapshot target's status(dm-snapshot): "16/4096 8", "Invalid",
 * "Overflow". 0, or -EBADMSG for anything else.
 */
int	 mapper_parse_snapshot(const char *text,
	    struct mapper_snapshot *status);

/*
 * Walks the LEN bytes of DATA, as DM_LIST_DEVICES fills them. As mapper_each;
 * -EBADMSG when they are not what the kernel would write.
 */
int	 mapper_walk(const void *data, size_t len,
	    int (*each)(void *arg, const char *name), void *arg);

#endif
