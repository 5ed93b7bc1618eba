/*
 * Directories: one leaf while everything fits in it, a hashed tree
 * (ext4_htree.c) from the second block on. Their blocks are found through the
 * classic map in the inode: 12 direct, then one and two levels of pointers.
 *
 * Format: kernel, Documentation/filesystems/ext4/directory.rst, blockmap.rst.
 */
#include "image/ext4_internal.h"

#include <string.h>

#define DIRECT EXT2_NDIR_BLOCKS
#define POINTERS (BLOCK_BYTES / 4)
#define HEADER_BYTES 8u

uint32_t
dirent_bytes(uint32_t name_len)
{
	return (HEADER_BYTES + name_len + 3) & ~3u;
}

static struct ext2_dir_entry_2 *
entry_at(uint8_t *leaf, uint32_t offset)
{
	return (void *)(leaf + offset);
}

static void
entry_set(struct ext2_dir_entry_2 *e, const char *name, uint32_t len,
    uint32_t ino, uint8_t type)
{
	e->inode = ino;
	e->name_len = (uint8_t)len;
	e->file_type = type;
	memcpy(e->name, name, len);
}

/* An empty leaf: one unused entry, then the tail with the checksum. */
void
leaf_clear(uint8_t *leaf)
{
	struct ext2_dir_entry_tail *tail = (void *)(leaf + LEAF_BYTES);

	memset(leaf, 0, BLOCK_BYTES);
	entry_at(leaf, 0)->rec_len = LEAF_BYTES;
	tail->det_rec_len = sizeof(*tail);
	tail->det_reserved_name_len = EXT2_DIR_NAME_LEN_CSUM;
}

int
leaf_find(const uint8_t *leaf, const char *name, uint32_t len)
{
	uint32_t at = 0;

	while (at < LEAF_BYTES) {
		const struct ext2_dir_entry_2 *e = (const void *)(leaf + at);

		if (e->inode != 0 && e->name_len == len &&
		    memcmp(e->name, name, len) == 0)
			return (int)at;
		if (e->rec_len < HEADER_BYTES)
			return -EUCLEAN;
		at += e->rec_len;
	}
	return -ENOENT;
}

bool
leaf_add(uint8_t *leaf, const char *name, uint32_t len, uint32_t ino,
    uint8_t type)
{
	uint32_t need = dirent_bytes(len), at = 0;

	while (at < LEAF_BYTES) {
		struct ext2_dir_entry_2 *e = entry_at(leaf, at), *next;
		uint32_t used = e->inode == 0 ? 0 : dirent_bytes(e->name_len);

		if (e->rec_len >= used + need) {
			next = entry_at(leaf, at + used);
			if (used > 0) {
				next->rec_len = (uint16_t)(e->rec_len - used);
				e->rec_len = (uint16_t)used;
			}
			entry_set(next, name, len, ino, type);
			return true;
		}
		at += e->rec_len;
	}
	return false;
}

/* Gives the entry's room to the one before it. */
static void
leaf_take(uint8_t *leaf, uint32_t offset)
{
	struct ext2_dir_entry_2 *e = entry_at(leaf, offset), *prev = NULL;
	uint32_t at = 0;

	while (at < offset) {
		prev = entry_at(leaf, at);
		at += prev->rec_len;
	}
	e->inode = 0;
	if (prev != NULL)
		prev->rec_len = (uint16_t)(prev->rec_len + e->rec_len);
}

/* Reads pointer INDEX of map block BLOCK; 0 for "none". */
static int
map_read(struct ext4_writer *w, uint32_t block, uint32_t index, uint32_t *out)
{
	struct cbuf *b;
	int r = cache_get(w, block, &b);

	if (r < 0)
		return r;
	memcpy(out, b->data + (size_t)index * 4, 4);
	return 0;
}

int
dir_map(struct ext4_writer *w, const struct disk_inode *d, uint32_t logical,
    uint32_t *block)
{
	uint32_t n = logical, middle;
	int r;

	if (n < DIRECT) {
		*block = d->in.i_block[n];
		return 0;
	}
	n -= DIRECT;
	if (n < POINTERS)
		return map_read(w, d->in.i_block[EXT2_IND_BLOCK], n, block);
	n -= POINTERS;
	r = map_read(w, d->in.i_block[EXT2_DIND_BLOCK], n / POINTERS, &middle);
	if (r < 0)
		return r;
	return map_read(w, middle, n % POINTERS, block);
}

/*
 * Stores VALUE at INDEX of the map block that *SLOT names, which is made when
 * INDEX is the first in it.
 */
static int
map_write(struct ext4_writer *w, struct disk_inode *d, uint32_t *slot,
    uint32_t index, uint32_t value)
{
	struct cbuf *b;
	int r;

	if (index == 0) {
		if ((r = block_take_meta(w, slot)) < 0 ||
		    (r = cache_new(w, *slot, &b)) < 0)
			return r;
		inode_add_blocks(d, 1);
	} else if ((r = cache_get(w, *slot, &b)) < 0) {
		return r;
	}
	memcpy(b->data + (size_t)index * 4, &value, 4);
	cache_dirty(b, KIND_PLAIN, 0);
	return 0;
}

static int
map_append(struct ext4_writer *w, struct disk_inode *d, uint32_t logical,
    uint32_t block)
{
	uint32_t n = logical, middle = 0;
	uint32_t *dind = &d->in.i_block[EXT2_DIND_BLOCK];
	int r;

	if (n < DIRECT) {
		d->in.i_block[n] = block;
		return 0;
	}
	n -= DIRECT;
	if (n < POINTERS)
		return map_write(w, d, &d->in.i_block[EXT2_IND_BLOCK], n,
		    block);
	n -= POINTERS;
	if (n / POINTERS >= POINTERS)
		return -EFBIG;
	if (n % POINTERS != 0 &&
	    (r = map_read(w, *dind, n / POINTERS, &middle)) < 0)
		return r;
	if ((r = map_write(w, d, &middle, n % POINTERS, block)) < 0)
		return r;
	return n % POINTERS != 0 ? 0 :
	    map_write(w, d, dind, n / POINTERS, middle);
}

int
dir_append(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    uint32_t *logical, struct cbuf **buf)
{
	uint32_t n = (uint32_t)(inode_size(d) >> BLOCK_SHIFT), block;
	int r;

	if ((r = block_take_meta(w, &block)) < 0 ||
	    (r = map_append(w, d, n, block)) < 0 ||
	    (r = cache_new(w, block, buf)) < 0)
		return r;
	leaf_clear((*buf)->data);
	cache_dirty(*buf, KIND_DIR_LEAF, dir);
	inode_set_size(d, inode_size(d) + BLOCK_BYTES);
	inode_add_blocks(d, 1);
	*logical = n;
	return 0;
}

int
dir_init(struct ext4_writer *w, uint32_t ino, uint32_t parent,
    struct disk_inode *d)
{
	struct cbuf *b;
	uint32_t logical;
	int r;

	if ((r = dir_append(w, ino, d, &logical, &b)) < 0)
		return r;
	leaf_add(b->data, ".", 1, ino, EXT2_FT_DIR);
	leaf_add(b->data, "..", 2, parent, EXT2_FT_DIR);
	inode_set_subdirs(d, 0);
	return 0;
}

/* The block that has NAME, and where in it. */
static int
dir_locate(struct ext4_writer *w, const struct disk_inode *d,
    const char *name, struct cbuf **b, int *offset)
{
	uint32_t len = (uint32_t)strlen(name);
	bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	int r;

	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	if ((d->in.i_flags & EXT2_INDEX_FL) != 0 && !dots)
		return htree_find(w, d, name, b, offset);
	if ((r = cache_get(w, d->in.i_block[0], b)) < 0)
		return r;
	*offset = leaf_find((*b)->data, name, len);
	return *offset < 0 ? *offset : 0;
}

int
dir_find(struct ext4_writer *w, uint32_t dir, const char *name, uint32_t *ino)
{
	struct disk_inode d;
	struct cbuf *b;
	int offset, r;

	if ((r = inode_read(w, dir, &d)) < 0 ||
	    (r = dir_locate(w, &d, name, &b, &offset)) < 0)
		return r;
	*ino = entry_at(b->data, (uint32_t)offset)->inode;
	return 0;
}

int
dir_add(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    const char *name, uint32_t ino, uint8_t type)
{
	uint32_t len = (uint32_t)strlen(name);
	struct cbuf *b;
	int r;

	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	if ((d->in.i_flags & EXT2_INDEX_FL) == 0) {
		if ((r = cache_get(w, d->in.i_block[0], &b)) < 0)
			return r;
		if (leaf_add(b->data, name, len, ino, type)) {
			cache_dirty(b, KIND_DIR_LEAF, dir);
			return 0;
		}
		if ((r = htree_convert(w, dir, d)) < 0)
			return r;
	}
	return htree_add(w, dir, d, name, ino, type);
}

int
dir_take(struct ext4_writer *w, uint32_t dir, const char *name, uint32_t *ino,
    uint8_t *type)
{
	struct ext2_dir_entry_2 *e;
	struct disk_inode d;
	struct cbuf *b;
	int offset, r;

	if ((r = inode_read(w, dir, &d)) < 0 ||
	    (r = dir_locate(w, &d, name, &b, &offset)) < 0)
		return r;
	e = entry_at(b->data, (uint32_t)offset);
	*ino = e->inode;
	*type = e->file_type;
	leaf_take(b->data, (uint32_t)offset);
	cache_dirty(b, KIND_DIR_LEAF, dir);
	return 0;
}

static int
give_meta(struct ext4_writer *w, uint32_t block)
{
	if (block == 0)
		return 0;
	cache_drop(w, block);
	return blocks_give(w, block, 1);
}

int
dir_free_blocks(struct ext4_writer *w, const struct disk_inode *d)
{
	uint32_t count = (uint32_t)(inode_size(d) >> BLOCK_SHIFT);
	uint32_t dind = d->in.i_block[EXT2_DIND_BLOCK], block;
	int r;

	for (uint32_t i = 0; i < count; i++)
		if ((r = dir_map(w, d, i, &block)) < 0 ||
		    (r = give_meta(w, block)) < 0)
			return r;
	for (uint32_t i = 0; dind != 0 && i < POINTERS; i++)
		if ((r = map_read(w, dind, i, &block)) < 0 ||
		    (r = give_meta(w, block)) < 0)
			return r;
	if ((r = give_meta(w, d->in.i_block[EXT2_IND_BLOCK])) < 0)
		return r;
	return give_meta(w, dind);
}
