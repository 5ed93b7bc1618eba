#include "image/checksum.h"

#include <lzma.h>
#include <string.h>
#include <sys/stat.h>

#include "base/le.h"
#include "privsep/util.h"

enum { BLOCK = 4096, CHUNK = 64 * BLOCK };

static bool
is_zero(const uint8_t block[BLOCK])
{
	return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

/* The blocks in LEN bytes, the last of them filled up with zeros. */
static uint64_t
add(uint64_t crc, uint8_t *bytes, size_t len, uint64_t at)
{
	size_t i;

	memset(bytes + len, 0, (BLOCK - len % BLOCK) % BLOCK);
	for (i = 0; i < len; i += BLOCK) {
		uint8_t number[8];

		if (is_zero(bytes + i))
			continue;
		put_le64(number, (at + i) / BLOCK);
		crc = lzma_crc64(number, sizeof(number), crc);
		crc = lzma_crc64(bytes + i, BLOCK, crc);
	}
	return crc;
}

/* Where the data at AT or behind it begin, at a block's beginning. */
static off_t
next_data(int fd, off_t at, off_t end)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? end : -errno;
	return data - data % BLOCK;
}

int
checksum_file(int fd, source_progress *progress, void *arg, uint64_t *out)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct stat st;
	uint64_t crc = 0;
	off_t at = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	bytes = malloc(CHUNK);
	if (bytes == NULL)
		return -ENOMEM;
	while ((at = next_data(fd, at, st.st_size)) >= 0 && at < st.st_size) {
		ssize_t n = pread(fd, bytes, CHUNK, at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		crc = add(crc, bytes, (size_t)n, (uint64_t)at);
		at += n;
		if (progress != NULL)
			progress(arg, (uint64_t)at);
	}
	if (at < 0)
		return (int)at;
	*out = crc;
	return 0;
}
