/*
 * An object is complete or not there: its files are made in tmp/ by a job,
 * renamed, and only then does its row make it exist.
 */
#include "worker/import.h"

#include <fcntl.h>
#include <string.h>

#include "base/hex.h"
#include "image/oci.h"
#include "worker/download.h"
#include "worker/machine_disk.h"
#include "worker/work.h"

enum { IMPORT_FILES_MAX = 3 };

/* What a job writes of an image, in the order of its fds; only the first stays. */
static const char *const image_files[IMPORT_FILES_MAX] = {
	IMAGE_FILE, "config", "spool"
};
enum { FILE_EXT4, FILE_CONFIG };

/* An object that is being made, for those who wait for it. */
struct making {
	struct list node;
	struct worker *w;
	enum store_kind kind;
	char name[NAME_BYTES];
	struct list imports;
	struct job *job;		/* NULL: none runs */
	struct download *download;	/* of what is pulled, else NULL */
	/* What it is pulled from: a reference, or a file's digest. */
	char source[REFERENCE_BYTES];
	bool of_file;
	uint8_t sha256[DIGEST_BYTES];	/* of that file */
	char file[NAME_BYTES];		/* of an image, once it is made */
	char kernel[NAME_BYTES];	/* likewise what boots it, or "" */
	char *config;			/* likewise what it is to run, if known */
	uint64_t vm;			/* whose disk it is made of, or 0 */
};

/* tmp/ name of file I of an import. */
static void
tmp_name(const struct making *making, const char *suffix,
    char out[STORE_NAME_BYTES])
{
	(void)format(out, STORE_NAME_BYTES, "%s.%s", making->name, suffix);
}

static void
remove_tmp(const struct making *making)
{
	const char *const *files = making->kind == STORE_IMAGES ?
	    image_files : kernel_files;
	size_t count = making->kind == STORE_IMAGES ?
	    ARRAY_SIZE(image_files) : ARRAY_SIZE(kernel_files), i;

	for (i = 0; i < count; i++) {
		char name[STORE_NAME_BYTES];

		tmp_name(making, files[i], name);
		store_tmp_remove(&making->w->store, name);
	}
}

/* tmp/'s SUFFIX becomes FILE.SUFFIX. */
static int
commit_file(const struct making *making, const char *file, const char *suffix)
{
	char tmp[STORE_NAME_BYTES];

	tmp_name(making, suffix, tmp);
	return store_commit(&making->w->store, tmp, making->kind, file,
	    suffix);
}

/* What the image says it is to run. 0 or -errno. */
static int
take_config(const struct making *making, struct image_row *row)
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	_cleanup_json_ cJSON *tree = NULL;
	char name[STORE_NAME_BYTES];
	int r;

	tmp_name(making, image_files[FILE_CONFIG], name);
	r = store_tmp_read(&making->w->store, name, &text);
	if (r < 0)
		return r;
	tree = json_parse(text.data, text.len);
	return tree == NULL ? -EINVAL : image_config_copy(tree, &row->config);
}

static int
fill_image_row(struct image_row *row, const struct making *making,
    const struct image_import_result *result)
{
	memcpy(row->name, making->name, sizeof(row->name));
	memcpy(row->file, making->file, sizeof(row->file));
	memcpy(row->kernel, making->kernel, sizeof(row->kernel));
	if (!making->of_file)
		memcpy(row->reference, making->source, sizeof(row->reference));
	row->size_bytes = result->size_bytes;
	row->has_checksum = true;
	row->checksum = result->checksum;
	row->content_bytes = result->content_bytes;
	row->entries = result->entries;
	row->has_init = result->has_init;
	row->created_s = worker_now_s();
	if (result->layers == 0)
		return making->config == NULL ||
		    (row->config = strdup(making->config)) != NULL ? 0 :
		    -ENOMEM;
	row->layers = result->layers;
	digest_text(result->digest, row->digest);
	return take_config(making, row);
}

/*
 * 0, or -errno and nothing of the image stays. One that is replaced is there until
 * the new row is in its place, and is not replaced when VMs use it.
 */
static int
finish_image(struct making *making, const struct image_import_result *result)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);
	char users[CATALOG_USERS];
	struct worker *w = making->w;
	struct image *image;
	int r;

	if (image_named(w, making->name) != NULL &&
	    catalog_users(w, STORE_IMAGES, making->name, users) > 0)
		return -EBUSY;
	r = image_file_choose(w, making->name, making->file);
	if (r < 0)
		return r;
	image = calloc(1, sizeof(*image));
	r = image == NULL ? -ENOMEM : fill_image_row(&image->row, making,
	    result);
	if (r == 0)
		r = commit_file(making, making->file, IMAGE_FILE);
	if (r == 0) {
		image_row_write(&row, &image->row);
		r = store_save(&w->store, STORE_IMAGES, making->name, &row,
		    true);
	}
	if (r == 0) {
		image_put(w, image);
		return 0;
	}
	image_file_remove(w, making->file);
	if (image != NULL)
		image_free(image);
	return r;
}

static void
fill_kernel_row(struct kernel_row *row, const struct making *making,
    const struct kernel_import_result *result)
{
	memcpy(row->name, making->name, sizeof(row->name));
	(void)format(row->version, sizeof(row->version), "%.*s",
	    (int)sizeof(result->version) - 1, result->version);
	row->modules = result->module_count;
	row->vmlinuz_bytes = result->has_vmlinuz ? result->vmlinuz_bytes : 0;
	row->vmlinux_bytes = result->has_vmlinux ? result->vmlinux_bytes : 0;
	row->initrd_bytes = result->initrd_bytes;
	row->initrd_modules_bytes = result->initrd_modules_bytes;
	row->pvh = result->pvh;
	row->vsock = result->vsock;
	row->acpi = result->acpi;
	memcpy(row->agent, making->w->build_id, sizeof(row->agent));
	row->created_s = worker_now_s();
}

static int
finish_kernel(const struct making *making,
    const struct kernel_import_result *result)
{
	_cleanup_free_ struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct worker *w = making->w;
	int r = 0;

	if (kernel == NULL)
		return -ENOMEM;
	fill_kernel_row(&kernel->row, making, result);
	if (kernel->row.vmlinuz_bytes > 0)
		r = commit_file(making, making->name,
		    kernel_files[FILE_VMLINUZ]);
	if (r == 0 && kernel->row.vmlinux_bytes > 0)
		r = commit_file(making, making->name,
		    kernel_files[FILE_VMLINUX]);
	if (r == 0)
		r = commit_file(making, making->name,
		    kernel_files[FILE_INITRD]);
	if (r == 0)
		r = kernel_save(w, kernel);
	if (r < 0) {
		kernel_files_remove(w, making->name);
		return r;
	}
	(void)store_remove(&w->store, STORE_KERNELS, making->name, "json.bad");
	list_insert(&w->kernels, &steal_ptr(&kernel)->node);
	return 0;
}

/* ---- what is under way ---- */

static void
making_free(struct making *making)
{
	struct machine *m = making->vm == 0 ? NULL :
	    machine_by_id(making->w, making->vm);

	if (m != NULL)
		m->copying--;
	if (making->job != NULL)
		job_cancel(making->job);
	if (making->download != NULL)
		download_stop(making->download);
	free(making->download);
	remove_tmp(making);
	list_remove(&making->node);
	free(making->config);
	free(making);
}

/* Tells all who wait; their files go first, for who is told may try again. */
static void
making_end(struct making *making, const struct failure *f)
{
	struct list imports;

	list_init(&imports);
	while (!list_empty(&making->imports)) {
		struct list *node = making->imports.next;

		list_remove(node);
		list_insert(&imports, node);
	}
	making_free(making);
	while (!list_empty(&imports)) {
		struct import *import = list_entry(imports.next, struct import,
		    node);

		list_remove(&import->node);
		import->making = NULL;
		import->done(import->arg, f);
	}
}

/* ERROR with its line ends it. */
static void
making_fail(struct making *making, int error, const char *why)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };

	failure_set(&f, error == -ENOENT && making->download == NULL ?
	    FAIL_INVALID : failure_of(error), "%s %s: %s",
	    catalog_kind(making->kind), making->name, why);
	making_end(making, &f);
}

static void
on_progress(void *arg, uint64_t bytes)
{
	struct making *making = arg;
	struct list *node, *following;

	list_each(node, following, &making->imports) {
		struct import *import = list_entry(node, struct import, node);

		import->progress(import->arg, bytes);
	}
}

/* Blobs that are not what they are called are of no use to anybody. */
static void
drop_blobs(const struct making *making)
{
	uint32_t i;

	for (i = 0; i < making->download->count; i++)
		store_blob_remove(&making->w->store,
		    making->download->blobs[i].sha256);
}

/* A VM uses the image that was to be replaced. */
static void
fail_in_use(struct making *making)
{
	char users[CATALOG_USERS], text[CATALOG_USERS + 128];

	(void)catalog_users(making->w, STORE_IMAGES, making->name, users);
	(void)format(text, sizeof(text), "has changed in its registry, and %s "
	    "the one that is here; delete them, or pull with another --name",
	    users);
	making_fail(making, -EBUSY, text);
}

static void
on_made(void *arg, const struct job_report *report)
{
	struct making *making = arg;
	int r;

	making->job = NULL;
	if (report->kind != JOB_DONE) {
		if (making->download != NULL && report->error == -EBADMSG)
			drop_blobs(making);
		making_fail(making, report->error, report->text);
		return;
	}
	r = making->kind == STORE_IMAGES ?
	    finish_image(making, &report->image) :
	    finish_kernel(making, &report->kernel);
	if (r == 0) {
		making_end(making, NULL);
	} else if (r == -EBUSY) {
		fail_in_use(making);
	} else {
		char why[128];

		(void)format(why, sizeof(why), "cannot be stored: %s",
		    strerror(-r));
		making_fail(making, r, why);
	}
}

/*
 * Appends the first COUNT files of an object, new ones in tmp/, to the fds of
 * SPEC. 0 or -errno.
 */
static int
open_files(const struct making *making, struct job_spec *spec, size_t count)
{
	bool image = making->kind == STORE_IMAGES;
	size_t i;

	for (i = 0; i < count; i++) {
		char name[STORE_NAME_BYTES];
		int fd;

		tmp_name(making, image ? image_files[i] : kernel_files[i],
		    name);
		fd = store_tmp(&making->w->store, name,
		    image ? STORE_PRIVATE : STORE_SHARED);
		if (fd < 0)
			return fd;
		spec->fds[spec->nfds++] = fd;
	}
	return 0;
}

/* Starts the job unless R says no, and closes its fds from FIRST on. */
static int
start_job(struct making *making, struct job_spec *spec, uint32_t first, int r)
{
	spec->progress = on_progress;
	spec->done = on_made;
	spec->arg = making;
	if (r == 0)
		r = job_start(&making->w->jobs, spec, &making->job);
	while (spec->nfds > first)
		close(spec->fds[--spec->nfds]);
	return r;
}

static int
add_spool(const struct making *making, struct job_spec *spec)
{
	int fd = store_spool(&making->w->store);

	if (fd >= 0)
		spec->fds[spec->nfds++] = fd;
	return fd < 0 ? fd : 0;
}

static int
launch_archive(struct making *making, int archive_fd)
{
	bool image = making->kind == STORE_IMAGES;
	struct job_spec spec = {
		.sha256 = making->of_file ? making->sha256 : NULL,
		.name = image ? "image import" : "kernel import",
		.body = image ? work_import_image : work_import_kernel,
		.fds = { archive_fd, making->w->exe },
		.nfds = image ? 1 : 2,
		.file_max = image ? making->w->config.image_max_bytes : 0,
	};
	uint32_t first = spec.nfds;
	int r = open_files(making, &spec, IMPORT_FILES_MAX);

	if (r == 0 && making->of_file)
		r = add_spool(making, &spec);
	return start_job(making, &spec, first, r);
}

/* Of the one blob that was pulled, which has to be the one that was asked for. */
static int
launch_file(struct making *making)
{
	_cleanup_close_ int fd = -1;
	const struct download *d = making->download;

	if (d->count != 1 || memcmp(d->blobs[0].sha256, making->sha256,
	    DIGEST_BYTES) != 0)
		return -EPROTO;
	fd = store_blob(&making->w->store, making->sha256);
	return fd < 0 ? fd : launch_archive(making, fd);
}

static int
launch_blobs(struct making *making)
{
	const struct download *d = making->download;
	struct job_spec spec = { .name = "image of blobs",
		.body = work_import_blobs,
		.file_max = making->w->config.image_max_bytes };
	uint32_t i;
	int r = open_files(making, &spec, FILE_CONFIG + 1);

	for (i = 0; r == 0 && i < d->count; i++) {
		int fd = store_blob(&making->w->store, d->blobs[i].sha256);

		if (fd < 0)
			r = fd;
		else
			spec.fds[spec.nfds++] = fd;
	}
	return start_job(making, &spec, 0, r);
}

static struct making *
making_find(struct worker *w, enum store_kind kind, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->makings) {
		struct making *making = list_entry(node, struct making, node);

		if (making->kind == kind && strcmp(making->name, name) == 0)
			return making;
	}
	return NULL;
}

/* One for IMPORT, in the worker's list; or NULL with *F. */
static struct making *
making_new(struct import *import, struct worker *w, enum store_kind kind,
    const char *name, struct failure *f)
{
	struct making *making = calloc(1, sizeof(*making));

	if (making == NULL) {
		failure_set(f, FAIL_INTERNAL, "%s: out of memory", name);
		return NULL;
	}
	making->w = w;
	making->kind = kind;
	(void)format(making->name, sizeof(making->name), "%s", name);
	list_init(&making->imports);
	list_insert(&making->imports, &import->node);
	list_insert(&w->makings, &making->node);
	import->making = making;
	return making;
}

/* It could not even begin. -1. */
static int
making_refuse(struct making *making, struct import *import, int error,
    struct failure *f)
{
	failure_set(f, failure_of(error), "%s %s: cannot be imported: %s",
	    catalog_kind(making->kind), making->name, strerror(-error));
	list_remove(&import->node);
	import->making = NULL;
	making_free(making);
	return -1;
}

static int
fail_exists(enum store_kind kind, const char *name, struct failure *f)
{
	return failure_set(f, FAIL_EXISTS, "%s %s: exists; delete it first or "
	    "take another name", catalog_kind(kind), name);
}

static int
fail_under_way(enum store_kind kind, const char *name, struct failure *f)
{
	return failure_set(f, FAIL_BUSY, "%s %s: is being imported by another "
	    "client", catalog_kind(kind), name);
}

/* Whether KIND may get a new object NAME. 0, or -1 with *F. */
static int
check_new(struct worker *w, enum store_kind kind, const char *name,
    struct failure *f)
{

	if (catalog_has(w, kind, name))
		return fail_exists(kind, name, f);
	if (making_find(w, kind, name) != NULL)
		return fail_under_way(kind, name, f);
	return 0;
}

int
import_start(struct import *import, struct worker *w, enum store_kind kind,
    const char *name, const char *booted_by, int archive_fd, struct failure *f)
{
	_cleanup_close_ int archive = archive_fd;
	struct making *making;
	int r;

	if (check_new(w, kind, name, f) < 0)
		return -1;
	making = making_new(import, w, kind, name, f);
	if (making == NULL)
		return -1;
	(void)format(making->kernel, sizeof(making->kernel), "%s", booted_by);
	r = launch_archive(making, archive);
	return r < 0 ? making_refuse(making, import, r, f) : 0;
}

/* The copy of M's disk: what its snapshot is of, and what that has written. */
static int
launch_copy(struct making *making, struct machine *m)
{
	bool snapshot = m->row.disk == DISK_SNAPSHOT;
	_cleanup_close_ int disk = machine_disk_open(m, O_RDONLY);
	_cleanup_close_ int image = snapshot ?
	    image_open(m->w, m->row.image) : -1;
	struct job_spec spec = { .name = "image of a disk",
		.body = work_copy_image, .argument = m->row.disk_bytes,
		.fds = { snapshot ? image : disk }, .nfds = 1 };
	int r = disk < 0 ? disk : snapshot && image < 0 ? image : 0;

	if (r == 0)
		r = open_files(making, &spec, FILE_EXT4 + 1);
	if (r == 0 && snapshot)
		spec.fds[spec.nfds++] = fcntl(disk, F_DUPFD_CLOEXEC, 0);
	return start_job(making, &spec, 1, r);
}

int
import_promote(struct import *import, struct machine *m, const char *name,
    struct failure *f)
{
	const struct image *from = image_named(m->w, m->row.image);
	struct making *making;
	int r = 0;

	if (check_new(m->w, STORE_IMAGES, name, f) < 0)
		return -1;
	making = making_new(import, m->w, STORE_IMAGES, name, f);
	if (making == NULL)
		return -1;
	making->vm = m->row.id;
	m->copying++;
	(void)format(making->kernel, sizeof(making->kernel), "%s",
	    from != NULL ? from->row.kernel : "");
	if (from != NULL && from->row.config != NULL &&
	    (making->config = strdup(from->row.config)) == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = launch_copy(making, m);
	return r < 0 ? making_refuse(making, import, r, f) : 0;
}

int
image_tag(struct worker *w, const struct image *image, const char *name,
    struct failure *f)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);
	struct image *tag;
	int r;

	if (check_new(w, STORE_IMAGES, name, f) < 0)
		return -1;
	tag = calloc(1, sizeof(*tag));
	if (tag == NULL)
		return failure_set(f, FAIL_INTERNAL, "out of memory");
	tag->row = image->row;
	(void)format(tag->row.name, sizeof(tag->row.name), "%s", name);
	/* A pull of where it was from is not to replace it. */
	tag->row.reference[0] = '\0';
	tag->row.config = image->row.config == NULL ? NULL :
	    strdup(image->row.config);
	image_row_write(&row, &tag->row);
	r = image->row.config != NULL && tag->row.config == NULL ? -ENOMEM :
	    store_save(&w->store, STORE_IMAGES, name, &row, true);
	if (r < 0) {
		image_free(tag);
		return failure_set(f, failure_of(r), "image %s: cannot be "
		    "stored: %s", name, strerror(-r));
	}
	(void)store_remove(&w->store, STORE_IMAGES, name, "json.bad");
	list_insert(&w->images, &tag->node);
	return 0;
}

void
import_cancel(struct import *import)
{
	struct making *making = import->making;

	list_remove(&import->node);
	import->making = NULL;
	if (list_empty(&making->imports))
		making_free(making);
}

/* ---- pulling ---- */

static void
on_pulling(void *arg, const struct pull_record *record)
{
	struct making *making = arg;
	struct list *node, *following;

	list_each(node, following, &making->imports) {
		struct import *import = list_entry(node, struct import, node);

		import->pulling(import->arg, record);
	}
}

bool
import_pulls(struct worker *w)
{
	struct list *node, *following;

	list_each(node, following, &w->makings)
		if (list_entry(node, struct making, node)->download != NULL)
			return true;
	return false;
}

static void
on_pulled(void *arg, int error, const char *why)
{
	struct making *making = arg;
	const struct download *d = making->download;
	const struct image *old = image_named(making->w, making->name);
	char users[CATALOG_USERS];
	int r;

	if (error < 0) {
		making_fail(making, error, why);
	} else if (making->of_file) {
		if ((r = launch_file(making)) < 0)
			making_fail(making, r, strerror(-r));
	} else if (d->count == 1) {
		/* Nothing new; unless it was deleted meanwhile. */
		if (old != NULL)
			making_end(making, NULL);
		else
			making_fail(making, -EAGAIN,
			    "was deleted meanwhile; pull it again");
	} else if (old != NULL && catalog_users(making->w, STORE_IMAGES,
	    making->name, users) > 0) {
		fail_in_use(making);
	} else if ((r = launch_blobs(making)) < 0) {
		making_fail(making, r, strerror(-r));
	}
}

static int
launch_download(struct making *making, const struct pull_request *request,
    int ca)
{
	making->download = calloc(1, sizeof(*making->download));
	if (making->download == NULL)
		return -ENOMEM;
	making->download->pipe = -1;
	making->download->progress = on_pulling;
	making->download->done = on_pulled;
	making->download->arg = making;
	return download_start(making->download, making->w, request, ca);
}

/*
 * What NAME was pulled as, if it can be pulled once more: an image from where it
 * came.
 */
static int
find_known(struct worker *w, enum store_kind kind, const char *name,
    struct pull_request *request, struct failure *f)
{
	const struct image *old = kind == STORE_IMAGES ?
	    image_named(w, name) : NULL;

	request->known = "";
	if (!catalog_has(w, kind, name))
		return 0;
	if (old == NULL || request->url[0] != '\0' ||
	    strcmp(old->row.reference, request->reference) != 0)
		return fail_exists(kind, name, f);
	request->known = old->row.digest;
	return 0;
}

int
import_pull(struct import *import, struct worker *w, enum store_kind kind,
    const char *name, struct pull_request *request, int ca,
    struct failure *f)
{
	_cleanup_close_ int authorities = ca;
	bool of_file = request->url[0] != '\0';
	const char *source = of_file ? request->sha256 : request->reference;
	struct making *making = making_find(w, kind, name);
	int r;

	if (find_known(w, kind, name, request, f) < 0)
		return -1;
	if (making != NULL) {
		if (strcmp(making->source, source) != 0)
			return fail_under_way(kind, name, f);
		list_insert(&making->imports, &import->node);
		import->making = making;
		return 0;
	}
	making = making_new(import, w, kind, name, f);
	if (making == NULL)
		return -1;
	(void)format(making->source, sizeof(making->source), "%s", source);
	making->of_file = of_file;
	(void)hex_parse(request->sha256, making->sha256, DIGEST_BYTES);
	r = launch_download(making, request, authorities);
	return r < 0 ? making_refuse(making, import, r, f) : 0;
}
