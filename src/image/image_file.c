#include "image/image_file.h"

#include <string.h>
#include <sys/stat.h>

#include "image/codec.h"
#include "image/errmsg.h"
#include "image/ext4_reader.h"
#include "image/oci.h"
#include "image/oci_archive.h"
#include "image/raw_import.h"

/* Where a plain file is to be read from; -1 when it is a pipe, or compressed. */
static int64_t
plain_start(int fd)
{
	uint8_t first[8];
	struct stat st;
	off_t at;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (at = lseek(fd, 0, SEEK_CUR)) < 0)
		return -1;
	n = pread(fd, first, sizeof(first), at);
	return n == (ssize_t)sizeof(first) &&
	    codec_of(first, sizeof(first)) == CODEC_NONE ? at : -1;
}

static int
write_config(int fd, const struct buf *config, char *err, size_t err_size)
{
	int r = write_full(fd, config->data, config->len);

	if (r < 0)
		return errmsg(err, err_size, r, "writing its configuration: %s",
		    strerror(-r));
	return 0;
}

int
image_file_import(const struct image_file *file, source_progress *progress,
    void *arg, struct image_import_result *result, char *err, size_t err_size)
{
	const struct source_piece piece = { .fd = file->in,
		.size = SOURCE_REST };
	_cleanup_buf_ struct buf config = BUF_INIT(OCI_CONFIG_MAX);
	int64_t start = plain_start(file->in);
	struct source *s = NULL;
	const void *first;
	size_t len = 0;
	int r;

	r = source_open(&piece, progress, arg, &s, err, err_size);
	if (r == 0)
		r = source_read(s, &first, &len, err, err_size);
	if (r == 0) {
		source_unread(s);
		if (ext4_reader_is(first, len))
			r = raw_import(s, &file->out, result, err, err_size);
		else if (!oci_archive_is(first, len))
			r = image_import_tar(s, &file->out, result, err,
			    err_size);
		else if ((r = oci_archive_import(s, file->in, start,
		    file->spool, &file->out, progress, arg, &config, result,
		    err, err_size)) == 0)
			r = write_config(file->config, &config, err,
			    err_size);
	}
	source_close(s);
	return r;
}
