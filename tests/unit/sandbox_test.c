/*
 * What is asked of the kernel for the confinement of a role, on kernels of each
 * age: the calls for landlock are replaced at link time (--wrap). Filters for
 * real, in children.
 */
#include "unit.h"

#include <linux/landlock.h>
#include <seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "privsep/log.h"
#include "privsep/sandbox.h"

enum { RULES_MAX = 4 };

/* The kernel, and what it was asked. */
static struct kernel {
	long abi;			/* or -errno */
	long fails;			/* this call; 0: none */
	bool no_filter;			/* seccomp_init fails */
	uint64_t handled;
	size_t rules;
	uint64_t allowed[RULES_MAX];
	bool enforced;
} kernel;

long	 __real_syscall(long nr, ...);
long	 __wrap_syscall(long nr, ...);
scmp_filter_ctx __real_seccomp_init(uint32_t action);
scmp_filter_ctx __wrap_seccomp_init(uint32_t action);

static long
refuse(int error)
{
	errno = error;
	return -1;
}

long
__wrap_syscall(long nr, ...)
{
	const struct landlock_ruleset_attr *ruleset;
	const struct landlock_path_beneath_attr *path;
	long a[3];
	va_list ap;

	va_start(ap, nr);
	a[0] = va_arg(ap, long);
	a[1] = va_arg(ap, long);
	a[2] = va_arg(ap, long);
	va_end(ap);
	if (nr == kernel.fails && (nr != SYS_landlock_create_ruleset ||
	    a[0] != 0))
		return refuse(EIO);
	switch (nr) {
	case SYS_landlock_create_ruleset:
		if (a[0] == 0)
			return kernel.abi < 0 ? refuse((int)-kernel.abi) :
			    kernel.abi;
		ruleset = (const void *)(uintptr_t)a[0];
		kernel.handled = ruleset->handled_access_fs;
		return dup(STDERR_FILENO);
	case SYS_landlock_add_rule:
		path = (const void *)(uintptr_t)a[2];
		assert_true(kernel.rules < RULES_MAX);
		kernel.allowed[kernel.rules++] = path->allowed_access;
		return 0;
	case SYS_landlock_restrict_self:
		kernel.enforced = true;
		return 0;
	default:
		return __real_syscall(nr, a[0], a[1], a[2], 0, 0, 0);
	}
}

scmp_filter_ctx
__wrap_seccomp_init(uint32_t action)
{
	return kernel.no_filter ? NULL : __real_seccomp_init(action);
}

/* ---- landlock ---- */

static struct temp temp;
static int file = -1;

static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_ERROR);
	begin_temp(&temp);
	put_file(temp.fd, "file", "", 0);
	file = openat(temp.fd, "file", O_RDWR | O_CLOEXEC);
	return file < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(file);
	end_temp(&temp);
	return 0;
}

/* Bits of landlock(7), by their numbers. */
#define ABI1 UINT64_C(0x1fff)
#define REFER UINT64_C(0x2000)
#define TRUNCATE UINT64_C(0x4000)
#define IOCTL_DEV UINT64_C(0x8000)
#define READ UINT64_C(0xc)		/* files and directories */
#define EXECUTE UINT64_C(0x1)
#define OF_FILES UINT64_C(0x7)		/* execute, write, read */
/* To execute, and to make nodes, sockets, FIFOs and symlinks. */
#define NOT_WRITING UINT64_C(0x1e41)

static const struct {
	long abi;
	uint64_t rights;
} ages[] = {
	{ 1, ABI1 },
	{ 2, ABI1 | REFER },
	{ 3, ABI1 | REFER | TRUNCATE },
	{ 4, ABI1 | REFER | TRUNCATE },
	{ 5, ABI1 | REFER | TRUNCATE | IOCTL_DEV },
	{ 7, ABI1 | REFER | TRUNCATE | IOCTL_DEV },
};

static void
files_by_age(void **state)
{
	const int reading[] = { temp.fd, file }, writing[] = { temp.fd, file };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ages); i++) {
		const uint64_t all = ages[i].rights, dir = all & ~NOT_WRITING;

		kernel = (struct kernel){ .abi = ages[i].abi };
		assert_int_equal(sandbox_files(reading, 2, writing, 2), 0);
		assert_true(kernel.enforced);
		assert_true(kernel.handled == all);
		assert_int_equal(kernel.rules, 4);
		assert_true(kernel.allowed[0] == READ);
		assert_true(kernel.allowed[1] == (READ & OF_FILES));
		assert_true(kernel.allowed[2] == dir);
		assert_true(kernel.allowed[3] ==
		    (dir & (OF_FILES | TRUNCATE)));
	}
}

static void
no_writes_by_age(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ages); i++) {
		kernel = (struct kernel){ .abi = ages[i].abi };
		assert_int_equal(sandbox_no_writes(), 0);
		assert_true(kernel.enforced);
		assert_int_equal(kernel.rules, 0);
		assert_true(kernel.handled ==
		    (ages[i].rights & ~(READ | EXECUTE | IOCTL_DEV)));
	}
}

/* Without landlock a role goes on, without the half of it does not. */
static void
kernels_that_fail(void **state)
{
	static const struct kernel kernels[] = {
		{ .abi = -ENOSYS }, { .abi = -EOPNOTSUPP }, { .abi = 0 },
		{ .abi = 3, .fails = SYS_landlock_create_ruleset },
		{ .abi = 3, .fails = SYS_landlock_add_rule },
		{ .abi = 3, .fails = SYS_landlock_restrict_self },
	};
	const unsigned int fds = count_fds();
	size_t i;
	int r, none = -1;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kernels); i++) {
		kernel = kernels[i];
		r = sandbox_files(&temp.fd, 1, &file, 1);
		assert_int_equal(r, kernels[i].abi > 0 ? -EIO : 0);
		assert_false(kernel.enforced);
		kernel = kernels[i];
		r = sandbox_no_writes();
		assert_int_equal(r, kernels[i].abi > 0 && kernels[i].fails !=
		    SYS_landlock_add_rule ? -EIO : 0);
	}
	kernel = (struct kernel){ .abi = 3 };
	assert_int_equal(sandbox_files(&none, 1, NULL, 0), -EBADF);
	assert_int_equal(sandbox_files(NULL, 0, &none, 1), -EBADF);
	assert_false(kernel.enforced);
	assert_int_equal(count_fds(), fds);
}

/* ---- filters ---- */

static void
refused(void **state)
{
	static const uint64_t domains[] = { 2, 10 };
	static const struct syscall_rule rules[] = {
		{ .nr = SYS_getppid }, { .nr = SYS_sync, .error = ENOSYS },
		{ .nr = SYS_socket, .arg = 0, .count = 2, .values = domains },
		{ .nr = SYS_umask, .arg = 0, .count = 1, .mask = 0xff,
		    .values = domains },
	};
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(sandbox_refuse(rules, ARRAY_SIZE(rules)) == 0 &&
		    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
		    syscall(SYS_getppid) < 0 && errno == EPERM &&
		    syscall(SYS_sync) < 0 && errno == ENOSYS &&
		    syscall(SYS_socket, 2, 2, 0) < 0 && errno == EPERM &&
		    syscall(SYS_socket, 10, 2, 0) < 0 && errno == EPERM &&
		    syscall(SYS_socket, 1, 2, 0) >= 0 &&
		    syscall(SYS_umask, 0x102) < 0 && errno == EPERM &&
		    syscall(SYS_umask, 0x112) >= 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Half a filter is none: nothing is loaded. */
static void
bad_lists(void **state)
{
	static const uint64_t values[] = { 1 };
	static const struct syscall_rule lists[][2] = {
		{ { .nr = SYS_getppid }, { .nr = -1 } },
		{ { .nr = SYS_getppid }, { .nr = SYS_ioctl, .arg = 9,
		    .count = 1, .values = values } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		assert_true(sandbox_refuse(lists[i], 2) < 0);
		assert_true(sandbox_syscalls(lists[i], 2) < 0);
		assert_true(syscall(SYS_getppid) > 0);
	}
	kernel.no_filter = true;
	assert_int_equal(sandbox_refuse(lists[0], 1), -ENOMEM);
	assert_int_equal(sandbox_syscalls(lists[0], 1), -ENOMEM);
	kernel.no_filter = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_by_age),
		cmocka_unit_test(no_writes_by_age),
		cmocka_unit_test(kernels_that_fail),
		cmocka_unit_test(refused),
		cmocka_unit_test(bad_lists),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
