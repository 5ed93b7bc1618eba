/*
 * See node.h.
 */
#include "privsep/node.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "privsep/path.h"
#include "privsep/util.h"

int
node_dir_open(void)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "tmpfs",
	    FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode",
	    "0700", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

int
node_open(int dir, mode_t type, dev_t rdev, int flags)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char name[32];
	int r = format(name, sizeof(name), "%c%u.%u",
	    type == S_IFBLK ? 'b' : 'c', major(rdev), minor(rdev));

	if (r < 0)
		return r;
	if (mknodat(dir, name, type | 0600, rdev) < 0)
		return -errno;
	fd = path_open(dir, name, flags | O_NOFOLLOW | O_NONBLOCK, 0);
	if (unlinkat(dir, name, 0) < 0)
		return -errno;
	if (fd < 0)
		return steal_fd(&fd);
	if (fstat(fd, &st) < 0)
		return -errno;
	/* runc CVE-2025-31133: what was opened, not what was meant. */
	if ((st.st_mode & S_IFMT) != type || st.st_rdev != rdev)
		return -EPERM;
	return steal_fd(&fd);
}
