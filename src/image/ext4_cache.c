/*
 * The block cache: 4096 blocks, least recently used goes first. When that one
 * is dirty, everything dirty is written, sorted and in pieces as long as
 * possible; so metadata costs few system calls although it is written one
 * entry at a time. Checksums are computed only when a block leaves.
 */
#include "image/ext4_internal.h"

#include <string.h>

#define WRITE_BLOCKS 64

static uint32_t
owner_csum(const struct cbuf *buf)
{
	uint32_t id[2] = { buf->ino, 0 /* generation */ };

	return ext2fs_crc32c_le(ext4_csum_seed, (uint8_t *)id, sizeof(id));
}

static void
seal_leaf(struct cbuf *buf)
{
	struct ext2_dir_entry_tail *tail = (void *)(buf->data + LEAF_BYTES);

	tail->det_checksum = ext2fs_crc32c_le(owner_csum(buf), buf->data,
	    LEAF_BYTES);
}

/* Index blocks: all entries in use, then the tail with a zero checksum. */
static void
seal_index(struct cbuf *buf, size_t entries_at)
{
	struct ext2_dx_countlimit *cl = (void *)(buf->data + entries_at);
	struct ext2_dx_tail *tail;
	uint32_t csum;

	tail = (void *)(buf->data + entries_at +
	    cl->limit * sizeof(struct ext2_dx_entry));
	tail->dt_checksum = 0;
	csum = ext2fs_crc32c_le(owner_csum(buf), buf->data,
	    entries_at + cl->count * sizeof(struct ext2_dx_entry));
	tail->dt_checksum = ext2fs_crc32c_le(csum, (uint8_t *)tail,
	    sizeof(*tail));
}

static void
seal_extents(struct cbuf *buf)
{
	struct ext3_extent_tail *tail;

	tail = (void *)(buf->data + BLOCK_BYTES - sizeof(*tail));
	tail->et_checksum = ext2fs_crc32c_le(owner_csum(buf), buf->data,
	    BLOCK_BYTES - sizeof(*tail));
}

static void
seal_xattr(struct cbuf *buf)
{
	struct ext2_ext_attr_header *h = (void *)buf->data;
	uint64_t block = buf->block;
	uint32_t csum;

	h->h_checksum = 0;
	csum = ext2fs_crc32c_le(ext4_csum_seed, (uint8_t *)&block,
	    sizeof(block));
	h->h_checksum = ext2fs_crc32c_le(csum, buf->data, BLOCK_BYTES);
}

static void
seal(struct cbuf *buf)
{
	switch (buf->kind) {
	case KIND_PLAIN:
		break;
	case KIND_DIR_LEAF:
		seal_leaf(buf);
		break;
	case KIND_DIR_ROOT:
		seal_index(buf, 32);
		break;
	case KIND_DIR_NODE:
		seal_index(buf, 8);
		break;
	case KIND_EXTENTS:
		seal_extents(buf);
		break;
	case KIND_XATTR:
		seal_xattr(buf);
		break;
	}
}

int
write_at(int fd, const void *buf, size_t len, uint64_t place)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)place);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		place += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
read_at(int fd, void *buf, size_t len, uint64_t place)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)place);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		place += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
image_write(struct ext4_writer *w, const void *buf, size_t len,
    uint64_t place)
{
	int r = room_take(&w->room, w->fd, len);

	if (r == 0)
		r = write_at(w->fd, buf, len, place);
	/* The other one is the image's own (ext4_writer.h). */
	return r == -EDQUOT ? -ENOSPC : r;
}

int
cache_init(struct cache *c)
{
	c->pool = aligned_alloc(BLOCK_BYTES, (size_t)CACHE_BLOCKS * BLOCK_BYTES);
	c->bufs = calloc(CACHE_BLOCKS, sizeof(*c->bufs));
	c->hash = malloc(CACHE_HASH * sizeof(*c->hash));
	if (c->pool == NULL || c->bufs == NULL || c->hash == NULL)
		return -ENOMEM;
	memset(c->hash, 0xff, CACHE_HASH * sizeof(*c->hash));
	for (int32_t i = 0; i < (int32_t)CACHE_BLOCKS; i++) {
		c->bufs[i].data = c->pool + (size_t)i * BLOCK_BYTES;
		c->bufs[i].older = i - 1;
		c->bufs[i].newer = i + 1;
	}
	c->bufs[CACHE_BLOCKS - 1].newer = -1;
	c->oldest = 0;
	c->newest = (int32_t)CACHE_BLOCKS - 1;
	return 0;
}

void
cache_free(struct cache *c)
{
	free(c->pool);
	free(c->bufs);
	free(c->hash);
}

static int32_t *
hash_head(struct cache *c, uint32_t block)
{
	return &c->hash[(block * 2654435761u) >> (32 - 13)];
}

static void
lru_unlink(struct cache *c, struct cbuf *b)
{
	if (b->newer >= 0)
		c->bufs[b->newer].older = b->older;
	else
		c->newest = b->older;
	if (b->older >= 0)
		c->bufs[b->older].newer = b->newer;
	else
		c->oldest = b->newer;
}

static void
lru_newest(struct cache *c, struct cbuf *b)
{
	int32_t i = (int32_t)(b - c->bufs);

	if (c->newest == i)
		return;
	lru_unlink(c, b);
	b->newer = -1;
	b->older = c->newest;
	c->bufs[c->newest].newer = i;
	c->newest = i;
}

static void
lru_oldest(struct cache *c, struct cbuf *b)
{
	int32_t i = (int32_t)(b - c->bufs);

	if (c->oldest == i)
		return;
	lru_unlink(c, b);
	b->older = -1;
	b->newer = c->oldest;
	c->bufs[c->oldest].older = i;
	c->oldest = i;
}

static struct cbuf *
cache_peek(struct cache *c, uint32_t block)
{
	for (int32_t i = *hash_head(c, block); i >= 0; i = c->bufs[i].hash_next)
		if (c->bufs[i].block == block)
			return &c->bufs[i];
	return NULL;
}

static void
hash_remove(struct cache *c, struct cbuf *b)
{
	int32_t *link = hash_head(c, b->block);

	while (&c->bufs[*link] != b)
		link = &c->bufs[*link].hash_next;
	*link = b->hash_next;
	b->valid = false;
	b->dirty = false;
}

/* Makes room for BLOCK and enters it; its bytes are not set. */
static int
cache_claim(struct ext4_writer *w, uint32_t block, struct cbuf **out)
{
	struct cache *c = &w->cache;
	struct cbuf *b = &c->bufs[c->oldest];
	int32_t *head = hash_head(c, block);
	int r;

	if (b->valid && b->dirty && (r = cache_flush(w)) < 0)
		return r;
	if (b->valid)
		hash_remove(c, b);
	b->block = block;
	b->ino = 0;
	b->kind = KIND_PLAIN;
	b->valid = true;
	b->dirty = false;
	b->hash_next = *head;
	*head = (int32_t)(b - c->bufs);
	*out = b;
	return 0;
}

int
cache_get(struct ext4_writer *w, uint32_t block, struct cbuf **out)
{
	struct cbuf *b = cache_peek(&w->cache, block);
	int r;

	if (b == NULL) {
		if ((r = cache_claim(w, block, &b)) < 0)
			return r;
		r = read_at(w->fd, b->data, BLOCK_BYTES,
		    (uint64_t)block << BLOCK_SHIFT);
		if (r < 0) {
			hash_remove(&w->cache, b);
			return r;
		}
	}
	lru_newest(&w->cache, b);
	*out = b;
	return 0;
}

int
cache_new(struct ext4_writer *w, uint32_t block, struct cbuf **out)
{
	struct cbuf *b = cache_peek(&w->cache, block);
	int r;

	if (b == NULL && (r = cache_claim(w, block, &b)) < 0)
		return r;
	lru_newest(&w->cache, b);
	memset(b->data, 0, BLOCK_BYTES);
	*out = b;
	return 0;
}

void
cache_dirty(struct cbuf *buf, enum block_kind kind, uint32_t ino)
{
	buf->kind = kind;
	buf->ino = ino;
	buf->dirty = true;
}

void
cache_drop(struct ext4_writer *w, uint32_t block)
{
	struct cbuf *b = cache_peek(&w->cache, block);

	if (b == NULL)
		return;
	hash_remove(&w->cache, b);
	lru_oldest(&w->cache, b);
}

static int
by_block(const void *a, const void *b)
{
	uint32_t x = (*(struct cbuf *const *)a)->block;
	uint32_t y = (*(struct cbuf *const *)b)->block;

	return (x > y) - (x < y);
}

int
cache_flush(struct ext4_writer *w)
{
	_cleanup_free_ struct cbuf **list = NULL;
	_cleanup_free_ uint8_t *piece = NULL;
	size_t n = 0, run;

	list = malloc(CACHE_BLOCKS * sizeof(struct cbuf *));
	piece = malloc((size_t)WRITE_BLOCKS * BLOCK_BYTES);
	if (list == NULL || piece == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < CACHE_BLOCKS; i++)
		if (w->cache.bufs[i].valid && w->cache.bufs[i].dirty)
			list[n++] = &w->cache.bufs[i];
	qsort(list, n, sizeof(struct cbuf *), by_block);
	for (size_t i = 0; i < n; i += run) {
		int r;

		for (run = 0; run < WRITE_BLOCKS && i + run < n &&
		    list[i + run]->block == list[i]->block + run; run++) {
			seal(list[i + run]);
			memcpy(piece + run * BLOCK_BYTES, list[i + run]->data,
			    BLOCK_BYTES);
		}
		r = image_write(w, piece, run * BLOCK_BYTES,
		    (uint64_t)list[i]->block << BLOCK_SHIFT);
		if (r < 0)
			return r;
		for (size_t k = 0; k < run; k++)
			list[i + k]->dirty = false;
	}
	return 0;
}
