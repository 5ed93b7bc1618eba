/*
 * An ext4 file system that somebody else has written (mke2fs, the kernel of a
 * guest), in a file that is open already, through libext2fs. Everything in it is a
 * stranger's: for a process that holds nothing but the files it works on.
 */
#ifndef BANGER_IMAGE_EXT4_READER_H
#define BANGER_IMAGE_EXT4_READER_H

#include <sys/types.h>

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXT4_MAGIC_BYTES = 1024 + 58, EXT4_LINK_BYTES = 4096 };

/* What ext4_reader_look() tells. */
struct ext4_info {
	uint64_t size_bytes;	/* of the file system */
	uint64_t used_bytes;	/* blocks that are not free */
	uint64_t inodes;	/* in use */
	bool unclean;		/* its journal has something to be replayed */
	bool has_init;		/* image_init_paths */
};

/* Whether a file that begins with these LEN bytes is one, by its magic number. */
bool	 ext4_reader_is(const void *bytes, size_t len);

/*
 * Opens FD, which stays the caller's, for reading; *FS is then the caller's, for
 * ext4_reader_close. 0; or with a line in ERR -EBADMSG when it is none, a damaged
 * one, or more than the file holds, -ENOTSUP when it has a feature that cannot be
 * read, -ENOMEM, -errno.
 */
int	 ext4_reader_open(int fd, ext2_filsys *fs, char *err,
	    size_t err_size);
void	 ext4_reader_close(ext2_filsys *fs);

/* Tells what FS is. */
void	 ext4_reader_look(ext2_filsys fs, struct ext4_info *out);

/*
 * Where the symbolic link INO leads; INODE is its inode. 0 or libext2fs's error,
 * which is EXT2_ET_INODE_CORRUPTED when it has no length that a link can have.
 */
errcode_t ext4_reader_link(ext2_filsys fs, ext2_ino_t ino,
	    struct ext2_inode *inode, char target[EXT4_LINK_BYTES]);

/* In words and with a -errno, what libext2fs's error E means. */
int	 ext4_reader_fail(errcode_t e, const char *doing, char *err,
	    size_t err_size);

#define _cleanup_ext4_ __attribute__((cleanup(ext4_reader_close)))

#endif
