/*
 * See jail.h. The tree is built top-down with fds, and only root can write in
 * it. What a VMM that was taken over plants in its /run is never followed:
 * jail_connect resolves without symlinks and checks what it found.
 */
#include "privsep/jail.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "privsep/jail_int.h"
#include "privsep/path.h"
#include "privsep/proto.h"
#include "privsep/util.h"

const char *const jail_targets[JAIL_MOUNTS] = {
	[MOUNT_USR_LIB] = "usr/lib",
	[MOUNT_USR_LIB64] = "usr/lib64",
	[MOUNT_LIB] = "lib",
	[MOUNT_LIB64] = "lib64",
	[MOUNT_SHARE_QEMU] = "usr/share/qemu",
	[MOUNT_SHARE_SEABIOS] = "usr/share/seabios",
	[MOUNT_LD_CACHE] = "etc/ld.so.cache",
	[MOUNT_KERNEL] = "kernel",
	[MOUNT_INITRD] = "initrd",
	[MOUNT_RUN] = "run",
};

static const struct device {
	const char *name;
	unsigned int major, minor;
	bool kvm_only;
} devices[] = {
	{ "null", 1, 3, false },
	{ "urandom", 1, 9, false },
	{ "kvm", 10, 232, true },
};

/* /lib and /lib64 are symlinks on merged-usr hosts: keep where they lead. */
static int
open_host_dir(struct jail_host *host, int root, int which)
{
	_cleanup_close_ int fd = openat(root, which == MOUNT_LD_CACHE ?
	    "etc" : jail_targets[which], O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		host->dirs[which] = steal_fd(&fd);
		return 0;
	}
	if (!S_ISLNK(st.st_mode))
		return -ENOTDIR;
	n = readlinkat(fd, "", host->links[which],
	    sizeof(host->links[which]) - 1);
	if (n < 0)
		return -errno;
	host->links[which][n] = '\0';
	return 0;
}

int
jail_host_open(struct jail_host *host)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int i, r = 0;

	if (root < 0)
		return -errno;
	memset(host, 0, sizeof(*host));
	for (i = 0; i < MOUNT_HOST_DIRS; i++)
		host->dirs[i] = -1;
	for (i = 0; r == 0 && i < MOUNT_HOST_DIRS; i++)
		r = open_host_dir(host, root, i);
	return r;
}

int
jail_make_file(int root, const char *name, int from)
{
	_cleanup_close_ int fd = path_open(root, name,
	    O_WRONLY | O_CREAT | O_EXCL, 0444);
	char buf[LAUNCH_CONFIG_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0444) < 0)
		return -errno;
	if (from < 0)
		return 0;
	n = pread(from, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	return write_full(fd, buf, (size_t)n);
}

int
jail_make_dir(int root, const char *name)
{
	if (mkdirat(root, name, 0755) < 0)
		return -errno;
	return fchmodat(root, name, 0755, 0) < 0 ? -errno : 0;
}

int
jail_make_node(int dir, const char *name, mode_t type, dev_t rdev, uid_t uid)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mknodat(dir, name, type | 0600, rdev) < 0)
		return -errno;
	if (fchownat(dir, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	fd = path_open(dir, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 ? fd : -errno;
	if ((st.st_mode & S_IFMT) != type || st.st_rdev != rdev)
		return -EPERM;
	return 0;
}

static int
make_devices(int root, uid_t uid, bool kvm)
{
	_cleanup_close_ int dir = path_new_dir(root, "dev", 0, 0, 0755);
	size_t i;
	int r = dir < 0 ? dir : 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(devices); i++)
		if (kvm || !devices[i].kvm_only)
			r = jail_make_node(dir, devices[i].name, S_IFCHR,
			    makedev(devices[i].major, devices[i].minor), uid);
	return r;
}

static int
make_mount_point(const struct jail_host *host, int root, int which)
{
	const char *target = jail_targets[which];

	if (which == MOUNT_RUN)
		return jail_make_dir(root, target);
	if (which >= MOUNT_LD_CACHE)
		return jail_make_file(root, target, -1);
	if (host->links[which][0] != '\0')
		return symlinkat(host->links[which], root, target) < 0 ?
		    -errno : 0;
	if (host->dirs[which] < 0)
		return 0;
	return jail_make_dir(root, target);
}

static int
fill(const struct jail_host *host, int root, uid_t uid, bool kvm,
    int config_fd)
{
	/* QEMU looks for its modules and firmware by way of /usr/bin/.. */
	static const char *const plain_dirs[] = {
		"etc", "usr", "usr/bin", "usr/share",
	};
	int i, r = 0;

	for (i = 0; r == 0 && i < (int)ARRAY_SIZE(plain_dirs); i++)
		r = jail_make_dir(root, plain_dirs[i]);
	for (i = 0; r == 0 && i < JAIL_MOUNTS; i++)
		r = make_mount_point(host, root, i);
	if (r == 0)
		r = make_devices(root, uid, kvm);
	return r < 0 ? r : jail_make_file(root, "vmm.conf", config_fd);
}

int
jail_create(const struct jail_host *host, int base, const char *name, uid_t uid,
    bool kvm, int config_fd, int *root)
{
	_cleanup_close_ int jail = path_new_dir(base, name, 0, 0, 0700);
	_cleanup_close_ int fd = -1;
	int r;

	if (jail < 0)
		return jail;
	fd = path_new_dir(jail, "root", 0, 0, 0755);
	r = fd < 0 ? fd : fill(host, fd, uid, kvm, config_fd);
	if (r < 0) {
		(void)path_remove_tree(base, name);
		return r;
	}
	*root = steal_fd(&fd);
	return 0;
}

int
jail_clone_mount(int fd, uint64_t flags)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
		    MOUNT_ATTR_NODEV | flags,
		.propagation = MS_PRIVATE,
	};
	_cleanup_close_ int tree = (int)syscall(SYS_open_tree, fd, "",
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (tree < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
	    sizeof(attr)) < 0)
		return -errno;
	return steal_fd(&tree);
}

static int
set_option(int fs, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) < 0
	    ? -errno : 0;
}

/* fsopen(2), tmpfs(5) */
int
jail_new_tmpfs(const struct jail_tmpfs *spec)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "tmpfs",
	    FSOPEN_CLOEXEC);
	char size[24], inodes[16], id[16];
	int fd, r;

	if (fs < 0)
		return -errno;
	snprintf(size, sizeof(size), "%llu",
	    (unsigned long long)spec->size_bytes);
	snprintf(inodes, sizeof(inodes), "%u", spec->inodes);
	snprintf(id, sizeof(id), "%u", spec->uid);
	r = set_option(fs, "size", size);
	if (r == 0)
		r = set_option(fs, "nr_inodes", inodes);
	if (r == 0)
		r = set_option(fs, "mode", spec->mode);
	if (r == 0)
		r = set_option(fs, "uid", id);
	if (r == 0)
		r = set_option(fs, "gid", id);
	if (r == 0 && spec->huge) {
		/* For who asks for huge pages: nobody does. */
		r = set_option(fs, "huge", "advise");
		if (r == -EINVAL)
			r = 0;		/* a kernel without them */
	}
	if (r < 0)
		return r;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, spec->attributes);
	return fd < 0 ? -errno : fd;
}

/* For sockets: no room for more. */
static int
new_run(uid_t uid)
{
	return jail_new_tmpfs(&(struct jail_tmpfs){
		.size_bytes = 65536, .inodes = 64, .uid = uid, .mode = "0700",
		.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
		    MOUNT_ATTR_NOEXEC,
	});
}

int
jail_mounts(const struct jail_host *host, uid_t uid, int kernel_fd,
    int initrd_fd, int mounts[JAIL_MOUNTS])
{
	/* Not the one of the daemon's start: no deleted file can be mounted. */
	_cleanup_close_ int cache = path_open(host->dirs[MOUNT_LD_CACHE],
	    "ld.so.cache", O_PATH | O_NOFOLLOW, 0);
	int sources[JAIL_MOUNTS] = { 0 }, i,
	    r = cache < 0 && cache != -ENOENT ? cache : 0;

	memcpy(sources, host->dirs, sizeof(host->dirs));
	sources[MOUNT_LD_CACHE] = cache;
	sources[MOUNT_KERNEL] = kernel_fd;
	sources[MOUNT_INITRD] = initrd_fd;
	for (i = 0; i < JAIL_MOUNTS; i++)
		mounts[i] = -1;
	for (i = 0; r >= 0 && i < JAIL_MOUNTS; i++) {
		if (sources[i] < 0)
			continue;
		/* What the worker may have written is not executed either. */
		r = i == MOUNT_RUN ? new_run(uid) : jail_clone_mount(sources[i],
		    i >= MOUNT_HOST_DIRS ? MOUNT_ATTR_NOEXEC : 0);
		mounts[i] = r < 0 ? -1 : r;
	}
	if (r >= 0)
		return 0;
	while (i-- > 0)
		close_fdp(&mounts[i]);
	return r;
}

int
jail_remove(int base, const char *name)
{
	return path_remove_tree(base, name);
}

int
jail_connect(int run, uid_t uid, const char *name)
{
	_cleanup_close_ int node = -1;
	_cleanup_close_ int sock = -1;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;

	node = path_open(run, name, O_PATH | O_NOFOLLOW, 0);
	if (node < 0)
		return node;
	if (fstat(node, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	if (st.st_uid != uid)
		return -EPERM;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	/* By the inode just checked; no path in the jail is resolved again. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", node);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return steal_fd(&sock);
}
