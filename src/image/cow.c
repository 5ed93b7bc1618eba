/*
 * See cow.h.
 */
#include "image/cow.h"

#include <errno.h>
#include <unistd.h>

#include "base/le.h"
#include "privsep/proto.h"

/* struct disk_header, four little-endian words; the rest of its chunk is 0. */
enum { AT_MAGIC = 0, AT_VALID = 4, AT_VERSION = 8, AT_CHUNK = 12, HEADER = 16 };
enum { SNAP_MAGIC = 0x70416e53, SNAP_VERSION = 1, SECTOR_BYTES = 512 };

/* struct disk_exception: two 64-bit words. */
enum { EXCEPTIONS_PER_TABLE = SNAPSHOT_CHUNK_BYTES / 16 };

uint64_t
cow_bytes(uint64_t disk_bytes)
{
	uint64_t chunks = (disk_bytes + SNAPSHOT_CHUNK_BYTES - 1) /
	    SNAPSHOT_CHUNK_BYTES;
	/* The table after the last full one is cleared in advance. */
	uint64_t tables = chunks / EXCEPTIONS_PER_TABLE + 2;

	return (1 + tables + chunks) * SNAPSHOT_CHUNK_BYTES;
}

int
cow_look(int fd)
{
	uint8_t header[HEADER];
	ssize_t n = pread(fd, header, sizeof(header), 0);
	uint32_t valid;

	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(header))
		return -EUCLEAN;
	if (get_le32(header + AT_MAGIC) == 0)
		return COW_FRESH;
	valid = get_le32(header + AT_VALID);
	if (get_le32(header + AT_MAGIC) != SNAP_MAGIC ||
	    get_le32(header + AT_VERSION) != SNAP_VERSION ||
	    get_le32(header + AT_CHUNK) != SNAPSHOT_CHUNK_BYTES / SECTOR_BYTES ||
	    valid > 1)
		return -EUCLEAN;
	return valid ? COW_VALID : COW_INVALID;
}

int
cow_revive(int fd)
{
	uint8_t valid[4];
	int r = cow_look(fd);

	if (r < 0)
		return r;
	if (r != COW_INVALID)
		return -EUCLEAN;
	put_le32(valid, 1);
	if (pwrite(fd, valid, sizeof(valid), AT_VALID) !=
	    (ssize_t)sizeof(valid))
		return errno != 0 ? -errno : -EIO;
	return fdatasync(fd) < 0 ? -errno : 0;
}
