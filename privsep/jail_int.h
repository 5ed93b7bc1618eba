/*
 * What the two kinds of jail, jail.c's (QEMU) and chroot.c's (Firecracker), are
 * both made of. For these two files only.
 */
#ifndef BANGER_PRIVSEP_JAIL_INT_H
#define BANGER_PRIVSEP_JAIL_INT_H

#include <stdint.h>
#include <sys/types.h>

/* A directory NAME in DIR of root's, 0755. 0 or -errno. */
int	 jail_make_dir(int dir, const char *name);

/*
 * A file NAME in DIR, 0444, root's: empty, to mount upon, or with what FROM
 * (-1: none) holds, LAUNCH_CONFIG_MAX bytes at most. 0 or -errno.
 */
int	 jail_make_file(int dir, const char *name, int from);

/*
 * A device node or FIFO (TYPE as in mknod(2)) that UID alone may use. What
 * stands there afterwards is looked at again (runc CVE-2025-31133). 0 or
 * -errno.
 */
int	 jail_make_node(int dir, const char *name, mode_t type, dev_t rdev,
	    uid_t uid);

/*
 * A detached, read-only clone of the mount at FD with FLAGS (MOUNT_ATTR_*)
 * besides nosuid and nodev (open_tree(2)). Private: what the host mounts below
 * it later would arrive there with the host's flags. An fd or -errno.
 */
int	 jail_clone_mount(int fd, uint64_t flags);

struct jail_tmpfs {
	uint64_t size_bytes;
	unsigned int inodes;
	uid_t uid;			/* of its root directory, and gid */
	const char *mode;		/* octal digits */
	unsigned int attributes;	/* MOUNT_ATTR_* */
	bool huge;			/* maps large files at huge pages' borders */
};

/* A new, detached tmpfs. An fd or -errno. */
int	 jail_new_tmpfs(const struct jail_tmpfs *spec);

#endif
