/*
 * Theory of operation. The kernel unpacks the initrd into its first root, a
 * ramfs, and starts /init there: this executable. It loads the drivers from
 * /modules, mounts the disk as soon as there is one, which grows while the rest is
 * loaded, empties the ramfs, and moves the disk over it. All paths of the
 * image are used only from inside (after chroot), so that its symlinks, whatever
 * they say, stay in it. Nothing waits by the clock: the one thing that may come
 * late, the disk, is waited for by inotify.
 *
 * It comes in two parts: in between the agent listens for the host, which knocks
 * from the moment on that vsock's transport is loaded.
 *
 * The order is the fastest: whatever a command could notice (root file system
 * and its size, name, network, /dev, /proc) is there before the agent answers,
 * and nothing else is.
 */
#include "guest/boot.h"

#include <linux/mount.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/agent_proto.h"
#include "base/le.h"
#include "guest/etc.h"
#include "guest/loop.h"
#include "guest/net.h"
#include "guest/ports.h"
#include "privsep/log.h"

#define MODULES_DIR "/modules"
#define ROOT_DEVICE "/dev/vda"
#define ROOT_DIR "/root.banger"
#define NO_ZEROING "noinit_itable"	/* of inode tables; see grow() */
#define VSOCK_TRANSPORT "vmw_vsock_virtio_transport.ko"
#define SERIAL_DRIVER "virtio_console.ko"
#define ROOT_WAIT_MS 10000
#define GROW_WAIT_MS 500
#define GROW_READS 262144L	/* bytes from the start of the disk */

/* fs/ext4/ext4.h; the number is the new size in blocks of the file system. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

static const char *const init_paths[] = {
	"/sbin/init", "/etc/init", "/usr/lib/systemd/systemd", "/bin/init",
};

void
boot_fail(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s", text);
	sync();
	(void)reboot(RB_AUTOBOOT);
	_exit(1);
}

struct early_mount {
	const char *type, *target;
	unsigned long flags;
	const char *data;
	mode_t mode;
};

/* Mounts M, making its directory when the image lacks it. 0 or -errno. */
static int
mount_one(const struct early_mount *m)
{
	if (mkdir(m->target, m->mode) < 0 && errno != EEXIST)
		return -errno;
	if (mount(m->type, m->target, m->type, m->flags, m->data) < 0 &&
	    errno != EBUSY)
		return -errno;
	return 0;
}

static void
mount_initrd(void)
{
	static const struct early_mount mounts[] = {
		{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755", 0755 },
		{ "proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL,
		    0555 },
	};
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		r = mount_one(&mounts[i]);
		if (r < 0)
			boot_fail("cannot mount %s: %s", mounts[i].target,
			    strerror(-r));
	}
}

/*
 * What every program expects, and what any init takes as it finds it. /tmp stays
 * on the disk: that is larger than the memory.
 */
static void
mount_root(bool init_none)
{
	static const struct early_mount mounts[] = {
		{ "proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL,
		    0555 },
		{ "sysfs", "/sys", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL,
		    0555 },
		{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755", 0755 },
		{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		    "gid=5,mode=0620,ptmxmode=0666", 0755 },
		{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777",
		    01777 },
		{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", 0755 },
		/* The last one only without an init, which has its own ideas. */
		{ "cgroup2", "/sys/fs/cgroup",
		    MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL, 0755 },
	};
	size_t count = ARRAY_SIZE(mounts) - (init_none ? 0 : 1), i;
	int r;

	for (i = 0; i < count; i++) {
		r = mount_one(&mounts[i]);
		if (r < 0)
			log_warn("cannot mount %s: %s", mounts[i].target,
			    strerror(-r));
	}
	(void)mkdir("/run/lock", 01777);
	(void)mkdir("/tmp", 01777);
	/* devtmpfs has only device nodes; udev would make these links. */
	(void)symlink("/proc/self/fd", "/dev/fd");
	(void)symlink("/proc/self/fd/0", "/dev/stdin");
	(void)symlink("/proc/self/fd/1", "/dev/stdout");
	(void)symlink("/proc/self/fd/2", "/dev/stderr");
}

/* A module's own failure is not the end: the disk will tell if it matters. */
static void
load_module(const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[256];

	if (strchr(name, '/') != NULL || format(path, sizeof(path), "%s/%s",
	    MODULES_DIR, name) < 0) {
		log_warn("module %s: not a file name", name);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 &&
	    errno != EEXIST))
		log_warn("module %s: %s", name, strerror(errno));
}

/*
 * The driver of the serial ports probes its first device only, where the control
 * port is; see guest/ports.h.
 */
static void
load_serial_driver(void)
{
	static const struct early_mount sys = { "sysfs", "/sys",
		MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL, 0555 };
	_cleanup_close_ int fd = mount_one(&sys) < 0 ? -1 :
	    open(sys.target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool held = fd >= 0 && ports_probe_all(fd, false) == 0;

	load_module(SERIAL_DRIVER);
	if (!held)
		return;		/* then it has probed both */
	if (ports_probe_next(fd) < 0)
		log_warn("no serial port to the host");
	(void)ports_probe_all(fd, true);
}

/* Drivers of the link that this guest does not have: they cost time. */
static bool
is_other_link(const char *name, bool vsock)
{
	static const char *const of_vsock[] = {
		"vsock.ko", "vmw_vsock_virtio_transport_common.ko",
	};
	size_t i;

	if (vsock)
		return strcmp(name, SERIAL_DRIVER) == 0;
	for (i = 0; i < ARRAY_SIZE(of_vsock); i++)
		if (strcmp(name, of_vsock[i]) == 0)
			return true;
	return false;
}

static bool
root_device_exists(void)
{
	struct stat st;

	return stat(ROOT_DEVICE, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * The size of the ext4 file system on FD in blocks, and their size in bytes
 * (Documentation/filesystems/ext4/super.rst). 0 or -errno.
 */
static int
ext4_size(int fd, uint64_t *blocks, uint64_t *block_size)
{
	uint8_t super[1024];
	uint32_t log_size;

	if (pread(fd, super, sizeof(super), 1024) != (ssize_t)sizeof(super))
		return -EIO;
	log_size = get_le32(super + 0x18);
	if (get_le16(super + 0x38) != 0xef53 || log_size > 6)
		return -EINVAL;
	*block_size = UINT64_C(1024) << log_size;
	*blocks = get_le32(super + 0x4);
	if ((get_le32(super + 0x60) & 0x80) != 0)	/* INCOMPAT_64BIT */
		*blocks |= (uint64_t)get_le32(super + 0x150) << 32;
	return 0;
}

/*
 * How many blocks the root file system should have to fill its disk; 0 when it
 * does so already. 0 or -errno.
 */
static int
root_target(uint64_t *target)
{
	_cleanup_close_ int disk = open(ROOT_DEVICE, O_RDONLY | O_CLOEXEC);
	uint64_t blocks, block_size, wanted;
	off_t size_bytes;
	int r;

	if (disk < 0)
		return -errno;
	size_bytes = lseek(disk, 0, SEEK_END);
	if (size_bytes < 0)
		return -errno;
	r = ext4_size(disk, &blocks, &block_size);
	if (r < 0)
		return r;
	wanted = (uint64_t)size_bytes / block_size;
	*target = wanted > blocks ? wanted : 0;
	/* Growing reads the reserved descriptors, one block after another. */
	if (*target > 0)
		(void)posix_fadvise(disk, 0, GROW_READS, POSIX_FADV_WILLNEED);
	return 0;
}

/* Sets a flag of the file system that FD is on, and nothing else. 0 or -errno. */
static int
set_flag(int fd, const char *flag)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fspick, fd, "",
	    FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, flag, NULL,
	    0) < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL,
	    NULL, 0) < 0)
		return -errno;
	return 0;
}

/*
 * Makes the file system on ROOT as large as TARGET blocks. The kernel may then
 * write zeros over the new inode tables, at once or, with init_itable, by and by:
 * 16 KiB for each MiB of the disk, which are zeros already, and which a snapshot
 * would keep. So it is told to do it later, and then not to.
 */
static int
grow(int root, uint64_t target)
{
	int r = set_flag(root, "init_itable"), off;

	if (r == 0 && ioctl(root, EXT4_IOC_RESIZE_FS, &target) < 0)
		r = -errno;
	off = set_flag(root, NO_ZEROING);
	return r < 0 ? r : off;
}

/*
 * Starts to make the root file system as large as its disk, in a child, for that
 * takes about 10 ms a GiB in an emulated guest; boot->grown becomes readable at
 * the end of the child. 0 with no child when there is nothing to do, or -errno.
 */
static int
start_growing(struct boot *boot)
{
	_cleanup_close_ int root = -1;
	uint64_t target = 0;
	int fds[2], r = root_target(&target);

	if (r < 0 || target == 0)
		return r;
	/* Not in the child: ROOT_DIR is soon not there any more. */
	root = open(ROOT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	boot->grower = fork();
	if (boot->grower == 0) {
		r = grow(root, target);
		if (r < 0)
			log_warn("cannot grow the root file system: %s",
			    strerror(-r));
		_exit(r < 0);
	}
	close(fds[1]);
	boot->grown = fds[0];
	return boot->grower < 0 ? -EAGAIN : 0;
}

/*
 * Mounts the disk when it is there and starts to grow it; true when that is done.
 * The driver of its file system may come after that of the disk: not so if ALL
 * modules are loaded.
 */
static bool
take_disk(struct boot *boot, bool all)
{
	int r;

	if (boot->mounted || !root_device_exists())
		return boot->mounted;
	(void)mkdir(ROOT_DIR, 0755);
	if (mount(ROOT_DEVICE, ROOT_DIR, "ext4", 0, NO_ZEROING) < 0) {
		if (errno == ENODEV && !all)
			return false;
		boot_fail("cannot mount %s as ext4: %s", ROOT_DEVICE,
		    strerror(errno));
	}
	boot->mounted = true;
	r = start_growing(boot);
	if (r < 0) {
		log_warn("cannot grow the root file system: %s", strerror(-r));
		boot->state |= AGENT_STATE_NO_GROW;
	}
	return true;
}

/* Drivers probe while their module loads: as a rule the disk is there. */
static void
wait_for_disk(struct boot *boot)
{
	int64_t deadline = monotonic_ms() + ROOT_WAIT_MS;
	struct pollfd pfd = { .events = POLLIN };
	char events[1024];

	if (take_disk(boot, true))
		return;
	pfd.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (pfd.fd < 0 || inotify_add_watch(pfd.fd, "/dev", IN_CREATE) < 0)
		boot_fail("cannot wait for %s: %s", ROOT_DEVICE,
		    strerror(errno));
	while (!take_disk(boot, true)) {
		int64_t left = deadline - monotonic_ms();

		if (left <= 0)
			boot_fail("no disk %s after %d s: is virtio_blk in the "
			    "initrd?", ROOT_DEVICE, ROOT_WAIT_MS / 1000);
		(void)poll(&pfd, 1, (int)left);
		(void)!read(pfd.fd, events, sizeof(events));
	}
	close(pfd.fd);
}

/*
 * Loads the modules that this guest has a use for, but for vsock's transport. The
 * disk is among the first, and grows while the others are loaded.
 */
static void
load_modules(struct boot *boot)
{
	FILE *list = fopen(MODULES_DIR "/load", "re");
	char line[256];

	/* None: a kernel with everything built in. */
	while (list != NULL && fgets(line, sizeof(line), list) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || strcmp(line, VSOCK_TRANSPORT) == 0 ||
		    is_other_link(line, boot->config.vsock))
			continue;
		if (strcmp(line, SERIAL_DRIVER) == 0)
			load_serial_driver();
		else
			load_module(line);
		(void)take_disk(boot, false);
	}
	if (list != NULL)
		fclose(list);
}

/*
 * A first command should find the disk's full size, but not wait long for it: a
 * huge disk goes on growing behind its back. False when it has failed.
 */
static bool
finish_growing(const struct boot *boot)
{
	struct pollfd pfd = { .fd = boot->grown, .events = POLLIN };
	int status = 0;

	if (poll(&pfd, 1, GROW_WAIT_MS) == 1)
		(void)waitpid(boot->grower, &status, 0);
	close(boot->grown);
	return status == 0;
}

/* Frees the memory of what the initrd brought; this runs from /init on. */
static void
empty_initrd(void)
{
	DIR *dir = opendir(MODULES_DIR);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(MODULES_DIR);
	(void)unlink("/init");
}

/*
 * switch_root(8): the disk takes the place of the ramfs. The ramfs's own /proc,
 * /sys and /dev stay buried under it: an unmount waits for an RCU grace period,
 * which so early in a boot takes a third of a second.
 */
static void
switch_root(void)
{
	empty_initrd();
	if (chdir(ROOT_DIR) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0)
		boot_fail("cannot change to the root file system: %s",
		    strerror(errno));
}

static void
write_etc(const struct guest_config *config)
{
	_cleanup_close_ int etc = -1;

	(void)mkdir("/etc", 0755);
	etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (etc < 0)
		log_warn("cannot open /etc: %s", strerror(errno));
	else
		(void)etc_write(etc, config);
}

/* Ctrl-Alt-Del (Firecracker's SendCtrlAltDel) is init's business: SIGINT. */
static void
set_limits(void)
{
	struct rlimit files = { 1024, 1048576 };

	(void)reboot(RB_DISABLE_CAD);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	umask(022);
}

/* Everything that needs the new root: the same for every init. */
static void
furnish(struct boot *boot)
{
	const struct guest_config *config = &boot->config;
	int r;

	mount_root(config->init_none);
	if (config->host[0] != '\0')
		(void)sethostname(config->host, strlen(config->host));
	r = net_setup(config);
	if (r < 0) {
		log_warn("cannot set up the network: %s", strerror(-r));
		boot->state |= AGENT_STATE_NO_NET;
	}
	write_etc(config);
	set_limits();
}

void
boot_drivers(struct boot *boot)
{
	umask(0);
	mount_initrd();
	if (guest_config_load(&boot->config) < 0)
		boot_fail("cannot read the kernel command line");
	load_modules(boot);
}

void
boot_root(struct boot *boot)
{
	/* It may be built in. */
	if (boot->config.vsock &&
	    access(MODULES_DIR "/" VSOCK_TRANSPORT, F_OK) == 0)
		load_module(VSOCK_TRANSPORT);
	wait_for_disk(boot);
	switch_root();
	furnish(boot);
	if (boot->grower > 0 && !finish_growing(boot))
		boot->state |= AGENT_STATE_NO_GROW;
}

bool
boot_has_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(init_paths); i++)
		if (access(init_paths[i], X_OK) == 0)
			return true;
	return false;
}

void
boot_exec_init(void)
{
	/* What the kernel gives its init, plus a PATH for simple ones. */
	char home[] = "HOME=/", term[] = "TERM=linux";
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
	    ":/sbin:/bin";
	char *const env[] = { home, term, path, NULL };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(init_paths); i++) {
		char name[64];
		char *const argv[] = { name, NULL };

		if (format(name, sizeof(name), "%s", init_paths[i]) < 0)
			continue;
		execve(init_paths[i], argv, env);
		if (errno != ENOENT)
			log_warn("%s: %s", init_paths[i], strerror(errno));
	}
}
