/*
 * From an archive entry's owner, mode, times, ACLs and extended attributes to
 * what the ext4 writer takes.
 */
#ifndef BANGER_IMAGE_TAR_ATTR_H
#define BANGER_IMAGE_TAR_ATTR_H

#include <archive_entry.h>
#include <stddef.h>

#include "image/ext4_writer.h"

#define TAR_XATTRS_MAX 100
#define TAR_ACL_ENTRIES_MAX 100

/* Linux's ACL in an extended attribute (uapi/linux/posix_acl_xattr.h). */
struct tar_acl {
	uint32_t version;
	struct tar_acl_entry {
		uint16_t tag;
		uint16_t perm;
		uint32_t id;
	} entry[TAR_ACL_ENTRIES_MAX];
	size_t count;
};

/* Filled by tar_attr_read(); its lists point into the entry and itself. */
struct tar_attr {
	struct ext4_attr ext4;
	struct ext4_xattr xattrs[TAR_XATTRS_MAX];
	struct tar_acl access;
	struct tar_acl standard;
};

/*
 * Reads all attributes of ENTRY into A, good until the next entry is read.
 * 0; -ERANGE for an owner beyond 32 bits; -E2BIG for too many attributes;
 * -ENOKEY when an ACL names a user or group without a number (the host's
 * passwd says nothing about the image's ids).
 */
int	 tar_attr_read(struct archive_entry *entry, struct tar_attr *a);

#endif
