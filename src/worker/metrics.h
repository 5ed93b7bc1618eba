/*
 * What a VM's Firecracker tells of its devices, line by line through a FIFO, and
 * the sums of it. Each line tells what is new since the one before, so the sums
 * are of the time since this worker listens.
 */
#ifndef BANGER_WORKER_METRICS_H
#define BANGER_WORKER_METRICS_H

#include "base/buf.h"
#include "base/event.h"
#include "vmm/driver.h"

/* A line is some 8 KiB; and a FIFO holds no more than this. */
enum { METRICS_LINE_MAX = 64 << 10 };

/* Begins with METRICS_INIT. */
struct metrics {
	struct event_io io;
	int fd;				/* -1: nobody tells anything */
	int64_t since_ms;		/* monotonic_ms() time */
	struct buf line;		/* the one that is not complete */
	bool lost;			/* the rest of it is to be skipped */
	struct vmm_metrics sum;
};

#define METRICS_INIT { .fd = -1, .line = BUF_INIT(METRICS_LINE_MAX) }

/* Takes over FD, the FIFO, and begins to count. 0 or -errno (FD closed). */
int	 metrics_attach(struct metrics *metrics, struct events *events, int fd);

/* Counts what is there to be read now. */
void	 metrics_read(struct metrics *metrics);

/* Closes the FIFO and forgets the sums. */
void	 metrics_close(struct metrics *metrics);

#endif
