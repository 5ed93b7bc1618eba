/*
 * The tree is walked depth first. An inode is written once, whatever a damaged
 * file system says: of a file with several names the first one has the data. All
 * data together are no more than the file system has room for, and a path is never
 * longer than PATH_BYTES, so that it ends.
 */
#include "image/ext4_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "image/errmsg.h"
#include "image/ext4_reader.h"
#include "privsep/util.h"

enum { PATH_BYTES = 4096, DATA_BYTES = 256 << 10, XATTRS_MAX = 256 };

/* What ext4 has at most with blocks of 4 KiB, but for the last of them. */
#define FILE_MAX (0xffffffffULL << 12)

/* The first name of a file that has several, in a tree by INO (tsearch(3)). */
struct first_name {
	struct first_name *next;	/* of all, to be freed */
	ext2_ino_t ino;
	char path[];
};

struct name {
	ext2_ino_t ino;
	char *text;
};

/* A directory's entries. */
struct names {
	struct name *list;
	size_t count, room;
	bool bad, no_memory;
};

/* Blocks of a file that are not holes: COUNT from block AT on. */
struct run {
	uint64_t at, count;
};

struct runs {
	struct run *list;
	size_t count, room;
	uint64_t blocks, most;		/* all of them, and what there can be */
	uint64_t end;			/* of the file */
	bool no_memory, disorder;
};

/* A list of names: a handle must not be asked while it is iterated. */
struct xattr_names {
	char *list[XATTRS_MAX];
	size_t count;
};

struct ext4_tar {
	ext2_filsys fs;
	struct archive *out;
	struct archive_entry *entry;
	ext4_tar_write *write;
	ext4_tar_wanted *wanted;
	void *arg;
	int write_error;		/* once set, nothing more is written */
	uint8_t *written;		/* a bit for each inode */
	uint64_t room;			/* for data that were not read yet */
	void *first_names;
	struct first_name *all_names;
	char path[PATH_BYTES];		/* of the entry that is written */
	uint8_t *data;
	/* Not on the stack, of which each directory on the way takes some. */
	struct xattr_names xattrs;
	char target[EXT4_LINK_BYTES];
	uint64_t entries;
	char *err;
	size_t err_size;
};

static int
fail(const struct ext4_tar *t, errcode_t e)
{
	char doing[160];

	(void)format(doing, sizeof(doing), "reading %.100s of its file system",
	    t->path[0] != '\0' ? t->path : "the root");
	return ext4_reader_fail(e, doing, t->err, t->err_size);
}

static int
fail_damaged(const struct ext4_tar *t, const char *why)
{
	return errmsg(t->err, t->err_size, -EBADMSG,
	    "its file system is damaged: %.100s: %s", t->path, why);
}

static int
fail_memory(const struct ext4_tar *t)
{
	return errmsg(t->err, t->err_size, -ENOMEM, "out of memory");
}

/* What libarchive did not do: mostly what WRITE had returned. */
static int
fail_archive(const struct ext4_tar *t)
{
	const char *why = archive_error_string(t->out);

	if (t->write_error < 0)
		return errmsg(t->err, t->err_size, t->write_error,
		    "writing: %s", strerror(-t->write_error));
	return errmsg(t->err, t->err_size, -EIO, "%.100s: %s", t->path,
	    why != NULL ? why : "cannot be written");
}

/* LIST with room for one more of SIZE bytes; it may move. NULL: no memory. */
static void *
grow(void *list, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room == 0 ? 64 : *room * 2;
	void *moved;

	if (count < *room)
		return list;
	moved = reallocarray(list, wanted, size);
	if (moved != NULL)
		*room = wanted;
	return moved;
}

/* ---- hard links ---- */

static int
by_ino(const void *a, const void *b)
{
	const struct first_name *first = a, *second = b;

	return (first->ino > second->ino) - (first->ino < second->ino);
}

/* The path that INO has in the tar already, or NULL and this one is it. */
static int
first_path(struct ext4_tar *t, ext2_ino_t ino, const char **path)
{
	const struct first_name key = { .ino = ino };
	struct first_name *const *found = tfind(&key, &t->first_names, by_ino);
	size_t len = strlen(t->path) + 1;
	struct first_name *first;

	*path = found != NULL ? (*found)->path : NULL;
	if (found != NULL)
		return 0;
	first = malloc(sizeof(*first) + len);
	if (first == NULL)
		return fail_memory(t);
	first->next = t->all_names;
	t->all_names = first;
	first->ino = ino;
	memcpy(first->path, t->path, len);
	return tsearch(first, &t->first_names, by_ino) != NULL ? 0 :
	    fail_memory(t);
}

/* tdestroy(3) wants a function; the names are freed by their list. */
static void
keep(void *name UNUSED)
{
}

static void
first_names_free(struct ext4_tar *t)
{
	tdestroy(t->first_names, keep);
	while (t->all_names != NULL) {
		struct first_name *first = t->all_names;

		t->all_names = first->next;
		free(first);
	}
}

/* ---- attributes ---- */

/* An inode, of whatever size: in small ones there is no extra word, it is 0. */
static void
put_attributes(struct archive_entry *entry, const struct ext2_inode_large *i)
{
	const struct ext2_inode *inode = (const struct ext2_inode *)i;
	uint32_t extra = i->i_extra_isize >= offsetof(struct ext2_inode_large,
	    i_atime_extra) - EXT2_GOOD_OLD_INODE_SIZE ? i->i_mtime_extra : 0;

	archive_entry_set_mode(entry, (mode_t)i->i_mode);
	archive_entry_set_uid(entry, inode_uid(*inode));
	archive_entry_set_gid(entry, inode_gid(*inode));
	archive_entry_set_mtime(entry, (int32_t)i->i_mtime +
	    ((int64_t)(extra & 3) << 32), (long)(extra >> 2));
}

/* What an import takes, but for inline data, which is no attribute. */
static bool
is_attribute(const char *name)
{
	static const char *const prefixes[] = { "user.", "trusted.",
		"security.", "system.posix_acl_" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int
add_xattr_name(char *name, char *value UNUSED, size_t len UNUSED, void *arg)
{
	struct xattr_names *names = arg;

	if (!is_attribute(name))
		return 0;
	if (names->count == XATTRS_MAX)
		return XATTR_ABORT;
	names->list[names->count++] = name;
	return 0;
}

static int
put_xattrs(struct ext4_tar *t, ext2_ino_t ino)
{
	struct xattr_names *names = &t->xattrs;
	struct ext2_xattr_handle *handle;
	errcode_t e = ext2fs_xattrs_open(t->fs, ino, &handle);
	size_t i;

	names->count = 0;
	if (e != 0)
		return fail(t, e);
	e = ext2fs_xattrs_read(handle);
	if (e == 0)
		e = ext2fs_xattrs_iterate(handle, add_xattr_name, names);
	for (i = 0; e == 0 && i < names->count; i++) {
		void *value;
		size_t len;

		e = ext2fs_xattr_get(handle, names->list[i], &value, &len);
		if (e == 0) {
			archive_entry_xattr_add_entry(t->entry,
			    names->list[i], value, len);
			ext2fs_free_mem(&value);
		}
	}
	ext2fs_xattrs_close(&handle);
	return e != 0 ? fail(t, e) : 0;
}

/* As the kernel decodes them: old numbers in the first word, new in the next. */
static dev_t
device_of(const struct ext2_inode *inode)
{
	uint32_t old = inode->i_block[0], new = inode->i_block[1];

	return old != 0 ? makedev(old >> 8 & 255, old & 255) :
	    makedev(new >> 8 & 0xfff, (new & 255) | (new >> 12 & 0xfff00));
}

/* ---- contents ---- */

static int
read_bytes(struct ext4_tar *t, ext2_file_t file, void *to, size_t len)
{
	unsigned int got = 0;
	errcode_t e;

	if (len > t->room)
		return fail_damaged(t, "there are more data than it has room "
		    "for");
	t->room -= len;
	e = ext2fs_file_read(file, to, (unsigned int)len, &got);
	if (e != 0)
		return fail(t, e);
	return got == len ? 0 : fail_damaged(t, "it ends too early");
}

static int
put_symlink(struct ext4_tar *t, ext2_ino_t ino, struct ext2_inode *inode)
{
	errcode_t e = ext4_reader_link(t->fs, ino, inode, t->target);

	if (e != 0)
		return fail(t, e);
	archive_entry_copy_symlink(t->entry, t->target);
	return 0;
}

static int
add_run(ext2_filsys fs UNUSED, blk64_t *block UNUSED, e2_blkcnt_t number,
    blk64_t ref UNUSED, int ref_offset UNUSED, void *arg)
{
	struct runs *runs = arg;
	struct run *last = runs->list == NULL || runs->count == 0 ? NULL :
	    &runs->list[runs->count - 1];
	struct run *list;

	if (runs->blocks++ == runs->most)
		return BLOCK_ABORT;
	/* Blocks may be kept behind the end. */
	if (number < 0 || (uint64_t)number >= runs->end)
		return 0;
	if (last != NULL && (uint64_t)number == last->at + last->count) {
		last->count++;
		return 0;
	}
	runs->disorder = last != NULL && (uint64_t)number < last->at +
	    last->count;
	if (runs->disorder)
		return BLOCK_ABORT;
	list = grow(runs->list, runs->count, &runs->room, sizeof(*list));
	if (list == NULL) {
		runs->no_memory = true;
		return BLOCK_ABORT;
	}
	runs->list = list;
	list[runs->count++] = (struct run){ (uint64_t)number, 1 };
	return 0;
}

static int
find_runs(struct ext4_tar *t, ext2_ino_t ino, struct runs *runs)
{
	errcode_t e = ext2fs_block_iterate3(t->fs, ino,
	    BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY, NULL, add_run, runs);

	if (runs->no_memory)
		return fail_memory(t);
	if (runs->blocks > runs->most)
		return fail_damaged(t, "it has more blocks than there are");
	if (runs->disorder)
		return fail_damaged(t, "its blocks are in no order");
	return e != 0 ? fail(t, e) : 0;
}

/* LEN bytes of FILE from where it stands, or a hole of that length. */
static int
put_bytes(struct ext4_tar *t, ext2_file_t file, uint64_t len)
{
	if (file == NULL)
		memset(t->data, 0, DATA_BYTES);
	while (len > 0) {
		size_t n = len < DATA_BYTES ? (size_t)len : DATA_BYTES;
		int r = file == NULL ? 0 : read_bytes(t, file, t->data, n);

		if (r < 0)
			return r;
		if (archive_write_data(t->out, t->data, n) != (la_ssize_t)n)
			return fail_archive(t);
		len -= n;
	}
	return 0;
}

/* A sparse file's, whose RUNS the header has named. */
static int
put_runs(struct ext4_tar *t, ext2_file_t file, uint64_t size,
    const struct runs *runs)
{
	uint64_t done = 0, block = t->fs->blocksize;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < runs->count; i++) {
		uint64_t at = runs->list[i].at * block;
		uint64_t end = at + runs->list[i].count * block;
		errcode_t e;

		if (end > size)
			end = size;
		r = put_bytes(t, NULL, at - done);
		e = ext2fs_file_llseek(file, at, EXT2_SEEK_SET, NULL);
		if (r == 0 && e != 0)
			r = fail(t, e);
		if (r == 0)
			r = put_bytes(t, file, end - at);
		done = end;
	}
	return r < 0 ? r : put_bytes(t, NULL, size - done);
}

static int
put_header(struct ext4_tar *t)
{
	t->entries++;
	/* A warning is about names that are not UTF-8, and kept as they are. */
	return archive_write_header(t->out, t->entry) >= ARCHIVE_WARN ? 0 :
	    fail_archive(t);
}

/* Whether a file has holes. Its block of attributes may be that of others, too. */
static bool
is_sparse(ext2_filsys fs, struct ext2_inode *inode)
{
	uint64_t bytes = ext2fs_inode_i_blocks(fs, inode) * 512;
	uint64_t other = ext2fs_file_acl_block(fs, inode) != 0 ?
	    fs->blocksize : 0;

	return (inode->i_flags & EXT4_INLINE_DATA_FL) == 0 &&
	    (bytes < other || bytes - other < EXT2_I_SIZE(inode));
}

static int
put_file(struct ext4_tar *t, ext2_ino_t ino, struct ext2_inode *inode)
{
	uint64_t size = EXT2_I_SIZE(inode), block = t->fs->blocksize;
	bool sparse = is_sparse(t->fs, inode);
	struct runs runs = { .most = ext2fs_blocks_count(t->fs->super),
		.end = (size + block - 1) / block };
	ext2_file_t file;
	errcode_t e;
	size_t i;
	int r;

	if (size > FILE_MAX)
		return fail_damaged(t, "a file of that length");
	r = sparse ? find_runs(t, ino, &runs) : 0;
	archive_entry_set_size(t->entry, (la_int64_t)size);
	for (i = 0; i < runs.count; i++) {
		uint64_t at = runs.list[i].at * block;
		uint64_t len = runs.list[i].count * block;

		archive_entry_sparse_add_entry(t->entry, (la_int64_t)at,
		    (la_int64_t)(len < size - at ? len : size - at));
	}
	/* Nothing but a hole. */
	if (sparse && runs.count == 0)
		archive_entry_sparse_add_entry(t->entry, (la_int64_t)size, 0);
	if (r == 0)
		r = put_header(t);
	if (r == 0 && size > 0) {
		e = ext2fs_file_open(t->fs, ino, 0, &file);
		if (e != 0) {
			r = fail(t, e);
		} else {
			r = sparse ? put_runs(t, file, size, &runs) :
			    put_bytes(t, file, size);
			ext2fs_file_close(file);
		}
	}
	free(runs.list);
	return r;
}

/* ---- the tree ---- */

static int put_directory(struct ext4_tar *t, ext2_ino_t ino);

/* Whether INO was there before; from now on it was. */
static bool
was_written(struct ext4_tar *t, ext2_ino_t ino)
{
	uint8_t bit = (uint8_t)(1 << ino % 8);
	bool was = (t->written[ino / 8] & bit) != 0;

	t->written[ino / 8] |= bit;
	return was;
}

/* What INO is, at t->path. */
static int
put_inode(struct ext4_tar *t, ext2_ino_t ino)
{
	struct ext2_inode_large large = { .i_mode = 0 };
	struct ext2_inode *inode = (struct ext2_inode *)&large;
	const char *first = NULL;
	errcode_t e = ext2fs_read_inode_full(t->fs, ino, inode,
	    sizeof(large));
	int r = 0;

	if (e != 0)
		return fail(t, e);
	if (LINUX_S_ISSOCK(inode->i_mode))
		return 0;
	if ((inode->i_flags & EXT4_ENCRYPT_FL) != 0)
		return errmsg(t->err, t->err_size, -ENOTSUP,
		    "%.100s is encrypted", t->path);
	if (!LINUX_S_ISDIR(inode->i_mode) && inode->i_links_count > 1)
		r = first_path(t, ino, &first);
	if (r == 0 && first == NULL && was_written(t, ino))
		return fail_damaged(t, "it is in two places");
	archive_entry_clear(t->entry);
	archive_entry_copy_pathname(t->entry, t->path[0] != '\0' ? t->path :
	    "./");
	put_attributes(t->entry, &large);
	if (r == 0 && first != NULL) {
		archive_entry_copy_hardlink(t->entry, first);
		return put_header(t);
	}
	if (r == 0)
		r = put_xattrs(t, ino);
	if (r < 0)
		return r;
	if (LINUX_S_ISREG(inode->i_mode))
		return put_file(t, ino, inode);
	if (LINUX_S_ISDIR(inode->i_mode))
		return put_directory(t, ino);
	if (LINUX_S_ISLNK(inode->i_mode))
		r = put_symlink(t, ino, inode);
	else if (LINUX_S_ISCHR(inode->i_mode) || LINUX_S_ISBLK(inode->i_mode))
		archive_entry_set_rdev(t->entry, device_of(inode));
	else if (!LINUX_S_ISFIFO(inode->i_mode))
		r = fail_damaged(t, "it is of no known type");
	return r < 0 ? r : put_header(t);
}

static int
add_name(ext2_ino_t dir UNUSED, int entry UNUSED,
    struct ext2_dir_entry *dirent, int offset UNUSED, int blocksize UNUSED,
    char *buf UNUSED, void *arg)
{
	struct names *names = arg;
	size_t len = (size_t)ext2fs_dirent_name_len(dirent);
	struct name *list;
	char *text;

	if (len <= 2 && memcmp(dirent->name, "..", len) == 0)
		return 0;
	if (len == 0 || memchr(dirent->name, '/', len) != NULL ||
	    memchr(dirent->name, '\0', len) != NULL) {
		names->bad = true;
		return DIRENT_ABORT;
	}
	text = strndup(dirent->name, len);
	list = grow(names->list, names->count, &names->room, sizeof(*list));
	if (list != NULL)
		names->list = list;
	if (text == NULL || list == NULL) {
		free(text);
		names->no_memory = true;
		return DIRENT_ABORT;
	}
	list[names->count++] = (struct name){ dirent->inode, text };
	return 0;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text,
	    ((const struct name *)b)->text);
}

static void
names_free(struct names *names)
{
	while (names->count > 0)
		free(names->list[--names->count].text);
	free(names->list);
}

static int
put_names(struct ext4_tar *t, const struct names *names, bool root)
{
	size_t len = strlen(t->path), i;
	int r = 0;

	for (i = 0; r == 0 && i < names->count; i++) {
		const struct name *name = &names->list[i];

		if (root && strcmp(name->text, "lost+found") == 0)
			continue;
		if (format(t->path + len, sizeof(t->path) - len, "%s%s",
		    len > 0 ? "/" : "", name->text) < 0)
			return fail_damaged(t, "its path is too long");
		if (t->wanted == NULL || t->wanted(t->arg, t->path))
			r = put_inode(t, name->ino);
		if (r == 0)
			t->path[len] = '\0';
	}
	return r;
}

static int
put_directory(struct ext4_tar *t, ext2_ino_t ino)
{
	struct names names = { .count = 0 };
	errcode_t e;
	int r;

	r = put_header(t);
	if (r < 0)
		return r;
	e = ext2fs_dir_iterate2(t->fs, ino, 0, NULL, add_name, &names);
	if (names.bad)
		r = fail_damaged(t, "it has an entry that is no name");
	else if (names.no_memory)
		r = fail_memory(t);
	else if (e != 0)
		r = fail(t, e);
	if (r == 0 && names.count > 1)
		qsort(names.list, names.count, sizeof(*names.list), by_text);
	if (r == 0)
		r = put_names(t, &names, ino == EXT2_ROOT_INO);
	names_free(&names);
	return r;
}

/* ---- all of it ---- */

static la_ssize_t
on_write(struct archive *out UNUSED, void *arg, const void *bytes, size_t len)
{
	struct ext4_tar *t = arg;

	if (t->write_error == 0)
		t->write_error = t->write(t->arg, bytes, len);
	return t->write_error < 0 ? -1 : (la_ssize_t)len;
}

static int
open_archive(struct ext4_tar *t)
{
	t->out = archive_write_new();
	t->entry = archive_entry_new();
	t->data = malloc(DATA_BYTES);
	t->room = ext2fs_blocks_count(t->fs->super) * t->fs->blocksize;
	t->written = calloc(t->fs->super->s_inodes_count / 8 + 1, 1);
	if (t->out == NULL || t->entry == NULL || t->data == NULL ||
	    t->written == NULL)
		return fail_memory(t);
	if (archive_write_set_format_pax(t->out) != ARCHIVE_OK ||
	    archive_write_set_options(t->out, "pax:xattrheader=SCHILY") !=
	    ARCHIVE_OK || archive_write_set_bytes_in_last_block(t->out, 1) !=
	    ARCHIVE_OK || archive_write_open2(t->out, t, NULL, on_write, NULL,
	    NULL) != ARCHIVE_OK)
		return fail_archive(t);
	return 0;
}

int
ext4_tar(ext2_filsys fs, ext4_tar_write *write, ext4_tar_wanted *wanted,
    void *arg, uint64_t *entries, char *err, /* NOLINT(readability-non-const-parameter) */
    size_t err_size)
{
	struct ext4_tar t = { .fs = fs, .write = write, .wanted = wanted,
		.arg = arg, .err = err, .err_size = err_size };
	/* Names that are UTF-8 stay so; others are marked as bytes. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = uselocale(utf8);
	int r = open_archive(&t);

	if (r == 0)
		r = put_inode(&t, EXT2_ROOT_INO);
	if (r == 0 && archive_write_close(t.out) != ARCHIVE_OK)
		r = fail_archive(&t);
	/* Else what is missing of an entry would be filled up with zeros. */
	if (r < 0)
		t.write_error = r;
	archive_write_free(t.out);
	archive_entry_free(t.entry);
	first_names_free(&t);
	free(t.written);
	free(t.data);
	uselocale(before);
	if (utf8 != (locale_t)0)
		freelocale(utf8);
	*entries = t.entries;
	return r;
}
