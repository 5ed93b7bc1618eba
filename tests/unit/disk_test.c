/*
 * Disks for real: loop devices, and snapshots where there is device mapper
 * (skipped elsewhere). Contents and modes are what they should be, and nothing
 * stays.
 */
#include "unit.h"

#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/sysmacros.h>

#include "image/cow.h"

#include "privsep/disk.h"
#include "privsep/node.h"
#include "privsep/udev.h"

enum {
	FILE_BYTES = 64 * 1024,
	DISK_BYTES = 1024 * 1024,
	GONE_STEPS = 1000,		/* of 5 ms */
};

static struct temp temp;
static struct disk_host host;
static int file;

static int
set_up(void **state)
{
	static char block[FILE_BYTES];
	size_t i;

	(void)state;
	begin_temp(&temp);
	for (i = 0; i < sizeof(block); i++)
		block[i] = (char)(i / 512);
	put_file(temp.fd, "disk", block, sizeof(block));
	file = openat(temp.fd, "disk", O_RDWR | O_CLOEXEC);
	assert_true(file >= 0);
	host.mapper = -1;
	host.nodes = node_dir_open();
	assert_true(host.nodes >= 0);
	loops_open(&host.loops, host.nodes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(file);
	close_fdp(&host.loops.control);
	close_fdp(&host.loops.sysfs);
	close(host.nodes);
	end_temp(&temp);
	return 0;
}

static void
need_loops(void)
{
	if (host.loops.control < 0)
		skip();
}

/* The file below the loop device RDEV by sysfs, "" when there is none. */
static const char *
backing_file(dev_t rdev)
{
	static char text[256];
	char path[96];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file",
	    major(rdev), minor(rdev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close_fdp(&fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Whether RDEV has let go of our file; udev may have it open for a moment. */
static bool
let_go(dev_t rdev)
{
	int i;

	for (i = 0; i < GONE_STEPS; i++) {
		if (strstr(backing_file(rdev), temp.path) == NULL)
			return true;
		usleep(5000);
	}
	return false;
}

static void
nodes(void **state)
{
	int fd;

	(void)state;
	fd = node_open(host.nodes, S_IFCHR, makedev(1, 5), O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
	/* No such driver. */
	assert_true(node_open(host.nodes, S_IFBLK, makedev(240, 77),
	    O_RDONLY) < 0);
	/* Neither node is left. */
	fd = openat(host.nodes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	{
		DIR *stream = fdopendir(fd);
		unsigned int count = 0;

		assert_non_null(stream);
		while (readdir(stream) != NULL)
			count++;
		assert_int_equal(count, 2);
		closedir(stream);
	}
}

static void
plain_file(void **state)
{
	unsigned int fds = count_fds();
	struct stat st, same;
	struct disk disk;
	const char *what;

	(void)state;
	disk_init(&disk);
	assert_int_equal(disk_attach(&host, &disk, file, false, &what), 0);
	assert_true(disk.rdev == 0);
	assert_true(disk.fd != file);
	assert_int_equal(fstat(disk.fd, &st), 0);
	assert_int_equal(fstat(file, &same), 0);
	assert_true(st.st_ino == same.st_ino);
	assert_int_equal(disk_release(&host, &disk, 1), 0);
	assert_int_equal(disk.fd, -1);
	assert_int_equal(disk_release(&host, &disk, 1), 0);
	assert_int_equal(count_fds(), fds);
}

static void
loop_disk(void **state)
{
	unsigned int fds = count_fds();
	struct loop_info64 info;
	struct disk disk;
	const char *what;
	uint64_t size = 0;
	struct stat st;
	dev_t rdev;
	char byte;

	(void)state;
	need_loops();
	disk_init(&disk);
	assert_int_equal(disk_attach(&host, &disk, file, true, &what), 0);
	assert_int_equal(fstat(disk.fd, &st), 0);
	assert_true(S_ISBLK(st.st_mode) && st.st_rdev == disk.rdev);
	rdev = disk.rdev;
	assert_int_equal(ioctl(disk.fd, BLKGETSIZE64, &size), 0);
	assert_int_equal(size, FILE_BYTES);
	assert_int_equal(ioctl(disk.fd, LOOP_GET_STATUS64, &info), 0);
	assert_int_equal(info.lo_flags & ~(uint32_t)LO_FLAGS_DIRECT_IO,
	    LO_FLAGS_AUTOCLEAR);
	assert_int_equal(pread(disk.fd, &byte, 1, 5 * 512), 1);
	assert_int_equal(byte, 5);
	assert_int_equal(pwrite(disk.fd, "x", 1, 5 * 512), 1);
	assert_int_equal(fsync(disk.fd), 0);
	assert_int_equal(pread(file, &byte, 1, 5 * 512), 1);
	assert_int_equal(byte, 'x');
	assert_non_null(strstr(backing_file(rdev), "/disk"));
	assert_int_equal(disk_release(&host, &disk, 1), 0);
	assert_true(let_go(rdev));
	assert_int_equal(count_fds(), fds);
}

static void
read_only_loop(void **state)
{
	int reading = openat(temp.fd, "disk", O_RDONLY | O_CLOEXEC);
	struct loop loop;
	int read_only = 0, writing;
	char byte;

	(void)state;
	need_loops();
	assert_int_equal(loop_attach(&host.loops, reading, LOOP_READ_ONLY,
	    &loop), 0);
	assert_int_equal(ioctl(loop.fd, BLKROGET, &read_only), 0);
	assert_int_equal(read_only, 1);
	assert_int_equal(pread(loop.fd, &byte, 1, 7 * 512), 1);
	assert_int_equal(byte, 7);
	/* For whoever opens it anew, too. */
	writing = node_open(host.nodes, S_IFBLK, loop.rdev, O_RDWR);
	assert_true(writing < 0 || pwrite(writing, "x", 1, 0) < 0);
	close_fdp(&writing);
	loop_drop(&loop);
	close(reading);
}

/* Each its own device, however many; all gone afterwards. */
static void
many_loops(void **state)
{
	struct loop loops[24];
	size_t i, j;

	(void)state;
	need_loops();
	for (i = 0; i < ARRAY_SIZE(loops); i++) {
		assert_int_equal(loop_attach(&host.loops, file, LOOP_LOCK,
		    &loops[i]), 0);
		for (j = 0; j < i; j++)
			assert_true(loops[i].rdev != loops[j].rdev);
	}
	for (i = 0; i < ARRAY_SIZE(loops); i++) {
		loop_drop(&loops[i]);
		assert_true(let_go(loops[i].rdev));
	}
}

/* What cannot be a disk leaves no device and no fd. */
static void
bad_files(void **state)
{
	int dir = openat(temp.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct disk disk;
	const char *what;
	unsigned int fds;

	(void)state;
	need_loops();
	disk_init(&disk);
	fds = count_fds();
	assert_true(disk_attach(&host, &disk, dir, true, &what) < 0);
	assert_true(disk_attach(&host, &disk, -1, true, &what) < 0);
	assert_int_equal(disk_attach(&host, &disk, -1, false, &what), -EBADF);
	assert_int_equal(disk.fd, -1);
	assert_int_equal(count_fds(), fds);
	close(dir);
}

static bool
never(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
	return false;
}

/* Without device mapper, and without anything. */
static void
not_here(void **state)
{
	struct disk_host none = { .nodes = -1, .mapper = -1,
		.loops = { -1, -1, -1 } };
	const int fds[SNAPSHOT_FDS] = { file, file };
	struct mapper_snapshot status;
	const char *what = NULL;
	struct disk disk;

	(void)state;
	disk_init(&disk);
	assert_false(disk_snapshots(&host));
	assert_int_equal(disk_snapshot(&host, &disk, 1, fds,
	    &(struct snapshot_create_request){ .disk_bytes = FILE_BYTES },
	    &what), -ENODEV);
	assert_non_null(what);
	assert_int_equal(disk_status(&host, 1, &status), -ENODEV);
	disk_sweep(&host, never, NULL);
	assert_int_equal(disk_attach(&none, &disk, file, true, &what),
	    -ENODEV);
	assert_int_equal(disk_attach(&none, &disk, file, false, &what), 0);
	assert_int_equal(disk_release(&none, &disk, 1), 0);
}

/* ---- with device mapper ---- */

static int image;			/* the file, for reading */
static uint64_t id;

static int
set_up_mapper(void **state)
{
	set_up(state);
	close_fdp(&host.loops.control);
	close_fdp(&host.loops.sysfs);
	close(host.nodes);
	disk_host_open(&host, temp.path);
	image = openat(temp.fd, "disk", O_RDONLY | O_CLOEXEC);
	assert_int_equal(getrandom(&id, sizeof(id), 0), sizeof(id));
	id = (id & VM_ID_MAX) | 1;
	return 0;
}

static int
tear_down_mapper(void **state)
{
	close(image);
	close_fdp(&host.mapper);
	udev_forget(temp.path);
	return tear_down(state);
}

static void
need_mapper(void)
{
	if (!disk_snapshots(&host))
		skip();
}

static int
new_cow(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)cow_bytes(DISK_BYTES)), 0);
	return fd;
}

static void
make_as(struct disk *disk, uint64_t vm, int cow,
    const struct snapshot_create_request *request)
{
	const int fds[SNAPSHOT_FDS] = { image, cow };
	const char *what = "";
	int r;

	disk_init(disk);
	r = disk_snapshot(&host, disk, vm, fds, request, &what);
	if (r < 0)
		fail_msg("%s: %s", what, strerror(-r));
}

static void
make(struct disk *disk, uint64_t vm, int cow, uint64_t bytes)
{
	make_as(disk, vm, cow, &(struct snapshot_create_request){
	    .disk_bytes = bytes });
}

struct count {
	const char *prefix;
	int found;
};

static int
count_name(void *arg, const char *name)
{
	struct count *count = arg;

	count->found += strncmp(name, count->prefix,
	    strlen(count->prefix)) == 0;
	return 0;
}

static int
devices(const char *prefix)
{
	struct count count = { prefix, 0 };

	assert_int_equal(mapper_each(host.mapper, count_name, &count), 0);
	return count.found;
}

/* Deferred removal is the work of a kernel thread. */
static bool
all_gone(void)
{
	int i;

	for (i = 0; i < GONE_STEPS; i++) {
		if (devices("fc-") == 0)
			return true;
		usleep(5000);
	}
	return false;
}

static void
expect_byte(int fd, off_t at, int value)
{
	unsigned char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	assert_int_equal(byte, value);
}

static void
put_byte(int fd, off_t at, const char *text)
{
	assert_int_equal(pwrite(fd, text, 1, at), 1);
	assert_int_equal(fsync(fd), 0);
}

static void
snapshot_life(void **state)
{
	struct mapper_snapshot status;
	struct disk one, two;
	unsigned int fds;
	int cow, other;

	(void)state;
	need_mapper();
	assert_int_equal(devices("fc-"), 0);
	fds = count_fds();
	cow = new_cow(temp.fd, "cow");
	other = new_cow(temp.fd, "other");
	make(&one, id, cow, DISK_BYTES);
	make(&two, id ^ 2, other, DISK_BYTES);
	assert_int_equal(devices("fc-rootfs-"), 2);
	assert_int_equal(devices("fc-origin-"), 1);
	expect_byte(one.fd, 100 * 512, 100);
	expect_byte(one.fd, FILE_BYTES + 512, 0);
	put_byte(one.fd, 100 * 512, "x");
	put_byte(one.fd, FILE_BYTES + 512, "y");
	/* Nobody else sees it. */
	expect_byte(two.fd, 100 * 512, 100);
	expect_byte(two.fd, FILE_BYTES + 512, 0);
	expect_byte(image, 100 * 512, 100);
	assert_int_equal(disk_status(&host, id, &status), 0);
	assert_false(status.invalid || status.overflow);
	assert_true(status.used_sectors >= 4 * 8);
	assert_int_equal(disk_release(&host, &one, id), 0);
	assert_int_equal(disk_status(&host, id, &status), -ENODEV);
	assert_int_equal(disk_release(&host, &one, id), 0);
	assert_int_equal(devices("fc-origin-"), 1);
	/* It goes on, and may be larger then: another origin. */
	make(&one, id, cow, 2 * DISK_BYTES);
	assert_int_equal(devices("fc-origin-"), 2);
	expect_byte(one.fd, 100 * 512, 'x');
	expect_byte(one.fd, FILE_BYTES + 512, 'y');
	expect_byte(one.fd, 2 * DISK_BYTES - 512, 0);
	assert_int_equal(disk_release(&host, &one, id), 0);
	assert_int_equal(disk_release(&host, &two, id ^ 2), 0);
	assert_true(all_gone());
	close(cow);
	close(other);
	assert_int_equal(count_fds(), fds);
}

/* What it has written it forgets when it goes. */
static void
transient_life(void **state)
{
	const struct snapshot_create_request request = {
		.disk_bytes = DISK_BYTES, .transient = 1 };
	struct mapper_snapshot status;
	struct disk disk;
	int cow;

	(void)state;
	need_mapper();
	cow = new_cow(temp.fd, "cow");
	make_as(&disk, id, cow, &request);
	put_byte(disk.fd, 100 * 512, "x");
	put_byte(disk.fd, FILE_BYTES + 512, "y");
	expect_byte(disk.fd, 100 * 512, 'x');
	expect_byte(disk.fd, FILE_BYTES + 512, 'y');
	assert_int_equal(disk_status(&host, id, &status), 0);
	assert_int_equal(status.used_sectors, 2 * 8);
	assert_int_equal(status.metadata_sectors, 0);
	assert_int_equal(disk_release(&host, &disk, id), 0);
	make_as(&disk, id, cow, &request);
	expect_byte(disk.fd, 100 * 512, 100);
	expect_byte(disk.fd, FILE_BYTES + 512, 0);
	assert_int_equal(disk_release(&host, &disk, id), 0);
	assert_true(all_gone());
	close(cow);
}

/* A VMM that is slow to end keeps its disk until it has. */
static void
still_open(void **state)
{
	struct disk disk;
	int cow, vmm;

	(void)state;
	need_mapper();
	cow = new_cow(temp.fd, "cow");
	make(&disk, id, cow, DISK_BYTES);
	vmm = fcntl(disk.fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(disk_release(&host, &disk, id), 0);
	put_byte(vmm, 512, "x");
	close(vmm);
	assert_true(all_gone());
	/* One that was given up while it was open is no obstacle. */
	make(&disk, id, cow, DISK_BYTES);
	expect_byte(disk.fd, 512, 'x');
	assert_int_equal(disk_release(&host, &disk, id), 0);
	assert_true(all_gone());
	close(cow);
}

static bool
is_live(void *arg, uint64_t vm)
{
	return vm == *(uint64_t *)arg;
}

/* As after a daemon that was killed: what is in use stays, and what is live. */
static void
sweep(void **state)
{
	uint64_t live = id ^ 2;
	struct disk disk, kept;
	int cow, other, vmm;

	(void)state;
	need_mapper();
	cow = new_cow(temp.fd, "cow");
	other = new_cow(temp.fd, "other");
	make(&disk, id, cow, DISK_BYTES);
	make(&kept, live, other, DISK_BYTES);
	vmm = fcntl(disk.fd, F_DUPFD_CLOEXEC, 0);
	disk_close(&disk);
	disk_close(&kept);
	disk_sweep(&host, is_live, &live);
	assert_int_equal(devices("fc-rootfs-"), 2);
	put_byte(vmm, 512, "x");
	close(vmm);
	disk_sweep(&host, is_live, &live);
	assert_int_equal(devices("fc-rootfs-"), 1);
	assert_int_equal(devices("fc-origin-"), 1);
	disk_sweep(&host, never, NULL);
	assert_true(all_gone());
	close(cow);
	close(other);
}

/* The host's file system is full: said so, and what was written is kept. */
static void
host_full(void **state)
{
	static char block[4096] = "much";
	struct mapper_snapshot status;
	struct disk disk;
	char path[96];
	int dir, cow, r = 0;
	off_t at;

	(void)state;
	need_mapper();
	snprintf(path, sizeof(path), "%s/small", temp.path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=256k"), 0);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cow = new_cow(dir, "cow");
	make(&disk, id, cow, DISK_BYTES);
	put_byte(disk.fd, 512, "x");
	for (at = FILE_BYTES; r == 0 && at < DISK_BYTES;
	    at += (off_t)sizeof(block)) {
		r = pwrite(disk.fd, block, sizeof(block), at) ==
		    (ssize_t)sizeof(block) && fsync(disk.fd) == 0 ? 0 : -1;
	}
	assert_int_equal(r, -1);
	assert_int_equal(disk_status(&host, id, &status), 0);
	assert_true(status.invalid);
	assert_int_equal(cow_look(cow), COW_INVALID);
	assert_int_equal(disk_release(&host, &disk, id), 0);
	assert_true(all_gone());
	assert_int_equal(cow_revive(cow), 0);
	make(&disk, id, cow, DISK_BYTES);
	assert_int_equal(disk_status(&host, id, &status), 0);
	assert_false(status.invalid);
	expect_byte(disk.fd, 512, 'x');
	expect_byte(disk.fd, FILE_BYTES, 'm');
	put_byte(disk.fd, 512, "z");
	assert_int_equal(disk_release(&host, &disk, id), 0);
	assert_true(all_gone());
	close(cow);
	close(dir);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
}

#define mapper_unit_test(f) \
	cmocka_unit_test_setup_teardown(f, set_up_mapper, tear_down_mapper)
#define disk_unit_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		disk_unit_test(nodes),
		disk_unit_test(plain_file),
		disk_unit_test(loop_disk),
		disk_unit_test(read_only_loop),
		disk_unit_test(many_loops),
		disk_unit_test(bad_files),
		disk_unit_test(not_here),
		mapper_unit_test(snapshot_life),
		mapper_unit_test(transient_life),
		mapper_unit_test(still_open),
		mapper_unit_test(sweep),
		mapper_unit_test(host_full),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "needs root: device nodes\n");
		return 77;
	}
	/* For what is mounted on the way. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
