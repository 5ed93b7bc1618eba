/*
 * See loop.h. The device that LOOP_CTL_GET_FREE names is free for everybody:
 * who configures it first has it, the others try again.
 */
#include "privsep/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "privsep/node.h"
#include "privsep/path.h"
#include "privsep/util.h"

/* The kernel's Documentation/admin-guide/devices.txt: misc, loop-control. */
enum { LOOP_CONTROL_MINOR = 237 };

enum { ATTACH_TRIES = 64, BLOCK_BYTES = 512 };

void
loops_open(struct loops *loops, int nodes)
{
	loops->nodes = nodes;
	loops->control = node_open(nodes, S_IFCHR,
	    makedev(MISC_MAJOR, LOOP_CONTROL_MINOR), O_RDWR);
	loops->sysfs = open("/sys/devices/virtual/block",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Minors are spaced by the module's max_part: only sysfs knows. */
static dev_t
device_of(const struct loops *loops, int number)
{
	static const char prefix[] = "7:";	/* LOOP_MAJOR */
	_cleanup_close_ int fd = -1;
	uint64_t minor = (uint64_t)number;
	char text[64];
	ssize_t n;

	if (loops->sysfs >= 0 && format(text, sizeof(text), "loop%d/dev",
	    number) == 0)
		fd = path_open(loops->sysfs, text, O_RDONLY, 0);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	/* "7:16" and a newline. */
	text[n > 0 ? n - 1 : 0] = '\0';
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		(void)parse_u64(text + sizeof(prefix) - 1, UINT32_MAX, &minor);
	return makedev(LOOP_MAJOR, (unsigned int)minor);
}

/*
 * systemd-udevd leaves a block device alone as long as somebody has its node
 * in /dev locked (systemd, "Locking Block Device Access"). For reading: closing
 * a node that was open for writing is what it watches for. -1: no such node,
 * so no udev that could look.
 */
static int
lock_node(int number, dev_t rdev)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[32];

	if (format(path, sizeof(path), "/dev/loop%d", number) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != rdev || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -1;
	return steal_fd(&fd);
}

static int
configure(int device, int file, int mode)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = BLOCK_BYTES,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR },
	};

	if ((mode & LOOP_READ_ONLY) != 0)
		config.info.lo_flags |= LO_FLAGS_READ_ONLY;
	if ((mode & LOOP_DIRECT) != 0)
		config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
	memcpy(config.info.lo_file_name, "banger", sizeof("banger"));
	return ioctl(device, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

/* One try; -EBUSY: somebody else has taken it. */
static int
attach(const struct loops *loops, int file, int mode, struct loop *loop)
{
	struct loop taken __attribute__((cleanup(loop_drop))) = {
		.fd = -1, .lock = -1 };
	int number = ioctl(loops->control, LOOP_CTL_GET_FREE), r;

	if (number < 0)
		return -errno;
	taken.rdev = device_of(loops, number);
	taken.fd = node_open(loops->nodes, S_IFBLK, taken.rdev,
	    (mode & LOOP_READ_ONLY) != 0 ? O_RDONLY : O_RDWR);
	/* Removed again by LOOP_CTL_REMOVE, between the two. */
	if (taken.fd == -ENXIO || taken.fd == -ENODEV)
		return -EBUSY;
	if (taken.fd < 0)
		return taken.fd;
	if ((mode & LOOP_LOCK) != 0)
		taken.lock = lock_node(number, taken.rdev);
	r = configure(taken.fd, file, mode);
	if (r < 0)
		return r;
	*loop = taken;
	taken.fd = taken.lock = -1;
	return 0;
}

int
loop_attach(const struct loops *loops, int fd, int mode, struct loop *loop)
{
	int i, r = -EBUSY;

	if (loops->control < 0)
		return -ENODEV;
	for (i = 0; r == -EBUSY && i < ATTACH_TRIES; i++)
		r = attach(loops, fd, mode, loop);
	return r;
}

void
loop_drop(struct loop *loop)
{
	close_fdp(&loop->lock);
	close_fdp(&loop->fd);
}
