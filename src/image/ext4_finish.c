/*
 * The end: decides how large the file system is, places journal, inode tables
 * and what else is missing, writes the final bitmaps, and has libext2fs make
 * super block, group descriptors, resize inode and their checksums.
 */
#include "image/ext4_internal.h"

#include <string.h>
#include <sys/stat.h>

#define MIB_BLOCKS ((1u << 20) / BLOCK_BYTES)
#define FREE_BLOCKS 4096u	/* 16 MiB at least, and a tenth more */
#define FREE_INODES 1024u		/* likewise */
#define DESCRIPTORS_PER_BLOCK (BLOCK_BYTES / EXT2_MIN_DESC_SIZE_64BIT)
/*
 * How much the blocks of descriptors can grow, one for each 8 GiB, before the
 * kernel has to convert the file system to META_BG. Not more, for each reserved
 * block costs: when a VM's disk is grown to 8 GiB it is read, and 40 KiB are
 * written.
 */
#define GROWTH 32u

struct layout {
	uint32_t inodes_per_group;
	uint32_t table_blocks;		/* of one group */
	uint32_t groups;
	uint32_t blocks;
	uint32_t journal_blocks;
	uint32_t table[MAX_GROUPS];	/* first block of each inode table */
	uint64_t free_blocks;
	uint64_t free_inodes;
};

static uint32_t
div_up(uint64_t a, uint64_t b)
{
	return (uint32_t)((a + b - 1) / b);
}

/* Of descriptors, in use and reserved. */
static uint32_t
gdt_blocks(const struct layout *l)
{
	uint32_t blocks = GROWTH * div_up(l->groups, DESCRIPTORS_PER_BLOCK);

	return blocks < GDT_BLOCKS ? blocks : GDT_BLOCKS;
}

static uint32_t
journal_size(uint32_t live)
{
	if (live < 1024 * MIB_BLOCKS)
		return 16 * MIB_BLOCKS;
	return live < 4096 * MIB_BLOCKS ? 32 * MIB_BLOCKS : 64 * MIB_BLOCKS;
}

/* What group G costs whatever is in it. */
static uint32_t
group_overhead(const struct layout *l, uint32_t g)
{
	return group_block_bitmap(g) - g * GROUP_BLOCKS + 2 + l->table_blocks;
}

/*
 * Blocks needed with GROUPS groups: content, journal, overhead, and a tenth
 * plus 16 MiB free; but no less than what is behind the last block in use.
 */
static uint64_t
blocks_needed(const struct ext4_writer *w, const struct layout *l,
    uint32_t groups)
{
	uint64_t used = w->blocks.live + l->journal_blocks, total;

	for (uint32_t g = 0; g < groups; g++)
		used += group_overhead(l, g);
	total = used + used / 10 + FREE_BLOCKS;
	return total > w->blocks.fresh ? total : w->blocks.fresh;
}

/* The smallest number of groups that has room for its own overhead. */
static uint32_t
groups_needed(const struct ext4_writer *w, const struct layout *l)
{
	uint32_t groups = 1;

	for (;;) {
		uint32_t need = div_up(blocks_needed(w, l, groups),
		    GROUP_BLOCKS);

		if (need <= groups)
			return groups;
		groups = need;
	}
}

/*
 * As few inodes per group as the content allows: they are a part of every
 * group that the file system grows by later, too.
 */
static void
choose(const struct ext4_writer *w, struct layout *l)
{
	uint32_t need = w->inodes.highest;

	need += need / 10 + FREE_INODES;
	l->journal_blocks = journal_size(w->blocks.live);
	for (uint32_t n = MIN_INODES_PER_GROUP; n <= CHUNK_INODES; n *= 2) {
		l->inodes_per_group = n;
		l->table_blocks = n / INODES_PER_BLOCK;
		l->groups = groups_needed(w, l);
		if ((uint64_t)l->groups * n >= need)
			return;
	}
	l->groups = div_up(need, CHUNK_INODES);
}

static int
place_table(struct ext4_writer *w, struct layout *l, uint32_t g)
{
	uint64_t first = (uint64_t)g * l->inodes_per_group;
	uint32_t chunk = (uint32_t)(first / CHUNK_INODES), got;

	if (chunk >= w->inodes.chunks)
		return blocks_take_fresh(w, l->table_blocks, l->table_blocks,
		    &l->table[g], &got);
	l->table[g] = w->inodes.chunk_start[chunk] +
	    (uint32_t)(first % CHUNK_INODES) / INODES_PER_BLOCK;
	return 0;
}

/* The parts of chunks behind the last group's table are of no use. */
static int
trim_chunks(struct ext4_writer *w, const struct layout *l)
{
	uint64_t from = (uint64_t)l->groups * l->inodes_per_group;
	uint64_t end = (uint64_t)w->inodes.chunks * CHUNK_INODES;

	while (from < end) {
		uint32_t start = w->inodes.chunk_start[from / CHUNK_INODES] +
		    (uint32_t)(from % CHUNK_INODES) / INODES_PER_BLOCK;
		int r = blocks_mark(w, start, l->table_blocks, false);

		if (r < 0)
			return r;
		from += l->inodes_per_group;
	}
	return 0;
}

/* A last group that libext2fs finds too small for itself gets larger. */
static uint32_t
round_last_group(const struct layout *l, uint64_t blocks)
{
	uint32_t rest = (uint32_t)(blocks % GROUP_BLOCKS);
	uint32_t last = div_up(blocks, GROUP_BLOCKS) - 1;
	uint32_t least = group_overhead(l, last) + 50;

	if (rest != 0 && rest < least)
		blocks += least - rest;
	return (uint32_t)blocks;
}

static int
place_tables(struct ext4_writer *w, struct layout *l)
{
	uint32_t placed = 0;
	uint64_t blocks;
	int r;

	/* Placing tables can take the file system into one group more. */
	for (;;) {
		if (l->groups > MAX_GROUPS)
			return -EDQUOT;
		for (; placed < l->groups; placed++)
			if ((r = place_table(w, l, placed)) < 0)
				return r;
		blocks = blocks_needed(w, l, l->groups);
		if (blocks <= (uint64_t)(l->groups - 1) * GROUP_BLOCKS)
			blocks = (uint64_t)(l->groups - 1) * GROUP_BLOCKS + 1;
		if (blocks <= (uint64_t)l->groups * GROUP_BLOCKS)
			break;
		l->groups = div_up(blocks, GROUP_BLOCKS);
	}
	l->blocks = round_last_group(l, blocks);
	return l->blocks > w->blocks.limit ? -EDQUOT : trim_chunks(w, l);
}

static int
make_journal(struct ext4_writer *w, const struct layout *l,
    struct disk_inode *d)
{
	static const struct ext4_attr attr = { .mode = 0600 };
	struct extent_tree *t = &w->file.extents;
	uint32_t done = 0, start, got;
	int r;

	r = inode_fill(w, EXT2_JOURNAL_INO, S_IFREG, &attr, d);
	if (r < 0)
		return r;
	extents_init(t, EXT2_JOURNAL_INO);
	while (done < l->journal_blocks) {
		r = blocks_take_fresh(w, 1, l->journal_blocks - done, &start,
		    &got);
		if (r < 0 || (r = extents_add(w, t, done, start, got)) < 0)
			return r;
		done += got;
	}
	if ((r = extents_finish(w, t, d)) < 0)
		return r;
	inode_set_size(d, (uint64_t)l->journal_blocks << BLOCK_SHIFT);
	return inode_write(w, EXT2_JOURNAL_INO, d);
}

/*
 * The resize inode as libext2fs expects to find it when it is to add the
 * reserved blocks: with its one own block. (Left to itself libext2fs would
 * allocate that from bitmaps that it does not have.)
 */
static int
make_resize_inode(struct ext4_writer *w)
{
	static const struct ext4_attr attr = { .mode = 0600 };
	const uint64_t pointers = BLOCK_BYTES / 4;
	struct disk_inode d;
	struct cbuf *b;
	uint32_t block;
	int r;

	if ((r = block_take_meta(w, &block)) < 0 ||
	    (r = cache_new(w, block, &b)) < 0)
		return r;
	cache_dirty(b, KIND_PLAIN, 0);
	r = inode_fill(w, EXT2_RESIZE_INO, S_IFREG, &attr, &d);
	if (r < 0)
		return r;
	d.in.i_block[EXT2_DIND_BLOCK] = block;
	inode_add_blocks(&d, 1);
	inode_set_size(&d, (pointers * pointers + pointers + EXT2_NDIR_BLOCKS) *
	    BLOCK_BYTES);
	return inode_write(w, EXT2_RESIZE_INO, &d);
}

static uint32_t
bitmap_zeros(const uint8_t *map, uint32_t bits)
{
	uint32_t zeros = bits;

	for (uint32_t i = 0; i < bits / 8; i++)
		zeros -= (uint32_t)__builtin_popcount(map[i]);
	return zeros;
}

/*
 * Gives back what turns out not to be reserved for descriptors; the last group's
 * bitmap says that what is behind the end is in use.
 */
static int
finish_block_bitmap(struct ext4_writer *w, struct layout *l, uint32_t g,
    ext2_filsys fs)
{
	uint32_t first = g * GROUP_BLOCKS, zeros;
	struct cbuf *b;
	int r;

	if ((r = group_open(w, g)) < 0)
		return r;
	if (group_has_super(g) && (r = blocks_mark(w, first + 1 + gdt_blocks(l),
	    GDT_BLOCKS - gdt_blocks(l), false)) < 0)
		return r;
	if (l->blocks - first < GROUP_BLOCKS && (r = blocks_mark(w, l->blocks,
	    GROUP_BLOCKS - (l->blocks - first), true)) < 0)
		return r;
	if ((r = cache_get(w, group_block_bitmap(g), &b)) < 0)
		return r;
	zeros = bitmap_zeros(b->data, GROUP_BLOCKS);
	l->free_blocks += zeros;
	ext2fs_block_bitmap_loc_set(fs, g, group_block_bitmap(g));
	ext2fs_bg_free_blocks_count_set(fs, g, zeros);
	ext2fs_block_bitmap_csum_set(fs, g, (char *)b->data, BLOCK_BYTES);
	return 0;
}

/* USED: the bits of group G's inodes, NULL for none. */
static int
finish_inode_bitmap(struct ext4_writer *w, struct layout *l, uint32_t g,
    const uint8_t *used, ext2_filsys fs)
{
	uint32_t n = l->inodes_per_group, dirs = 0, behind = n, zeros, i;
	uint32_t granules = n / MIN_INODES_PER_GROUP;
	struct cbuf *b;
	int r;

	if ((r = cache_new(w, group_inode_bitmap(g), &b)) < 0)
		return r;
	if (used != NULL) {
		memcpy(b->data, used, n / 8);
		for (i = g * granules; i < (g + 1) * granules; i++)
			dirs += w->inodes.dirs[i];
		while (behind > 0 && (b->data[(behind - 1) / 8] &
		    1u << ((behind - 1) % 8)) == 0)
			behind--;
	} else {
		behind = 0;
	}
	memset(b->data + n / 8, 0xff, BLOCK_BYTES - n / 8);
	cache_dirty(b, KIND_PLAIN, 0);
	zeros = bitmap_zeros(b->data, n);
	l->free_inodes += zeros;
	ext2fs_inode_bitmap_loc_set(fs, g, group_inode_bitmap(g));
	ext2fs_inode_table_loc_set(fs, g, l->table[g]);
	ext2fs_bg_free_inodes_count_set(fs, g, zeros);
	ext2fs_bg_used_dirs_count_set(fs, g, dirs);
	ext2fs_bg_itable_unused_set(fs, g, n - behind);
	ext2fs_inode_bitmap_csum_set(fs, g, (char *)b->data, (int)(n / 8));
	return 0;
}

/*
 * The bits of each chunk, which lie where group CHUNK's bitmap belongs, are
 * dealt out to their groups; from the last chunk down, as group numbers are
 * never below chunk numbers and nothing is overwritten that is still needed.
 */
static int
finish_inode_bitmaps(struct ext4_writer *w, struct layout *l, ext2_filsys fs)
{
	uint32_t per_chunk = CHUNK_INODES / l->inodes_per_group;
	uint32_t chunks = div_up(l->groups, per_chunk);
	int r;

	while (chunks-- > 0) {
		uint8_t bits[BLOCK_BYTES];
		bool used = chunks < w->inodes.chunks;
		struct cbuf *b;

		if (used) {
			r = cache_get(w, group_inode_bitmap(chunks), &b);
			if (r < 0)
				return r;
			memcpy(bits, b->data, sizeof(bits));
		}
		for (uint32_t i = 0; i < per_chunk; i++) {
			uint32_t g = chunks * per_chunk + i;

			if (g >= l->groups)
				break;
			r = finish_inode_bitmap(w, l, g, !used ? NULL :
			    bits + i * l->inodes_per_group / 8, fs);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/*
 * The newest time in it, so that the same tar gives the same image; but never
 * in the future, or e2fsck complains, nor 0, which libext2fs takes for "now".
 */
static time_t
file_system_time(const struct ext4_writer *w)
{
	time_t now = time(NULL);

	if (w->newest_time < 1)
		return 1;
	return w->newest_time < now ? (time_t)w->newest_time : now;
}

static void
fill_super(const struct ext4_writer *w, const struct layout *l,
    struct ext2_super_block *sb)
{
	sb->s_log_block_size = BLOCK_SHIFT - 10;
	sb->s_log_cluster_size = sb->s_log_block_size;
	sb->s_rev_level = EXT2_DYNAMIC_REV;
	sb->s_inode_size = INODE_BYTES;
	sb->s_log_groups_per_flex = 4;
	sb->s_reserved_gdt_blocks = (uint16_t)(gdt_blocks(l) -
	    div_up(l->groups, DESCRIPTORS_PER_BLOCK));
	sb->s_inodes_count = l->groups * l->inodes_per_group;
	sb->s_errors = EXT2_ERRORS_CONTINUE;
	sb->s_max_mnt_count = -1;	/* no check by count */
	sb->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	ext2fs_blocks_count_set(sb, l->blocks);
	ext2fs_set_feature_journal(sb);
	ext2fs_set_feature_xattr(sb);
	ext2fs_set_feature_resize_inode(sb);
	ext2fs_set_feature_dir_index(sb);
	ext2fs_set_feature_filetype(sb);
	ext2fs_set_feature_extents(sb);
	ext2fs_set_feature_64bit(sb);
	ext2fs_set_feature_flex_bg(sb);
	ext2fs_set_feature_csum_seed(sb);
	if (w->large_dir)
		ext2fs_set_feature_largedir(sb);
	ext2fs_set_feature_sparse_super(sb);
	ext2fs_set_feature_large_file(sb);
	ext2fs_set_feature_huge_file(sb);
	ext2fs_set_feature_dir_nlink(sb);
	ext2fs_set_feature_extra_isize(sb);
	ext2fs_set_feature_metadata_csum(sb);
}

/* RFC 9562 version 8: our own bits, here a digest of all inodes. */
static void
fill_uuid(const struct ext4_writer *w, uint8_t uuid[16])
{
	memcpy(uuid, w->mix, 16);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static int
ext2_error(errcode_t e)
{
	if (e == 0)
		return 0;
	if (e == EXT2_ET_NO_MEMORY)
		return -ENOMEM;
	return e == ENOSPC || e == EDQUOT ? -ENOSPC : -EIO;
}

static int
open_fs(const struct ext4_writer *w, const struct layout *l,
    const struct disk_inode *journal, ext2_filsys *out)
{
	struct ext2_super_block param = { .s_magic = 0 }, *sb;
	char name[16];
	ext2_filsys fs;
	errcode_t e;
	int r;

	fill_super(w, l, &param);
	if ((r = format(name, sizeof(name), "%d", w->fd)) < 0)
		return r;
	e = ext2fs_initialize(name, EXT2_FLAG_64BITS, &param, &ext4_fd_io, &fs);
	if (e != 0)
		return ext2_error(e);
	sb = fs->super;
	if (ext2fs_blocks_count(sb) != l->blocks ||
	    fs->group_desc_count != l->groups ||
	    sb->s_inodes_per_group != l->inodes_per_group) {
		ext2fs_free(fs);
		return -EUCLEAN;
	}
	/* The bitmaps are ours: none of libext2fs's is to be written. */
	fs->write_bitmaps = NULL;
	fs->flags &= ~(EXT2_FLAG_BB_DIRTY | EXT2_FLAG_IB_DIRTY);
	fs->now = file_system_time(w);
	fill_uuid(w, sb->s_uuid);
	memcpy(sb->s_hash_seed, ext4_hash_seed, sizeof(sb->s_hash_seed));
	sb->s_def_hash_version = EXT2_HASH_HALF_MD4;
	sb->s_flags = EXT2_FLAGS_UNSIGNED_HASH;
	sb->s_mkfs_time = sb->s_lastcheck = (uint32_t)fs->now;
	sb->s_checksum_type = EXT2_CRC32C_CHKSUM;
	sb->s_checksum_seed = ext4_csum_seed;
	ext2fs_init_csum_seed(fs);
	sb->s_journal_inum = EXT2_JOURNAL_INO;
	sb->s_jnl_backup_type = EXT3_JNL_BACKUP_BLOCKS;
	memcpy(sb->s_jnl_blocks, journal->in.i_block,
	    sizeof(journal->in.i_block));
	sb->s_jnl_blocks[15] = journal->in.i_size_high;
	sb->s_jnl_blocks[16] = journal->in.i_size;
	*out = fs;
	return 0;
}

static int
finish_groups(struct ext4_writer *w, struct layout *l, ext2_filsys fs)
{
	int r;

	for (uint32_t g = 0; g < l->groups; g++)
		if ((r = finish_block_bitmap(w, l, g, fs)) < 0)
			return r;
	if ((r = finish_inode_bitmaps(w, l, fs)) < 0)
		return r;
	for (uint32_t g = 0; g < l->groups; g++) {
		/* The tables read as zeros: nothing for the guest to do. */
		ext2fs_bg_flags_zap(fs, g);
		ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(fs, g);
	}
	ext2fs_free_blocks_count_set(fs->super, l->free_blocks);
	fs->super->s_free_inodes_count = (uint32_t)l->free_inodes;
	return 0;
}

static int
write_journal_super(ext2_filsys fs, const struct layout *l,
    const struct disk_inode *journal)
{
	struct ext3_extent first;
	char *block = NULL;
	errcode_t e;

	memcpy(&first, (const uint8_t *)journal->in.i_block +
	    sizeof(struct ext3_extent_header), sizeof(first));
	e = ext2fs_create_journal_superblock(fs, l->journal_blocks, 0, &block);
	if (e != 0)
		return ext2_error(e);
	e = io_channel_write_blk64(fs->io, first.ee_start, 1, block);
	ext2fs_free_mem(&block);
	return ext2_error(e);
}

/* From here on the file is libext2fs's: the cache has been written. */
static int
finish_fs(ext2_filsys fs, const struct layout *l,
    const struct disk_inode *journal)
{
	errcode_t e;
	int r;

	if ((r = write_journal_super(fs, l, journal)) < 0)
		return r;
	e = ext2fs_create_resize_inode(fs);
	if (e == 0)
		e = ext2fs_flush2(fs, EXT2_FLAG_FLUSH_NO_SYNC);
	return ext2_error(e);
}

static int
finish_with(struct ext4_writer *w, struct layout *l)
{
	struct disk_inode journal;
	ext2_filsys fs = NULL;
	int r;

	if ((r = data_flush(w)) < 0 || (r = make_resize_inode(w)) < 0)
		return r;
	choose(w, l);
	if ((r = make_journal(w, l, &journal)) < 0 ||
	    (r = place_tables(w, l)) < 0 ||
	    (r = open_fs(w, l, &journal, &fs)) < 0)
		return r;
	if ((r = finish_groups(w, l, fs)) == 0 && (r = cache_flush(w)) == 0)
		r = finish_fs(fs, l, &journal);
	ext2fs_free(fs);
	if (r == 0 && ftruncate(w->fd, (off_t)l->blocks << BLOCK_SHIFT) < 0)
		r = -errno;
	return r;
}

int
ext4_writer_finish(struct ext4_writer *w, struct ext4_writer_result *result)
{
	_cleanup_free_ struct layout *l = NULL;
	int r;

	if (w->file.open)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	if ((r = finish_with(w, l)) < 0)
		return r;
	result->size_bytes = (uint64_t)l->blocks << BLOCK_SHIFT;
	result->content_bytes = w->content_bytes;
	result->free_bytes = l->free_blocks << BLOCK_SHIFT;
	result->inodes_used = w->inodes.used;
	return 0;
}
