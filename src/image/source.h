/*
 * A stream of plain bytes from a file or pipe that may be compressed with
 * gzip, xz or zstd: told by its first bytes, decoded as it comes, and checked
 * to the end (its own check sums, and that it is whole).
 */
#ifndef BANGER_IMAGE_SOURCE_H
#define BANGER_IMAGE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct source;

/* As the size of a piece: to the end, from where the fd stands (a pipe, too). */
#define SOURCE_REST UINT64_MAX

/* What is read: SIZE bytes of FD from OFFSET on. */
struct source_piece {
	int fd;
	uint64_t offset, size;
};

/* Called now and then with the bytes read from the file so far. */
typedef void source_progress(void *arg, uint64_t bytes_read);

/*
 * Starts to read PIECE, whose fd stays the caller's; PROGRESS may be NULL. 0
 * and *OUT, or -errno with a line in ERR: -ENODATA when there is not one byte,
 * -ENOTSUP for a compression that is known but not read.
 */
int	 source_open(const struct source_piece *piece,
	    source_progress *progress, void *arg, struct source **out,
	    char *err, size_t err_size);

/*
 * Adds to RAW all bytes of the file and to PLAIN what they are when they are
 * decompressed, as they are read from now on; each may be NULL. To be called
 * before the first source_read, and complete only when that has told the end.
 */
void	 source_digest(struct source *s, struct digest *raw,
	    struct digest *plain);

/* Frees S; NULL is fine. */
void	 source_close(struct source *s);

/*
 * The next piece: *BUF is good until the next call. *LEN is 0 at the end.
 * 0, -EBADMSG for damaged or cut data, -ENOMEM, or -errno of read(2); all
 * but 0 with a line in ERR.
 */
int	 source_read(struct source *s, const void **buf, size_t *len, char *err,
	    size_t err_size);

/* Reads the rest of the file for its digest alone. 0 or -errno of read(2). */
int	 source_skip(struct source *s);

/* Takes the last piece back: the next source_read gives it again. */
void	 source_unread(struct source *s);

#endif
