/*
 * A growable byte buffer with a limit. A failure to grow sticks: after a row
 * of appends one look at `failed` tells whether all of them worked.
 */
#ifndef BANGER_BASE_BUF_H
#define BANGER_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "privsep/util.h"

/* Start with BUF_INIT(limit). DATA is NULL until something was appended. */
struct buf {
	char *data;
	size_t len, size;
	size_t limit;			/* of LEN, in bytes */
	bool failed;			/* an append did not fit, or no memory */
};

#define BUF_INIT(max) { .limit = (max) }

/* Frees the memory; the buffer is empty and usable again. */
void	 buf_free(struct buf *buf);

#define _cleanup_buf_ __attribute__((cleanup(buf_free)))

/* Forgets the contents and the failure, keeps the memory. */
void	 buf_clear(struct buf *buf);

/*
 * Makes room for N more bytes and returns the place for them, or NULL (and
 * failed is set): over the limit, or no memory. LEN does not change.
 */
char	*buf_reserve(struct buf *buf, size_t n);

/* Appends; 0, or -ENOBUFS and the buffer as before. */
int	 buf_append(struct buf *buf, const void *bytes, size_t n);
int	 buf_puts(struct buf *buf, const char *s);
int	 buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forgets the first N bytes. */
void	 buf_drop(struct buf *buf, size_t n);

/*
 * Appends all of FD (read(2)) up to the limit: 0, -EFBIG when there is more,
 * or -errno.
 */
int	 buf_read_all(struct buf *buf, int fd);

#endif
