/*
 * Paths in an image that is being written: an archive names its entries by
 * path, the ext4 writer by directory and name. All of it happens inside the
 * image; the host's file system is never looked at.
 *
 * Symbolic links on the way to an entry are followed within the image, as in
 * a chroot: archives do hold both `lib -> usr/lib` and `lib/foo`, and no link
 * can lead out, as there is no out. The last component is never followed.
 */
#ifndef BANGER_IMAGE_TREE_H
#define BANGER_IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/ext4_writer.h"

/* Longest path of an entry, with its NUL. */
#define TREE_PATH_MAX 4096

/* The writer stays the caller's; IMPLIED is what directories get that are
 * needed but not (yet) in the archive. */
struct tree {
	struct ext4_writer *w;
	struct ext4_attr implied;
	char parent[TREE_PATH_MAX];	/* found last, valid if ino is not 0 */
	uint32_t parent_ino;
};

/*
 * Brings an entry's name into the form a/b/c: without leading and double
 * slashes and "." ("" is the root itself). 0, -EINVAL when a component is
 * "..", -ENAMETOOLONG for a component above 255 bytes or too long a path.
 */
int	 tree_clean(const char *name, char out[TREE_PATH_MAX]);

/*
 * Finds the directory that the clean, not empty PATH's last component is or
 * will be in, making directories that are missing; all of them are then a part
 * of the layer, if there is one (ext4_writer_layer). *NAME points into PATH.
 * 0, -ENOTDIR when something on the way is no directory, -ELOOP above 40
 * links, or what the writer says.
 */
int	 tree_parent(struct tree *t, const char *path, uint32_t *dir,
	    const char **name);

/*
 * Finds PATH, which has to be there. With FOLLOW, symbolic links are followed
 * in the last component too. 0, -ENOENT, -ENOTDIR, -ELOOP, or -errno.
 */
int	 tree_lookup(struct tree *t, const char *path, bool follow,
	    uint32_t *ino);

/* Forgets what was found: something may have been removed behind its back. */
void	 tree_forget(struct tree *t);

/* Removes NAME from DIR with all below it. 0, -ENOENT, or -errno. */
int	 tree_remove(struct tree *t, uint32_t dir, const char *name);

#endif
