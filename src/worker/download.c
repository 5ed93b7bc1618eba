#include "worker/download.h"

#include <fcntl.h>
#include <string.h>

#include "privsep/log.h"
#include "worker/fetcher.h"
#include "worker/worker.h"

static void
finish(struct download *d, int error, const char *why)
{
	download_stop(d);
	d->done(d->arg, error, why);
}

/* One record. 1: it was the last, 0, or -EPROTO. */
static int
take(struct download *d, const struct pull_record *record)
{
	switch (record->kind) {
	case PULL_PROGRESS:
		if (record->index > record->count ||
		    record->count > OCI_LAYERS_MAX ||
		    record->bytes > record->total)
			return -EPROTO;
		d->progress(d->arg, record);
		return 0;
	case PULL_BLOB:
		if (record->index != d->count || d->count == PULL_BLOBS_MAX)
			return -EPROTO;
		d->blobs[d->count++] = record->blob;
		return 0;
	case PULL_DONE:
		/* A manifest that was known, or all that it names. */
		return d->count == 1 || d->count >= 3 ? 1 : -EPROTO;
	case PULL_FAILED:
		return record->error < 0 && memchr(record->text, '\0',
		    sizeof(record->text)) != NULL ? 1 : -EPROTO;
	default:
		return -EPROTO;
	}
}

static void
on_record(void *arg, uint32_t ready UNUSED)
{
	struct download *d = arg;
	struct pull_record record;
	ssize_t n = read(d->pipe, &record, sizeof(record));
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(d, -EIO, "what pulled it ended without a result");
		return;
	}
	r = n == (ssize_t)sizeof(record) ? take(d, &record) : -EPROTO;
	if (r < 0)
		finish(d, r, "malformed record of what pulls it");
	else if (r == 1 && record.kind == PULL_FAILED)
		finish(d, record.error, record.text);
	else if (r == 1)
		finish(d, 0, NULL);
}

/* The request as a file that nobody can name. */
static int
request_file(struct worker *w, const struct pull_request *request)
{
	struct buf text = BUF_INIT(64 << 10);
	int fd;

	pull_request_write(request, &text);
	fd = text.failed ? -E2BIG :
	    store_anonymous(&w->store, text.data, text.len);
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	buf_free(&text);
	return fd;
}

int
download_start(struct download *d, struct worker *w,
    const struct pull_request *request, int ca)
{
	_cleanup_close_ int file = -1;
	int ends[2], r;

	d->count = 0;
	d->pipe = -1;
	if (w->fetcher < 0)
		return -ENOTSUP;
	file = request_file(w, request);
	if (file < 0)
		return file;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	d->pipe = ends[0];
	r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno :
	    fetcher_pull(w->fetcher, ends[1], file, ca);
	close(ends[1]);
	if (r == 0)
		r = event_io_start(&w->events, &d->io, d->pipe, EPOLLIN,
		    on_record, d);
	if (r < 0)
		close_fdp(&d->pipe);
	return r;
}

void
download_stop(struct download *d)
{
	if (d->pipe < 0)
		return;
	event_io_stop(&d->io);
	close_fdp(&d->pipe);
}
