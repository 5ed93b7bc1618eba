/*
 * Extended attributes: as many as fit behind the inode (92 bytes), the others
 * in one block. Attributes in namespaces that Linux does not have are left
 * out, as a file system would refuse them.
 *
 * Format: kernel, Documentation/filesystems/ext4/attributes.rst; POSIX ACLs
 * fs/ext4/acl.h and include/uapi/linux/posix_acl_xattr.h.
 */
#include "image/ext4_internal.h"

#include <ext2fs/ext2_ext_attr.h>
#include <string.h>

#define IN_INODE_MAGIC EXT2_EXT_ATTR_MAGIC
#define MAX_ATTRS 128
#define MAX_VALUE BLOCK_BYTES

#define ACL_VERSION_LINUX 2u
#define ACL_VERSION_DISK 1u
#define ACL_TAG_USER 0x02u
#define ACL_TAG_GROUP 0x08u

struct attr {
	const char *name;	/* after the namespace's prefix */
	const uint8_t *value;
	uint32_t size;
	uint8_t index;
	uint8_t name_len;
	bool placed;
};

/* Entries grow from LOW up, values from HIGH down. */
struct area {
	uint8_t *base;		/* value offsets count from here */
	uint32_t low;
	uint32_t high;
	uint32_t hash;
};

static const struct {
	const char *prefix;
	uint8_t index;
	bool whole;		/* the prefix is the whole name */
} namespaces[] = {
	{ "user.", 1, false },
	{ "system.posix_acl_access", 2, true },
	{ "system.posix_acl_default", 3, true },
	{ "trusted.", 4, false },
	{ "security.", 6, false },
};

/* Linux's ACL to ext4's: ids only where the tag has one. */
static int
acl_to_disk(const uint8_t *in, size_t size, uint8_t *out, uint32_t *out_size)
{
	uint32_t version, n = 4;

	if (size < 4 || (size - 4) % 8 != 0 || size > MAX_VALUE)
		return -EINVAL;
	memcpy(&version, in, 4);
	if (version != ACL_VERSION_LINUX)
		return -EINVAL;
	version = ACL_VERSION_DISK;
	memcpy(out, &version, 4);
	for (size_t i = 4; i < size; i += 8) {
		uint16_t tag;
		uint32_t len;

		memcpy(&tag, in + i, 2);
		len = tag == ACL_TAG_USER || tag == ACL_TAG_GROUP ? 8 : 4;
		memcpy(out + n, in + i, len);
		n += len;
	}
	*out_size = n;
	return 0;
}

/* -ENOENT: not a namespace of ours. */
static int
attr_parse(const struct ext4_xattr *x, struct attr *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		size_t len = strlen(namespaces[i].prefix);
		const char *rest = x->name + len;

		if (strncmp(x->name, namespaces[i].prefix, len) != 0 ||
		    (*rest == '\0') != namespaces[i].whole)
			continue;
		if (strlen(rest) > UINT8_MAX || x->size > MAX_VALUE)
			return -E2BIG;
		*a = (struct attr){
			.index = namespaces[i].index,
			.name = rest,
			.name_len = (uint8_t)strlen(rest),
			.value = x->value,
			.size = (uint32_t)x->size,
		};
		return 0;
	}
	return -ENOENT;
}

/* The kernel searches a block in this order. */
static int
by_name(const void *pa, const void *pb)
{
	const struct attr *a = pa, *b = pb;

	if (a->index != b->index)
		return a->index - b->index;
	if (a->name_len != b->name_len)
		return a->name_len - b->name_len;
	return memcmp(a->name, b->name, a->name_len);
}

/* Adds A if it fits, with 4 zero bytes left after the last entry. */
static void
area_add(struct area *area, struct attr *a)
{
	uint32_t entry_len = EXT2_EXT_ATTR_LEN(a->name_len);
	uint32_t value_len = EXT2_EXT_ATTR_SIZE(a->size);
	struct ext2_ext_attr_entry *e;

	if (area->high < area->low + entry_len + 4 + value_len)
		return;
	area->high -= value_len;
	if (a->size > 0)
		memcpy(area->base + area->high, a->value, a->size);
	e = (void *)(area->base + area->low);
	e->e_name_len = a->name_len;
	e->e_name_index = a->index;
	e->e_value_offs = a->size > 0 ? (uint16_t)area->high : 0;
	e->e_value_size = a->size;
	memcpy(e + 1, a->name, a->name_len);
	e->e_hash = ext2fs_ext_attr_hash_entry(e, area->base + area->high);
	area->hash = (area->hash << 16 | area->hash >> 16) ^ e->e_hash;
	area->low += entry_len;
	a->placed = true;
}

static void
store_in_inode(struct attr *list, size_t count, struct disk_inode *d)
{
	static const uint32_t magic = IN_INODE_MAGIC;
	struct area area = {
		.base = d->extra + sizeof(magic),
		.high = sizeof(d->extra) - sizeof(magic),
	};

	for (size_t i = 0; i < count; i++)
		area_add(&area, &list[i]);
	if (area.low > 0)
		memcpy(d->extra, &magic, sizeof(magic));
}

static int
store_in_block(struct ext4_writer *w, uint32_t ino, struct attr *list,
    size_t count, struct disk_inode *d)
{
	struct ext2_ext_attr_header *h;
	struct area area = { .low = sizeof(*h), .high = BLOCK_BYTES };
	struct cbuf *b;
	uint32_t block;
	int r;

	if ((r = block_take_meta(w, &block)) < 0 ||
	    (r = cache_new(w, block, &b)) < 0)
		return r;
	area.base = b->data;
	for (size_t i = 0; i < count; i++)
		if (!list[i].placed)
			area_add(&area, &list[i]);
	for (size_t i = 0; i < count; i++) {
		if (!list[i].placed) {
			cache_drop(w, block);
			r = blocks_give(w, block, 1);
			return r < 0 ? r : -E2BIG;
		}
	}
	h = (void *)b->data;
	h->h_magic = EXT2_EXT_ATTR_MAGIC;
	h->h_refcount = 1;
	h->h_blocks = 1;
	h->h_hash = area.hash;
	cache_dirty(b, KIND_XATTR, ino);
	d->in.i_file_acl = block;
	inode_add_blocks(d, 1);
	return 0;
}

int
xattr_free(struct ext4_writer *w, struct disk_inode *d)
{
	uint32_t block = d->in.i_file_acl;

	if (block == 0)
		return 0;
	d->in.i_file_acl = 0;
	inode_add_blocks(d, -1);
	cache_drop(w, block);
	return blocks_give(w, block, 1);
}

/* Room for converted ACLs: access and default. */
struct acl_room {
	uint8_t bytes[2][MAX_VALUE];
	size_t used;
};

static int
convert_acl(struct attr *a, struct acl_room *room)
{
	uint8_t *disk;
	int r;

	if (a->name_len != 0)
		return 0;
	if (room->used == ARRAY_SIZE(room->bytes))
		return -EINVAL;
	disk = room->bytes[room->used++];
	if ((r = acl_to_disk(a->value, a->size, disk, &a->size)) < 0)
		return r;
	a->value = disk;
	return 0;
}

static int
collect(const struct ext4_xattr *in, size_t in_count, struct acl_room *room,
    struct attr *list, size_t *count)
{
	size_t n = 0;

	for (size_t i = 0; i < in_count; i++) {
		int r = attr_parse(&in[i], &list[n]);

		if (r == -ENOENT)
			continue;
		if (r < 0 || (r = convert_acl(&list[n], room)) < 0)
			return r;
		if (++n == MAX_ATTRS)
			return -E2BIG;
	}
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 1; i < n; i++)
		if (by_name(&list[i - 1], &list[i]) == 0)
			return -EINVAL;
	*count = n;
	return 0;
}

static int
store(struct ext4_writer *w, uint32_t ino, const struct ext4_xattr *list,
    size_t count, struct disk_inode *d)
{
	struct attr attrs[MAX_ATTRS];
	struct acl_room room;
	size_t n;
	int r;

	room.used = 0;
	if ((r = collect(list, count, &room, attrs, &n)) < 0)
		return r;
	store_in_inode(attrs, n, d);
	for (size_t i = 0; i < n; i++)
		if (!attrs[i].placed)
			return store_in_block(w, ino, attrs, n, d);
	return 0;
}

int
xattr_store(struct ext4_writer *w, uint32_t ino, const struct ext4_xattr *list,
    size_t count, struct disk_inode *d)
{
	int r = xattr_free(w, d);

	if (r < 0)
		return r;
	memset(d->extra, 0, sizeof(d->extra));
	return count > 0 ? store(w, ino, list, count, d) : 0;
}
