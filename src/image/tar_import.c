/*
 * The import loop. libarchive parses tar and nothing else (decompression is
 * source.c's); each entry is put into the tree as it comes. Every error names
 * the entry, and the first one ends the import.
 *
 * Layers are as the image-spec's layer.md has them: .wh.NAME hides NAME, and
 * .wh..wh..opq all of its directory, of the layers below. Other names that begin
 * with .wh..wh. are what aufs kept for itself.
 */
#include "image/tar_import.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "image/errmsg.h"
#include "image/tar_attr.h"
#include "privsep/util.h"

#define TAR_BLOCK 512
#define NAME_SHOWN 120
#define WHITEOUT ".wh."
#define WHITEOUT_LEN 4
#define WHITEOUT_OF_AUFS ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

/* One tar under way. */
struct import {
	struct tar_import *im;
	struct tree *tree;		/* its */
	struct source *source;
	struct archive *archive;
	struct tar_attr attr;
	char path[TREE_PATH_MAX];	/* of this entry, clean */
	uint64_t entries;		/* of this tar */
	int source_error;
	char *err;
	size_t err_size;
};

const char *
tar_import_reason(int r)
{
	switch (-r) {
	case EFBIG:
		return "it is larger than ext4 has files and directories";
	case E2BIG:
		return "its extended attributes need more than 4 KiB";
	case ENOKEY:
		return "its ACL names a user or group without a number "
		    "(make the tar with --numeric-owner)";
	case ERANGE:
		return "its owner's number is beyond 32 bits";
	case EOVERFLOW:
		return "too many names with the same hash in one directory";
	case EMLINK:
		return "more than 65000 hard links, or more than 4096 to files "
		    "of layers below";
	case ENAMETOOLONG:
		return "its name or target is too long";
	case ENOTDIR:
		return "something on its path is not a directory";
	case ELOOP:
		return "too many symbolic links on its path";
	default:
		return strerror(-r);
	}
}

bool
tar_import_no_room(const struct tar_import *im, int r)
{
	if (r == -EDQUOT)
		errmsg(im->err, im->err_size, r, "the image would need more "
		    "than %llu MiB, the largest that image_max_size allows",
		    (unsigned long long)(im->max_bytes >> 20));
	else if (r == -ENOSPC)
		errmsg(im->err, im->err_size, r, "no space left for the image; "
		    "free some in the state directory (a twentieth of its "
		    "disk, or 1 GiB, stays free)");
	return r == -EDQUOT || r == -ENOSPC;
}

/* Names NAME, shortened in the middle when it would push out the reason. */
static int
fail_named(const struct import *im, int r, const char *name, const char *why)
{
	size_t len = strlen(name);

	if (tar_import_no_room(im->im, r))
		return r;
	if (len > NAME_SHOWN)
		return errmsg(im->err, im->err_size, r,
		    "archive entry %.*s...%s: %s", NAME_SHOWN / 2, name,
		    name + len - NAME_SHOWN / 2, why);
	return errmsg(im->err, im->err_size, r, "archive entry %s: %s",
	    len == 0 ? "/" : name, why);
}

static int
fail(const struct import *im, int r, const char *why)
{
	return fail_named(im, r, im->path, why);
}

static la_ssize_t
read_source(struct archive *a, void *arg, const void **buf)
{
	struct import *im = arg;
	size_t len;

	im->source_error = source_read(im->source, buf, &len, im->err,
	    im->err_size);
	if (im->source_error == 0)
		return (la_ssize_t)len;
	archive_set_error(a, EIO, "source");
	return ARCHIVE_FATAL;
}

/* What libarchive could not read; the source has already said its own. */
static int
fail_archive(const struct import *im)
{
	const char *why = archive_error_string(im->archive);

	if (im->source_error < 0)
		return im->source_error;
	if (archive_errno(im->archive) == ENOMEM)
		return errmsg(im->err, im->err_size, -ENOMEM, "out of memory");
	if (im->entries == 0)
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "not a tar archive");
	return errmsg(im->err, im->err_size, -EBADMSG,
	    "the archive is damaged or cut off: %s", why == NULL ? "?" : why);
}

static int
copy_data(struct import *im, uint64_t size)
{
	for (;;) {
		const void *buf;
		la_int64_t offset;
		size_t len;
		int r = archive_read_data_block(im->archive, &buf, &len,
		    &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return fail_archive(im);
		if (offset < 0)
			return fail(im, -EBADMSG, "bad offset");
		if ((uint64_t)offset > size || len > size - (uint64_t)offset)
			return fail(im, -EINVAL,
			    "it has more data than its size");
		r = ext4_writer_file_data(im->tree->w, buf, len,
		    (uint64_t)offset);
		if (r < 0)
			return fail(im, r, r == -EINVAL ?
			    "its pieces are out of order" : tar_import_reason(r));
	}
}

static int
add_file(struct import *im, struct archive_entry *entry, uint32_t dir,
    const char *name)
{
	la_int64_t size = archive_entry_size(entry);
	int r;

	if (size < 0)
		return fail(im, -EBADMSG, "bad size");
	if ((uint64_t)size > EXT4_WRITER_FILE_MAX)
		return fail(im, -EFBIG, tar_import_reason(-EFBIG));
	r = ext4_writer_file_begin(im->tree->w, dir, name, &im->attr.ext4);
	if (r < 0)
		return fail(im, r, tar_import_reason(r));
	if ((r = copy_data(im, (uint64_t)size)) < 0)
		return r;
	r = ext4_writer_file_end(im->tree->w, (uint64_t)size);
	return r < 0 ? fail(im, r, tar_import_reason(r)) : 0;
}

static int
add_symlink(struct import *im, struct archive_entry *entry, uint32_t dir,
    const char *name)
{
	const char *target = archive_entry_symlink(entry);
	int r;

	if (target == NULL || *target == '\0')
		return fail(im, -EINVAL, "a symbolic link to nothing");
	r = ext4_writer_symlink(im->tree->w, dir, name, target, &im->attr.ext4);
	return r < 0 ? fail(im, r, tar_import_reason(r)) : 0;
}

static int
add_node(struct import *im, struct archive_entry *entry, uint32_t dir,
    const char *name, uint32_t type)
{
	int r;

	r = ext4_writer_mknod(im->tree->w, dir, name, type,
	    (uint32_t)archive_entry_rdevmajor(entry),
	    (uint32_t)archive_entry_rdevminor(entry), &im->attr.ext4);
	if (r == -EINVAL)
		return fail(im, r, "a device number Linux does not have");
	return r < 0 ? fail(im, r, tar_import_reason(r)) : 0;
}

/* A directory that is there already keeps what is in it. */
static int
add_dir(struct import *im, uint32_t dir, const char *name)
{
	uint32_t ino;
	int r;

	if (*name == '\0') {
		im->im->root_seen = true;
		r = ext4_writer_set_attr(im->tree->w, EXT4_WRITER_ROOT,
		    &im->attr.ext4);
	} else if ((r = ext4_writer_lookup(im->tree->w, dir, name,
	    &ino)) == 0) {
		r = ext4_writer_touch(im->tree->w, ino);
		if (r == 0)
			r = ext4_writer_set_attr(im->tree->w, ino,
			    &im->attr.ext4);
	} else if (r == -ENOENT) {
		r = ext4_writer_mkdir(im->tree->w, dir, name, &im->attr.ext4,
		    &ino);
	}
	return r < 0 ? fail(im, r, tar_import_reason(r)) : 0;
}

/* Makes way for a new entry; a directory for a directory stays. */
static int
replace(struct import *im, uint32_t dir, const char *name, bool is_dir)
{
	struct ext4_stat st;
	uint32_t ino;
	int r = ext4_writer_lookup(im->tree->w, dir, name, &ino);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || (r = ext4_writer_stat(im->tree->w, ino, &st)) < 0)
		return fail(im, r, tar_import_reason(r));
	if (is_dir && S_ISDIR(st.mode))
		return 0;
	if (dir == EXT4_WRITER_ROOT && strcmp(name, "lost+found") == 0)
		return fail(im, -EINVAL, "ext4 needs this to be a directory");
	r = tree_remove(im->tree, dir, name);
	return r < 0 ? fail(im, r, tar_import_reason(r)) : 0;
}

/* Finds what a hard link leads to, which has to come before it. */
static int
link_target(struct import *im, const char *target, uint32_t *ino)
{
	char clean[TREE_PATH_MAX];
	struct ext4_stat st;
	int r = tree_clean(target, clean);

	if (r == -EINVAL || (r == 0 && clean[0] == '\0'))
		return fail(im, -EINVAL, "a hard link to outside the archive");
	if (r == 0)
		r = tree_lookup(im->tree, clean, false, ino);
	if (r == -ENOENT || r == -ENOTDIR)
		return fail(im, -EINVAL,
		    "a hard link to what is not in the archive before it");
	if (r < 0 || (r = ext4_writer_stat(im->tree->w, *ino, &st)) < 0)
		return fail(im, r, tar_import_reason(r));
	if (S_ISDIR(st.mode))
		return fail(im, -EINVAL, "a hard link to a directory");
	return 0;
}

/* The target is held meanwhile: it can lie below what is replaced. */
static int
add_hardlink(struct import *im, const char *target, uint32_t dir,
    const char *name)
{
	uint32_t ino = 0, old = 0;
	int r;

	if ((r = link_target(im, target, &ino)) < 0)
		return r;
	if (ext4_writer_lookup(im->tree->w, dir, name, &old) == 0 && old == ino)
		return 0;
	if ((r = ext4_writer_hold(im->tree->w, ino)) < 0)
		return fail(im, r, tar_import_reason(r));
	if ((r = replace(im, dir, name, false)) < 0)
		return r;
	if ((r = ext4_writer_link(im->tree->w, dir, name, ino)) < 0 ||
	    (r = ext4_writer_release(im->tree->w, ino)) < 0)
		return fail(im, r, tar_import_reason(r));
	return 0;
}

static int
add_entry(struct import *im, struct archive_entry *entry, uint32_t dir,
    const char *name)
{
	const char *target = archive_entry_hardlink(entry);
	uint32_t type = archive_entry_filetype(entry);
	int r;

	if (target != NULL)
		return add_hardlink(im, target, dir, name);
	if ((r = replace(im, dir, name, type == AE_IFDIR)) < 0)
		return r;
	switch (type) {
	case AE_IFREG:
		return add_file(im, entry, dir, name);
	case AE_IFDIR:
		return add_dir(im, dir, name);
	case AE_IFLNK:
		return add_symlink(im, entry, dir, name);
	case AE_IFCHR:
		return add_node(im, entry, dir, name, S_IFCHR);
	case AE_IFBLK:
		return add_node(im, entry, dir, name, S_IFBLK);
	case AE_IFIFO:
		return add_node(im, entry, dir, name, S_IFIFO);
	case AE_IFSOCK:
		return add_node(im, entry, dir, name, S_IFSOCK);
	default:
		return fail(im, -EINVAL, "an entry of unknown type");
	}
}

/* Directories that no entry describes: root's, as old as what is in them. */
static void
set_implied(struct import *im)
{
	const struct timespec t = im->attr.ext4.mtime;

	im->tree->implied = (struct ext4_attr){
		.mode = 0755,
		.atime = t, .mtime = t, .ctime = t, .crtime = t,
	};
}

/*
 * Hides what lies below the layer at this entry's place. A directory that is not
 * there has nothing to hide.
 */
static int
add_whiteout(struct import *im, const char *dir_path, const char *name)
{
	struct ext4_stat st;
	uint32_t dir;
	int r = tree_lookup(im->tree, dir_path, true, &dir);

	if (r == 0)
		r = ext4_writer_stat(im->tree->w, dir, &st);
	if (r == 0 && !S_ISDIR(st.mode))
		return 0;
	if (r == 0 && strcmp(name, WHITEOUT_OPAQUE) == 0) {
		r = ext4_writer_opaque(im->tree->w, dir);
	} else if (r == 0 && strncmp(name, WHITEOUT_OF_AUFS,
	    sizeof(WHITEOUT_OF_AUFS) - 1) != 0) {
		name += WHITEOUT_LEN;
		if (*name == '\0' || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			return fail(im, -EINVAL, "a whiteout of nothing");
		r = ext4_writer_whiteout(im->tree->w, dir, name);
	}
	tree_forget(im->tree);
	return r < 0 && r != -ENOENT && r != -ENOTDIR ?
	    fail(im, r, tar_import_reason(r)) : 0;
}

static bool
is_whiteout(const struct import *im)
{
	const char *slash = strrchr(im->path, '/');

	return im->im->layer && strncmp(slash != NULL ? slash + 1 : im->path,
	    WHITEOUT, WHITEOUT_LEN) == 0;
}

static int
import_whiteout(struct import *im)
{
	char dir[TREE_PATH_MAX] = "";
	const char *slash = strrchr(im->path, '/');

	if (slash == NULL)
		return add_whiteout(im, dir, im->path);
	memcpy(dir, im->path, (size_t)(slash - im->path));
	dir[slash - im->path] = '\0';
	return add_whiteout(im, dir, slash + 1);
}

static int
import_entry(struct import *im, struct archive_entry *entry)
{
	const char *raw = archive_entry_pathname(entry), *name;
	uint32_t dir;
	int r;

	if (raw == NULL || *raw == '\0')
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "the archive has an entry without a name");
	if ((r = tree_clean(raw, im->path)) < 0)
		return fail_named(im, r, raw, r == -EINVAL ?
		    "\"..\" in its name" : tar_import_reason(r));
	if (is_whiteout(im))
		return import_whiteout(im);
	if ((r = tar_attr_read(entry, &im->attr)) < 0)
		return fail(im, r, tar_import_reason(r));
	set_implied(im);
	if (im->path[0] == '\0') {
		if (archive_entry_hardlink(entry) != NULL ||
		    archive_entry_filetype(entry) != AE_IFDIR)
			return fail(im, -EINVAL, "the root is no directory");
		return add_dir(im, EXT4_WRITER_ROOT, "");
	}
	im->im->named++;
	if ((r = tree_parent(im->tree, im->path, &dir, &name)) < 0)
		return fail(im, r, tar_import_reason(r));
	return add_entry(im, entry, dir, name);
}

/*
 * libarchive's warnings are about things that do not matter here, but for
 * names that are not UTF-8 where the format says they are: it changes those.
 */
static bool
name_was_changed(struct archive *a)
{
	const char *why = archive_error_string(a);

	return why != NULL && (strstr(why, "Pathname") != NULL ||
	    strstr(why, "Linkname") != NULL);
}

/* 1: an entry, 0: the end. An archive without an end mark was cut off. */
static int
next_entry(struct import *im, struct archive_entry **entry)
{
	la_int64_t before;
	int r;

	if (im->entries > 0 && archive_read_data_skip(im->archive) <
	    ARCHIVE_WARN)
		return fail_archive(im);
	before = archive_filter_bytes(im->archive, 0);
	r = archive_read_next_header(im->archive, entry);
	if (r == ARCHIVE_EOF) {
		if (archive_filter_bytes(im->archive, 0) - before < TAR_BLOCK)
			return errmsg(im->err, im->err_size, -EBADMSG,
			    "the archive is cut off: it has no end mark");
		return 0;
	}
	/* Not ARCHIVE_RETRY either: that is a header with a wrong check sum. */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail_archive(im);
	im->entries++;
	im->im->entries++;
	if (r == ARCHIVE_WARN && name_was_changed(im->archive))
		return fail_named(im, -EINVAL, archive_entry_pathname(*entry),
		    "a name that is not UTF-8 in a pax header");
	return 1;
}

/* To the very end: check sums come last, and the writer of a pipe waits. */
static int
drain(struct import *im)
{
	const void *buf;
	size_t len;
	int r;

	do {
		r = source_read(im->source, &buf, &len, im->err, im->err_size);
	} while (r == 0 && len > 0);
	return r;
}

static int
run(struct import *im)
{
	struct archive_entry *entry = NULL;
	int r;

	if (archive_read_support_format_tar(im->archive) != ARCHIVE_OK ||
	    archive_read_open2(im->archive, im, NULL, read_source, NULL,
	    NULL) != ARCHIVE_OK)
		return fail_archive(im);
	while ((r = next_entry(im, &entry)) == 1)
		if ((r = import_entry(im, entry)) < 0)
			return r;
	return r < 0 ? r : drain(im);
}

int
tar_import(struct tar_import *args, struct source *s)
{
	struct import *im = calloc(1, sizeof(*im));
	int r;

	if (im == NULL)
		return errmsg(args->err, args->err_size, -ENOMEM,
		    "out of memory");
	im->im = args;
	im->tree = args->tree;
	im->source = s;
	im->err = args->err;
	im->err_size = args->err_size;
	im->archive = archive_read_new();
	if (im->archive != NULL)
		r = run(im);
	else
		r = errmsg(im->err, im->err_size, -ENOMEM, "out of memory");
	if (im->archive != NULL)
		archive_read_free(im->archive);
	free(im);
	return r;
}
