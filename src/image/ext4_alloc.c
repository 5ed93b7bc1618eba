/*
 * Blocks and inodes: first fit from the low end, over the bitmaps in the file
 * itself. What is given back is found again when it has become worth a new
 * pass: after a sixteenth of everything, so that searching stays linear
 * however often an archive replaces its own entries.
 */
#include "image/ext4_internal.h"

#include <fcntl.h>
#include <string.h>

#define DATA_WINDOW 1024u
#define META_WINDOW 32u
#define PUNCH_BLOCKS 16u

/* Powers of 3, 5 and 7: the sparse_super feature. */
bool
group_has_super(uint32_t g)
{
	static const uint32_t bases[] = { 3, 5, 7 };

	if (g <= 1)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		uint32_t power = bases[i];

		while (power < g)
			power *= bases[i];
		if (power == g)
			return true;
	}
	return false;
}

uint32_t
group_block_bitmap(uint32_t g)
{
	return g * GROUP_BLOCKS + (group_has_super(g) ? 1 + GDT_BLOCKS : 0);
}

uint32_t
group_inode_bitmap(uint32_t g)
{
	return group_block_bitmap(g) + 1;
}

/* First block of group G without a fixed use. */
static uint32_t
group_first(uint32_t g)
{
	return group_block_bitmap(g) + 2;
}

static void
bitmap_mark(uint8_t *map, uint32_t from, uint32_t count, bool used)
{
	for (uint32_t i = from, end = from + count; i < end;) {
		if (i % 8 == 0 && end - i >= 8) {
			memset(map + i / 8, used ? 0xff : 0, (end - i) / 8);
			i += (end - i) & ~7u;
			continue;
		}
		if (used)
			map[i / 8] |= (uint8_t)(1u << (i % 8));
		else
			map[i / 8] &= (uint8_t)~(1u << (i % 8));
		i++;
	}
}

/* First bit with the value SET at or after FROM, or LIMIT. */
static uint32_t
bitmap_find(const uint8_t *map, uint32_t from, uint32_t limit, bool set)
{
	const uint64_t skip = set ? 0 : UINT64_MAX;

	for (uint32_t i = from; i < limit;) {
		uint64_t word;

		memcpy(&word, map + i / 64 * sizeof(word), sizeof(word));
		word = (word ^ skip) >> (i % 64);
		if (word != 0) {
			i += (uint32_t)__builtin_ctzll(word);
			return i < limit ? i : limit;
		}
		i = (i / 64 + 1) * 64;
	}
	return limit;
}

uint32_t
bitmap_find_zero(const uint8_t *map, uint32_t from, uint32_t limit)
{
	return bitmap_find(map, from, limit, false);
}

int
group_open(struct ext4_writer *w, uint32_t g)
{
	while (w->blocks.groups <= g) {
		uint32_t n = w->blocks.groups;
		struct cbuf *b;
		int r;

		r = cache_new(w, group_block_bitmap(n), &b);
		if (r < 0)
			return r;
		bitmap_mark(b->data, 0, group_first(n) - n * GROUP_BLOCKS,
		    true);
		cache_dirty(b, KIND_PLAIN, 0);
		w->blocks.groups++;
	}
	return 0;
}

int
blocks_mark(struct ext4_writer *w, uint32_t start, uint32_t count, bool used)
{
	while (count > 0) {
		uint32_t g = start / GROUP_BLOCKS, at = start % GROUP_BLOCKS;
		uint32_t n = GROUP_BLOCKS - at;
		struct cbuf *b;
		int r;

		if (n > count)
			n = count;
		if ((r = cache_get(w, group_block_bitmap(g), &b)) < 0)
			return r;
		bitmap_mark(b->data, at, n, used);
		cache_dirty(b, KIND_PLAIN, 0);
		start += n;
		count -= n;
	}
	return 0;
}

/* The next free run, at most WANT blocks of it. */
static int
window_find(struct ext4_writer *w, uint32_t want, uint32_t *start,
    uint32_t *len)
{
	struct block_space *s = &w->blocks;

	for (;;) {
		uint32_t g = s->cursor / GROUP_BLOCKS, at, end;
		struct cbuf *b;
		int r;

		/* The rest is for the file system itself. */
		if (s->cursor >= s->limit - s->limit / 8)
			return -EDQUOT;
		if ((r = group_open(w, g)) < 0 ||
		    (r = cache_get(w, group_block_bitmap(g), &b)) < 0)
			return r;
		at = bitmap_find(b->data, s->cursor % GROUP_BLOCKS,
		    GROUP_BLOCKS, false);
		end = at + want < GROUP_BLOCKS ? at + want : GROUP_BLOCKS;
		end = bitmap_find(b->data, at, end, true);
		s->cursor = g * GROUP_BLOCKS + end;
		if (s->cursor > s->fresh)
			s->fresh = s->cursor;
		if (at == GROUP_BLOCKS)
			continue;
		*start = g * GROUP_BLOCKS + at;
		*len = end - at;
		return 0;
	}
}

int
blocks_take(struct ext4_writer *w, uint32_t want, uint32_t *start,
    uint32_t *got)
{
	struct block_space *s = &w->blocks;
	int r;

	if (s->data_len == 0) {
		r = window_find(w, DATA_WINDOW, &s->data_start, &s->data_len);
		if (r < 0)
			return r;
	}
	if (want > s->data_len)
		want = s->data_len;
	if ((r = blocks_mark(w, s->data_start, want, true)) < 0)
		return r;
	*start = s->data_start;
	*got = want;
	s->data_start += want;
	s->data_len -= want;
	s->live += want;
	return 0;
}

int
block_take_meta(struct ext4_writer *w, uint32_t *block)
{
	struct block_space *s = &w->blocks;
	int r;

	if (s->meta_len == 0) {
		r = window_find(w, META_WINDOW, &s->meta_start, &s->meta_len);
		if (r < 0)
			return r;
	}
	if ((r = blocks_mark(w, s->meta_start, 1, true)) < 0)
		return r;
	*block = s->meta_start++;
	s->meta_len--;
	s->live++;
	return 0;
}

static void
space_freed(struct block_space *s, uint32_t start, uint32_t count)
{
	s->freed += count;
	if (start < s->lowest_freed)
		s->lowest_freed = start;
	if (s->freed < GROUP_BLOCKS / 8 || s->freed < s->fresh / 16)
		return;
	s->cursor = s->lowest_freed;
	s->data_len = 0;
	s->meta_len = 0;
	s->freed = 0;
	s->lowest_freed = UINT32_MAX;
}

int
blocks_take_fresh(struct ext4_writer *w, uint32_t min, uint32_t max,
    uint32_t *start, uint32_t *got)
{
	struct block_space *s = &w->blocks;
	uint32_t at = s->fresh, gap = s->fresh, g, left;
	int r;

	for (;;) {
		g = at / GROUP_BLOCKS;
		if (at >= s->limit)
			return -EDQUOT;
		if (at < group_first(g))
			at = group_first(g);
		left = (g + 1) * GROUP_BLOCKS - at;
		if (left >= min)
			break;
		at += left;
	}
	*start = at;
	*got = left < max ? left : max;
	s->fresh = at + *got;
	if ((r = group_open(w, g)) < 0 ||
	    (r = blocks_mark(w, at, *got, true)) < 0)
		return r;
	if (at > gap)
		space_freed(s, gap, at - gap);
	return 0;
}

/* The host gets its space back too; that it cannot is no error. */
static void
punch(int fd, uint32_t start, uint32_t count)
{
	if (count >= PUNCH_BLOCKS)
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)start << BLOCK_SHIFT, (off_t)count << BLOCK_SHIFT);
}

int
blocks_give(struct ext4_writer *w, uint32_t start, uint32_t count)
{
	uint64_t from = (uint64_t)start << BLOCK_SHIFT;
	uint64_t to = from + ((uint64_t)count << BLOCK_SHIFT);
	int r;

	/* Pending data must not land on what these blocks become next. */
	if (w->data.fill > 0 && w->data.place < to &&
	    w->data.place + w->data.fill > from && (r = data_flush(w)) < 0)
		return r;
	if ((r = blocks_mark(w, start, count, false)) < 0)
		return r;
	punch(w->fd, start, count);
	w->blocks.live -= count;
	space_freed(&w->blocks, start, count);
	return 0;
}

static int
chunk_add(struct ext4_writer *w)
{
	struct inode_space *s = &w->inodes;
	uint32_t start, got;
	struct cbuf *b;
	int r;

	if (s->chunks == MAX_GROUPS)
		return -EDQUOT;
	r = blocks_take_fresh(w, CHUNK_BLOCKS, CHUNK_BLOCKS, &start, &got);
	if (r < 0 || (r = cache_new(w, group_inode_bitmap(s->chunks), &b)) < 0)
		return r;
	cache_dirty(b, KIND_PLAIN, 0);
	s->chunk_start[s->chunks++] = start;
	return 0;
}

int
inode_take(struct ext4_writer *w, bool dir, uint32_t *ino)
{
	struct inode_space *s = &w->inodes;
	uint32_t chunk, at;
	struct cbuf *b;
	int r;

	for (;;) {
		chunk = s->cursor / CHUNK_INODES;
		if (chunk == s->chunks && (r = chunk_add(w)) < 0)
			return r;
		r = cache_get(w, group_inode_bitmap(chunk), &b);
		if (r < 0)
			return r;
		at = bitmap_find_zero(b->data, s->cursor % CHUNK_INODES,
		    CHUNK_INODES);
		s->cursor = chunk * CHUNK_INODES + at;
		if (at < CHUNK_INODES)
			break;
	}
	bitmap_mark(b->data, at, 1, true);
	cache_dirty(b, KIND_PLAIN, 0);
	if (dir)
		s->dirs[s->cursor / MIN_INODES_PER_GROUP]++;
	s->used++;
	*ino = ++s->cursor;
	if (*ino > s->highest)
		s->highest = *ino;
	return layer_mark(w, *ino);
}

int
inode_give(struct ext4_writer *w, uint32_t ino, bool dir)
{
	static const struct disk_inode none;
	struct inode_space *s = &w->inodes;
	uint32_t n = ino - 1;
	struct cbuf *b;
	int r;

	if ((r = inode_write(w, ino, &none)) < 0 ||
	    (r = cache_get(w, group_inode_bitmap(n / CHUNK_INODES), &b)) < 0)
		return r;
	bitmap_mark(b->data, n % CHUNK_INODES, 1, false);
	cache_dirty(b, KIND_PLAIN, 0);
	if (dir)
		s->dirs[n / MIN_INODES_PER_GROUP]--;
	s->used--;
	s->freed++;
	if (n < s->lowest_freed)
		s->lowest_freed = n;
	if (s->freed >= CHUNK_INODES / 16 && s->freed >= s->highest / 16) {
		s->cursor = s->lowest_freed;
		s->freed = 0;
		s->lowest_freed = UINT32_MAX;
	}
	return 0;
}
