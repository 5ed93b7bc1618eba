/*
 * A stream of plain bytes from a file or pipe that may be compressed with
 * gzip, xz or zstd: told by its first bytes, decoded as it comes, and checked
 * to the end (its own check sums, and that it is whole).
 */
#ifndef BANGER_IMAGE_SOURCE_H
#define BANGER_IMAGE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct source;

/* Called now and then with the bytes read from the file so far. */
typedef void source_progress(void *arg, uint64_t bytes_read);

/*
 * Starts to read FD, which stays the caller's; PROGRESS may be NULL. 0 and
 * *OUT, or -errno with a line in ERR: -ENODATA when there is not one byte,
 * -ENOTSUP for a compression that is known but not read.
 */
int	 source_open(int fd, source_progress *progress, void *arg,
	    struct source **out, char *err, size_t err_size);

/* Frees S; NULL is fine. */
void	 source_close(struct source *s);

/*
 * The next piece: *BUF is good until the next call. *LEN is 0 at the end.
 * 0, -EBADMSG for damaged or cut data, -ENOMEM, or -errno of read(2); all
 * but 0 with a line in ERR.
 */
int	 source_read(struct source *s, const void **buf, size_t *len, char *err,
	    size_t err_size);

#endif
