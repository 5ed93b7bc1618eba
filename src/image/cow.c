/*
 * See cow.h.
 */
#include "image/cow.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
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

/* Reads or writes one whole chunk. 0 or -errno, -EUCLEAN past the end. */
static int
read_chunk(int fd, uint64_t chunk, uint8_t data[SNAPSHOT_CHUNK_BYTES])
{
	ssize_t n = pread(fd, data, SNAPSHOT_CHUNK_BYTES,
	    (off_t)(chunk * SNAPSHOT_CHUNK_BYTES));

	return n == SNAPSHOT_CHUNK_BYTES ? 0 : n < 0 ? -errno : -EUCLEAN;
}

static int
write_chunk(int fd, uint64_t chunk, const uint8_t data[SNAPSHOT_CHUNK_BYTES])
{
	ssize_t n = pwrite(fd, data, SNAPSHOT_CHUNK_BYTES,
	    (off_t)(chunk * SNAPSHOT_CHUNK_BYTES));

	return n == SNAPSHOT_CHUNK_BYTES ? 0 : n < 0 ? -errno : -EIO;
}

/* The chunks of one table; *LAST: it is not full, no other follows. */
static int
merge_table(int cow, int disk, uint64_t table, uint64_t cow_chunks,
    uint64_t disk_chunks, bool *last)
{
	uint8_t entries[SNAPSHOT_CHUNK_BYTES], data[SNAPSHOT_CHUNK_BYTES];
	int i, r = read_chunk(cow, table, entries);

	for (i = 0; r == 0 && i < EXCEPTIONS_PER_TABLE; i++) {
		uint64_t old = get_le64(entries + (size_t)i * 16);
		uint64_t new = get_le64(entries + (size_t)i * 16 + 8);

		*last = new == 0;
		if (*last)
			break;
		if (old >= disk_chunks || new >= cow_chunks)
			return -EUCLEAN;
		r = read_chunk(cow, new, data);
		if (r == 0)
			r = write_chunk(disk, old, data);
	}
	return r;
}

int
cow_merge(int cow, int disk)
{
	struct stat cow_st, disk_st;
	uint64_t cow_chunks, disk_chunks, table;
	bool last = false;
	int r = cow_look(cow);

	if (r == COW_FRESH)
		return 0;
	if (r == COW_INVALID)
		return -EUCLEAN;
	if (r < 0)
		return r;
	if (fstat(cow, &cow_st) < 0 || fstat(disk, &disk_st) < 0)
		return -errno;
	cow_chunks = (uint64_t)cow_st.st_size / SNAPSHOT_CHUNK_BYTES;
	disk_chunks = (uint64_t)disk_st.st_size / SNAPSHOT_CHUNK_BYTES;
	r = 0;
	for (table = 1; r == 0 && !last && table < cow_chunks;
	    table += 1 + EXCEPTIONS_PER_TABLE)
		r = merge_table(cow, disk, table, cow_chunks, disk_chunks,
		    &last);
	return r;
}
