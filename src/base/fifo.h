/*
 * A byte queue of fixed capacity whose contents and free space are each one
 * contiguous run: what is read from one descriptor straight into it is written
 * to another straight out of it.
 */
#ifndef BANGER_BASE_FIFO_H
#define BANGER_BASE_FIFO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* DATA has SIZE bytes and belongs to the caller; LEN are used, from START. */
struct fifo {
	uint8_t *data;
	size_t size, start, len;
};

static inline size_t
fifo_room(const struct fifo *f)
{
	return f->size - f->len;
}

static inline const uint8_t *
fifo_head(const struct fifo *f)
{
	return f->data + f->start;
}

/* Forgets the first N bytes. */
static inline void
fifo_drop(struct fifo *f, size_t n)
{
	f->start += n;
	f->len -= n;
	if (f->len == 0)
		f->start = 0;
}

/*
 * The place for the next bytes, with room for N of them (at most fifo_room());
 * the contents move only when the run at the end is too short.
 */
static inline uint8_t *
fifo_tail(struct fifo *f, size_t n)
{
	if (f->size - f->start - f->len < n) {
		memmove(f->data, f->data + f->start, f->len);
		f->start = 0;
	}
	return f->data + f->start + f->len;
}

/* Appends N bytes, at most fifo_room(). */
static inline void
fifo_put(struct fifo *f, const void *bytes, size_t n)
{
	memcpy(fifo_tail(f, n), bytes, n);
	f->len += n;
}

#endif
