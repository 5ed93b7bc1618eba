/*
 * Doubling, bounded by the limit. One spare byte keeps the contents a C string
 * for whoever wants to look at them as one.
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

enum { BUF_FIRST = 256 };

void
buf_free(struct buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->size = 0;
	buf->failed = false;
}

void
buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

char *
buf_reserve(struct buf *buf, size_t n)
{
	size_t size = buf->size > 0 ? buf->size : BUF_FIRST;
	char *grown;

	if (n > buf->limit || buf->len > buf->limit - n) {
		buf->failed = true;
		return NULL;
	}
	while (size < buf->len + n + 1)
		size *= 2;
	if (size != buf->size) {
		grown = realloc(buf->data, size);
		if (grown == NULL) {
			buf->failed = true;
			return NULL;
		}
		buf->data = grown;
		buf->size = size;
	}
	return buf->data + buf->len;
}

int
buf_append(struct buf *buf, const void *bytes, size_t n)
{
	char *room = buf_reserve(buf, n);

	if (room == NULL)
		return -ENOBUFS;
	if (n > 0)
		memcpy(room, bytes, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
	return 0;
}

int
buf_puts(struct buf *buf, const char *s)
{
	return buf_append(buf, s, strlen(s));
}

int
buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap, again;
	char *room;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	room = n < 0 ? NULL : buf_reserve(buf, (size_t)n);
	if (room != NULL) {
		vsnprintf(room, (size_t)n + 1, fmt, again);
		buf->len += (size_t)n;
	} else {
		buf->failed = true;
	}
	va_end(again);
	return room != NULL ? 0 : -ENOBUFS;
}

void
buf_drop(struct buf *buf, size_t n)
{
	if (n == 0)
		return;
	buf->len -= n;
	memmove(buf->data, buf->data + n, buf->len);
	buf->data[buf->len] = '\0';
}

int
buf_read_all(struct buf *buf, int fd)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buf_append(buf, chunk, (size_t)n) < 0)
			return -EFBIG;
	}
	return 0;
}
