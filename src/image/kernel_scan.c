/*
 * libarchive does the formats. Only those that are meant are switched on, and
 * only filters that are linked in: for others libarchive would start a
 * program. A .deb is an ar archive whose member data.tar.* is an archive
 * again; the inner reader's input callback reads the outer one.
 */
#include "image/kernel_scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "image/bzimage.h"
#include "image/codec.h"
#include "image/errmsg.h"
#include "privsep/util.h"

#define READ_BYTES	(64U << 10)
#define BUILTIN_BYTES_MAX (4U << 20)

/* One scan's state; BUF is the outer reader's input, CHUNK for copying. */
struct reader {
	struct kernel_scan	*scan;
	struct archive		*outer;
	char			*err;
	size_t			 err_size;
	int			 io_error;	/* of a callback, -errno */
	uint8_t			 buf[READ_BYTES];
	uint8_t			 chunk[READ_BYTES];
};

static void
free_archive(struct archive **a)
{
	if (*a != NULL)
		archive_read_free(*a);
}

#define _cleanup_archive_ __attribute__((cleanup(free_archive)))

static int
oops(struct reader *r, struct archive *a, const char *what)
{
	const char *why = archive_error_string(a);

	if (r->io_error != 0)
		return errmsg(r->err, r->err_size, r->io_error,
		    "cannot read %s: %s", what, strerror(-r->io_error));
	return errmsg(r->err, r->err_size, -EBADMSG,
	    "%s is damaged, cut short or of an unknown format: %s", what,
	    why == NULL ? "no reason given" : why);
}

static la_ssize_t
read_fd(struct archive *a, void *arg, const void **data)
{
	struct reader *r = arg;
	ssize_t n;

	do
		n = read(r->scan->in_fd, r->buf, sizeof(r->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		r->io_error = -errno;
		archive_set_error(a, errno, "read error");
		return -1;
	}
	r->scan->bytes_read += (uint64_t)n;
	if (r->scan->progress != NULL)
		r->scan->progress(r->scan->arg, r->scan->bytes_read);
	*data = r->buf;
	return n;
}

static la_ssize_t
read_outer(struct archive *a, void *arg, const void **data)
{
	struct reader *r = arg;
	la_int64_t offset;
	size_t len;

	switch (archive_read_data_block(r->outer, data, &len, &offset)) {
	case ARCHIVE_OK:
		return (la_ssize_t)len;
	case ARCHIVE_EOF:
		return 0;
	default:
		archive_set_error(a, EBADMSG, "%s",
		    archive_error_string(r->outer));
		return -1;
	}
}

/* A reader of tar through the filters that are built in; NULL without memory. */
static struct archive *
new_archive(void)
{
	_cleanup_archive_ struct archive *a = archive_read_new();

	if (a == NULL || archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_lzma(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK)
		return NULL;
	/* Read on after tar's end mark: the checksum comes behind it. */
	if (archive_read_set_format_option(a, "tar",
	    "read_concatenated_archives", "1") != ARCHIVE_OK)
		return NULL;
	return steal_ptr(&a);
}

/* Reads the entry's data into BUF, at most MAX bytes. */
static int
load_entry(struct reader *r, struct archive *a, const char *path, size_t max,
    struct codec_buf *buf)
{
	la_ssize_t n;
	int rc;

	while ((n = archive_read_data(a, r->chunk, sizeof(r->chunk))) > 0) {
		if ((size_t)n > max - buf->len)
			return errmsg(r->err, r->err_size, -EFBIG,
			    "\"%.200s\" is larger than %zu MiB", path,
			    max >> 20);
		rc = codec_write_buf(buf, r->chunk, (size_t)n);
		if (rc < 0)
			return errmsg(r->err, r->err_size, rc,
			    "cannot hold \"%.200s\": %s", path, strerror(-rc));
	}
	return n < 0 ? oops(r, a, "the archive") : 0;
}

static int
save_kernel(struct reader *r, struct archive *a, const char *path)
{
	struct kernel_scan *s = r->scan;
	la_ssize_t n;
	int rc;

	if (s->again)
		return 0;
	if (s->have_kernel)
		return errmsg(r->err, r->err_size, -EBADMSG,
		    "the archive has more than one kernel, \"%.200s\" is the second",
		    path);
	s->have_kernel = true;
	while ((n = archive_read_data(a, r->chunk, sizeof(r->chunk))) > 0) {
		if ((uint64_t)n > BZIMAGE_BYTES_MAX - s->kernel_bytes)
			return errmsg(r->err, r->err_size, -EFBIG,
			    "kernel \"%.200s\" is larger than %llu MiB", path,
			    BZIMAGE_BYTES_MAX >> 20);
		rc = write_full(s->kernel_fd, r->chunk, (size_t)n);
		if (rc < 0)
			return errmsg(r->err, r->err_size, rc,
			    "cannot write the kernel: %s", strerror(-rc));
		s->kernel_bytes += (uint64_t)n;
	}
	return n < 0 ? oops(r, a, "the archive") : 0;
}

static int
add_module(struct reader *r, struct archive *a, const char *path)
{
	_cleanup_codec_buf_ struct codec_buf buf = { 0 };
	char name[MODULE_NAME_MAX];
	int rc;

	if (!module_name(path, strlen(path), true, name) ||
	    !module_set_wants(r->scan->set, name))
		return 0;
	rc = load_entry(r, a, path, MODULE_BYTES_MAX, &buf);
	if (rc < 0)
		return rc;
	return module_set_add(r->scan->set, path, buf.data, buf.len, r->err,
	    r->err_size);
}

static int
add_builtin(struct reader *r, struct archive *a, const char *path)
{
	_cleanup_codec_buf_ struct codec_buf buf = { 0 };
	int rc = load_entry(r, a, path, BUILTIN_BYTES_MAX, &buf);

	if (rc == 0 && buf.len > 0)
		module_set_builtin(r->scan->set, (const char *)buf.data,
		    buf.len);
	return rc;
}

/* Takes the LEN bytes at S for a kernel release, if they can be one. */
static bool
take_release(const char *s, size_t len, char out[KERNEL_RELEASE_MAX])
{
	if (len == 0 || len >= KERNEL_RELEASE_MAX || s[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f || s[i] == '/')
			return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return true;
}

/* PATH is what follows lib/modules/ in FULL. */
static int
modules_entry(struct reader *r, struct archive *a, const char *full,
    const char *path)
{
	struct kernel_scan *s = r->scan;
	char release[KERNEL_RELEASE_MAX];
	const char *rest = strchr(path, '/');

	if (rest == NULL ||
	    !take_release(path, (size_t)(rest - path), release))
		return 0;
	rest++;
	if (s->release[0] != '\0' && strcmp(s->release, release) != 0)
		return errmsg(r->err, r->err_size, -EBADMSG,
		    "the archive has the modules of two kernels, %s and %s",
		    s->release, release);
	memcpy(s->release, release, sizeof(release));
	if (strcmp(rest, "vmlinuz") == 0)
		return save_kernel(r, a, full);
	if (strcmp(rest, "modules.builtin") == 0)
		return add_builtin(r, a, full);
	return add_module(r, a, full);
}

/* PATH is what follows boot/ in FULL. */
static int
boot_entry(struct reader *r, struct archive *a, const char *full,
    const char *path)
{
	if (strncmp(path, "vmlinuz", 7) != 0 &&
	    strncmp(path, "vmlinux", 7) != 0)
		return 0;
	path += 7;
	if (*path == '-') {
		path++;
		if (!take_release(path, strlen(path), r->scan->name))
			return 0;
	} else if (*path != '\0')
		return 0;
	return save_kernel(r, a, full);
}

static const char *
after(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 ? path + n : NULL;
}

static int
handle_entry(struct reader *r, struct archive *a, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e), *full = path, *rest;

	if (path == NULL || archive_entry_filetype(e) != AE_IFREG ||
	    archive_entry_hardlink(e) != NULL)
		return 0;
	while ((rest = after(path, "./")) != NULL ||
	    (rest = after(path, "/")) != NULL)
		path = rest;
	if ((rest = after(path, "boot/")) != NULL)
		return boot_entry(r, a, full, rest);
	if ((rest = after(path, "usr/")) != NULL)
		path = rest;
	if ((rest = after(path, "lib/modules/")) != NULL)
		return modules_entry(r, a, full, rest);
	return 0;
}

static int
scan_tar(struct reader *r, struct archive *a, const char *what)
{
	struct archive_entry *e;
	int arc, rc;

	while ((arc = archive_read_next_header(a, &e)) == ARCHIVE_OK ||
	    arc == ARCHIVE_WARN) {
		rc = handle_entry(r, a, e);
		if (rc < 0)
			return rc;
	}
	return arc == ARCHIVE_EOF ? 0 : oops(r, a, what);
}

static int
scan_deb(struct reader *r, struct archive_entry *e)
{
	_cleanup_archive_ struct archive *inner = NULL;
	int arc;

	do {
		const char *name = archive_entry_pathname(e);

		if (name == NULL || after(name, "data.tar") == NULL)
			continue;
		inner = new_archive();
		if (inner == NULL)
			return errmsg(r->err, r->err_size, -ENOMEM,
			    "cannot set up libarchive");
		if (archive_read_open(inner, r, NULL, read_outer, NULL) !=
		    ARCHIVE_OK)
			return oops(r, inner, "the package's data.tar");
		return scan_tar(r, inner, "the package's data.tar");
	} while ((arc = archive_read_next_header(r->outer, &e)) == ARCHIVE_OK);
	if (arc != ARCHIVE_EOF)
		return oops(r, r->outer, "the package");
	return errmsg(r->err, r->err_size, -EBADMSG,
	    "not a Debian package: it has no data.tar");
}

static int
scan(struct reader *r)
{
	_cleanup_archive_ struct archive *a = new_archive();
	struct archive_entry *e;
	int arc, rc;

	if (a == NULL || archive_read_support_format_ar(a) != ARCHIVE_OK)
		return errmsg(r->err, r->err_size, -ENOMEM,
		    "cannot set up libarchive");
	r->outer = a;
	if (archive_read_open(a, r, NULL, read_fd, NULL) != ARCHIVE_OK)
		return oops(r, a, "the archive");
	arc = archive_read_next_header(a, &e);
	if (arc != ARCHIVE_OK && arc != ARCHIVE_WARN)
		return oops(r, a, "the archive");
	if ((archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) ==
	    ARCHIVE_FORMAT_AR) {
		r->scan->is_deb = true;
		return scan_deb(r, e);
	}
	rc = handle_entry(r, a, e);
	return rc < 0 ? rc : scan_tar(r, a, "the archive");
}

int
kernel_scan(struct kernel_scan *s, char *err, size_t err_size)
{
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	r->scan = s;
	r->err = err;
	r->err_size = err_size;
	return scan(r);
}
