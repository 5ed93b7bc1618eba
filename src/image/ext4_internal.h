/*
 * What the files of the ext4 writer share; nobody else includes this.
 *
 * Layout of the file while it is being written, and after:
 *
 *   every group (32768 blocks)   [super block, 128 descriptor blocks]
 *                                block bitmap, inode bitmap, blocks…
 *
 * The part in brackets only in groups that hold a backup (sparse_super). Its
 * 128 blocks are descriptors, reserved for growth, or at last free again, in any
 * proportion, so every fixed place is known before the size is. The rest goes
 * anywhere (flex_bg). Inode tables come in chunks of 32768 inodes, contiguous on
 * disk; inode N lies in chunk (N-1)/32768 whatever the inodes per group will be, as
 * long as that is a divisor of 32768: so it can be chosen at the end. Until
 * then chunk C's inode bitmap uses the place of group C's.
 *
 * Directories use the classic block map, which maps and grows in constant
 * time without a tree to keep; files, links and the journal use extents.
 *
 * All integers on disk are little-endian, and so are our machines.
 */
#ifndef BANGER_IMAGE_EXT4_INTERNAL_H
#define BANGER_IMAGE_EXT4_INTERNAL_H

#include <sys/types.h>

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <ext2fs/ext3_extents.h>

#include "image/ext4_writer.h"
#include "image/room.h"
#include "privsep/util.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ext4 is");

#define BLOCK_BYTES 4096u
#define BLOCK_SHIFT 12
#define GROUP_BLOCKS 32768u
#define GDT_BLOCKS 128u
#define MAX_GROUPS (GDT_BLOCKS * (BLOCK_BYTES / 64))
#define INODE_BYTES 256u
#define INODES_PER_BLOCK (BLOCK_BYTES / INODE_BYTES)
#define CHUNK_INODES 32768u
#define CHUNK_BLOCKS (CHUNK_INODES / INODES_PER_BLOCK)
#define MIN_INODES_PER_GROUP 8192u
#define LOST_FOUND_INO 11u
#define EXTENTS_PER_BLOCK 340u
#define EXTENT_LEVELS 5

#define MAX_BLOCKS (MAX_GROUPS * GROUP_BLOCKS)
_Static_assert((uint64_t)MAX_BLOCKS << BLOCK_SHIFT == EXT4_WRITER_MAX, "");

/* A file has 32-bit logical block numbers. */
_Static_assert((uint64_t)UINT32_MAX << BLOCK_SHIFT == EXT4_WRITER_FILE_MAX, "");

#define LAYER_LINKS 4096u

#define CACHE_BLOCKS 4096u
#define CACHE_HASH 8192u
#define DATA_BYTES (1u << 20)

/* One inode as it lies in the table; EXTRA is for extended attributes. */
struct disk_inode {
	struct ext2_inode_large in;
	uint8_t extra[INODE_BYTES - sizeof(struct ext2_inode_large)];
};
_Static_assert(sizeof(struct disk_inode) == INODE_BYTES, "inode size");

/* What a cached block is, as far as its checksum is concerned. */
enum block_kind {
	KIND_PLAIN,		/* none, or kept elsewhere */
	KIND_DIR_LEAF,
	KIND_DIR_ROOT,		/* of a hashed tree */
	KIND_DIR_NODE,
	KIND_EXTENTS,
	KIND_XATTR,
};

/*
 * A block in the cache. A pointer to one stays good until 4096 other blocks
 * have been asked for: a function that walks holds none across the walk.
 */
struct cbuf {
	uint8_t *data;
	uint32_t block;
	uint32_t ino;		/* the owner, part of the checksum */
	enum block_kind kind;
	bool valid;
	bool dirty;
	int32_t hash_next;
	int32_t newer;
	int32_t older;
};

struct cache {
	uint8_t *pool;
	struct cbuf *bufs;
	int32_t *hash;
	int32_t newest;
	int32_t oldest;
};

/* Extents of one file, collected in file order, full nodes written out. */
struct extent_tree {
	uint32_t ino;
	struct ext3_extent last;	/* still growing; ee_len 0: none */
	uint32_t count[EXTENT_LEVELS];
	struct ext3_extent node[EXTENT_LEVELS][EXTENTS_PER_BLOCK];
	uint32_t node_blocks;
	uint64_t data_blocks;
};

/* The regular file between file_begin and file_end. */
struct open_file {
	bool open;
	uint32_t ino;
	uint64_t pos;		/* next byte of the file */
	uint64_t end;		/* of what was given; from POS on all zeros */
	uint64_t place;		/* where that byte goes, when room > 0 */
	uint32_t room;		/* bytes allocated from there on */
	struct disk_inode inode;
	struct extent_tree extents;
};

/* File data on its way out: one contiguous piece. */
struct data_buffer {
	uint8_t *bytes;
	uint64_t place;
	uint32_t fill;
};

/*
 * Where the next block comes from. The bitmaps are the truth; a window is a
 * free run that was found and whose used part is marked block by block, and
 * forgetting one loses nothing.
 */
struct block_space {
	uint32_t cursor;	/* search goes on here */
	uint32_t fresh;		/* from here on nothing was ever used */
	uint32_t limit;		/* blocks the image may have */
	uint32_t groups;	/* bitmaps made so far */
	uint32_t data_start, data_len;	/* window for file data */
	uint32_t meta_start, meta_len;	/* window for everything else */
	uint32_t live;		/* marked, but for tables and fixed places */
	uint32_t freed;		/* below cursor, since the last rewind */
	uint32_t lowest_freed;
};

struct inode_space {
	uint32_t cursor;	/* zero-based, as below */
	uint32_t highest;	/* number of the last inode ever used */
	uint32_t used;
	uint32_t freed;
	uint32_t lowest_freed;
	uint32_t chunks;
	uint32_t chunk_start[MAX_GROUPS];
	uint16_t dirs[MAX_GROUPS * (CHUNK_INODES / MIN_INODES_PER_GROUP)];
};

/*
 * What the layer being applied has added or gone through: a bit for each inode.
 * A name whose inode is from a layer below, and that a hard link of this one
 * made, is in LINKS instead.
 */
struct layer {
	bool open;
	uint8_t *marks;
	size_t marks_bytes;
	struct layer_link {
		uint32_t dir;
		uint64_t name;		/* a hash of it */
	} links[LAYER_LINKS];
	uint32_t link_count;
};

struct ext4_writer {
	int fd;
	struct room room;
	struct cache cache;
	struct block_space blocks;
	struct inode_space inodes;
	struct layer layer;
	struct data_buffer data;
	struct open_file file;
	uint8_t zeros[BLOCK_BYTES];
	uint64_t content_bytes;
	uint64_t mix[2];	/* of all inodes written: the UUID */
	int64_t newest_time;
	bool large_dir;		/* some directory has a tree of 3 levels */
};

extern const uint32_t ext4_csum_seed;
extern const uint32_t ext4_hash_seed[4];

/* ext4_cache.c: blocks by number, all metadata goes through it. */

/* Allocates the cache. 0 or -ENOMEM. */
int	 cache_init(struct cache *c);
void	 cache_free(struct cache *c);
/* BLOCK, read from the file when it is not in the cache. 0 or -errno. */
int	 cache_get(struct ext4_writer *w, uint32_t block, struct cbuf **out);
/* BLOCK as zeros, whatever was there. 0 or -errno. */
int	 cache_new(struct ext4_writer *w, uint32_t block, struct cbuf **out);
/* Marks BUF to be written, as a block of KIND that belongs to INO. */
void	 cache_dirty(struct cbuf *buf, enum block_kind kind, uint32_t ino);
/* Forgets BLOCK unwritten: it is free now. */
void	 cache_drop(struct ext4_writer *w, uint32_t block);
/* Writes all that is dirty, in the file's order. 0 or -errno. */
int	 cache_flush(struct ext4_writer *w);
/* Writes LEN bytes of the image, if there is room for them. 0 or -errno. */
int	 image_write(struct ext4_writer *w, const void *buf, size_t len,
	    uint64_t place);
/* pwrite(2) of all LEN bytes; 0 or -errno. */
int	 write_at(int fd, const void *buf, size_t len, uint64_t place);
/* pread(2) of all LEN bytes, zeros beyond the end; 0 or -errno. */
int	 read_at(int fd, void *buf, size_t len, uint64_t place);

/* ext4_alloc.c */

/* The fixed places of group G. */
bool	 group_has_super(uint32_t g);
uint32_t group_block_bitmap(uint32_t g);
uint32_t group_inode_bitmap(uint32_t g);
/* Makes the block bitmaps of all groups up to G. 0 or -errno. */
int	 group_open(struct ext4_writer *w, uint32_t g);
/* 1 to WANT contiguous blocks for file data. 0 or -errno (-EDQUOT). */
int	 blocks_take(struct ext4_writer *w, uint32_t want, uint32_t *start,
	    uint32_t *got);
/* One block for metadata. */
int	 block_take_meta(struct ext4_writer *w, uint32_t *block);
/*
 * MIN to MAX contiguous blocks that were never used and read as zeros. They
 * do not count as live.
 */
int	 blocks_take_fresh(struct ext4_writer *w, uint32_t min, uint32_t max,
	    uint32_t *start, uint32_t *got);
/* Gives COUNT live blocks back. */
int	 blocks_give(struct ext4_writer *w, uint32_t start, uint32_t count);
/* Sets or clears bits, and nothing else. */
int	 blocks_mark(struct ext4_writer *w, uint32_t start, uint32_t count,
	    bool used);
int	 inode_take(struct ext4_writer *w, bool dir, uint32_t *ino);
int	 inode_give(struct ext4_writer *w, uint32_t ino, bool dir);
/* Index of the first zero bit at or after FROM, or LIMIT. */
uint32_t bitmap_find_zero(const uint8_t *map, uint32_t from, uint32_t limit);

/* ext4_inode.c */

int	 inode_read(struct ext4_writer *w, uint32_t ino, struct disk_inode *d);
/* Sets the checksum in a copy of D and stores that. */
int	 inode_write(struct ext4_writer *w, uint32_t ino,
	    const struct disk_inode *d);
/* Fills a fresh inode: TYPE (S_IFMT), attributes, one link. */
int	 inode_fill(struct ext4_writer *w, uint32_t ino, uint32_t type,
	    const struct ext4_attr *attr, struct disk_inode *d);
/* Puts attributes into D, replacing those it has. */
int	 inode_set_attr(struct ext4_writer *w, uint32_t ino,
	    const struct ext4_attr *attr, struct disk_inode *d);
uint64_t inode_size(const struct disk_inode *d);
void	 inode_set_size(struct disk_inode *d, uint64_t size_bytes);
/* Adds COUNT blocks (may be negative) to what D takes on disk. */
void	 inode_add_blocks(struct disk_inode *d, int64_t count);
/* Sets link count and subdirectory count of directory D. */
void	 inode_set_subdirs(struct disk_inode *d, uint32_t subdirs);
uint32_t inode_subdirs(const struct disk_inode *d);

/* ext4_xattr.c */

/* Replaces the extended attributes of D. -E2BIG when they do not fit. */
int	 xattr_store(struct ext4_writer *w, uint32_t ino,
	    const struct ext4_xattr *list, size_t count, struct disk_inode *d);
/* Frees the attribute block of D if there is one. */
int	 xattr_free(struct ext4_writer *w, struct disk_inode *d);

/* ext4_extent.c */

void	 extents_init(struct extent_tree *t, uint32_t ino);
/* COUNT blocks from PLACE are the file's from block LOGICAL on. */
int	 extents_add(struct ext4_writer *w, struct extent_tree *t,
	    uint32_t logical, uint32_t place, uint32_t count);
/* Writes the rest of the tree and its root into D. */
int	 extents_finish(struct ext4_writer *w, struct extent_tree *t,
	    struct disk_inode *d);
/* Frees all blocks of the tree in D. */
int	 extents_free(struct ext4_writer *w, const struct disk_inode *d);

/* ext4_dir.c */

/* Makes the first block of a new directory with "." and "..". */
int	 dir_init(struct ext4_writer *w, uint32_t ino, uint32_t parent,
	    struct disk_inode *d);
int	 dir_find(struct ext4_writer *w, uint32_t dir, const char *name,
	    uint32_t *ino);
/* Adds an entry; TYPE is EXT2_FT_*. D is DIR's inode, changed, not stored. */
int	 dir_add(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
	    const char *name, uint32_t ino, uint8_t type);
/* Takes the entry out and tells what it was. */
int	 dir_take(struct ext4_writer *w, uint32_t dir, const char *name,
	    uint32_t *ino, uint8_t *type);
/* Block number LOGICAL of directory D. */
int	 dir_map(struct ext4_writer *w, const struct disk_inode *d,
	    uint32_t logical, uint32_t *block);
/* Appends an empty leaf to D. */
int	 dir_append(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
	    uint32_t *logical, struct cbuf **buf);
/* Frees all blocks of D, none of the entries. */
int	 dir_free_blocks(struct ext4_writer *w, const struct disk_inode *d);

#define LEAF_BYTES (BLOCK_BYTES - 12u)

/* Entries of one leaf; FIRST is the offset to begin at. */
uint32_t dirent_bytes(uint32_t name_len);
int	 leaf_find(const uint8_t *leaf, const char *name, uint32_t len);
bool	 leaf_add(uint8_t *leaf, const char *name, uint32_t len, uint32_t ino,
	    uint8_t type);
void	 leaf_clear(uint8_t *leaf);

/* ext4_htree.c */

/* The leaf and the offset in it of NAME in hashed directory D. */
int	 htree_find(struct ext4_writer *w, const struct disk_inode *d,
	    const char *name, struct cbuf **leaf, int *offset);
int	 htree_add(struct ext4_writer *w, uint32_t dir, struct disk_inode *d,
	    const char *name, uint32_t ino, uint8_t type);
/* Turns a directory of one full leaf into a tree with one leaf. */
int	 htree_convert(struct ext4_writer *w, uint32_t dir,
	    struct disk_inode *d);

/* ext4_writer.c */

/*
 * Directories that are still to be seen to wait in a list that runs through their
 * own inodes (the deletion time, as in the kernel's orphan list): a tree of any
 * depth and width is gone through in constant memory. Puts INO in front; an empty
 * *LIST is 0.
 */
int	 dir_list_push(struct ext4_writer *w, uint32_t ino, uint32_t *list);
/* Enters INO, an inode with MODE, into directory DIR. */
int	 entry_add(struct ext4_writer *w, uint32_t dir, const char *name,
	    uint32_t ino, uint32_t mode);

/* ext4_layer.c */

/* Notes that INO is of the layer that is open, if one is. 0 or -ENOMEM. */
int	 layer_mark(struct ext4_writer *w, uint32_t ino);
/*
 * Notes that NAME in DIR is of this layer although INO need not be. 0, or
 * -EMLINK when there are too many of those.
 */
int	 layer_link(struct ext4_writer *w, uint32_t dir, const char *name,
	    uint32_t ino);
void	 layer_free(struct layer *l);

/* ext4_file.c */

/* Writes the pending file data. 0 or -errno. */
int	 data_flush(struct ext4_writer *w);

/* ext4_io.c: libext2fs's access to the file, by a number instead of a path. */
extern struct struct_io_manager ext4_fd_io;

#endif
