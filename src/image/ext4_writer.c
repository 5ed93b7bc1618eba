/*
 * The public face of the ext4 writer: entries, links and removal. Regular
 * files are in ext4_file.c, the end is in ext4_finish.c.
 */
#include "image/ext4_internal.h"

#include <string.h>
#include <sys/stat.h>

#define FAST_TARGET_MAX 59	/* fits into the inode with its NUL */
#define LINKS_MAX EXT2_LINK_MAX

static int
make_root(struct ext4_writer *w)
{
	static const struct ext4_attr root = { .mode = 0755 };
	static const struct ext4_attr lost = { .mode = 0700 };
	struct disk_inode d;
	uint32_t ino;
	int r;

	for (uint32_t i = 1; i < LOST_FOUND_INO; i++)
		if ((r = inode_take(w, i == EXT2_ROOT_INO, &ino)) < 0)
			return r;
	if ((r = inode_fill(w, EXT2_ROOT_INO, S_IFDIR, &root, &d)) < 0 ||
	    (r = dir_init(w, EXT2_ROOT_INO, EXT2_ROOT_INO, &d)) < 0 ||
	    (r = inode_write(w, EXT2_ROOT_INO, &d)) < 0)
		return r;
	return ext4_writer_mkdir(w, EXT2_ROOT_INO, "lost+found", &lost, &ino);
}

int
ext4_writer_begin(int fd, uint64_t max_bytes, struct ext4_writer **out)
{
	struct ext4_writer *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return -ENOMEM;
	w->fd = fd;
	w->blocks.limit = max_bytes < EXT4_WRITER_MAX ?
	    (uint32_t)(max_bytes >> BLOCK_SHIFT) : MAX_BLOCKS;
	w->blocks.lowest_freed = UINT32_MAX;
	w->inodes.lowest_freed = UINT32_MAX;
	w->newest_time = INT64_MIN;
	w->data.bytes = malloc(DATA_BYTES);
	r = w->data.bytes == NULL ? -ENOMEM : cache_init(&w->cache);
	if (r == 0)
		r = make_root(w);
	if (r < 0) {
		ext4_writer_free(w);
		return r;
	}
	*out = w;
	return 0;
}

void
ext4_writer_free(struct ext4_writer *w)
{
	if (w == NULL)
		return;
	cache_free(&w->cache);
	layer_free(&w->layer);
	free(w->data.bytes);
	free(w);
}

int
ext4_writer_lookup(struct ext4_writer *w, uint32_t dir, const char *name,
    uint32_t *ino)
{
	return dir_find(w, dir, name, ino);
}

int
ext4_writer_stat(struct ext4_writer *w, uint32_t ino, struct ext4_stat *st)
{
	struct disk_inode d;
	int r = inode_read(w, ino, &d);

	if (r < 0)
		return r;
	st->mode = d.in.i_mode;
	st->links = d.in.i_links_count;
	st->size_bytes = inode_size(&d);
	return 0;
}

int
ext4_writer_readlink(struct ext4_writer *w, uint32_t ino, char *buf,
    size_t size)
{
	const char *target;
	struct disk_inode d;
	struct ext3_extent e;
	struct cbuf *b;
	size_t len;
	int r;

	if ((r = inode_read(w, ino, &d)) < 0)
		return r;
	if (!S_ISLNK(d.in.i_mode))
		return -EINVAL;
	len = (size_t)inode_size(&d);
	if (len >= size || len > EXT4_WRITER_TARGET_MAX)
		return -ENAMETOOLONG;
	target = (const char *)d.in.i_block;
	if (len > FAST_TARGET_MAX) {
		memcpy(&e, target + sizeof(struct ext3_extent_header),
		    sizeof(e));
		if ((r = cache_get(w, e.ee_start, &b)) < 0)
			return r;
		target = (const char *)b->data;
	}
	memcpy(buf, target, len);
	buf[len] = '\0';
	return 0;
}

static uint8_t
entry_type(uint32_t mode)
{
	static const struct { uint32_t mode; uint8_t type; } types[] = {
		{ S_IFREG, EXT2_FT_REG_FILE }, { S_IFDIR, EXT2_FT_DIR },
		{ S_IFLNK, EXT2_FT_SYMLINK }, { S_IFCHR, EXT2_FT_CHRDEV },
		{ S_IFBLK, EXT2_FT_BLKDEV }, { S_IFIFO, EXT2_FT_FIFO },
		{ S_IFSOCK, EXT2_FT_SOCK },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].mode == (mode & S_IFMT))
			return types[i].type;
	return EXT2_FT_UNKNOWN;
}

int
entry_add(struct ext4_writer *w, uint32_t dir, const char *name, uint32_t ino,
    uint32_t mode)
{
	struct disk_inode before, d;
	int r;

	if ((r = inode_read(w, dir, &before)) < 0)
		return r;
	if (!S_ISDIR(before.in.i_mode))
		return -ENOTDIR;
	d = before;
	r = dir_add(w, dir, &d, name, ino, entry_type(mode));
	if (r < 0)
		return r;
	if (S_ISDIR(mode))
		inode_set_subdirs(&d, inode_subdirs(&d) + 1);
	if (memcmp(&before, &d, sizeof(d)) == 0)
		return 0;
	return inode_write(w, dir, &d);
}

int
ext4_writer_mkdir(struct ext4_writer *w, uint32_t dir, const char *name,
    const struct ext4_attr *attr, uint32_t *ino)
{
	struct disk_inode d;
	uint32_t n;
	int r;

	if ((r = inode_take(w, true, &n)) < 0 ||
	    (r = inode_fill(w, n, S_IFDIR, attr, &d)) < 0 ||
	    (r = dir_init(w, n, dir, &d)) < 0 ||
	    (r = inode_write(w, n, &d)) < 0 ||
	    (r = entry_add(w, dir, name, n, S_IFDIR)) < 0)
		return r;
	*ino = n;
	return 0;
}

int
ext4_writer_set_attr(struct ext4_writer *w, uint32_t ino,
    const struct ext4_attr *attr)
{
	struct disk_inode d;
	int r;

	if ((r = inode_read(w, ino, &d)) < 0 ||
	    (r = inode_set_attr(w, ino, attr, &d)) < 0)
		return r;
	return inode_write(w, ino, &d);
}

/* A target that does not fit into the inode, in a block of its own. */
static int
store_target(struct ext4_writer *w, struct disk_inode *d, const char *target,
    size_t len)
{
	struct extent_tree *t = &w->file.extents;
	struct cbuf *b;
	uint32_t block;
	int r;

	if ((r = block_take_meta(w, &block)) < 0 ||
	    (r = cache_new(w, block, &b)) < 0)
		return r;
	memcpy(b->data, target, len);
	cache_dirty(b, KIND_PLAIN, 0);
	extents_init(t, 0);
	if ((r = extents_add(w, t, 0, block, 1)) < 0)
		return r;
	return extents_finish(w, t, d);
}

int
ext4_writer_symlink(struct ext4_writer *w, uint32_t dir, const char *name,
    const char *target, const struct ext4_attr *attr)
{
	size_t len = strlen(target);
	struct disk_inode d;
	uint32_t ino;
	int r;

	if (len == 0)
		return -EINVAL;
	if (len > EXT4_WRITER_TARGET_MAX)
		return -ENAMETOOLONG;
	if ((r = inode_take(w, false, &ino)) < 0 ||
	    (r = inode_fill(w, ino, S_IFLNK, attr, &d)) < 0)
		return r;
	if (len <= FAST_TARGET_MAX)
		memcpy(d.in.i_block, target, len);
	else if ((r = store_target(w, &d, target, len)) < 0)
		return r;
	inode_set_size(&d, len);
	if ((r = inode_write(w, ino, &d)) < 0)
		return r;
	return entry_add(w, dir, name, ino, S_IFLNK);
}

/* The kernel's two encodings (linux/kdev_t.h): the old one where it fits. */
static void
store_device(struct disk_inode *d, uint32_t major, uint32_t minor)
{
	if (major < 256 && minor < 256)
		d->in.i_block[0] = major << 8 | minor;
	else
		d->in.i_block[1] = (minor & 0xff) | major << 8 |
		    (minor & ~0xffu) << 12;
}

int
ext4_writer_mknod(struct ext4_writer *w, uint32_t dir, const char *name,
    uint32_t type, uint32_t major, uint32_t minor,
    const struct ext4_attr *attr)
{
	bool device = type == S_IFCHR || type == S_IFBLK;
	struct disk_inode d;
	uint32_t ino;
	int r;

	if (!device && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	if (device && (major >= 1u << 12 || minor >= 1u << 20))
		return -EINVAL;
	if ((r = inode_take(w, false, &ino)) < 0 ||
	    (r = inode_fill(w, ino, type, attr, &d)) < 0)
		return r;
	if (device)
		store_device(&d, major, minor);
	if ((r = inode_write(w, ino, &d)) < 0)
		return r;
	return entry_add(w, dir, name, ino, type);
}

int
ext4_writer_hold(struct ext4_writer *w, uint32_t ino)
{
	struct disk_inode d;
	int r;

	if ((r = inode_read(w, ino, &d)) < 0)
		return r;
	if (S_ISDIR(d.in.i_mode))
		return -EISDIR;
	if (d.in.i_links_count >= LINKS_MAX)
		return -EMLINK;
	d.in.i_links_count++;
	return inode_write(w, ino, &d);
}

int
ext4_writer_link(struct ext4_writer *w, uint32_t dir, const char *name,
    uint32_t ino)
{
	struct disk_inode d;
	int r;

	if ((r = ext4_writer_hold(w, ino)) < 0 ||
	    (r = layer_link(w, dir, name, ino)) < 0 ||
	    (r = inode_read(w, ino, &d)) < 0)
		return r;
	return entry_add(w, dir, name, ino, d.in.i_mode);
}

/* Frees an inode that is no directory, with all it has. */
static int
free_inode(struct ext4_writer *w, uint32_t ino, struct disk_inode *d)
{
	int r = xattr_free(w, d);

	if (r == 0 && (d->in.i_flags & EXT4_EXTENTS_FL) != 0)
		r = extents_free(w, d);
	return r < 0 ? r : inode_give(w, ino, false);
}

int
ext4_writer_release(struct ext4_writer *w, uint32_t ino)
{
	struct disk_inode d;
	int r;

	if ((r = inode_read(w, ino, &d)) < 0)
		return r;
	if (--d.in.i_links_count == 0)
		return free_inode(w, ino, &d);
	return inode_write(w, ino, &d);
}

int
dir_list_push(struct ext4_writer *w, uint32_t ino, uint32_t *list)
{
	struct disk_inode d;
	int r;

	if ((r = inode_read(w, ino, &d)) < 0)
		return r;
	d.in.i_dtime = *list;
	*list = ino;
	return inode_write(w, ino, &d);
}

static int
empty_block(struct ext4_writer *w, uint32_t block, uint32_t *list)
{
	uint8_t copy[BLOCK_BYTES];
	struct cbuf *b;
	int r;

	if ((r = cache_get(w, block, &b)) < 0)
		return r;
	memcpy(copy, b->data, sizeof(copy));
	for (uint32_t at = 0; at < LEAF_BYTES;) {
		const struct ext2_dir_entry_2 *e = (const void *)(copy + at);
		bool dots = (e->name_len == 1 && e->name[0] == '.') ||
		    (e->name_len == 2 && memcmp(e->name, "..", 2) == 0);

		if (e->inode != 0 && !dots) {
			if (e->file_type == EXT2_FT_DIR)
				r = dir_list_push(w, e->inode, list);
			else
				r = ext4_writer_release(w, e->inode);
			if (r < 0)
				return r;
		}
		at += e->rec_len;
	}
	return 0;
}

static int
empty_dir(struct ext4_writer *w, const struct disk_inode *d, uint32_t *list)
{
	uint32_t count = (uint32_t)(inode_size(d) >> BLOCK_SHIFT), block;
	int r;

	for (uint32_t i = 0; i < count; i++)
		if ((r = dir_map(w, d, i, &block)) < 0 ||
		    (r = empty_block(w, block, list)) < 0)
			return r;
	return 0;
}

static int
remove_tree(struct ext4_writer *w, uint32_t top)
{
	uint32_t list = 0;
	int r = dir_list_push(w, top, &list);

	while (r == 0 && list != 0) {
		uint32_t ino = list;
		struct disk_inode d;

		if ((r = inode_read(w, ino, &d)) < 0)
			break;
		list = d.in.i_dtime;
		if ((r = empty_dir(w, &d, &list)) < 0 ||
		    (r = xattr_free(w, &d)) < 0 ||
		    (r = dir_free_blocks(w, &d)) < 0)
			break;
		r = inode_give(w, ino, true);
	}
	return r;
}

int
ext4_writer_remove(struct ext4_writer *w, uint32_t dir, const char *name)
{
	struct disk_inode d;
	uint32_t ino;
	uint8_t type;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if ((r = dir_take(w, dir, name, &ino, &type)) < 0)
		return r;
	if (type != EXT2_FT_DIR)
		return ext4_writer_release(w, ino);
	if ((r = inode_read(w, dir, &d)) < 0)
		return r;
	inode_set_subdirs(&d, inode_subdirs(&d) - 1);
	if ((r = inode_write(w, dir, &d)) < 0)
		return r;
	return remove_tree(w, ino);
}
