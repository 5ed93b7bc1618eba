/*
 * Bodies of jobs; they run in the confined child.
 */
#include "worker/work.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/sparse.h"
#include "image/checksum.h"
#include "image/cow.h"
#include "image/errmsg.h"
#include "image/oci_blobs.h"
#include "image/raw_import.h"
#include "image/room.h"
#include "privsep/util.h"

enum { COPY_BUFFER = 128 << 10 };

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

/* What every job that made the image FD ends with. 0 or -errno. */
static int
finish_image(struct job_context *context, int fd)
{
	int r = checksum_file(fd, NULL, NULL, &context->report.image.checksum);

	return r == 0 && fdatasync(fd) < 0 ? -errno : r;
}

/* All of FROM into TO, and its digest. 0 or -errno. */
static int
copy_and_digest(int from, int to, uint8_t sha256[DIGEST_BYTES])
{
	_cleanup_free_ char *buffer = malloc(COPY_BUFFER);
	struct digest digest;
	ssize_t n = 1;
	int r = buffer == NULL ? -ENOMEM : 0;

	digest_init(&digest);
	while (r == 0 && n > 0) {
		n = read(from, buffer, COPY_BUFFER);
		r = n < 0 ? -errno : write_full(to, buffer, (size_t)n);
		if (n > 0)
			digest_add(&digest, buffer, (size_t)n);
	}
	digest_end(&digest, sha256);
	return r;
}

/* What is to be imported. Its fd, or -errno with a line. */
static int
take_archive(struct job_context *context)
{
	struct job_report *report = &context->report;
	int copy = context->fds[context->nfds - 1], r;
	uint8_t sha256[DIGEST_BYTES];

	if (context->sha256 == NULL)
		return context->fds[0];
	r = copy_and_digest(context->fds[0], copy, sha256);
	if (r == 0 && lseek(copy, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return errmsg(report->text, sizeof(report->text), r,
		    "copying it: %s", strerror(-r));
	if (memcmp(sha256, context->sha256, sizeof(sha256)) != 0)
		return errmsg(report->text, sizeof(report->text), -EBADMSG,
		    "its digest is not what it should be");
	return copy;
}

int
work_import_image(struct job_context *context)
{
	struct job_report *report = &context->report;
	const struct image_file file = { .in = take_archive(context),
		.out = { context->fds[1], context->file_max },
		.config = context->fds[2], .spool = context->fds[3] };
	int r = file.in;

	if (r >= 0)
		r = image_file_import(&file, job_progress, context,
		    &report->image, report->text, sizeof(report->text));
	return r < 0 ? r : finish_image(context, file.out.fd);
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
	return r < 0 ? r : finish_image(context, out.fd);
}

/* Whether there is room for as much as the files that are copied take. */
static int
check_room(const struct job_context *context)
{
	struct room room = { 0 };
	struct stat disk, cow = { .st_blocks = 0 };

	if (fstat(context->fds[0], &disk) < 0 || (context->nfds > 2 &&
	    fstat(context->fds[2], &cow) < 0))
		return -errno;
	return room_take(&room, context->fds[1],
	    (uint64_t)(disk.st_blocks + cow.st_blocks) * 512);
}

int
work_copy_image(struct job_context *context)
{
	struct job_report *report = &context->report;
	const int *fds = context->fds;
	uint64_t size = 0;
	int r = file_size(fds[0], &size);

	if (r == 0)
		r = check_room(context);
	if (r == 0)
		r = sparse_copy(fds[0], fds[1], size, job_progress, context);
	if (r == 0 && ftruncate(fds[1], (off_t)(size > context->argument ?
	    size : context->argument)) < 0)
		r = -errno;
	if (r == 0 && context->nfds > 2)
		r = cow_merge(fds[2], fds[1]);
	if (r == -EUCLEAN)
		r = errmsg(report->text, sizeof(report->text), r, "the host's "
		    "file system was full when its disk was written; start "
		    "and stop the VM once");
	if (r == 0)
		r = raw_import_check(fds[1], &report->image, report->text,
		    sizeof(report->text));
	return r < 0 ? r : finish_image(context, fds[1]);
}

int
work_checksum(struct job_context *context)
{
	return checksum_file(context->fds[0], job_progress, context,
	    &context->report.image.checksum);
}

int
work_import_kernel(struct job_context *context)
{
	struct job_report *report = &context->report;
	const int *fds = context->fds;
	int i, archive = take_archive(context), r = archive;

	if (r >= 0)
		r = kernel_import_archive(archive, fds[1], fds[2], fds[3],
		    fds[4], job_progress, context, &report->kernel,
		    report->text, sizeof(report->text));
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
