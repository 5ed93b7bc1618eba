/*
 * Makes an ext4 file system in one pass, straight into an open file: no
 * mount, no privilege, no path, no thread, and memory that does not depend on
 * how much goes in (a 16 MiB block cache and 1 MiB of pending data).
 *
 * The size need not be known beforehand. Everything is placed from the low
 * end; inodes per group, number of groups, journal and bitmaps are decided by
 * ext4_writer_finish(), which also adds free space. Directories are real
 * ext4 directories from the first entry (hashed trees above one block), so
 * that names are looked up in the image itself and not in a table in memory.
 *
 * The result has 4 KiB blocks, a journal, metadata checksums, and room to be
 * grown on line by the resize inode alone: to 256 GiB, or 32 times as large as
 * it is, but not above 1 TiB.
 *
 * Format: Documentation/filesystems/ext4/ of the Linux kernel.
 */
#ifndef BANGER_IMAGE_EXT4_WRITER_H
#define BANGER_IMAGE_EXT4_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The root directory's inode number, the DIR of everything at the top. */
#define EXT4_WRITER_ROOT 2

/* Longest symbolic link target the format can hold, in bytes. */
#define EXT4_WRITER_TARGET_MAX 4095

/* The largest image, and the largest file in one, in bytes. */
#define EXT4_WRITER_MAX (1ULL << 40)
#define EXT4_WRITER_FILE_MAX (0xffffffffULL << 12)

struct ext4_writer;

/*
 * One extended attribute by its full name ("security.capability"). POSIX ACLs
 * are given as Linux gives them to getxattr(2) ("system.posix_acl_access",
 * version 2 with 32-bit ids).
 */
struct ext4_xattr {
	const char *name;
	const void *value;
	size_t size;
};

/* What every inode has. The caller owns all of it. */
struct ext4_attr {
	uint32_t mode;	/* permissions, suid, sgid, sticky: 07777 */
	uint32_t uid;
	uint32_t gid;
	struct timespec atime;
	struct timespec mtime;
	struct timespec ctime;
	struct timespec crtime;
	const struct ext4_xattr *xattrs;
	size_t xattr_count;
};

/* What ext4_writer_stat() tells. */
struct ext4_stat {
	uint32_t mode;	/* type and permissions, as st_mode */
	uint32_t links;	/* 1 for a directory with more than 64998 below it */
	uint64_t size_bytes;
};

struct ext4_writer_result {
	uint64_t size_bytes;	/* of the file system and of the file */
	uint64_t content_bytes;	/* file data stored, holes not counted */
	uint64_t free_bytes;
	uint64_t inodes_used;
};

/*
 * Starts a file system with a root directory (0755, uid and gid 0) and
 * lost+found in FD, an empty regular file open for reading and writing. FD
 * stays the caller's and must stay open until ext4_writer_free(). It becomes
 * no larger than MAX_BYTES, and leaves room on its disk (image/room.h). 0 and
 * *OUT, or -errno.
 */
int	 ext4_writer_begin(int fd, uint64_t max_bytes,
	    struct ext4_writer **out);

/* Frees W (NULL is fine). Without a finish before, the file is garbage. */
void	 ext4_writer_free(struct ext4_writer *w);

/*
 * Looks NAME up in directory DIR, "." and ".." included. 0 and *INO, -ENOENT,
 * -ENAMETOOLONG above 255 bytes, -EOVERFLOW when more names than the writer
 * is ready to search have one hash (a hostile archive), or -errno.
 */
int	 ext4_writer_lookup(struct ext4_writer *w, uint32_t dir,
	    const char *name, uint32_t *ino);

/* Tells type, links and size of INO. 0 or -errno. */
int	 ext4_writer_stat(struct ext4_writer *w, uint32_t ino,
	    struct ext4_stat *st);

/*
 * Copies the target of symbolic link INO into BUF with a NUL. 0, -EINVAL when
 * INO is no link, -ENAMETOOLONG when SIZE is too small, or -errno.
 */
int	 ext4_writer_readlink(struct ext4_writer *w, uint32_t ino, char *buf,
	    size_t size);

/*
 * The calls below that take DIR and NAME add a new entry: the caller has
 * looked NAME up and it is not there. All return 0 or -errno; -EDQUOT means
 * that the image would be larger than it may be, -ENOSPC that there is no room
 * for it, -EFBIG that a directory or file is larger than ext4 has them, -E2BIG
 * that the extended attributes of one inode need more than 4 KiB. After an
 * error W is only good for ext4_writer_free().
 */

/* Adds a directory; its inode number goes to *INO. */
int	 ext4_writer_mkdir(struct ext4_writer *w, uint32_t dir,
	    const char *name, const struct ext4_attr *attr, uint32_t *ino);

/* Gives INO new attributes; type, content and links stay. */
int	 ext4_writer_set_attr(struct ext4_writer *w, uint32_t ino,
	    const struct ext4_attr *attr);

/* Adds a symbolic link; -EINVAL for an empty TARGET. */
int	 ext4_writer_symlink(struct ext4_writer *w, uint32_t dir,
	    const char *name, const char *target, const struct ext4_attr *attr);

/*
 * Adds a device, fifo or socket. TYPE is S_IFCHR, S_IFBLK, S_IFIFO or
 * S_IFSOCK, MAJOR and MINOR count for the first two (12 and 20 bits, -EINVAL
 * above).
 */
int	 ext4_writer_mknod(struct ext4_writer *w, uint32_t dir,
	    const char *name, uint32_t type, uint32_t major, uint32_t minor,
	    const struct ext4_attr *attr);

/*
 * Adds a further name of INO, no directory. -EMLINK above 65000 names, or above
 * 4096 in a layer whose files are of layers before.
 */
int	 ext4_writer_link(struct ext4_writer *w, uint32_t dir,
	    const char *name, uint32_t ino);

/*
 * A regular file is made by one begin, any number of data calls with rising
 * offsets, and one end with the file's full size, which may lie beyond the
 * last byte written. A gap is a hole, and so is a block of nothing but zeros.
 * Nothing else is called in between.
 * -EINVAL: offsets that go back, or data beyond the size.
 */
int	 ext4_writer_file_begin(struct ext4_writer *w, uint32_t dir,
	    const char *name, const struct ext4_attr *attr);
int	 ext4_writer_file_data(struct ext4_writer *w, const void *buf,
	    size_t len, uint64_t offset);
int	 ext4_writer_file_end(struct ext4_writer *w, uint64_t size_bytes);

/*
 * Keeps INO alive without a name (a link count that no entry stands for), or
 * takes that back; for replacing a name by a link to what is below it.
 */
int	 ext4_writer_hold(struct ext4_writer *w, uint32_t ino);
int	 ext4_writer_release(struct ext4_writer *w, uint32_t ino);

/*
 * Removes NAME from DIR, a directory with everything below it. -ENOENT when
 * it is not there.
 */
int	 ext4_writer_remove(struct ext4_writer *w, uint32_t dir,
	    const char *name);

/*
 * Begins a layer: from here on the writer remembers what is added, so that the
 * two calls below can tell it from what was there before. It costs a bit of
 * memory for each inode. 0 or -ENOMEM.
 */
int	 ext4_writer_layer(struct ext4_writer *w);

/*
 * Counts INO, a directory on the way to something that this layer adds, as a
 * part of this layer. 0 or -ENOMEM; without a layer it does nothing.
 */
int	 ext4_writer_touch(struct ext4_writer *w, uint32_t ino);

/*
 * Removes what layers before this one have put at NAME in DIR, or into DIR: what
 * this layer has added or touched stays, what else is in it goes. A NAME that is
 * not there is no error. 0 or -errno.
 */
int	 ext4_writer_whiteout(struct ext4_writer *w, uint32_t dir,
	    const char *name);
int	 ext4_writer_opaque(struct ext4_writer *w, uint32_t dir);

/*
 * Completes the file system and sets the file's length; *RESULT tells what
 * came out. Nothing is synced to disk. 0 or -errno.
 */
int	 ext4_writer_finish(struct ext4_writer *w,
	    struct ext4_writer_result *result);

#endif
