/*
 * A job: one piece of work on untrusted or bulky data, in a process of its own
 * that is forked from the worker, holds the fds it was given and nothing else,
 * may make few system calls, and dies with its cancel or with the worker.
 *
 * It reports on a pipe, in records of fixed size; the worker believes them no
 * more than it would believe the data they were made from.
 */
#ifndef BANGER_WORKER_JOB_H
#define BANGER_WORKER_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/event.h"
#include "image/kernel_import.h"
#include "image/oci.h"
#include "image/image_file.h"

enum { JOB_FDS_MAX = OCI_LAYERS_MAX + 8, JOB_TEXT_BYTES = 384 };

enum job_report_kind { JOB_PROGRESS = 1, JOB_DONE, JOB_FAILED };

/* One record of the pipe, at most PIPE_BUF bytes, hence written whole. */
struct job_report {
	uint32_t kind;			/* enum job_report_kind */
	int32_t error;			/* JOB_FAILED: -errno */
	uint64_t bytes;			/* JOB_PROGRESS: done so far */
	union {
		struct image_import_result image;
		struct kernel_import_result kernel;
		uint64_t initrd_bytes;
	};
	char text[JOB_TEXT_BYTES];	/* JOB_FAILED: one line */
};

/* In the job: its fds, its argument, and where its report goes. */
struct job_context {
	const int *fds;
	uint32_t nfds;
	uint64_t argument, file_max;
	const uint8_t *sha256;		/* what fds[0] has to have, or NULL */
	int pipe;
	uint64_t reported;		/* bytes of the last progress record */
	struct job_report report;	/* to be filled; sent when BODY is back */
};

/* All jobs of the worker. */
struct jobs {
	struct events *events;
	struct list all;
	unsigned int count;		/* cancelled ones not yet dead included */
	void (*ended)(void *arg);	/* called after each end; may be NULL */
	void *arg;
};

struct job;

struct job_spec {
	const char *name;		/* for the log */
	/*
	 * Runs in the job. 0, or -errno with a line in context->report.text.
	 */
	int (*body)(struct job_context *context);
	int fds[JOB_FDS_MAX];		/* stay the caller's, which may close them */
	uint32_t nfds;
	uint64_t argument;
	const uint8_t *sha256;		/* NULL: none; read at the start only */
	uint64_t file_max;		/* bytes of the image it makes; 0: of none */
	/* Called in the worker; DONE once, unless cancelled before. */
	void (*progress)(void *arg, uint64_t bytes);
	void (*done)(void *arg, const struct job_report *report);
	void *arg;
};

/* No jobs; EVENTS stays the caller's and must outlive them. */
void	 jobs_init(struct jobs *jobs, struct events *events);

/* Starts a job; *JOB is valid until done or cancelled. 0 or -errno. */
int	 job_start(struct jobs *jobs, const struct job_spec *spec,
	    struct job **job);

/*
 * Kills the job and forgets its callbacks. What it had under way may go on for
 * a moment, on open fds: names can be removed at once.
 */
void	 job_cancel(struct job *job);

/* For bodies: says how far they are, not more often than every MiB. */
void	 job_progress(void *context, uint64_t bytes);

#endif
