/*
 * The parts of an image on their way from a registry into the store's blobs: the
 * worker's end of a pull (fetch/pull.h). What is told is a stranger's, for who
 * tells it has talked to strangers: digests and numbers, and one line.
 */
#ifndef BANGER_WORKER_DOWNLOAD_H
#define BANGER_WORKER_DOWNLOAD_H

#include "base/event.h"
#include "fetch/pull.h"

struct worker;

struct download {
	int pipe;
	struct event_io io;
	/* Both are called from the loop; DONE once: with error 0, or a line. */
	void (*progress)(void *arg, const struct pull_record *record);
	void (*done)(void *arg, int error, const char *why);
	void *arg;
	struct oci_blob blobs[PULL_BLOBS_MAX];
	uint32_t count;			/* of those that were told */
};

/*
 * Starts *D, whose functions are set, for REQUEST. CA stays the caller's. 0 or
 * -errno.
 */
int	 download_start(struct download *d, struct worker *w,
	    const struct pull_request *request, int ca);

/* Ends it if it is under way. */
void	 download_stop(struct download *d);

#endif
