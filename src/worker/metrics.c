/*
 * The VMM may have been taken over by its guest: a line that is too long or does
 * not read is dropped, and one call takes no more than a FIFO holds.
 */
#include "worker/metrics.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "privsep/log.h"

enum { READ_BYTES = 4096 };

/* Takes LEN bytes, the last of which may be the end of the line. */
static void
take(struct metrics *metrics, const char *bytes, size_t len, bool end)
{
	struct buf *line = &metrics->line;

	if (buf_append(line, bytes, len) < 0)
		metrics->lost = true;
	if (!end)
		return;
	if (metrics->lost || firecracker_add_metrics(&metrics->sum, line->data,
	    line->len) < 0)
		log_debug("metrics of a VM: a line that cannot be read");
	metrics->lost = false;
	buf_free(line);
}

/* Takes what one read gives: how much, 0 at the end, or -errno. */
static ssize_t
read_some(struct metrics *metrics)
{
	char bytes[READ_BYTES], *at = bytes, *end;
	ssize_t n = read(metrics->fd, bytes, sizeof(bytes));
	size_t left;

	if (n <= 0)
		return n < 0 ? -errno : 0;
	left = (size_t)n;
	while ((end = memchr(at, '\n', left)) != NULL) {
		size_t len = (size_t)(end - at);

		take(metrics, at, len, true);
		at += len + 1;
		left -= len + 1;
	}
	if (left > 0)
		take(metrics, at, left, false);
	return n;
}

void
metrics_read(struct metrics *metrics)
{
	size_t reads;

	for (reads = 0; metrics->fd >= 0 &&
	    reads < METRICS_LINE_MAX / READ_BYTES; reads++)
		if (read_some(metrics) <= 0)
			break;
}

static void
detach(struct metrics *metrics)
{
	event_io_stop(&metrics->io);
	close_fdp(&metrics->fd);
}

static void
on_line(void *arg, uint32_t ready)
{
	struct metrics *metrics = arg;

	if (read_some(metrics) <= 0 && (ready & (EPOLLHUP | EPOLLERR)) != 0)
		detach(metrics);
}

int
metrics_attach(struct metrics *metrics, struct events *events, int fd)
{
	int r;

	metrics_close(metrics);
	metrics->fd = fd;
	metrics->since_ms = monotonic_ms();
	r = event_io_start(events, &metrics->io, fd, EPOLLIN, on_line, metrics);
	if (r < 0)
		detach(metrics);
	return r;
}

void
metrics_close(struct metrics *metrics)
{
	detach(metrics);
	buf_free(&metrics->line);
	metrics->lost = false;
	memset(&metrics->sum, 0, sizeof(metrics->sum));
}
