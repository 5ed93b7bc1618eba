/*
 * See jail.h. The jailer gives the VM's uid the root directory of the jail; on
 * a tmpfs with a limit, what a VMM that was taken over puts there costs the
 * host a few hundred KiB, and no file-system code of root's ever walks it.
 *
 * Console and metrics are FIFOs that the VMM holds open at both ends: it neither
 * gets SIGPIPE nor waits when no daemon is there to read; what does not fit is
 * lost (Firecracker drops what it cannot write).
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/jail.h"
#include "privsep/jail_int.h"
#include "privsep/path.h"
#include "privsep/proto.h"
#include "privsep/util.h"

/* Beside the copy of the executable that the jailer makes. */
enum { ROOM_BYTES = 512 << 10, ROOM_INODES = 96 };

/*
 * Firecracker maps the guest's memory as a rule directly below its executable, and
 * kernels before 6.7 give a guest huge pages only where memory and guest are
 * aligned alike: a guest that starts at such a border boots twice as fast.
 */
static int
new_tmpfs(int exec_fd)
{
	struct stat st;

	if (fstat(exec_fd, &st) < 0)
		return -errno;
	return jail_new_tmpfs(&(struct jail_tmpfs){
		.size_bytes = (uint64_t)st.st_size + ROOM_BYTES,
		.inodes = ROOM_INODES,
		.mode = "0711",
		.attributes = MOUNT_ATTR_NOSUID,
		.huge = true,
	});
}

/* run/ with its FIFOs in it; the jailer gives it to the VM's uid. */
static int
fill_run(int root, const struct chroot_spec *spec, struct chroot *out)
{
	_cleanup_close_ int run = path_new_dir(root, "run", 0, 0, 0700);
	int r = run < 0 ? run : jail_make_node(run, "console", S_IFIFO, 0,
	    spec->uid);

	if (r == 0)
		r = jail_make_node(run, "metrics", S_IFIFO, 0, spec->uid);
	if (r < 0)
		return r;
	r = path_open(run, "console", O_RDWR | O_NONBLOCK, 0);
	if (r < 0)
		return r;
	out->console = r;
	r = path_open(run, ".", O_PATH | O_DIRECTORY, 0);
	if (r < 0)
		return r;
	out->run = r;
	return 0;
}

static int
fill_root(int root, const struct chroot_spec *spec, struct chroot *out)
{
	int r = jail_make_file(root, "kernel", -1);

	if (r == 0)
		r = jail_make_file(root, "initrd", -1);
	if (r == 0)
		r = jail_make_file(root, "vmm.conf", spec->config_fd);
	if (r == 0)
		r = jail_make_node(root, "disk", S_IFBLK, spec->disk,
		    spec->uid);
	return r < 0 ? r : fill_run(root, spec, out);
}

static int
fill(const struct chroot_spec *spec, struct chroot *out)
{
	static const char *const dirs[] = { "exec", "firecracker" };
	_cleanup_close_ int root = -1;
	char path[64];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = jail_make_dir(out->tmpfs, dirs[i]);
	if (r == 0)
		r = jail_make_file(out->tmpfs, "exec/firecracker", -1);
	if (r == 0)
		r = format(path, sizeof(path), "firecracker/%s", spec->name);
	if (r == 0)
		r = jail_make_dir(out->tmpfs, path);
	if (r == 0)
		r = format(path, sizeof(path), "firecracker/%s/root",
		    spec->name);
	if (r == 0)
		r = jail_make_dir(out->tmpfs, path);
	if (r < 0)
		return r;
	root = path_open(out->tmpfs, path, O_RDONLY | O_DIRECTORY, 0);
	return root < 0 ? root : fill_root(root, spec, out);
}

/* A read-only clone of the mount at FROM, in *TO. */
static int
clone_file(int from, int *to)
{
	int fd = jail_clone_mount(from, MOUNT_ATTR_NOEXEC);

	if (fd < 0)
		return fd;
	*to = fd;
	return 0;
}

int
chroot_create(const struct chroot_spec *spec, struct chroot *out)
{
	int r;

	*out = (struct chroot){ -1, -1, -1, -1, -1, -1 };
	r = new_tmpfs(spec->exec_fd);
	if (r >= 0) {
		out->tmpfs = r;
		r = fill(spec, out);
	}
	/* The jailer copies the executable, and executes the copy. */
	if (r == 0)
		r = clone_file(spec->exec_fd, &out->exec);
	if (r == 0)
		r = clone_file(spec->kernel_fd, &out->kernel);
	if (r == 0)
		r = clone_file(spec->initrd_fd, &out->initrd);
	if (r < 0)
		chroot_close(out);
	return r;
}

void
chroot_close(struct chroot *chroot)
{
	close_fdp(&chroot->tmpfs);
	close_fdp(&chroot->run);
	close_fdp(&chroot->console);
	close_fdp(&chroot->exec);
	close_fdp(&chroot->kernel);
	close_fdp(&chroot->initrd);
}

int
jail_open_fifo(int run, uid_t uid, const char *name)
{
	_cleanup_close_ int fd = path_open(run, name, O_RDONLY | O_NONBLOCK |
	    O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode) || st.st_uid != uid)
		return -EPERM;
	return steal_fd(&fd);
}
