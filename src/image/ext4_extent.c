/*
 * Extent trees, built from the bottom while a file's blocks come in order:
 * one node per level is filled in memory and written when it is full. So any
 * file, however scattered its holes, needs the same few pages, and all nodes
 * but the last ones are full.
 *
 * Format: kernel, Documentation/filesystems/ext4/ifork.rst.
 */
#include "image/ext4_internal.h"

#include <string.h>

#define ROOT_EXTENTS 4u

/* Leaf and index entries have one size, and one array holds either. */
_Static_assert(sizeof(struct ext3_extent) == sizeof(struct ext3_extent_idx),
    "extent entries");

void
extents_init(struct extent_tree *t, uint32_t ino)
{
	t->ino = ino;
	t->last.ee_len = 0;
	memset(t->count, 0, sizeof(t->count));
	t->node_blocks = 0;
	t->data_blocks = 0;
}

static void
fill_node(uint8_t *at, const struct extent_tree *t, uint32_t level,
    uint32_t max)
{
	struct ext3_extent_header h = {
		.eh_magic = EXT3_EXT_MAGIC,
		.eh_entries = (uint16_t)t->count[level],
		.eh_max = (uint16_t)max,
		.eh_depth = (uint16_t)level,
	};

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), t->node[level],
	    t->count[level] * sizeof(t->node[level][0]));
}

static int
push(struct ext4_writer *w, struct extent_tree *t, uint32_t level,
    const void *entry);

/* Writes the node of LEVEL out and enters it one level up. */
static int
write_node(struct ext4_writer *w, struct extent_tree *t, uint32_t level)
{
	struct ext3_extent_idx idx;
	struct cbuf *b;
	uint32_t block;
	int r;

	if ((r = block_take_meta(w, &block)) < 0 ||
	    (r = cache_new(w, block, &b)) < 0)
		return r;
	fill_node(b->data, t, level, EXTENTS_PER_BLOCK);
	cache_dirty(b, KIND_EXTENTS, t->ino);
	t->node_blocks++;
	idx = (struct ext3_extent_idx){
		.ei_block = t->node[level][0].ee_block,
		.ei_leaf = block,
	};
	t->count[level] = 0;
	return push(w, t, level + 1, &idx);
}

static int
push(struct ext4_writer *w, struct extent_tree *t, uint32_t level,
    const void *entry)
{
	int r;

	if (level == EXTENT_LEVELS)
		return -EFBIG;
	if (t->count[level] == EXTENTS_PER_BLOCK &&
	    (r = write_node(w, t, level)) < 0)
		return r;
	memcpy(&t->node[level][t->count[level]++], entry,
	    sizeof(struct ext3_extent));
	return 0;
}

int
extents_add(struct ext4_writer *w, struct extent_tree *t, uint32_t logical,
    uint32_t place, uint32_t count)
{
	struct ext3_extent *last = &t->last;
	int r;

	t->data_blocks += count;
	while (count > 0) {
		uint32_t n = (uint32_t)EXT_INIT_MAX_LEN - last->ee_len;

		if (last->ee_len == 0 || n == 0 ||
		    last->ee_block + last->ee_len != logical ||
		    last->ee_start + last->ee_len != place) {
			if (last->ee_len > 0 && (r = push(w, t, 0, last)) < 0)
				return r;
			*last = (struct ext3_extent){
				.ee_block = logical,
				.ee_start = place,
			};
			n = (uint32_t)EXT_INIT_MAX_LEN;
		}
		if (n > count)
			n = count;
		last->ee_len = (uint16_t)(last->ee_len + n);
		logical += n;
		place += n;
		count -= n;
	}
	return 0;
}

int
extents_finish(struct ext4_writer *w, struct extent_tree *t,
    struct disk_inode *d)
{
	uint32_t level = 0;
	int r;

	if (t->last.ee_len > 0 && (r = push(w, t, 0, &t->last)) < 0)
		return r;
	for (;;) {
		uint32_t above = 0;

		for (uint32_t i = level + 1; i < EXTENT_LEVELS; i++)
			above += t->count[i];
		if (above == 0 && t->count[level] <= ROOT_EXTENTS)
			break;
		if ((r = write_node(w, t, level++)) < 0)
			return r;
	}
	memset(d->in.i_block, 0, sizeof(d->in.i_block));
	fill_node((uint8_t *)d->in.i_block, t, level, ROOT_EXTENTS);
	d->in.i_flags |= EXT4_EXTENTS_FL;
	inode_add_blocks(d, (int64_t)(t->data_blocks + t->node_blocks));
	return 0;
}

static int
free_node(struct ext4_writer *w, const uint8_t *node, size_t size);

/* A block below the root; copied, as freeing what it lists uses the cache. */
static int
free_child(struct ext4_writer *w, uint32_t block)
{
	uint8_t copy[BLOCK_BYTES];
	struct cbuf *b;
	int r;

	if ((r = cache_get(w, block, &b)) < 0)
		return r;
	memcpy(copy, b->data, sizeof(copy));
	if ((r = free_node(w, copy, sizeof(copy))) < 0)
		return r;
	cache_drop(w, block);
	return blocks_give(w, block, 1);
}

static int
free_node(struct ext4_writer *w, const uint8_t *node, size_t size)
{
	struct ext3_extent_header h;
	int r = 0;

	memcpy(&h, node, sizeof(h));
	if (h.eh_magic != EXT3_EXT_MAGIC || h.eh_depth > EXTENT_LEVELS ||
	    sizeof(h) + h.eh_entries * sizeof(struct ext3_extent) > size)
		return -EUCLEAN;
	for (size_t i = 0; i < h.eh_entries && r == 0; i++) {
		const uint8_t *at = node + sizeof(h) +
		    i * sizeof(struct ext3_extent);
		struct ext3_extent_idx idx;
		struct ext3_extent e;

		memcpy(&e, at, sizeof(e));
		memcpy(&idx, at, sizeof(idx));
		if (h.eh_depth > 0)
			r = free_child(w, idx.ei_leaf);
		else
			r = blocks_give(w, e.ee_start, e.ee_len);
	}
	return r;
}

int
extents_free(struct ext4_writer *w, const struct disk_inode *d)
{
	return free_node(w, (const uint8_t *)d->in.i_block,
	    sizeof(d->in.i_block));
}
