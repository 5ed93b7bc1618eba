/*
 * Hashed directory trees, made and searched as the kernel does: a root and up
 * to two levels of index blocks over leaves, each leaf holding one range of
 * hashes. Splitting is the only way a tree grows, and nothing ever shrinks.
 *
 * When one hash fills a leaf, the next leaf goes on with it and its index
 * entry has bit 0 set. Real names hardly ever do that, but whoever makes an
 * archive can choose names so; a search over more than CHAIN_MAX such leaves
 * is refused, or a million of those names would take a million searches over
 * all of them.
 *
 * Format: kernel, Documentation/filesystems/ext4/directory.rst.
 */
#include "image/ext4_internal.h"

#include <string.h>

#define CHAIN_MAX 64
#define MAX_LEVELS 3
#define ROOT_ENTRIES_AT 32u
#define NODE_ENTRIES_AT 8u
#define TAIL_BYTES 8u
#define MAX_LEAF_ENTRIES (LEAF_BYTES / 12)

/* One index block on the way down, and the entry that was followed. */
struct frame {
	struct cbuf *b;
	struct ext2_dx_entry *entries;
	uint32_t at;
};

struct path {
	struct frame frame[MAX_LEVELS];
	uint32_t levels;
	uint32_t hash;
};

/* A leaf entry while it is being sorted. */
struct slot {
	uint32_t hash;
	uint32_t offset;
};

static uint32_t
name_hash(const char *name, uint32_t len)
{
	uint32_t hash = 0, minor = 0;

	(void)ext2fs_dirhash2(EXT2_HASH_HALF_MD4_UNSIGNED, name, (int)len, NULL,
	    0, ext4_hash_seed, &hash, &minor);
	/* To the kernel the highest hash is the end of the directory. */
	return hash == 0xfffffffe ? 0xfffffffc : hash;
}

static struct ext2_dx_countlimit *
countlimit(const struct frame *f)
{
	return (void *)f->entries;
}

static bool
frame_full(const struct frame *f)
{
	return countlimit(f)->count == countlimit(f)->limit;
}

static struct ext2_dx_root_info *
root_info(struct cbuf *b)
{
	return (void *)(b->data + 24);
}

static void
frame_dirty(const struct path *p, uint32_t level, uint32_t dir)
{
	cache_dirty(p->frame[level].b,
	    level == 0 ? KIND_DIR_ROOT : KIND_DIR_NODE, dir);
}

/* The last entry whose hash is not above HASH; entry 0 has none. */
static uint32_t
frame_search(const struct frame *f, uint32_t hash)
{
	uint32_t low = 1, high = countlimit(f)->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (f->entries[middle].hash > hash)
			high = middle;
		else
			low = middle + 1;
	}
	return low - 1;
}

static int
get_logical(struct ext4_writer *w, const struct disk_inode *d,
    uint32_t logical, struct cbuf **b)
{
	uint32_t block;
	int r = dir_map(w, d, logical, &block);

	return r < 0 ? r : cache_get(w, block, b);
}

static int
frame_load(struct ext4_writer *w, const struct disk_inode *d, struct path *p,
    uint32_t level)
{
	struct frame *f = &p->frame[level];
	uint32_t logical = 0;
	int r;

	if (level > 0)
		logical = f[-1].entries[f[-1].at].block;
	if ((r = get_logical(w, d, logical, &f->b)) < 0)
		return r;
	f->entries = (void *)(f->b->data +
	    (level == 0 ? ROOT_ENTRIES_AT : NODE_ENTRIES_AT));
	f->at = 0;
	return 0;
}

/* Walks down to the index block above the first leaf for HASH. */
static int
probe(struct ext4_writer *w, const struct disk_inode *d, uint32_t hash,
    struct path *p)
{
	int r;

	p->hash = hash;
	p->levels = 1;
	for (uint32_t i = 0; i < p->levels; i++) {
		if ((r = frame_load(w, d, p, i)) < 0)
			return r;
		if (i == 0)
			p->levels = root_info(p->frame[0].b)->indirect_levels +
			    1u;
		if (p->levels > MAX_LEVELS)
			return -EUCLEAN;
		p->frame[i].at = frame_search(&p->frame[i], hash);
	}
	return 0;
}

/* Goes on to the next leaf if it continues the same hash, or -ENOENT. */
static int
probe_next(struct ext4_writer *w, const struct disk_inode *d, struct path *p)
{
	uint32_t level = p->levels;
	struct frame *f;
	int r;

	do {
		if (level-- == 0)
			return -ENOENT;
		f = &p->frame[level];
	} while (f->at + 1 >= countlimit(f)->count);
	f->at++;
	if (f->entries[f->at].hash != (p->hash | 1))
		return -ENOENT;
	while (++level < p->levels)
		if ((r = frame_load(w, d, p, level)) < 0)
			return r;
	return 0;
}

static int
path_leaf(struct ext4_writer *w, const struct disk_inode *d,
    const struct path *p, struct cbuf **leaf)
{
	const struct frame *f = &p->frame[p->levels - 1];

	return get_logical(w, d, f->entries[f->at].block, leaf);
}

int
htree_find(struct ext4_writer *w, const struct disk_inode *d,
    const char *name, struct cbuf **leaf, int *offset)
{
	uint32_t len = (uint32_t)strlen(name);
	struct path p;
	int r;

	if ((r = probe(w, d, name_hash(name, len), &p)) < 0)
		return r;
	for (int steps = 0; steps < CHAIN_MAX; steps++) {
		if ((r = path_leaf(w, d, &p, leaf)) < 0)
			return r;
		*offset = leaf_find((*leaf)->data, name, len);
		if (*offset != -ENOENT)
			return *offset < 0 ? *offset : 0;
		if ((r = probe_next(w, d, &p)) < 0)
			return r;
	}
	return -EOVERFLOW;
}

/* Enters LOGICAL, which begins with HASH, behind the entry followed. */
static void
frame_insert(struct frame *f, uint32_t hash, uint32_t logical)
{
	struct ext2_dx_countlimit *cl = countlimit(f);
	uint32_t at = f->at + 1;

	memmove(&f->entries[at + 1], &f->entries[at],
	    (cl->count - at) * sizeof(f->entries[0]));
	f->entries[at].hash = hash;
	f->entries[at].block = logical;
	cl->count++;
}

static int
append_node(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    uint32_t *logical, struct frame *f)
{
	struct ext2_dir_entry_2 *fake;
	int r;

	if ((r = dir_append(w, dir, d, logical, &f->b)) < 0)
		return r;
	memset(f->b->data, 0, BLOCK_BYTES);
	fake = (void *)f->b->data;
	fake->rec_len = BLOCK_BYTES;
	f->entries = (void *)(f->b->data + NODE_ENTRIES_AT);
	countlimit(f)->limit = (BLOCK_BYTES - NODE_ENTRIES_AT - TAIL_BYTES) /
	    sizeof(struct ext2_dx_entry);
	f->at = 0;
	cache_dirty(f->b, KIND_DIR_NODE, dir);
	return 0;
}

/* All of the root's entries go to a new node below it. */
static int
tree_grow(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    struct path *p)
{
	struct frame *root = &p->frame[0], node;
	uint32_t logical;
	int r;

	if (p->levels == MAX_LEVELS)
		return -EFBIG;
	if ((r = append_node(w, dir, d, &logical, &node)) < 0)
		return r;
	countlimit(&node)->count = countlimit(root)->count;
	node.entries[0].block = root->entries[0].block;
	memcpy(&node.entries[1], &root->entries[1],
	    (countlimit(root)->count - 1u) * sizeof(node.entries[0]));
	countlimit(root)->count = 1;
	root->entries[0].block = logical;
	root_info(root->b)->indirect_levels++;
	frame_dirty(p, 0, dir);
	if (p->levels + 1 == MAX_LEVELS)
		w->large_dir = true;
	return 0;
}

/* Makes room in the lowest index block; the path is stale after that. */
static int
index_split(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    struct path *p)
{
	uint32_t level = p->levels - 1, logical, keep, move;
	struct frame *f, node;
	int r;

	while (level > 0 && frame_full(&p->frame[level - 1]))
		level--;
	if (level == 0)
		return tree_grow(w, dir, d, p);
	f = &p->frame[level];
	keep = countlimit(f)->count / 2u;
	move = countlimit(f)->count - keep;
	if ((r = append_node(w, dir, d, &logical, &node)) < 0)
		return r;
	node.entries[0].block = f->entries[keep].block;
	memcpy(&node.entries[1], &f->entries[keep + 1],
	    (move - 1) * sizeof(node.entries[0]));
	countlimit(&node)->count = (uint16_t)move;
	frame_insert(f - 1, f->entries[keep].hash, logical);
	countlimit(f)->count = (uint16_t)keep;
	frame_dirty(p, level, dir);
	frame_dirty(p, level - 1, dir);
	return 0;
}

static int
by_hash(const void *pa, const void *pb)
{
	const struct slot *a = pa, *b = pb;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Lists the entries of LEAF from offset AT on. */
static uint32_t
leaf_slots(const uint8_t *leaf, uint32_t at, struct slot *slots)
{
	uint32_t n = 0;

	while (at < LEAF_BYTES && n < MAX_LEAF_ENTRIES) {
		const struct ext2_dir_entry_2 *e = (const void *)(leaf + at);

		if (e->inode != 0) {
			slots[n].hash = name_hash(e->name, e->name_len);
			slots[n++].offset = at;
		}
		at += e->rec_len;
	}
	return n;
}

/* Fills the empty leaf OUT with the entries SLOTS of FROM. */
static void
leaf_pack(uint8_t *out, const uint8_t *from, const struct slot *slots,
    uint32_t n)
{
	struct ext2_dir_entry_2 *to = NULL;
	uint32_t at = 0;

	leaf_clear(out);
	for (uint32_t i = 0; i < n; i++) {
		const struct ext2_dir_entry_2 *e =
		    (const void *)(from + slots[i].offset);
		uint32_t len = dirent_bytes(e->name_len);

		to = (void *)(out + at);
		memcpy(to, e, 8u + e->name_len);
		to->rec_len = (uint16_t)len;
		at += len;
	}
	if (to != NULL)
		to->rec_len = (uint16_t)(to->rec_len + LEAF_BYTES - at);
}

/* How many of the sorted entries stay: about half of the bytes. */
static uint32_t
split_point(const uint8_t *leaf, const struct slot *slots, uint32_t n)
{
	uint32_t total = 0, sum = 0, i;

	for (i = 0; i < n; i++)
		total += dirent_bytes(((const struct ext2_dir_entry_2 *)
		    (const void *)(leaf + slots[i].offset))->name_len);
	for (i = 0; i < n - 1 && sum < total / 2; i++)
		sum += dirent_bytes(((const struct ext2_dir_entry_2 *)
		    (const void *)(leaf + slots[i].offset))->name_len);
	return i;
}

/* Moves the upper half of LEAF's hashes to a new leaf. */
static int
leaf_split(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    struct path *p, struct cbuf *leaf)
{
	struct slot slots[MAX_LEAF_ENTRIES];
	uint8_t old[BLOCK_BYTES];
	uint32_t n, keep, logical, hash;
	struct cbuf *upper;
	int r;

	memcpy(old, leaf->data, sizeof(old));
	n = leaf_slots(old, 0, slots);
	if (n < 2)
		return -EUCLEAN;
	qsort(slots, n, sizeof(slots[0]), by_hash);
	keep = split_point(old, slots, n);
	if ((r = dir_append(w, dir, d, &logical, &upper)) < 0)
		return r;
	leaf_pack(upper->data, old, slots + keep, n - keep);
	leaf_pack(leaf->data, old, slots, keep);
	cache_dirty(leaf, KIND_DIR_LEAF, dir);
	hash = slots[keep].hash;
	if (slots[keep - 1].hash == hash)
		hash |= 1;
	frame_insert(&p->frame[p->levels - 1], hash, logical);
	frame_dirty(p, p->levels - 1, dir);
	return 0;
}

int
htree_add(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
    const char *name, uint32_t ino, uint8_t type)
{
	uint32_t len = (uint32_t)strlen(name), hash = name_hash(name, len);

	for (;;) {
		struct cbuf *leaf;
		struct path p;
		int r;

		if ((r = probe(w, d, hash, &p)) < 0 ||
		    (r = path_leaf(w, d, &p, &leaf)) < 0)
			return r;
		if (leaf_add(leaf->data, name, len, ino, type)) {
			cache_dirty(leaf, KIND_DIR_LEAF, dir);
			return 0;
		}
		if (frame_full(&p.frame[p.levels - 1]))
			r = index_split(w, dir, d, &p);
		else
			r = leaf_split(w, dir, d, &p, leaf);
		if (r < 0)
			return r;
	}
}

static void
make_root(uint8_t *block)
{
	struct ext2_dir_entry_2 *dotdot = (void *)(block + 12);
	struct ext2_dx_root_info *info = (void *)(block + 24);
	struct frame f = { .entries = (void *)(block + ROOT_ENTRIES_AT) };

	memset(block + 24, 0, BLOCK_BYTES - 24);
	dotdot->rec_len = BLOCK_BYTES - 12;
	info->hash_version = EXT2_HASH_HALF_MD4;
	info->info_length = sizeof(*info);
	countlimit(&f)->limit = (BLOCK_BYTES - ROOT_ENTRIES_AT - TAIL_BYTES) /
	    sizeof(struct ext2_dx_entry);
	countlimit(&f)->count = 1;
	f.entries[0].block = 1;
}

int
htree_convert(struct ext4_writer *w, uint32_t dir, struct disk_inode *d)
{
	struct slot slots[MAX_LEAF_ENTRIES];
	struct cbuf *root, *leaf;
	uint32_t logical, n;
	int r;

	if ((r = cache_get(w, d->in.i_block[0], &root)) < 0 ||
	    (r = dir_append(w, dir, d, &logical, &leaf)) < 0)
		return r;
	/* "." and ".." are the first 24 bytes of every directory. */
	n = leaf_slots(root->data, 24, slots);
	leaf_pack(leaf->data, root->data, slots, n);
	make_root(root->data);
	cache_dirty(root, KIND_DIR_ROOT, dir);
	d->in.i_flags |= EXT2_INDEX_FL;
	return 0;
}
