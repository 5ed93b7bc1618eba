/*
 * An object is complete or not there: its files are made in tmp/ by a job,
 * renamed, and only then does its row make it exist. Its removal goes the
 * other way round.
 */
#include "worker/catalog.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "image/oci.h"
#include "privsep/log.h"
#include "worker/work.h"

enum { IMPORT_FILES_MAX = 3 };

/* What a job writes, in the order of its fds; of an image only the first stays. */
static const char *const image_files[] = { "ext4", "config", "spool" };
static const char *const kernel_files[] = { "vmlinuz", "vmlinux", "initrd" };
enum { FILE_EXT4, FILE_CONFIG };
enum { FILE_VMLINUZ, FILE_VMLINUX, FILE_INITRD };

struct import {
	struct list node;
	struct worker *w;
	enum store_kind kind;
	char name[NAME_BYTES];
	struct job *job;
	void (*progress)(void *arg, uint64_t bytes);
	void (*done)(void *arg, const struct failure *f);
	void *arg;
};

static void
image_free(struct image *image)
{
	free(image->row.config);
	free(image);
}

struct image *
image_find(struct worker *w, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->images) {
		struct image *image = list_entry(node, struct image, node);

		if (strcmp(image->row.name, name) == 0)
			return image;
	}
	return NULL;
}

struct kernel *
kernel_find(struct worker *w, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->kernels) {
		struct kernel *kernel = list_entry(node, struct kernel, node);

		if (strcmp(kernel->row.name, name) == 0)
			return kernel;
	}
	return NULL;
}

/* A file of an object, as large as its row says. */
static bool
file_is(struct worker *w, enum store_kind kind, const char *name,
    const char *suffix, uint64_t size)
{
	_cleanup_close_ int fd = store_file(&w->store, kind, name, suffix, 0);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == size)
		return true;
	log_error("store: %s.%s is missing or not as its row says", name,
	    suffix);
	return false;
}

static int
load_image(void *arg, const char *name, const cJSON *tree)
{
	_cleanup_free_ struct image *image = calloc(1, sizeof(*image));
	struct worker *w = arg;
	struct list *node;

	if (image == NULL)
		return -ENOMEM;
	if (image_row_read(name, tree, &image->row) < 0)
		return -EINVAL;
	if (!file_is(w, STORE_IMAGES, name, "ext4", image->row.size_bytes)) {
		free(image->row.config);
		return -EINVAL;
	}
	node = &image->node;
	list_insert(&w->images, node);
	image = NULL;
	return 0;
}

static int
load_kernel(void *arg, const char *name, const cJSON *tree)
{
	_cleanup_free_ struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct worker *w = arg;
	struct kernel_row *row;
	struct list *node;

	if (kernel == NULL)
		return -ENOMEM;
	row = &kernel->row;
	if (kernel_row_read(name, tree, row) < 0 ||
	    (row->vmlinuz_bytes > 0 && !file_is(w, STORE_KERNELS, name,
	    "vmlinuz", row->vmlinuz_bytes)) ||
	    (row->vmlinux_bytes > 0 && !file_is(w, STORE_KERNELS, name,
	    "vmlinux", row->vmlinux_bytes)))
		return -EINVAL;
	node = &kernel->node;
	list_insert(&w->kernels, node);
	kernel = NULL;
	return 0;
}

static bool
image_known(void *arg, const char *name)
{
	return image_find(arg, name) != NULL;
}

static bool
kernel_known(void *arg, const char *name)
{
	return kernel_find(arg, name) != NULL;
}

int
catalog_load(struct worker *w)
{
	int r = store_each(&w->store, STORE_IMAGES, load_image, w);

	if (r == 0)
		r = store_each(&w->store, STORE_KERNELS, load_kernel, w);
	if (r == 0)
		r = store_sweep(&w->store, STORE_IMAGES, image_known, w);
	if (r == 0)
		r = store_sweep(&w->store, STORE_KERNELS, kernel_known, w);
	return r;
}

void
catalog_free(struct worker *w)
{
	struct list *node, *following;

	list_each(node, following, &w->images)
		image_free(list_entry(node, struct image, node));
	list_each(node, following, &w->kernels)
		free(list_entry(node, struct kernel, node));
	list_init(&w->images);
	list_init(&w->kernels);
}

static void
remove_files(struct worker *w, enum store_kind kind, const char *name)
{
	const char *const *files = kind == STORE_IMAGES ? image_files :
	    kernel_files;
	size_t count = kind == STORE_IMAGES ? ARRAY_SIZE(image_files) :
	    ARRAY_SIZE(kernel_files), i;

	for (i = 0; i < count; i++)
		(void)store_remove(&w->store, kind, name, files[i]);
}

/* Whether NAME was found damaged when the store was read, or before. */
static bool
was_set_aside(struct worker *w, enum store_kind kind, const char *name)
{
	_cleanup_close_ int fd = store_file(&w->store, kind, name, "json.bad",
	    O_PATH);

	return fd >= 0;
}

int
catalog_missing(struct worker *w, enum store_kind kind, const char *name,
    const char *hint, struct failure *f)
{
	const char *what = kind == STORE_IMAGES ? "image" : "kernel";

	if (was_set_aside(w, kind, name))
		return failure_set(f, FAIL_NOT_FOUND, "%s %.70s: its files are "
		    "damaged, it was set aside; import it again", what, name);
	return failure_set(f, FAIL_NOT_FOUND, "%s %.70s: not found; %s", what,
	    name, hint);
}

/* Row first: what is left then belongs to nothing. 0, or -1 with *F. */
static int
delete_object(struct worker *w, enum store_kind kind, const char *name,
    struct failure *f)
{
	int r = store_remove(&w->store, kind, name, "json");

	if (r == 0)
		r = store_remove(&w->store, kind, name, "json.bad");
	if (r < 0)
		return failure_set(f, FAIL_INTERNAL, "%s %s: cannot be removed: %s",
		    kind == STORE_IMAGES ? "image" : "kernel", name,
		    strerror(-r));
	remove_files(w, kind, name);
	(void)store_sync(&w->store, kind);
	return 0;
}

int
image_delete(struct worker *w, const char *name, struct failure *f)
{
	struct image *image = image_find(w, name);

	if (image == NULL && !was_set_aside(w, STORE_IMAGES, name))
		return catalog_missing(w, STORE_IMAGES, name,
		    "see `banger image list`", f);
	if (delete_object(w, STORE_IMAGES, name, f) < 0)
		return -1;
	if (image == NULL)
		return 0;
	list_remove(&image->node);
	image_free(image);
	return 0;
}

int
kernel_delete(struct worker *w, const char *name, struct failure *f)
{
	struct kernel *kernel = kernel_find(w, name);

	if (kernel == NULL && !was_set_aside(w, STORE_KERNELS, name))
		return catalog_missing(w, STORE_KERNELS, name,
		    "see `banger kernel list`", f);
	if (delete_object(w, STORE_KERNELS, name, f) < 0)
		return -1;
	if (kernel == NULL)
		return 0;
	list_remove(&kernel->node);
	free(kernel);
	return 0;
}

int
kernel_save(struct worker *w, const struct kernel *kernel)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);

	kernel_row_write(&row, &kernel->row);
	return store_save(&w->store, STORE_KERNELS, kernel->row.name, &row,
	    true);
}

/* tmp/ name of file I of an import. */
static void
tmp_name(const struct import *import, const char *suffix,
    char out[STORE_NAME_BYTES])
{
	(void)format(out, STORE_NAME_BYTES, "%s.%s", import->name, suffix);
}

static void
remove_tmp(const struct import *import)
{
	const char *const *files = import->kind == STORE_IMAGES ?
	    image_files : kernel_files;
	size_t count = import->kind == STORE_IMAGES ?
	    ARRAY_SIZE(image_files) : ARRAY_SIZE(kernel_files), i;

	for (i = 0; i < count; i++) {
		char name[STORE_NAME_BYTES];

		tmp_name(import, files[i], name);
		store_tmp_remove(&import->w->store, name);
	}
}

static int
commit_file(const struct import *import, const char *suffix)
{
	char name[STORE_NAME_BYTES];

	tmp_name(import, suffix, name);
	return store_commit(&import->w->store, name, import->kind,
	    import->name, suffix);
}

/* What the image says it is to run. 0 or -errno. */
static int
take_config(const struct import *import, struct image_row *row)
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	_cleanup_json_ cJSON *tree = NULL;
	char name[STORE_NAME_BYTES];
	int r;

	tmp_name(import, image_files[FILE_CONFIG], name);
	r = store_tmp_read(&import->w->store, name, &text);
	if (r < 0)
		return r;
	tree = json_parse(text.data, text.len);
	return tree == NULL ? -EINVAL : image_config_copy(tree, &row->config);
}

static int
fill_image_row(struct image_row *row, const struct import *import,
    const struct image_import_result *result)
{
	memcpy(row->name, import->name, sizeof(row->name));
	row->size_bytes = result->size_bytes;
	row->content_bytes = result->content_bytes;
	row->entries = result->entries;
	row->has_init = result->has_init;
	row->created_s = worker_now_s();
	if (result->layers == 0)
		return 0;
	row->layers = result->layers;
	digest_text(result->digest, row->digest);
	return take_config(import, row);
}

/* 0, or -errno and nothing of the image stays. */
static int
finish_image(const struct import *import,
    const struct image_import_result *result)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);
	struct image *image = calloc(1, sizeof(*image));
	struct worker *w = import->w;
	int r;

	if (image == NULL)
		return -ENOMEM;
	r = fill_image_row(&image->row, import, result);
	if (r == 0)
		r = commit_file(import, image_files[FILE_EXT4]);
	image_row_write(&row, &image->row);
	if (r == 0)
		r = store_save(&w->store, STORE_IMAGES, import->name, &row,
		    true);
	if (r < 0) {
		remove_files(w, STORE_IMAGES, import->name);
		image_free(image);
		return r;
	}
	(void)store_remove(&w->store, STORE_IMAGES, import->name, "json.bad");
	list_insert(&w->images, &image->node);
	return 0;
}

static void
fill_kernel_row(struct kernel_row *row, const struct import *import,
    const struct kernel_import_result *result)
{
	memcpy(row->name, import->name, sizeof(row->name));
	(void)format(row->version, sizeof(row->version), "%.*s",
	    (int)sizeof(result->version) - 1, result->version);
	row->modules = result->module_count;
	row->vmlinuz_bytes = result->has_vmlinuz ? result->vmlinuz_bytes : 0;
	row->vmlinux_bytes = result->has_vmlinux ? result->vmlinux_bytes : 0;
	row->initrd_bytes = result->initrd_bytes;
	row->initrd_modules_bytes = result->initrd_modules_bytes;
	row->pvh = result->pvh;
	row->vsock = result->vsock;
	memcpy(row->agent, import->w->build_id, sizeof(row->agent));
	row->created_s = worker_now_s();
}

static int
finish_kernel(const struct import *import,
    const struct kernel_import_result *result)
{
	_cleanup_free_ struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct worker *w = import->w;
	int r = 0;

	if (kernel == NULL)
		return -ENOMEM;
	fill_kernel_row(&kernel->row, import, result);
	if (kernel->row.vmlinuz_bytes > 0)
		r = commit_file(import, kernel_files[FILE_VMLINUZ]);
	if (r == 0 && kernel->row.vmlinux_bytes > 0)
		r = commit_file(import, kernel_files[FILE_VMLINUX]);
	if (r == 0)
		r = commit_file(import, kernel_files[FILE_INITRD]);
	if (r == 0)
		r = kernel_save(w, kernel);
	if (r < 0) {
		remove_files(w, STORE_KERNELS, import->name);
		return r;
	}
	(void)store_remove(&w->store, STORE_KERNELS, import->name, "json.bad");
	list_insert(&w->kernels, &steal_ptr(&kernel)->node);
	return 0;
}

static void
import_free(struct import *import)
{
	remove_tmp(import);
	list_remove(&import->node);
	free(import);
}

static void
import_progress(void *arg, uint64_t bytes)
{
	struct import *import = arg;

	import->progress(import->arg, bytes);
}

static void
import_done(void *arg, const struct job_report *report)
{
	struct import *import = arg;
	bool image = import->kind == STORE_IMAGES;
	const char *what = image ? "image" : "kernel";
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	void (*done)(void *arg, const struct failure *f);
	void *done_arg;
	int r;

	list_remove(&import->node);
	if (report->kind == JOB_DONE) {
		r = image ? finish_image(import, &report->image) :
		    finish_kernel(import, &report->kernel);
		if (r < 0)
			failure_set(&f, failure_of(r), "%s %s: cannot be stored: %s",
			    what, import->name, strerror(-r));
	} else {
		failure_set(&f, report->error == -ENOENT ? FAIL_INVALID :
		    failure_of(report->error), "%s %s: %s", what,
		    import->name, report->text);
	}
	/* Its files first: who is told of a full disk may try again at once. */
	done = import->done;
	done_arg = import->arg;
	import_free(import);
	done(done_arg, f.code == FAIL_NONE ? NULL : &f);
}

static bool
import_runs(struct worker *w, enum store_kind kind, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->imports) {
		const struct import *import = list_entry(node, struct import,
		    node);

		if (import->kind == kind && strcmp(import->name, name) == 0)
			return true;
	}
	return false;
}

/* Creates the files in tmp/ and starts the job. 0 or -errno. */
static int
import_launch(struct import *import, int archive_fd)
{
	bool image = import->kind == STORE_IMAGES;
	struct job_spec spec = {
		.name = image ? "image import" : "kernel import",
		.body = image ? work_import_image : work_import_kernel,
		.fds = { archive_fd },
		.nfds = 1,
		.progress = import_progress,
		.done = import_done,
		.arg = import,
	};
	int made[IMPORT_FILES_MAX] = { -1, -1, -1 }, r = 0;
	size_t count = image ? ARRAY_SIZE(image_files) :
	    ARRAY_SIZE(kernel_files), i;

	if (!image)
		spec.fds[spec.nfds++] = import->w->exe;
	for (i = 0; r >= 0 && i < count; i++) {
		char name[STORE_NAME_BYTES];

		tmp_name(import, image ? image_files[i] : kernel_files[i],
		    name);
		r = made[i] = store_tmp(&import->w->store, name,
		    image ? STORE_PRIVATE : STORE_SHARED);
		spec.fds[spec.nfds++] = made[i];
	}
	if (r >= 0)
		r = job_start(&import->w->jobs, &spec, &import->job);
	for (i = 0; i < count; i++)
		close_fdp(&made[i]);
	return r;
}

struct import *
import_start(struct worker *w, enum store_kind kind, const char *name,
    int archive_fd, void (*progress)(void *arg, uint64_t bytes),
    void (*done)(void *arg, const struct failure *f), void *arg,
    struct failure *f)
{
	_cleanup_close_ int archive = archive_fd;
	const char *what = kind == STORE_IMAGES ? "image" : "kernel";
	struct import *import;
	int r;

	if (kind == STORE_IMAGES ? image_find(w, name) != NULL :
	    kernel_find(w, name) != NULL) {
		failure_set(f, FAIL_EXISTS, "%s %s: exists; delete it first or take "
		    "another name", what, name);
		return NULL;
	}
	if (import_runs(w, kind, name)) {
		failure_set(f, FAIL_BUSY, "%s %s: is being imported by another "
		    "client", what, name);
		return NULL;
	}
	import = calloc(1, sizeof(*import));
	if (import == NULL) {
		failure_set(f, FAIL_INTERNAL, "%s %s: out of memory", what, name);
		return NULL;
	}
	*import = (struct import){ .w = w, .kind = kind, .progress = progress,
		.done = done, .arg = arg };
	(void)format(import->name, sizeof(import->name), "%s", name);
	list_insert(&w->imports, &import->node);
	r = import_launch(import, archive);
	if (r < 0) {
		import_free(import);
		failure_set(f, failure_of(r), "%s %s: cannot be imported: %s", what,
		    name, strerror(-r));
		return NULL;
	}
	return import;
}

void
import_cancel(struct import *import)
{
	job_cancel(import->job);
	import_free(import);
}
