#include "image/ext4_reader.h"

#include <string.h>
#include <sys/stat.h>

#include "base/le.h"
#include "image/errmsg.h"
#include "image/ext4_internal.h"
#include "image/image_import.h"
#include "privsep/util.h"

enum { MAGIC_AT = 1024 + 56, LINKS_MAX = 40 };

bool
ext4_reader_is(const void *bytes, size_t len)
{
	return len >= EXT4_MAGIC_BYTES &&
	    get_le16((const uint8_t *)bytes + MAGIC_AT) == EXT2_SUPER_MAGIC;
}

int
ext4_reader_fail(errcode_t e, const char *doing, char *err, size_t err_size)
{
	int error = e == EXT2_ET_NO_MEMORY ? -ENOMEM :
	    e == EXT2_ET_UNSUPP_FEATURE || e == EXT2_ET_RO_UNSUPP_FEATURE ?
	    -ENOTSUP : e > 0 && e < 256 ? -(int)e : -EBADMSG;

	initialize_ext2_error_table();
	return errmsg(err, err_size, error, "%s: %s", doing,
	    e > 0 && e < 256 ? strerror((int)e) : error_message(e));
}

int
ext4_reader_open(int fd, ext2_filsys *out, char *err, size_t err_size)
{
	ext2_filsys fs _cleanup_ext4_ = NULL;
	struct stat st;
	char name[16];
	errcode_t e;

	if (fstat(fd, &st) < 0)
		return errmsg(err, err_size, -errno, "its file: %s",
		    strerror(errno));
	(void)format(name, sizeof(name), "%d", fd);
	e = ext2fs_open(name, EXT2_FLAG_64BITS, 0, 0, &ext4_fd_io, &fs);
	if (e != 0)
		return ext4_reader_fail(e, "its file system cannot be read",
		    err, err_size);
	if (ext2fs_blocks_count(fs->super) >
	    (uint64_t)st.st_size / fs->blocksize)
		return errmsg(err, err_size, -EBADMSG, "its file system is cut "
		    "off: it has %llu blocks of %u bytes, the file %llu bytes",
		    (unsigned long long)ext2fs_blocks_count(fs->super),
		    fs->blocksize, (unsigned long long)st.st_size);
	*out = steal_ptr(&fs);
	return 0;
}

void
ext4_reader_close(ext2_filsys *fs)
{
	if (*fs != NULL)
		ext2fs_free(*fs);
	*fs = NULL;
}

errcode_t
ext4_reader_link(ext2_filsys fs, ext2_ino_t ino, struct ext2_inode *inode,
    char target[EXT4_LINK_BYTES])
{
	uint64_t len = EXT2_I_SIZE(inode);
	unsigned int got = 0;
	ext2_file_t file;
	errcode_t e;

	if (len == 0 || len >= EXT4_LINK_BYTES)
		return EXT2_ET_INODE_CORRUPTED;
	target[len] = '\0';
	if (ext2fs_is_fast_symlink(inode)) {
		memcpy(target, inode->i_block, len);
		return 0;
	}
	e = ext2fs_file_open(fs, ino, 0, &file);
	if (e != 0)
		return e;
	e = ext2fs_file_read(file, target, (unsigned int)len, &got);
	ext2fs_file_close(file);
	return e == 0 && got != len ? EXT2_ET_INODE_CORRUPTED : e;
}

/*
 * Finds PATH, through links. Not by ext2fs_namei_follow(), which takes a link to be
 * as long as its inode says, and reads what is behind the block.
 */
static bool
find(ext2_filsys fs, const char *path, struct ext2_inode *inode)
{
	char target[EXT4_LINK_BYTES], rest[2 * EXT4_LINK_BYTES] = "";
	char next[sizeof(rest)];
	ext2_ino_t dir = EXT2_ROOT_INO, ino;
	unsigned int links = 0;

	(void)format(rest, sizeof(rest), "%s", path);
	for (;;) {
		const char *name = rest + strspn(rest, "/");
		int len = (int)strcspn(name, "/");

		if (len == 0)
			return ext2fs_read_inode(fs, dir, inode) == 0;
		if (ext2fs_lookup(fs, dir, name, len, NULL, &ino) != 0 ||
		    ext2fs_read_inode(fs, ino, inode) != 0)
			return false;
		target[0] = '\0';
		if (!LINUX_S_ISLNK(inode->i_mode))
			dir = ino;
		else if (links++ == LINKS_MAX ||
		    ext4_reader_link(fs, ino, inode, target) != 0)
			return false;
		else if (target[0] == '/')
			dir = EXT2_ROOT_INO;
		if (format(next, sizeof(next), "%s%s", target, name + len) < 0)
			return false;
		memcpy(rest, next, sizeof(rest));
	}
}

static bool
has_init(ext2_filsys fs)
{
	size_t i;

	for (i = 0; image_init_paths[i] != NULL; i++) {
		struct ext2_inode inode;

		if (find(fs, image_init_paths[i], &inode) &&
		    LINUX_S_ISREG(inode.i_mode))
			return true;
	}
	return false;
}

void
ext4_reader_look(ext2_filsys fs, struct ext4_info *out)
{
	struct ext2_super_block *sb = fs->super;
	uint64_t blocks = ext2fs_blocks_count(sb);
	uint64_t unused = ext2fs_free_blocks_count(sb);

	*out = (struct ext4_info){
		.size_bytes = blocks * fs->blocksize,
		.used_bytes = unused < blocks ?
		    (blocks - unused) * fs->blocksize : 0,
		.inodes = sb->s_free_inodes_count < sb->s_inodes_count ?
		    sb->s_inodes_count - sb->s_free_inodes_count : 0,
		.unclean = ext2fs_has_feature_journal_needs_recovery(sb),
		.has_init = has_init(fs),
	};
}
