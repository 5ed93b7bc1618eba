/*
 * What an import leaves of the host's disk. The store's file system is as a rule
 * the host's own, so an import, or a pull, never takes the last of it: a
 * twentieth, or 1 GiB where that is less, stays free of whatever a stranger's
 * archive unpacks to.
 */
#ifndef BANGER_IMAGE_ROOM_H
#define BANGER_IMAGE_ROOM_H

#include <stdint.h>

/* Begins as zeros. One for each process that writes. */
struct room {
	uint64_t granted;	/* bytes until the disk is looked at again */
};

/*
 * To be asked before LEN bytes are written to the file system of FD. 0, -ENOSPC
 * when too little would stay free, or -errno of fstatfs(2).
 */
int	 room_take(struct room *room, int fd, uint64_t len);

#endif
