/*
 * Cgroups in a directory that does what cgroup v2 does, as far as it is used: what
 * is written where, and what is left when it cannot be. The calls are replaced
 * at link time (--wrap).
 */
#include "unit.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "privsep/cgroup.h"

#define ID "00000000002a"

/* What the kernel puts into each cgroup. */
static const char *const files[] = { "cgroup.subtree_control", "cgroup.kill",
	"cpu.max", "memory.max", "pids.max" };

static struct temp temp;

static struct kernel {
	int root_error;			/* of opening /sys/fs/cgroup; 0: none */
	int statfs_error;
	bool first_version;
	int mkdir_error;
	const char *text;		/* writing this fails */
	int text_error;
	int text_from;			/* from that time on */
	int remove_error;
	int busy;			/* so many removals come too early */
	char written[256];		/* all that was, a blank behind each */
} kernel;

int	 __real_open64(const char *path, int flags, ...);
int	 __wrap_open64(const char *path, int flags, ...);
int	 __real_fstatfs64(int fd, struct statfs *fs);
int	 __wrap_fstatfs64(int fd, struct statfs *fs);
int	 __real_mkdirat(int dir, const char *name, mode_t mode);
int	 __wrap_mkdirat(int dir, const char *name, mode_t mode);
int	 __real_unlinkat(int dir, const char *name, int flags);
int	 __wrap_unlinkat(int dir, const char *name, int flags);
int	 __real_write_full(int fd, const void *data, size_t len);
int	 __wrap_write_full(int fd, const void *data, size_t len);

static int
failure(int error)
{
	errno = error;
	return -1;
}

int
__wrap_open64(const char *path, int flags, ...)
{
	if (strcmp(path, "/sys/fs/cgroup") != 0)
		return __real_open64(path, flags);
	return kernel.root_error != 0 ? failure(kernel.root_error) :
	    __real_open64(temp.path, flags);
}

int
__wrap_fstatfs64(int fd, struct statfs *fs)
{
	if (kernel.statfs_error != 0)
		return failure(kernel.statfs_error);
	if (__real_fstatfs64(fd, fs) < 0)
		return -1;
	fs->f_type = kernel.first_version ? CGROUP_SUPER_MAGIC :
	    CGROUP2_SUPER_MAGIC;
	return 0;
}

static void
put_files(int dir)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		put_file(dir, files[i], "", 0);
}

int
__wrap_mkdirat(int dir, const char *name, mode_t mode)
{
	int fd;

	if (kernel.mkdir_error != 0)
		return failure(kernel.mkdir_error);
	if (__real_mkdirat(dir, name, mode) < 0)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	put_files(fd);
	close(fd);
	return 0;
}

int
__wrap_unlinkat(int dir, const char *name, int flags)
{
	char path[64];
	size_t i;

	if (flags != AT_REMOVEDIR)
		return __real_unlinkat(dir, name, flags);
	if (kernel.remove_error != 0)
		return failure(kernel.remove_error);
	if (kernel.busy > 0 && exists(dir, name)) {
		kernel.busy--;
		return failure(EBUSY);
	}
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", name, files[i]);
		(void)__real_unlinkat(dir, path, 0);
	}
	return __real_unlinkat(dir, name, flags);
}

int
__wrap_write_full(int fd, const void *data, size_t len)
{
	char text[64];

	if (len >= sizeof(text))
		return __real_write_full(fd, data, len);
	memcpy(text, data, len);
	text[len] = '\0';
	if (kernel.text != NULL && strcmp(text, kernel.text) == 0 &&
	    kernel.text_from-- <= 0)
		return -kernel.text_error;
	if (len > 0 && strlen(kernel.written) + len + 2 <
	    sizeof(kernel.written)) {
		strcat(kernel.written, text);
		strcat(kernel.written, " ");
	}
	return __real_write_full(fd, data, len);
}

static int
set_up(void **state)
{
	(void)state;
	kernel = (struct kernel){ .busy = 0 };
	begin_temp(&temp);
	put_files(temp.fd);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

/* ---- tests ---- */

#define SWITCHED_ON "+cpu +memory +pids +io "

static void
opened(void **state)
{
	unsigned int fds = count_fds();
	struct stat st;
	int base = cgroup_open();

	(void)state;
	assert_true(base >= 0);
	assert_string_equal(kernel.written, SWITCHED_ON SWITCHED_ON);
	assert_int_equal(fstat(base, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	close(base);
	/* Of the daemon before. */
	base = cgroup_open();
	assert_true(base >= 0);
	close(base);
	assert_int_equal(count_fds(), fds);
}

static void
hosts(void **state)
{
	static const struct {
		const char *name;
		struct kernel kernel;
		int expected;
	} cases[] = {
		{ "no such directory", { .root_error = ENOENT }, -EOPNOTSUPP },
		{ "not for us", { .root_error = EACCES }, -EACCES },
		{ "error", { .statfs_error = EIO }, -EIO },
		{ "v1", { .first_version = true }, -EOPNOTSUPP },
		{ "a container", { .text = "+cpu", .text_error = EROFS },
		    -EROFS },
		{ "no memory", { .text = "+memory", .text_error = EINVAL },
		    -EOPNOTSUPP },
		{ "no pids", { .text = "+pids", .text_error = ENOENT },
		    -EOPNOTSUPP },
		{ "no pids for VMs", { .text = "+pids", .text_error = EBUSY,
		    .text_from = 1 }, -EBUSY },
		{ "read-only", { .mkdir_error = EROFS }, -EROFS },
		{ "no io", { .text = "+io", .text_error = EINVAL }, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int fds = count_fds();
		int r;

		kernel = cases[i].kernel;
		r = cgroup_open();
		assert_case(cases[i].expected < 0 ? r == cases[i].expected :
		    r >= 0, i, cases[i].name);
		close_fdp(&r);
		assert_case(count_fds() == fds, i, cases[i].name);
	}
}

static const struct cgroup_limits limits = { .cpus = 2,
	.memory_bytes = 1 << 20, .pids = 64 };

static void
created(void **state)
{
	int base = cgroup_open(), dir;

	(void)state;
	kernel.written[0] = '\0';
	dir = cgroup_create(base, ID, &limits);
	assert_true(dir >= 0);
	assert_string_equal(kernel.written, "200000 100000 1048576 64 ");
	close(dir);
	/* What is left of this id, and somebody in it, goes first. */
	kernel.written[0] = '\0';
	kernel.busy = 3;
	dir = cgroup_create(base, ID, &limits);
	assert_true(dir >= 0);
	assert_string_equal(kernel.written,
	    "1 1 1 200000 100000 1048576 64 ");
	close(dir);
	assert_int_equal(cgroup_remove(base, ID), 0);
	assert_int_equal(cgroup_remove(base, ID), 0);
	assert_false(exists(base, ID));
	close(base);
}

static void
not_created(void **state)
{
	static const struct {
		const char *name;
		struct kernel kernel;
		int expected;
	} cases[] = {
		{ "time", { .text = "200000 100000", .text_error = EINVAL },
		    -EINVAL },
		{ "memory", { .text = "1048576", .text_error = EBUSY },
		    -EBUSY },
		{ "pids", { .text = "64", .text_error = EIO }, -EIO },
		{ "room", { .mkdir_error = ENOSPC }, -ENOSPC },
		{ "leftover", { .remove_error = EACCES }, -EACCES },
	};
	int base = cgroup_open();
	unsigned int fds = count_fds();
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kernel = cases[i].kernel;
		assert_case(cgroup_create(base, ID, &limits) ==
		    cases[i].expected, i, cases[i].name);
		assert_case(!exists(base, ID), i, cases[i].name);
		assert_case(count_fds() == fds, i, cases[i].name);
	}
	close(base);
}

/* Its processes do not end: it is said, after a second. */
static void
never_empty(void **state)
{
	int base = cgroup_open(), dir = cgroup_create(base, ID, &limits);
	unsigned int fds = count_fds();

	(void)state;
	assert_true(dir >= 0);
	kernel.busy = 1000;
	assert_int_equal(cgroup_remove(base, ID), -EBUSY);
	/* Linux before 5.14. */
	assert_int_equal(unlinkat(dir, "cgroup.kill", 0), 0);
	kernel.busy = 2;
	assert_int_equal(cgroup_remove(base, ID), 0);
	assert_int_equal(count_fds(), fds);
	close(dir);
	close(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hosts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(created, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_created, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_empty, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
