/*
 * Disks on a kernel of the test's own, which has loop devices and device mapper
 * and lets each of its calls fail: disk.c, loop.c and mapper.c, whose way to it is
 * replaced at link time (--wrap). For real, where there is one: disk_test.c.
 */
#include "unit.h"

#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "privsep/disk.h"
#include "privsep/log.h"
#include "privsep/node.h"
#include "privsep/udev.h"

enum { DEVICES = 16, LOOP = 7, MAPPED = 253, ID = 0x2a, DISK = 1 << 20 };

#define SNAPSHOT "fc-rootfs-00000000002a"

/* A device of device mapper. */
struct device {
	char name[DM_NAME_LEN];		/* "": none */
	bool deferred;			/* goes with its last user */
	bool busy;			/* somebody has it open */
};

/* What the kernel has, and how it is to be. */
static struct kernel {
	struct device devices[DEVICES];
	int control;			/* fd of device mapper's */
	int calls;			/* so far */
	int fails_at;			/* this call; 0: none */
	int error;			/* and how; 0: EIO */
	const char *no_target;
	bool no_nodes;			/* there is no way to device nodes */
	bool no_mapper;
	int loop;			/* the next free one */
	int loop_busy;			/* others are faster, so often */
	int loop_gone;			/* removed again, so often */
	int origin_gone;		/* so often it goes before it is opened */
	bool raced;			/* another daemon makes the origin first */
	const char *status;		/* of a snapshot */
	const char *type;
	uint32_t targets, flags, data_start;
	uint32_t list_from;		/* the list needs a buffer of that size */
	bool bad_list;
	/* Of a loop device's node in /dev: a file, what it is said to be. */
	const char *node;
	mode_t node_mode;
	dev_t node_rdev;
} kernel;

int	 __wrap_node_dir_open(void);
int	 __wrap_node_open(int dir, mode_t type, dev_t rdev, int flags);
int	 __real_ioctl(int fd, unsigned long request, ...);
int	 __wrap_ioctl(int fd, unsigned long request, ...);
long	 __real_syscall(long nr, ...);
long	 __wrap_syscall(long nr, ...);
int	 __real_open64(const char *path, int flags, ...);
int	 __wrap_open64(const char *path, int flags, ...);
int	 __real_fstat64(int fd, struct stat *st);
int	 __wrap_fstat64(int fd, struct stat *st);
int64_t	 __wrap_udev_keep_out(const char *store);

static int
failure(int error)
{
	errno = error;
	return -1;
}

/* Whether this call is the one that fails; errno is set then. */
static bool
fails(void)
{
	if (++kernel.calls != kernel.fails_at)
		return false;
	errno = kernel.error != 0 ? kernel.error : EIO;
	return true;
}

/* ---- device mapper ---- */

static struct device *
find(const char *name)
{
	size_t i;

	for (i = 0; i < DEVICES; i++)
		if (kernel.devices[i].name[0] != '\0' &&
		    strcmp(kernel.devices[i].name, name) == 0)
			return &kernel.devices[i];
	return NULL;
}

static struct device *
add(const char *name)
{
	size_t i;

	for (i = 0; i < DEVICES; i++)
		if (kernel.devices[i].name[0] == '\0') {
			snprintf(kernel.devices[i].name, DM_NAME_LEN, "%s",
			    name);
			return &kernel.devices[i];
		}
	fail_msg("too many devices");
	return NULL;
}

static void
forget(struct device *device)
{
	memset(device, 0, sizeof(*device));
}

static int
create(struct dm_ioctl *h)
{
	if (find(h->name) != NULL)
		return failure(EBUSY);
	if (kernel.raced && strncmp(h->name, "fc-origin-", 10) == 0) {
		kernel.raced = false;
		(void)add(h->name);
		return failure(EBUSY);
	}
	h->dev = makedev(MAPPED, (unsigned int)(add(h->name) -
	    kernel.devices));
	return 0;
}

static int
take_away(const struct dm_ioctl *h, struct device *device)
{
	if ((h->flags & DM_DEFERRED_REMOVE) != 0)
		device->deferred = true;
	else if (device->busy)
		return failure(EBUSY);
	else
		forget(device);
	return 0;
}

static int
tell_status(struct dm_ioctl *h)
{
	struct dm_target_spec spec = { .status = 0 };

	h->target_count = kernel.targets;
	h->data_start = kernel.data_start;
	h->flags |= kernel.flags;
	snprintf(spec.target_type, sizeof(spec.target_type), "%s",
	    kernel.type);
	memcpy((char *)h + sizeof(*h), &spec, sizeof(spec));
	strcpy((char *)h + sizeof(*h) + sizeof(spec), kernel.status);
	return 0;
}

static int
list(struct dm_ioctl *h)
{
	size_t at = h->data_start, last = 0, i;
	struct dm_name_list entry;

	if (h->data_size < kernel.list_from) {
		h->flags |= DM_BUFFER_FULL_FLAG;
		return 0;
	}
	if (kernel.bad_list) {
		h->data_start = h->data_size + 1;
		return 0;
	}
	for (i = 0; i < DEVICES; i++) {
		const char *name = kernel.devices[i].name;
		size_t size = (sizeof(entry) + strlen(name) + 8) & ~(size_t)7;

		if (name[0] == '\0')
			continue;
		entry = (struct dm_name_list){ .next = (uint32_t)size,
			.dev = makedev(MAPPED, (unsigned int)i) };
		memcpy((char *)h + at, &entry, sizeof(entry));
		strcpy((char *)h + at + offsetof(struct dm_name_list, name),
		    name);
		last = at;
		at += size;
	}
	if (last > 0)
		memset((char *)h + last + offsetof(struct dm_name_list, next),
		    0, sizeof(entry.next));
	return 0;
}

static int
mapper(unsigned long command, struct dm_ioctl *h)
{
	struct device *device;

	if (fails())
		return -1;
	/* Ours are named by their UUID, "banger-" and the name. */
	device = strlen(h->uuid) > 7 ? find(h->uuid + 7) : NULL;
	switch (command) {
	case DM_VERSION:
		return 0;
	case DM_GET_TARGET_VERSION:
		return kernel.no_target != NULL &&
		    strcmp(h->name, kernel.no_target) == 0 ? failure(EINVAL) :
		    0;
	case DM_DEV_CREATE:
		return create(h);
	case DM_LIST_DEVICES:
		return list(h);
	default:
		break;
	}
	if (device == NULL)
		return failure(ENXIO);
	h->dev = makedev(MAPPED, (unsigned int)(device - kernel.devices));
	return command == DM_DEV_REMOVE ? take_away(h, device) :
	    command == DM_TABLE_STATUS ? tell_status(h) : 0;
}

long
__wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;
	size_t i;

	va_start(ap, nr);
	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_ioctl)
		return mapper((unsigned long)a[1], (void *)(uintptr_t)a[2]);
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- loop devices and nodes ---- */

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request != LOOP_CTL_GET_FREE && request != LOOP_CONFIGURE)
		return __real_ioctl(fd, request, arg);
	if (fails())
		return -1;
	if (request == LOOP_CTL_GET_FREE)
		return kernel.loop++;
	return kernel.loop_busy-- > 0 ? failure(EBUSY) : 0;
}

int
__wrap_node_dir_open(void)
{
	return kernel.no_nodes ? -EPERM : eventfd(0, EFD_CLOEXEC);
}

int
__wrap_node_open(int dir, mode_t type, dev_t rdev, int flags)
{
	(void)dir;
	(void)flags;
	if (fails())
		return -errno;
	if (type == S_IFCHR && minor(rdev) == 236 && kernel.no_mapper)
		return -ENXIO;
	if (type == S_IFBLK && major(rdev) == LOOP && kernel.loop_gone-- > 0)
		return -ENXIO;
	if (type == S_IFBLK && major(rdev) == MAPPED &&
	    strncmp(kernel.devices[minor(rdev)].name, "fc-origin-", 10) == 0 &&
	    kernel.origin_gone-- > 0) {
		forget(&kernel.devices[minor(rdev)]);
		return -ENXIO;
	}
	return eventfd(0, EFD_CLOEXEC);
}

int
__wrap_open64(const char *path, int flags, ...)
{
	if (strncmp(path, "/dev/loop", 9) != 0)
		return __real_open64(path, flags);
	return kernel.node == NULL ? failure(ENOENT) :
	    __real_open64(kernel.node, flags);
}

int
__wrap_fstat64(int fd, struct stat *st)
{
	int r = __real_fstat64(fd, st);

	if (r == 0 && kernel.node_mode != 0) {
		st->st_mode = kernel.node_mode;
		st->st_rdev = kernel.node_rdev;
	}
	return r;
}

int64_t
__wrap_udev_keep_out(const char *store)
{
	(void)store;
	return 0;
}

/* ---- the tests ---- */

static struct temp temp;
static struct disk_host host;
static int fds[SNAPSHOT_FDS];
static unsigned int fds_before;

static void
fresh_kernel(void)
{
	kernel = (struct kernel){ .status = "16/4096 8", .type = "snapshot",
		.targets = 1, .data_start = sizeof(struct dm_ioctl) };
}

static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_ERROR);
	fresh_kernel();
	begin_temp(&temp);
	put_file(temp.fd, "image", "", 0);
	put_file(temp.fd, "cow", "", 0);
	fds[SNAPSHOT_IMAGE] = openat(temp.fd, "image", O_RDWR | O_CLOEXEC);
	fds[SNAPSHOT_COW] = openat(temp.fd, "cow", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fds[SNAPSHOT_IMAGE], DISK / 2), 0);
	disk_host_open(&host, temp.path);
	assert_true(disk_snapshots(&host));
	fds_before = count_fds();
	return 0;
}

static void
close_host(struct disk_host *it)
{
	close_fdp(&it->mapper);
	close_fdp(&it->loops.control);
	close_fdp(&it->loops.sysfs);
	close_fdp(&it->nodes);
}

static int
tear_down(void **state)
{
	(void)state;
	close(fds[0]);
	close(fds[1]);
	close_host(&host);
	end_temp(&temp);
	return 0;
}

static int
make(struct disk *disk, uint64_t bytes)
{
	const struct snapshot_create_request request = { .disk_bytes = bytes };
	const char *what = NULL;

	disk_init(disk);
	return disk_snapshot(&host, disk, ID, fds, &request, &what);
}

/* Devices that do not go with their last user. */
static unsigned int
staying(void)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < DEVICES; i++)
		count += kernel.devices[i].name[0] != '\0' &&
		    !kernel.devices[i].deferred;
	return count;
}

static bool
nothing_left(void)
{
	return staying() == 0 && count_fds() == fds_before;
}

static void
hosts(void **state)
{
	static const struct {
		const char *name;
		bool no_nodes, no_mapper, loops;
		const char *no_target;
	} cases[] = {
		{ "no nodes", .no_nodes = true },
		{ "no device mapper", .no_mapper = true, .loops = true },
		{ "no linear", .no_target = "linear", .loops = true },
		{ "no zero", .no_target = "zero", .loops = true },
		{ "no snapshot", .no_target = "snapshot", .loops = true },
	};
	struct disk_host poor;
	struct disk disk;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *what;

		kernel.no_nodes = cases[i].no_nodes;
		kernel.no_mapper = cases[i].no_mapper;
		kernel.no_target = cases[i].no_target;
		disk_host_open(&poor, temp.path);
		assert_case(!disk_snapshots(&poor), i, cases[i].name);
		assert_case(poor.mapper < 0, i, cases[i].name);
		disk_init(&disk);
		assert_case(disk_attach(&poor, &disk, fds[0], true, &what) ==
		    (cases[i].loops ? 0 : -ENODEV), i, cases[i].name);
		disk_close(&disk);
		close_host(&poor);
		assert_case(count_fds() == fds_before, i, cases[i].name);
	}
	/* A control device that does not answer. */
	kernel = (struct kernel){ .fails_at = 3 };
	disk_host_open(&poor, temp.path);
	assert_true(poor.mapper < 0);
	close_host(&poor);
}

/* Each call fails in turn: it is said, or mended, and nothing stays. */
static void
each_call_fails(void **state)
{
	int n = 0, said = 0, r;
	bool failed;

	(void)state;
	do {
		struct disk disk;

		fresh_kernel();
		kernel.fails_at = ++n;
		r = make(&disk, DISK);
		failed = kernel.calls >= n;
		said += r < 0;
		kernel.fails_at = 0;
		if (r == 0) {
			assert_int_equal(staying(), 1);
			assert_non_null(find(SNAPSHOT));
			assert_int_equal(disk_release(&host, &disk, ID), 0);
		}
		assert_int_equal(disk.fd, -1);
		if (!nothing_left())
			fail_msg("call %d: something is left", n);
	} while (failed);
	/*
	 * Of 16, all but the opening of the origin, which may just have gone and is
	 * tried again.
	 */
	assert_int_equal(n, 17);
	assert_int_equal(said, 15);
}

static void
origins(void **state)
{
	struct disk one, two;
	int i;

	(void)state;
	/* Of exactly the image's size; one for two. */
	assert_int_equal(make(&one, DISK / 2), 0);
	i = kernel.loop;
	assert_int_equal(make(&two, DISK / 2), 0);
	assert_int_equal(kernel.loop, i + 1);
	disk_close(&one);
	disk_close(&two);
	/* It goes between a look and its opening, a few times. */
	for (i = 1; i <= 9; i++) {
		fresh_kernel();
		kernel.origin_gone = i;
		if (i >= 8) {
			assert_int_equal(make(&one, DISK), -ENXIO);
			assert_true(nothing_left());
			continue;
		}
		assert_int_equal(make(&one, DISK), 0);
		assert_int_equal(disk_release(&host, &one, ID), 0);
		assert_true(nothing_left());
	}
	/* Somebody else's daemon was faster. */
	fresh_kernel();
	kernel.raced = true;
	assert_int_equal(make(&one, DISK), 0);
	assert_int_equal(disk_release(&host, &one, ID), 0);
	assert_true(nothing_left());
}

static void
leftovers(void **state)
{
	struct device *old = add(SNAPSHOT);
	struct disk disk;

	(void)state;
	/* Of a VMM that has ended by now. */
	assert_int_equal(make(&disk, DISK), 0);
	assert_int_equal(disk_release(&host, &disk, ID), 0);
	assert_true(nothing_left());
	/* One that does not end. */
	old = add(SNAPSHOT);
	old->busy = true;
	assert_int_equal(make(&disk, DISK), -EBUSY);
	assert_int_equal(count_fds(), fds_before);
	/* It goes with it. */
	assert_int_equal(disk_release(&host, &disk, ID), 0);
	assert_true(nothing_left());
}

static void
statuses(void **state)
{
	static const struct {
		const char *status, *type;
		uint32_t targets, flags, data_start;
		int expected;
	} cases[] = {
		{ "16/4096 8", "snapshot", 1, 0, sizeof(struct dm_ioctl), 0 },
		{ "Invalid", "snapshot", 1, 0, sizeof(struct dm_ioctl), 0 },
		{ "16/4096", "snapshot", 1, 0, sizeof(struct dm_ioctl),
		    -EBADMSG },
		{ "16/4096 8", "linear", 1, 0, sizeof(struct dm_ioctl),
		    -EBADMSG },
		{ "16/4096 8", "snapshot", 0, 0, sizeof(struct dm_ioctl),
		    -EBADMSG },
		{ "16/4096 8", "snapshot", 2, 0, sizeof(struct dm_ioctl),
		    -EBADMSG },
		{ "16/4096 8", "snapshot", 1, DM_BUFFER_FULL_FLAG,
		    sizeof(struct dm_ioctl), -EBADMSG },
		{ "16/4096 8", "snapshot", 1, 0, 0, -EBADMSG },
		{ "16/4096 8", "snapshot", 1, 0, 4096, -EBADMSG },
	};
	struct mapper_snapshot status;
	size_t i;

	(void)state;
	assert_int_equal(disk_status(&host, ID, &status), -ENODEV);
	(void)add(SNAPSHOT);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kernel.status = cases[i].status;
		kernel.type = cases[i].type;
		kernel.targets = cases[i].targets;
		kernel.flags = cases[i].flags;
		kernel.data_start = cases[i].data_start;
		assert_case(disk_status(&host, ID, &status) ==
		    cases[i].expected, i, cases[i].status);
	}
}

/* ---- what was left ---- */

static bool
is_live(void *arg, uint64_t id)
{
	return id == *(uint64_t *)arg;
}

static void
sweep(void **state)
{
	static const char *const kept[] = { "vg-root", "fc-rootfs-x",
		"fc-rootfs-00000000002A", "fc-rootfs-000000000000",
		"fc-rootfs-0000000000001", "fc-rootfs-000000000001" };
	char longest[DM_NAME_LEN];
	uint64_t live = 1;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		(void)add(kept[i]);
	/* Longer than ours, with their UUID, can be. */
	memset(longest, 'f', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest, "fc-origin-", 10);
	(void)add(longest);
	(void)add(SNAPSHOT);
	add("fc-rootfs-00000000002b")->busy = true;
	(void)add("fc-origin-1-2-3");
	/* A list that needs more room. */
	kernel.list_from = 100000;
	disk_sweep(&host, is_live, &live);
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		assert_case(find(kept[i]) != NULL, i, kept[i]);
	assert_null(find(SNAPSHOT));
	assert_non_null(find("fc-rootfs-00000000002b"));
	assert_true(find("fc-origin-1-2-3")->deferred);
	assert_false(find(longest)->deferred);
}

/* A list that cannot be had: nothing is touched. */
static void
no_list(void **state)
{
	static const struct kernel kernels[] = {
		{ .fails_at = 1 }, { .list_from = UINT32_MAX },
		{ .bad_list = true },
	};
	uint64_t live = 1;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kernels); i++) {
		kernel = kernels[i];
		(void)add(SNAPSHOT);
		disk_sweep(&host, is_live, &live);
		assert_non_null(find(SNAPSHOT));
		assert_int_equal(count_fds(), fds_before);
	}
}

/* ---- loop devices ---- */

static void
contended_loops(void **state)
{
	struct loop loop = { .fd = -1, .lock = -1 };

	(void)state;
	kernel.loop_busy = 3;
	kernel.loop_gone = 2;
	assert_int_equal(loop_attach(&host.loops, fds[0], 0, &loop), 0);
	assert_int_equal(kernel.loop, 6);
	loop_drop(&loop);
	kernel.loop_busy = 1000;
	assert_int_equal(loop_attach(&host.loops, fds[0], 0, &loop), -EBUSY);
	assert_int_equal(loop.fd, -1);
	assert_int_equal(count_fds(), fds_before);
}

/* Where a device is, when partitions take numbers between. */
static void
loop_numbers(void **state)
{
	static const struct {
		const char *text;
		unsigned int minor;
	} cases[] = {
		{ "7:16\n", 16 }, { "7:0\n", 0 }, { "8:16\n", 1 }, { "", 1 },
		{ "7:x\n", 1 }, { "7:4294967296\n", 1 }, { NULL, 1 },
	};
	struct loops loops = host.loops;
	size_t i;

	(void)state;
	loops.sysfs = temp.fd;
	assert_int_equal(mkdirat(temp.fd, "loop1", 0755), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct loop loop;

		(void)unlinkat(temp.fd, "loop1/dev", 0);
		if (cases[i].text != NULL)
			put_file(temp.fd, "loop1/dev", cases[i].text,
			    strlen(cases[i].text));
		kernel.loop = 1;
		assert_int_equal(loop_attach(&loops, fds[0], 0, &loop), 0);
		assert_int_equal(major(loop.rdev), LOOP);
		assert_int_equal(minor(loop.rdev), cases[i].minor);
		loop_drop(&loop);
	}
}

/* Against udev: the node's lock, if it is the node and nobody has it. */
static void
locks(void **state)
{
	static const struct {
		const char *name;
		const char *node;
		mode_t mode;
		dev_t rdev;
		bool locked;
	} cases[] = {
		{ "no node", NULL, 0, 0, false },
		{ "a file", "image", 0, 0, false },
		{ "another device", "image", S_IFBLK, 5, false },
		{ "the device", "image", S_IFBLK, 0, true },
	};
	struct loops loops = host.loops;
	struct loop loop;
	char path[128];
	size_t i;
	int other;

	(void)state;
	loops.sysfs = -1;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(path, sizeof(path), "%s/%s", temp.path,
		    cases[i].node != NULL ? cases[i].node : "");
		kernel.node = cases[i].node != NULL ? path : NULL;
		kernel.node_mode = cases[i].mode;
		kernel.node_rdev = makedev(LOOP, 3) + cases[i].rdev;
		kernel.loop = 3;
		assert_int_equal(loop_attach(&loops, fds[1], LOOP_LOCK, &loop),
		    0);
		assert_case((loop.lock >= 0) == cases[i].locked, i,
		    cases[i].name);
		assert_int_equal(flock(fds[0], LOCK_EX | LOCK_NB),
		    cases[i].locked ? -1 : 0);
		(void)flock(fds[0], LOCK_UN);
		loop_drop(&loop);
	}
	other = openat(temp.fd, "image", O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	kernel.loop = 3;
	assert_int_equal(loop_attach(&loops, fds[1], LOOP_LOCK, &loop), 0);
	assert_int_equal(loop.lock, -1);
	loop_drop(&loop);
	close(other);
	assert_int_equal(count_fds(), fds_before);
}

#define fresh_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fresh_test(hosts),
		fresh_test(each_call_fails),
		fresh_test(origins),
		fresh_test(leftovers),
		fresh_test(statuses),
		fresh_test(sweep),
		fresh_test(no_list),
		fresh_test(contended_loops),
		fresh_test(loop_numbers),
		fresh_test(locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
