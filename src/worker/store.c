/*
 * The directory is the worker's alone, but a crash, a full disk or a curious
 * root may have left anything in it: whatever is not what we wrote is set
 * aside and said, never guessed at and never followed.
 */
#include "worker/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hex.h"
#include "privsep/log.h"

static const char *const dir_names[STORE_KINDS] = {
	[STORE_VMS] = "vms",
	[STORE_IMAGES] = "images",
	[STORE_KERNELS] = "kernels",
};

/* What may stand beside an object, its row included. */
static const char *const suffixes[] = {
	".json", ".json.bad", ".disk", ".console", ".ext4", ".vmlinuz",
	".vmlinux", ".initrd", ".cow", ".volatile",
};

static int
file_name(char out[STORE_NAME_BYTES], const char *name, const char *suffix)
{
	return format(out, STORE_NAME_BYTES, "%s.%s", name, suffix);
}

static int
open_dir(int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Calls FN with every name in DIR but "." and "..", until it fails. */
static int
each_name(int dir, int (*fn)(void *arg, const char *name), void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (stream == NULL) {
		r = -errno;
		close_fdp(&fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(stream)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = fn(arg, entry->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	closedir(stream);
	return r;
}

static int
remove_tmp(void *arg, const char *name)
{
	struct store *store = arg;

	log_info("store: removing unfinished %s", name);
	if (unlinkat(store->tmp, name, 0) < 0)
		log_warn("store: tmp/%s: %s", name, strerror(errno));
	return 0;
}

int
store_open(struct store *store, int root)
{
	int i, r;

	*store = (struct store){ root, { -1, -1, -1 }, -1, -1 };
	r = store->tmp = open_dir(root, "tmp");
	if (r >= 0)
		r = store->blobs = open_dir(root, "blobs");
	for (i = 0; r >= 0 && i < STORE_KINDS; i++)
		r = store->dirs[i] = open_dir(root, dir_names[i]);
	if (r >= 0)
		r = each_name(store->tmp, remove_tmp, store);
	if (r < 0)
		store_close(store);
	return r < 0 ? r : 0;
}

void
store_close(struct store *store)
{
	int i;

	for (i = 0; i < STORE_KINDS; i++)
		close_fdp(&store->dirs[i]);
	close_fdp(&store->blobs);
	close_fdp(&store->tmp);
	close_fdp(&store->root);
}

/* A walk over the rows of one kind. */
struct walk {
	struct store *store;
	enum store_kind kind;
	int (*fn)(void *arg, const char *name, const cJSON *tree);
	void *arg;
};

static void
set_aside(struct walk *walk, const char *file)
{
	char bad[STORE_NAME_BYTES + 4];
	int dir = walk->store->dirs[walk->kind];

	log_error("store: %s/%s is not a row of ours: set aside as .bad",
	    dir_names[walk->kind], file);
	if (format(bad, sizeof(bad), "%s.bad", file) < 0 ||
	    renameat(dir, file, dir, bad) < 0)
		log_error("store: %s: %s", file, strerror(errno));
}

/* The tree of a row, or NULL with *ERROR 0 (not a row) or -errno. */
static cJSON *
read_row(int dir, const char *file, int *error)
{
	_cleanup_buf_ struct buf text = BUF_INIT(STORE_ROW_MAX);
	_cleanup_close_ int fd = openat(dir, file,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	*error = 0;
	if (fd < 0) {
		*error = errno == ELOOP ? 0 : -errno;
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	r = buf_read_all(&text, fd);
	if (r < 0)
		*error = r == -EFBIG ? 0 : r;
	return r < 0 || text.len == 0 ? NULL : json_parse(text.data, text.len);
}

static bool
has_file(int dir, const char *name, const char *suffix)
{
	char file[STORE_NAME_BYTES];

	return file_name(file, name, suffix) == 0 &&
	    faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
visit_row(void *arg, const char *file)
{
	_cleanup_json_ cJSON *tree = NULL;
	struct walk *walk = arg;
	size_t len = strlen(file), suffix = strlen(".json");
	int dir = walk->store->dirs[walk->kind], r;
	char name[STORE_NAME_BYTES];

	if (len <= suffix || strcmp(file + len - suffix, ".json") != 0)
		return 0;
	if (format(name, sizeof(name), "%.*s", (int)(len - suffix),
	    file) < 0) {
		set_aside(walk, file);
		return 0;
	}
	tree = read_row(dir, file, &r);
	if (r < 0)
		return r;
	r = tree == NULL ? -EINVAL : walk->fn(walk->arg, name, tree);
	if (r != -EINVAL)
		return r;
	if (!has_file(dir, name, "volatile")) {
		set_aside(walk, file);
		return 0;
	}
	log_info("store: removing %s/%s, torn and of no use",
	    dir_names[walk->kind], file);
	return unlinkat(dir, file, 0) < 0 ? -errno : 0;
}

int
store_each(struct store *store, enum store_kind kind,
    int (*fn)(void *arg, const char *name, const cJSON *tree), void *arg)
{
	struct walk walk = { store, kind, fn, arg };

	return each_name(store->dirs[kind], visit_row, &walk);
}

struct sweep {
	int dir;
	const char *dir_name;
	bool (*known)(void *arg, const char *name);
	void *arg;
};

static int
sweep_file(void *arg, const char *file)
{
	struct sweep *sweep = arg;
	size_t len = strlen(file), i, n = 0;
	char name[STORE_NAME_BYTES];

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		n = strlen(suffixes[i]);
		if (len > n && strcmp(file + len - n, suffixes[i]) == 0)
			break;
	}
	if (i == ARRAY_SIZE(suffixes) || i <= 1)
		return 0;
	if (format(name, sizeof(name), "%.*s", (int)(len - n), file) < 0 ||
	    sweep->known(sweep->arg, name) || has_file(sweep->dir, name, "json.bad"))
		return 0;
	log_info("store: removing %s/%s, which belongs to nothing",
	    sweep->dir_name, file);
	return unlinkat(sweep->dir, file, 0) < 0 ? -errno : 0;
}

int
store_sweep(struct store *store, enum store_kind kind,
    bool (*known)(void *arg, const char *name), void *arg)
{
	struct sweep sweep = { store->dirs[kind], dir_names[kind], known, arg };

	return each_name(sweep.dir, sweep_file, &sweep);
}

int
store_save(struct store *store, enum store_kind kind, const char *name,
    const struct buf *row, bool durable)
{
	char tmp[STORE_NAME_BYTES];
	_cleanup_close_ int fd = -1;
	int r = file_name(tmp, name, "json");

	if (r < 0)
		return r;
	if (row->failed)
		return -ENOMEM;
	(void)unlinkat(store->tmp, tmp, 0);
	fd = store_tmp(store, tmp, STORE_PRIVATE);
	if (fd < 0)
		return fd;
	r = write_full(fd, row->data, row->len);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = store_commit(store, tmp, kind, name, "json");
	if (r < 0) {
		store_tmp_remove(store, tmp);
		return r;
	}
	return durable ? store_sync(store, kind) : 0;
}

int
store_mark_volatile(struct store *store, enum store_kind kind,
    const char *name)
{
	char file[STORE_NAME_BYTES];
	_cleanup_close_ int fd = -1;
	int r = file_name(file, name, "volatile");

	if (r < 0)
		return r;
	fd = openat(store->dirs[kind], file,
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

int
store_file(struct store *store, enum store_kind kind, const char *name,
    const char *suffix, int flags)
{
	char file[STORE_NAME_BYTES];
	int fd, r = file_name(file, name, suffix);

	if (r < 0)
		return r;
	fd = openat(store->dirs[kind], file, flags | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	return fd < 0 ? -errno : fd;
}

int
store_remove(struct store *store, enum store_kind kind, const char *name,
    const char *suffix)
{
	char file[STORE_NAME_BYTES];
	int r = file_name(file, name, suffix);

	if (r < 0)
		return r;
	if (unlinkat(store->dirs[kind], file, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int
store_sync(struct store *store, enum store_kind kind)
{
	return fsync(store->dirs[kind]) < 0 ? -errno : 0;
}

int
store_tmp(struct store *store, const char *name, enum store_mode mode)
{
	int fd = openat(store->tmp, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

int
store_tmp_read(struct store *store, const char *name, struct buf *text)
{
	_cleanup_close_ int fd = openat(store->tmp, name,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : buf_read_all(text, fd);
}

void
store_tmp_remove(struct store *store, const char *name)
{
	(void)unlinkat(store->tmp, name, 0);
}

int
store_commit(struct store *store, const char *tmp_name, enum store_kind kind,
    const char *name, const char *suffix)
{
	char file[STORE_NAME_BYTES];
	int r = file_name(file, name, suffix);

	if (r < 0)
		return r;
	return renameat(store->tmp, tmp_name, store->dirs[kind], file) < 0 ?
	    -errno : 0;
}

int
store_anonymous(struct store *store, const void *data, size_t len)
{
	static const char name[] = "anonymous";
	_cleanup_close_ int writing = store_tmp(store, name,
	    STORE_PRIVATE);
	int fd, r;

	if (writing < 0)
		return writing;
	r = write_full(writing, data, len);
	fd = openat(store->tmp, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && r == 0)
		r = -errno;
	store_tmp_remove(store, name);
	if (r < 0) {
		close_fdp(&fd);
		return r;
	}
	return fd;
}

int
store_spool(struct store *store)
{
	static const char name[] = "spool";
	int fd = store_tmp(store, name, STORE_PRIVATE);

	store_tmp_remove(store, name);
	return fd;
}

int
store_blob(struct store *store, const uint8_t sha256[DIGEST_BYTES])
{
	char name[DIGEST_HEX + 1];
	int fd;

	hex_write(sha256, DIGEST_BYTES, name);
	fd = openat(store->blobs, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void
store_blob_remove(struct store *store, const uint8_t sha256[DIGEST_BYTES])
{
	char name[DIGEST_HEX + 1];

	hex_write(sha256, DIGEST_BYTES, name);
	(void)unlinkat(store->blobs, name, 0);
}

struct prune {
	struct store *store;
	uint64_t bytes;
};

static int
prune_blob(void *arg, const char *name)
{
	struct prune *prune = arg;
	_cleanup_close_ int fd = openat(prune->store->blobs, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		prune->bytes += (uint64_t)st.st_blocks * 512;
	return unlinkat(prune->store->blobs, name, 0) < 0 ? -errno : 0;
}

int
store_blobs_prune(struct store *store, uint64_t *bytes)
{
	struct prune prune = { store, 0 };
	int r = each_name(store->blobs, prune_blob, &prune);

	*bytes = prune.bytes;
	return r;
}
