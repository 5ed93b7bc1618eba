/*
 * Where a tree of files has its kernel: that of the running system, one that
 * packages were unpacked to, or a directory of modules with their kernel in it.
 */
#ifndef BANGER_CLIENT_KERNEL_TREE_H
#define BANGER_CLIENT_KERNEL_TREE_H

#include <limits.h>
#include <stddef.h>

struct kernel_tree {
	char kernel[PATH_MAX];		/* a vmlinuz or a vmlinux */
	char modules[PATH_MAX];		/* a directory */
};

/*
 * Finds the kernel of RELEASE below ROOT ("" for /), or with RELEASE NULL the
 * only one there. 0 and *OUT, or -errno with a line in ERR: -ENOENT when there
 * is none, -EEXIST when there is more than one.
 */
int	 kernel_tree_find(const char *root, const char *release,
	    struct kernel_tree *out, char *err, size_t err_size);

/*
 * The release in a kernel's file name: "6.1.0-9-amd64" of
 * "/boot/vmlinuz-6.1.0-9-amd64". NULL when there is none.
 */
const char *kernel_file_release(const char *path);

#endif
