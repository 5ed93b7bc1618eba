/*
 * An object is complete or not there: its row makes it exist, after its files
 * (import.c); its removal goes the other way round.
 */
#include "worker/catalog.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "worker/machine_disk.h"

enum { USERS_NAMED = 5, FILE_TRIES = 1000 };

const char *const kernel_files[KERNEL_FILES] = {
	[FILE_VMLINUZ] = "vmlinuz",
	[FILE_VMLINUX] = "vmlinux",
	[FILE_INITRD] = "initrd",
};

const char *
catalog_kind(enum store_kind kind)
{
	return kind == STORE_IMAGES ? "image" : "kernel";
}

void
image_free(struct image *image)
{
	free(image->row.config);
	free(image);
}

struct image *
image_named(struct worker *w, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->images) {
		struct image *image = list_entry(node, struct image, node);

		if (strcmp(image->row.name, name) == 0)
			return image;
	}
	return NULL;
}

struct image *
image_find(struct worker *w, const char *name)
{
	char text[REFERENCE_BYTES];
	struct image *named = image_named(w, name);
	struct list *node, *following;
	struct reference ref;

	if (named != NULL || reference_parse(name, &ref) < 0)
		return named;
	reference_text(&ref, text);
	list_each(node, following, &w->images) {
		struct image *image = list_entry(node, struct image, node);

		if (strcmp(image->row.reference, text) == 0)
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

const struct image *
image_booted_by(struct worker *w, const char *kernel)
{
	struct list *node, *following;

	list_each(node, following, &w->images) {
		struct image *image = list_entry(node, struct image, node);

		if (strcmp(image->row.kernel, kernel) == 0)
			return image;
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
	if (!file_is(w, STORE_IMAGES, image->row.file, IMAGE_FILE,
	    image->row.size_bytes)) {
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
	    kernel_files[FILE_VMLINUZ], row->vmlinuz_bytes)) ||
	    (row->vmlinux_bytes > 0 && !file_is(w, STORE_KERNELS, name,
	    kernel_files[FILE_VMLINUX], row->vmlinux_bytes)))
		return -EINVAL;
	node = &kernel->node;
	list_insert(&w->kernels, node);
	kernel = NULL;
	return 0;
}

/* Whether FILE.ext4 is that of an image. */
static bool
image_file_known(void *arg, const char *file)
{
	struct worker *w = arg;
	struct list *node, *following;

	list_each(node, following, &w->images)
		if (strcmp(list_entry(node, struct image, node)->row.file,
		    file) == 0)
			return true;
	return false;
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
		r = store_sweep(&w->store, STORE_IMAGES, image_file_known, w);
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

void
image_file_remove(struct worker *w, const char *file)
{
	if (!image_file_known(w, file))
		(void)store_remove(&w->store, STORE_IMAGES, file,
		    IMAGE_FILE);
}

void
kernel_files_remove(struct worker *w, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kernel_files); i++)
		(void)store_remove(&w->store, STORE_KERNELS, name,
		    kernel_files[i]);
}

int
image_file_choose(struct worker *w, const char *name, char file[NAME_BYTES])
{
	unsigned int i;

	(void)format(file, NAME_BYTES, "%s", name);
	for (i = 1; i < FILE_TRIES && image_file_known(w, file); i++)
		(void)format(file, NAME_BYTES, "%.50s.%u", name, i);
	return i < FILE_TRIES ? 0 : -EEXIST;
}

void
image_put(struct worker *w, struct image *image)
{
	struct image *old = image_named(w, image->row.name);
	char file[NAME_BYTES];

	(void)store_remove(&w->store, STORE_IMAGES, image->row.name,
	    "json.bad");
	list_insert(&w->images, &image->node);
	if (old == NULL)
		return;
	memcpy(file, old->row.file, sizeof(file));
	list_remove(&old->node);
	image_free(old);
	image_file_remove(w, file);
}

bool
catalog_has(struct worker *w, enum store_kind kind, const char *name)
{
	return kind == STORE_IMAGES ? image_named(w, name) != NULL :
	    kernel_find(w, name) != NULL;
}

/* Whether NAME was found damaged when the store was read, or before. */
static bool
was_set_aside(struct worker *w, enum store_kind kind, const char *name)
{
	_cleanup_close_ int fd = -1;

	if (check_object_name(name) == 0)
		fd = store_file(&w->store, kind, name, "json.bad", O_PATH);
	return fd >= 0;
}

int
catalog_missing(struct worker *w, enum store_kind kind, const char *name,
    const char *hint, struct failure *f)
{
	if (was_set_aside(w, kind, name))
		return failure_set(f, FAIL_INVALID, "%s %.70s: its files are "
		    "damaged, it was set aside; import it again",
		    catalog_kind(kind), name);
	return failure_set(f, FAIL_NOT_FOUND, "%s %.70s: not found; %s",
	    catalog_kind(kind), name, hint);
}

/* The names of VMs that use NAME, up to USERS_NAMED, in OUT; how many use it. */
static size_t
users_of(struct worker *w, enum store_kind kind, const char *name,
    char out[USERS_NAMED * (NAME_BYTES + 2)])
{
	struct list *node, *following;
	size_t count = 0, len = 0;

	list_each(node, following, &w->machines) {
		const struct machine_row *row = &list_entry(node,
		    struct machine, node)->row;

		if (strcmp(kind == STORE_IMAGES ? row->image : row->kernel,
		    name) != 0 || count++ >= USERS_NAMED)
			continue;
		(void)format(out + len, NAME_BYTES + 2, "%s%s",
		    count > 1 ? ", " : "", row->name);
		len += strlen(out + len);
	}
	return count;
}

size_t
catalog_users(struct worker *w, enum store_kind kind, const char *name,
    char text[CATALOG_USERS])
{
	char names[USERS_NAMED * (NAME_BYTES + 2)] = "";
	size_t count = users_of(w, kind, name, names);

	if (count > USERS_NAMED)
		(void)format(text, CATALOG_USERS, "VMs %s and %zu more use",
		    names, count - USERS_NAMED);
	else
		(void)format(text, CATALOG_USERS, "VM%s %s use%s",
		    count > 1 ? "s" : "", names, count > 1 ? "" : "s");
	return count;
}

/* Row first: what is left then belongs to nothing. 0, or -1 with *F. */
static int
delete_row(struct worker *w, enum store_kind kind, const char *name,
    struct failure *f)
{
	int r = store_remove(&w->store, kind, name, "json");

	if (r == 0)
		r = store_remove(&w->store, kind, name, "json.bad");
	return r == 0 ? 0 : failure_set(f, FAIL_INTERNAL, "%s %s: cannot be "
	    "removed: %s", catalog_kind(kind), name, strerror(-r));
}

int
image_delete(struct worker *w, const char *name, struct failure *f)
{
	struct image *image = image_named(w, name);
	char file[NAME_BYTES];

	if (image == NULL && !was_set_aside(w, STORE_IMAGES, name))
		return catalog_missing(w, STORE_IMAGES, name,
		    "see `banger image list`", f);
	(void)format(file, sizeof(file), "%s", image != NULL ?
	    image->row.file : name);
	if (delete_row(w, STORE_IMAGES, name, f) < 0)
		return -1;
	if (image != NULL) {
		list_remove(&image->node);
		image_free(image);
	}
	image_file_remove(w, file);
	(void)store_sync(&w->store, STORE_IMAGES);
	return 0;
}

int
kernel_delete(struct worker *w, const char *name, struct failure *f)
{
	struct kernel *kernel = kernel_find(w, name);

	if (kernel == NULL && !was_set_aside(w, STORE_KERNELS, name))
		return catalog_missing(w, STORE_KERNELS, name,
		    "see `banger kernel list`", f);
	if (delete_row(w, STORE_KERNELS, name, f) < 0)
		return -1;
	kernel_files_remove(w, name);
	(void)store_sync(&w->store, STORE_KERNELS);
	if (kernel == NULL)
		return 0;
	list_remove(&kernel->node);
	free(kernel);
	return 0;
}

int
image_open(struct worker *w, const char *name)
{
	const struct image *image = image_named(w, name);

	return image == NULL ? -ENOENT : store_file(&w->store, STORE_IMAGES,
	    image->row.file, IMAGE_FILE, O_RDONLY);
}

int
kernel_save(struct worker *w, const struct kernel *kernel)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);

	kernel_row_write(&row, &kernel->row);
	return store_save(&w->store, STORE_KERNELS, kernel->row.name, &row,
	    true);
}
