/*
 * Attributes of archive entries. What a tar cannot say gets a value that
 * depends on nothing but the tar: other times are the modification time.
 */
#include "image/tar_attr.h"

#include <archive.h>
#include <string.h>

#include "privsep/util.h"

#define ID_MAX 0xfffffffeu	/* -1 is "no id" to the kernel */

#define ACL_VERSION 2u
#define ACL_USER_OBJ 0x01u
#define ACL_USER 0x02u
#define ACL_GROUP_OBJ 0x04u
#define ACL_GROUP 0x08u
#define ACL_MASK 0x10u
#define ACL_OTHER 0x20u

static struct timespec
make_time(time_t seconds, long nanoseconds)
{
	struct timespec ts = { .tv_sec = seconds };

	if (nanoseconds >= 0 && nanoseconds < 1000000000)
		ts.tv_nsec = nanoseconds;
	return ts;
}

static void
read_times(struct archive_entry *entry, struct ext4_attr *a)
{
	a->mtime = make_time(archive_entry_mtime(entry),
	    archive_entry_mtime_nsec(entry));
	a->atime = a->ctime = a->crtime = a->mtime;
	if (archive_entry_atime_is_set(entry))
		a->atime = make_time(archive_entry_atime(entry),
		    archive_entry_atime_nsec(entry));
	if (archive_entry_ctime_is_set(entry))
		a->ctime = make_time(archive_entry_ctime(entry),
		    archive_entry_ctime_nsec(entry));
	if (archive_entry_birthtime_is_set(entry))
		a->crtime = make_time(archive_entry_birthtime(entry),
		    archive_entry_birthtime_nsec(entry));
}

static int
read_owner(struct archive_entry *entry, struct ext4_attr *a)
{
	int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

	if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
		return -ERANGE;
	a->uid = (uint32_t)uid;
	a->gid = (uint32_t)gid;
	return 0;
}

static uint16_t
acl_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return ACL_OTHER;
	default:
		return 0;
	}
}

/* The order that the kernel wants: by tag, then by id. */
static int
by_tag(const void *pa, const void *pb)
{
	const struct tar_acl_entry *a = pa, *b = pb;

	if (a->tag != b->tag)
		return a->tag - b->tag;
	return (a->id > b->id) - (a->id < b->id);
}

static int
acl_entry(struct tar_acl *acl, int permset, int tag, int id, const char *name)
{
	struct tar_acl_entry *e = &acl->entry[acl->count];
	uint64_t number;

	if (acl->count == TAR_ACL_ENTRIES_MAX)
		return -E2BIG;
	*e = (struct tar_acl_entry){
		.tag = acl_tag(tag),
		.perm = (uint16_t)(permset & 07),
		.id = UINT32_MAX,
	};
	if (e->tag == 0)
		return 0;
	if (e->tag == ACL_USER || e->tag == ACL_GROUP) {
		if (id >= 0)
			e->id = (uint32_t)id;
		else if (name == NULL || parse_u64(name, ID_MAX, &number) < 0)
			return -ENOKEY;
		else
			e->id = (uint32_t)number;
	}
	acl->count++;
	return 0;
}

static int
read_acl(struct archive_entry *entry, int want, struct tar_acl *acl)
{
	int type, permset, tag, id, r;
	const char *name;

	acl->version = ACL_VERSION;
	acl->count = 0;
	if ((archive_entry_acl_types(entry) & want) == 0)
		return 0;
	archive_entry_acl_reset(entry, want);
	while (archive_entry_acl_next(entry, want, &type, &permset, &tag, &id,
	    &name) == ARCHIVE_OK)
		if ((r = acl_entry(acl, permset, tag, id, name)) < 0)
			return r;
	qsort(acl->entry, acl->count, sizeof(acl->entry[0]), by_tag);
	return 0;
}

/*
 * With a mask, the group bits of the mode are the mask; libarchive has put
 * the group's own permissions there.
 */
static void
mask_to_mode(const struct tar_acl *acl, uint32_t *mode)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entry[i].tag == ACL_MASK)
			*mode = (*mode & ~070u) |
			    (uint32_t)acl->entry[i].perm << 3;
}

static void
add_acl(struct tar_attr *a, const char *name, const struct tar_acl *acl)
{
	if (acl->count == 0)
		return;
	a->xattrs[a->ext4.xattr_count++] = (struct ext4_xattr){
		.name = name,
		.value = acl,
		.size = sizeof(acl->version) +
		    acl->count * sizeof(acl->entry[0]),
	};
}

static bool
has_xattr(const struct tar_attr *a, const char *name)
{
	for (size_t i = 0; i < a->ext4.xattr_count; i++)
		if (strcmp(a->xattrs[i].name, name) == 0)
			return true;
	return false;
}

/* A name that comes twice, or beside its ACL as text, counts once. */
static int
read_xattrs(struct archive_entry *entry, struct tar_attr *a)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) ==
	    ARCHIVE_OK) {
		if (name == NULL || has_xattr(a, name))
			continue;
		if (a->ext4.xattr_count == TAR_XATTRS_MAX)
			return -E2BIG;
		a->xattrs[a->ext4.xattr_count++] = (struct ext4_xattr){
			.name = name, .value = value, .size = size,
		};
	}
	return 0;
}

int
tar_attr_read(struct archive_entry *entry, struct tar_attr *a)
{
	int r;

	a->ext4 = (struct ext4_attr){
		.mode = (uint32_t)archive_entry_perm(entry) & 07777,
		.xattrs = a->xattrs,
	};
	read_times(entry, &a->ext4);
	if ((r = read_owner(entry, &a->ext4)) < 0 ||
	    (r = read_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
	    &a->access)) < 0 ||
	    (r = read_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT,
	    &a->standard)) < 0)
		return r;
	mask_to_mode(&a->access, &a->ext4.mode);
	add_acl(a, "system.posix_acl_access", &a->access);
	add_acl(a, "system.posix_acl_default", &a->standard);
	return read_xattrs(entry, a);
}
