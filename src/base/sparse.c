#include "base/sparse.h"

#include <stdlib.h>
#include <unistd.h>

#include "privsep/util.h"

/* Bytes per call: progress is told between two, and a cancel may come. */
enum { COPY_CHUNK = 16 << 20, COPY_BUFFER = 128 << 10 };

/* For file systems between which the kernel does not copy by itself. */
static ssize_t
copy_by_hand(int from, off_t at, int to, size_t len)
{
	_cleanup_free_ char *buffer = malloc(COPY_BUFFER);
	size_t done = 0;

	if (buffer == NULL)
		return -ENOMEM;
	while (done < len) {
		size_t want = len - done < COPY_BUFFER ? len - done :
		    COPY_BUFFER;
		ssize_t n = pread(from, buffer, want, at + (off_t)done), m;

		if (n <= 0)
			return n < 0 ? -errno : (ssize_t)done;
		m = pwrite(to, buffer, (size_t)n, at + (off_t)done);
		if (m < 0)
			return -errno;
		done += (size_t)m;
	}
	return (ssize_t)done;
}

/* Copies up to LEN bytes at offset AT: how many, 0 at the end, or -errno. */
static ssize_t
copy_some(int from, off_t at, int to, size_t len)
{
	off_t in = at, out = at;
	ssize_t n = copy_file_range(from, &in, to, &out, len, 0);

	if (n >= 0)
		return n;
	if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		return -errno;
	return copy_by_hand(from, at, to, len);
}

int
sparse_copy(int from, int to, uint64_t size,
    void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	off_t at = 0, end = (off_t)size;

	while (at < end) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if (hole > end)
			hole = end;
		for (at = data; at < hole;) {
			size_t len = hole - at < COPY_CHUNK ?
			    (size_t)(hole - at) : COPY_CHUNK;
			ssize_t n = copy_some(from, at, to, len);

			if (n <= 0)
				return n < 0 ? (int)n : -EIO;
			at += n;
			if (progress != NULL)
				progress(arg, (uint64_t)at);
		}
	}
	return 0;
}

int
plain_copy(int from, int to, uint64_t size,
    void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	_cleanup_free_ char *buffer = malloc(COPY_BUFFER);
	uint64_t at = 0;
	int r = buffer == NULL ? -ENOMEM : 0;

	while (r == 0 && at < size) {
		size_t want = size - at < COPY_BUFFER ? (size_t)(size - at) :
		    COPY_BUFFER;
		ssize_t n = pread(from, buffer, want, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = write_full(to, buffer, (size_t)n);
		at += (uint64_t)n;
		if (progress != NULL)
			progress(arg, at);
	}
	return r;
}
