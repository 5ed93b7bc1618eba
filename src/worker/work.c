/*
 * Bodies of jobs; they run in the confined child.
 */
#include "worker/work.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/oci_blobs.h"
#include "privsep/util.h"

/* Bytes per call: progress is told between two, and a cancel may come. */
enum { COPY_CHUNK = 16 << 20, COPY_BUFFER = 128 << 10 };

/* For file systems between which the kernel does not copy by itself. */
static ssize_t
copy_by_hand(int from, off_t at, int to, size_t len)
{
	_cleanup_free_ char *buffer = malloc(COPY_BUFFER);
	size_t done = 0;

	if (buffer == NULL)
		return -ENOMEM;
	while (done < len) {
		size_t want = len - done < COPY_BUFFER ? len - done :
		    COPY_BUFFER;
		ssize_t n = pread(from, buffer, want, at + (off_t)done), m;

		if (n <= 0)
			return n < 0 ? -errno : (ssize_t)done;
		m = pwrite(to, buffer, (size_t)n, at + (off_t)done);
		if (m < 0)
			return -errno;
		done += (size_t)m;
	}
	return (ssize_t)done;
}

/* Copies up to LEN bytes at offset AT: how many, 0 at the end, or -errno. */
static ssize_t
copy_some(int from, off_t at, int to, size_t len)
{
	off_t in = at, out = at;
	ssize_t n = copy_file_range(from, &in, to, &out, len, 0);

	if (n >= 0)
		return n;
	if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP &&
	    errno != ENOSYS)
		return -errno;
	return copy_by_hand(from, at, to, len);
}

int
sparse_copy(int from, int to, uint64_t size,
    void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	off_t at = 0, end = (off_t)size;

	while (at < end) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if (hole > end)
			hole = end;
		for (at = data; at < hole;) {
			size_t len = hole - at < COPY_CHUNK ?
			    (size_t)(hole - at) : COPY_CHUNK;
			ssize_t n = copy_some(from, at, to, len);

			if (n <= 0)
				return n < 0 ? (int)n : -EIO;
			at += n;
			if (progress != NULL)
				progress(arg, (uint64_t)at);
		}
	}
	return 0;
}

static int
file_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

int
work_copy_disk(struct job_context *context)
{
	uint64_t image = 0, disk = 0;
	int r = file_size(context->fds[0], &image);

	if (r == 0)
		r = file_size(context->fds[1], &disk);
	if (r == 0 && image > disk)
		r = -EFBIG;
	if (r == 0)
		r = sparse_copy(context->fds[0], context->fds[1], image,
		    job_progress, context);
	return r;
}

int
work_import_image(struct job_context *context)
{
	struct job_report *report = &context->report;
	const struct image_file file = { .in = context->fds[0],
		.out = { context->fds[1], context->file_max },
		.config = context->fds[2], .spool = context->fds[3] };
	int r = image_file_import(&file, job_progress, context,
	    &report->image, report->text, sizeof(report->text));

	if (r == 0 && fdatasync(file.out.fd) < 0)
		r = -errno;
	return r;
}

int
work_import_blobs(struct job_context *context)
{
	_cleanup_buf_ struct buf config = BUF_INIT(OCI_CONFIG_MAX);
	struct job_report *report = &context->report;
	const struct image_out out = { context->fds[0], context->file_max };
	int r = oci_blobs_import(context->fds + 2, context->nfds - 2, &out,
	    job_progress, context, &config, &report->image,
	    report->text, sizeof(report->text));

	if (r == 0)
		r = write_full(context->fds[1], config.data, config.len);
	if (r == 0 && fdatasync(out.fd) < 0)
		r = -errno;
	return r;
}

int
work_import_kernel(struct job_context *context)
{
	struct job_report *report = &context->report;
	const int *fds = context->fds;
	int i, r = kernel_import_archive(fds[0], fds[1], fds[2], fds[3],
	    fds[4], job_progress, context, &report->kernel, report->text,
	    sizeof(report->text));

	for (i = 2; r == 0 && i < 5; i++)
		if (fdatasync(fds[i]) < 0)
			r = -errno;
	return r;
}

int
work_refresh_initrd(struct job_context *context)
{
	struct job_report *report = &context->report;
	const int *fds = context->fds;
	uint64_t size = 0;
	int r = file_size(fds[0], &size);

	if (r == 0)
		r = sparse_copy(fds[0], fds[1], size, NULL, NULL);
	if (r == 0 && ftruncate(fds[1], (off_t)size) < 0)
		r = -errno;
	if (r == 0)
		r = kernel_initrd_refresh_agent(fds[1], context->argument,
		    fds[2], &report->initrd_bytes, report->text,
		    sizeof(report->text));
	if (r == 0 && fdatasync(fds[1]) < 0)
		r = -errno;
	return r;
}
