/*
 * libarchive does the formats. Only those that are meant are switched on, and
 * only filters that are linked in: for others libarchive would start a
 * program.
 *
 * Archives lie in archives: a .deb is an ar archive whose member data.tar.* is
 * one again, and several packages come as members of one tar. The inner reader's
 * input callback reads the outer one.
 */
#include "image/kernel_scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "image/bzimage.h"
#include "image/codec.h"
#include "image/errmsg.h"
#include "image/kernel_config.h"
#include "privsep/util.h"

#define READ_BYTES	(64U << 10)
#define BUILTIN_BYTES_MAX (4U << 20)

/* One scan's state; BUF is the outermost input, CHUNK for copying. */
struct reader {
	struct kernel_scan	*scan;
	const char		*what;	/* is being read, for errors */
	char			*err;
	size_t			 err_size;
	int			 io_error;	/* of a callback, -errno */
	uint8_t			 buf[READ_BYTES];
	uint8_t			 chunk[READ_BYTES];
};

/* An archive, and what it may hold others as. */
struct level {
	struct reader		*reader;
	struct archive		*above;	/* whose entry it is; NULL: IN_FD */
	const char		*what;
	bool			 packages;
	bool			 deb;
};

static void
free_archive(struct archive **a)
{
	if (*a != NULL)
		archive_read_free(*a);
}

#define _cleanup_archive_ __attribute__((cleanup(free_archive)))

static int
oops(struct reader *r, struct archive *a)
{
	const char *why = archive_error_string(a);

	if (r->io_error != 0)
		return errmsg(r->err, r->err_size, r->io_error,
		    "cannot read %s: %s", r->what, strerror(-r->io_error));
	return errmsg(r->err, r->err_size, -EBADMSG,
	    "%s is damaged, cut short or of an unknown format: %s", r->what,
	    why == NULL ? "no reason given" : why);
}

static la_ssize_t
read_fd(struct archive *a, void *arg, const void **data)
{
	struct reader *r = ((const struct level *)arg)->reader;
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
read_entry(struct archive *a, void *arg, const void **data)
{
	const struct level *l = arg;
	la_int64_t offset;
	size_t len;

	switch (archive_read_data_block(l->above, data, &len, &offset)) {
	case ARCHIVE_OK:
		return (la_ssize_t)len;
	case ARCHIVE_EOF:
		return 0;
	default:
		archive_set_error(a, EBADMSG, "%s",
		    archive_error_string(l->above));
		return -1;
	}
}

/* A reader through the filters that are built in; NULL without memory. */
static struct archive *
new_archive(bool deb)
{
	_cleanup_archive_ struct archive *a = archive_read_new();

	if (a == NULL || archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_lzma(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_filter_rpm(a) != ARCHIVE_OK ||
	    archive_read_support_format_cpio(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    (deb && archive_read_support_format_ar(a) != ARCHIVE_OK))
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
	return n < 0 ? oops(r, a) : 0;
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
	return n < 0 ? oops(r, a) : 0;
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

	if (rc == 0)
		module_set_builtin(r->scan->set, (const char *)buf.data,
		    buf.len);
	return rc;
}

/* The configuration of the kernel NAME; one is enough. */
static int
add_config(struct reader *r, struct archive *a, const char *path,
    const char *name)
{
	struct kernel_scan *s = r->scan;

	if (s->config.len > 0)
		return 0;
	(void)format(s->config_name, sizeof(s->config_name), "%s", name);
	return load_entry(r, a, path, KERNEL_CONFIG_MAX, &s->config);
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
	if (strcmp(rest, "config") == 0)
		return add_config(r, a, full, release);
	if (strcmp(rest, "modules.builtin") == 0)
		return add_builtin(r, a, full);
	return add_module(r, a, full);
}

/* openSUSE has vmlinux-RELEASE.gz beside its vmlinuz, for debuggers. */
static bool
is_packed(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL && (strcmp(dot, ".gz") == 0 ||
	    strcmp(dot, ".xz") == 0 || strcmp(dot, ".zst") == 0);
}

/* PATH is what follows boot/ in FULL. */
static int
boot_entry(struct reader *r, struct archive *a, const char *full,
    const char *path)
{
	char release[KERNEL_RELEASE_MAX];

	if (strncmp(path, "config-", 7) == 0)
		return take_release(path + 7, strlen(path + 7), release) ?
		    add_config(r, a, full, release) : 0;
	if (strncmp(path, "vmlinuz", 7) != 0 &&
	    strncmp(path, "vmlinux", 7) != 0)
		return 0;
	path += 7;
	if (*path == '-') {
		path++;
		if (is_packed(path) ||
		    !take_release(path, strlen(path), r->scan->name))
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

static int	scan_level(const struct level *);

static int
handle_entry(const struct level *l, struct archive *a, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e), *full = path, *rest;
	struct reader *r = l->reader;

	if (path == NULL || archive_entry_filetype(e) != AE_IFREG ||
	    archive_entry_hardlink(e) != NULL)
		return 0;
	while ((rest = after(path, "./")) != NULL ||
	    (rest = after(path, "/")) != NULL)
		path = rest;
	if (l->packages && (rest = after(path, "packages/")) != NULL)
		return scan_level(&(struct level){ .reader = r, .above = a,
		    .what = rest, .deb = true });
	if ((rest = after(path, "boot/")) != NULL)
		return boot_entry(r, a, full, rest);
	if ((rest = after(path, "usr/")) != NULL)
		path = rest;
	if ((rest = after(path, "lib/modules/")) != NULL)
		return modules_entry(r, a, full, rest);
	return 0;
}

/* E is the first entry of A. */
static int
scan_tar(const struct level *l, struct archive *a, struct archive_entry *e)
{
	int arc, rc;

	do {
		rc = handle_entry(l, a, e);
		if (rc < 0)
			return rc;
	} while ((arc = archive_read_next_header(a, &e)) == ARCHIVE_OK ||
	    arc == ARCHIVE_WARN);
	return arc == ARCHIVE_EOF ? 0 : oops(l->reader, a);
}

static int
scan_deb(const struct level *l, struct archive *a, struct archive_entry *e)
{
	struct reader *r = l->reader;
	int arc;

	r->scan->is_deb = true;
	do {
		const char *name = archive_entry_pathname(e);

		if (name != NULL && after(name, "data.tar") != NULL)
			return scan_level(&(struct level){ .reader = r,
			    .above = a, .what = "the package's data.tar" });
	} while ((arc = archive_read_next_header(a, &e)) == ARCHIVE_OK);
	if (arc != ARCHIVE_EOF)
		return oops(r, a);
	return errmsg(r->err, r->err_size, -EBADMSG,
	    "%s is not a Debian package: it has no data.tar", r->what);
}

static int
scan_opened(const struct level *l, struct archive *a)
{
	struct level input = *l;
	struct archive_entry *e;
	int arc;

	if (archive_read_open(a, &input, NULL, l->above == NULL ? read_fd :
	    read_entry, NULL) != ARCHIVE_OK)
		return oops(l->reader, a);
	arc = archive_read_next_header(a, &e);
	if (arc == ARCHIVE_EOF && l->above != NULL)
		return 0;		/* a data.tar with nothing in it */
	if (arc != ARCHIVE_OK && arc != ARCHIVE_WARN)
		return oops(l->reader, a);
	if ((archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) ==
	    ARCHIVE_FORMAT_AR)
		return scan_deb(l, a, e);
	return scan_tar(l, a, e);
}

/* At most three of them deep: packages in a tar, a data.tar in one. */
static int
scan_level(const struct level *l)
{
	_cleanup_archive_ struct archive *a = new_archive(l->deb);
	struct reader *r = l->reader;
	const char *above = r->what;
	int rc;

	if (a == NULL)
		return errmsg(r->err, r->err_size, -ENOMEM,
		    "cannot set up libarchive");
	r->what = l->what;
	rc = scan_opened(l, a);
	r->what = above;
	return rc;
}

int
kernel_scan(struct kernel_scan *s, char *err, size_t err_size)
{
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));
	const struct level level = { .reader = r, .what = "the archive",
		.packages = true, .deb = true };

	if (r == NULL)
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	r->scan = s;
	r->err = err;
	r->err_size = err_size;
	return scan_level(&level);
}
