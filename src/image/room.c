#include "image/room.h"

#include <errno.h>
#include <sys/vfs.h>

enum { SHARE = 20 };
#define RESERVE_MAX (1ULL << 30)
/* Others write, too; so nobody relies on what was free long ago. */
#define STEP (16ULL << 20)

int
room_take(struct room *room, int fd, uint64_t len)
{
	uint64_t unit, left, reserve;
	struct statfs fs;

	if (len <= room->granted) {
		room->granted -= len;
		return 0;
	}
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	unit = (uint64_t)fs.f_frsize;
	left = fs.f_bavail * unit;
	reserve = fs.f_blocks * unit / SHARE;
	if (reserve > RESERVE_MAX)
		reserve = RESERVE_MAX;
	/* A tmpfs without a size knows none. */
	if (fs.f_blocks == 0)
		left = UINT64_MAX;
	if (left < reserve || left - reserve < len)
		return -ENOSPC;
	left -= reserve + len;
	room->granted = left < STEP ? left : STEP;
	return 0;
}
