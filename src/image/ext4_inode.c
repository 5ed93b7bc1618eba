/*
 * Inodes: where they lie, their checksum, and the fields whose halves the
 * format keeps in different places.
 */
#include "image/ext4_internal.h"

#include <string.h>
#include <sys/stat.h>

/* Times reach from 1901 to 2446: 34 bits, the upper two in the extra word. */
#define TIME_MIN (-(int64_t)0x80000000)
#define TIME_MAX ((int64_t)0x37fffffff)

/*
 * Fixed, so that the same tar gives the same image. A name that is hostile to
 * this hash is caught by the bound on a search (ext4_htree.c).
 */
const uint32_t ext4_csum_seed = 0x62616e67;
const uint32_t ext4_hash_seed[4] = {
	0x9e3779b9, 0x7f4a7c15, 0xf39cc060, 0x5cedc834,
};

static int
inode_slot(struct ext4_writer *w, uint32_t ino, struct cbuf **b, uint8_t **slot)
{
	uint32_t n = ino - 1, chunk = n / CHUNK_INODES, block;
	int r;

	if (ino == 0 || chunk >= w->inodes.chunks)
		return -EUCLEAN;
	n %= CHUNK_INODES;
	block = w->inodes.chunk_start[chunk] + n / INODES_PER_BLOCK;
	if ((r = cache_get(w, block, b)) < 0)
		return r;
	*slot = (*b)->data + (size_t)(n % INODES_PER_BLOCK) * INODE_BYTES;
	return 0;
}

int
inode_read(struct ext4_writer *w, uint32_t ino, struct disk_inode *d)
{
	struct cbuf *b;
	uint8_t *slot;
	int r = inode_slot(w, ino, &b, &slot);

	if (r < 0)
		return r;
	memcpy(d, slot, sizeof(*d));
	return 0;
}

/* A running digest of all inodes, for a UUID that the content decides. */
static void
inode_mix(struct ext4_writer *w, uint32_t ino, uint32_t csum)
{
	uint64_t v = (uint64_t)ino << 32 | csum;

	w->mix[0] = (w->mix[0] ^ v) * 0x9e3779b97f4a7c15u;
	w->mix[0] ^= w->mix[0] >> 29;
	w->mix[1] = (w->mix[1] + w->mix[0]) * 0xbf58476d1ce4e5b9u;
	w->mix[1] ^= w->mix[1] >> 32;
}

int
inode_write(struct ext4_writer *w, uint32_t ino, const struct disk_inode *d)
{
	uint32_t id[2] = { ino, 0 /* generation */ }, csum = 0;
	struct disk_inode *slot;
	struct cbuf *b;
	uint8_t *p;
	int r = inode_slot(w, ino, &b, &p);

	if (r < 0)
		return r;
	slot = (void *)p;
	memcpy(slot, d, sizeof(*slot));
	slot->in.i_checksum_lo = 0;
	slot->in.i_checksum_hi = 0;
	/* A free inode is all zeros, without a checksum. */
	if (d->in.i_mode != 0) {
		csum = ext2fs_crc32c_le(ext4_csum_seed, (uint8_t *)id,
		    sizeof(id));
		csum = ext2fs_crc32c_le(csum, p, INODE_BYTES);
		slot->in.i_checksum_lo = (uint16_t)csum;
		slot->in.i_checksum_hi = (uint16_t)(csum >> 16);
	}
	inode_mix(w, ino, csum);
	cache_dirty(b, KIND_PLAIN, 0);
	return 0;
}

uint64_t
inode_size(const struct disk_inode *d)
{
	return (uint64_t)d->in.i_size_high << 32 | d->in.i_size;
}

void
inode_set_size(struct disk_inode *d, uint64_t size_bytes)
{
	d->in.i_size = (uint32_t)size_bytes;
	d->in.i_size_high = (uint32_t)(size_bytes >> 32);
}

void
inode_add_blocks(struct disk_inode *d, int64_t count)
{
	uint64_t sectors;

	sectors = (uint64_t)d->in.osd2.linux2.l_i_blocks_hi << 32 |
	    d->in.i_blocks;
	sectors += (uint64_t)(count * (BLOCK_BYTES / 512));
	d->in.i_blocks = (uint32_t)sectors;
	d->in.osd2.linux2.l_i_blocks_hi = (uint16_t)(sectors >> 32);
}

/*
 * A link count of 1 says "more than fit" (dir_nlink). The true number is kept
 * in the version field, which has no meaning of its own on disk, so that the
 * count can come back when directories are removed again.
 */
void
inode_set_subdirs(struct disk_inode *d, uint32_t subdirs)
{
	d->in.osd1.linux1.l_i_version = subdirs;
	d->in.i_links_count = (uint16_t)(subdirs + 2 > EXT2_LINK_MAX ? 1 :
	    subdirs + 2);
}

uint32_t
inode_subdirs(const struct disk_inode *d)
{
	return d->in.osd1.linux1.l_i_version;
}

static int64_t
time_clamp(const struct timespec *ts)
{
	if ((int64_t)ts->tv_sec < TIME_MIN)
		return TIME_MIN;
	if ((int64_t)ts->tv_sec > TIME_MAX)
		return TIME_MAX;
	return ts->tv_sec;
}

/* Seconds and the extra word: nanoseconds << 2 | epoch (ext4.h). */
static void
time_store(const struct timespec *ts, uint32_t *seconds, uint32_t *extra)
{
	int64_t t = time_clamp(ts);
	int64_t epoch = (t - (int32_t)(uint32_t)t) >> 32;

	*seconds = (uint32_t)t;
	*extra = (uint32_t)ts->tv_nsec << 2 | ((uint32_t)epoch & 3);
}

int
inode_set_attr(struct ext4_writer *w, uint32_t ino,
    const struct ext4_attr *attr, struct disk_inode *d)
{
	struct ext2_inode_large *in = &d->in;

	in->i_mode = (uint16_t)((in->i_mode & S_IFMT) | (attr->mode & 07777));
	in->i_uid = (uint16_t)attr->uid;
	in->osd2.linux2.l_i_uid_high = (uint16_t)(attr->uid >> 16);
	in->i_gid = (uint16_t)attr->gid;
	in->osd2.linux2.l_i_gid_high = (uint16_t)(attr->gid >> 16);
	time_store(&attr->atime, &in->i_atime, &in->i_atime_extra);
	time_store(&attr->mtime, &in->i_mtime, &in->i_mtime_extra);
	time_store(&attr->ctime, &in->i_ctime, &in->i_ctime_extra);
	time_store(&attr->crtime, &in->i_crtime, &in->i_crtime_extra);
	if (attr->mtime.tv_sec > w->newest_time)
		w->newest_time = attr->mtime.tv_sec;
	return xattr_store(w, ino, attr->xattrs, attr->xattr_count, d);
}

int
inode_fill(struct ext4_writer *w, uint32_t ino, uint32_t type,
    const struct ext4_attr *attr, struct disk_inode *d)
{
	memset(d, 0, sizeof(*d));
	d->in.i_mode = (uint16_t)type;
	d->in.i_links_count = 1;
	d->in.i_extra_isize = sizeof(d->in) - EXT2_GOOD_OLD_INODE_SIZE;
	return inode_set_attr(w, ino, attr, d);
}
