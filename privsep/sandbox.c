/*
 * See sandbox.h. libseccomp compiles the lists; landlock has no library and
 * needs three calls.
 */
#include "privsep/sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/log.h"
#include "privsep/util.h"

/* Access rights that headers of Linux 6.1 do not name yet (landlock(7)). */
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15)

#define RIGHTS_READ_FILE (LANDLOCK_ACCESS_FS_READ_FILE)
#define RIGHTS_READ (RIGHTS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* All of ABI 1 is the low 13 bits; ABI 2 added REFER. */
#define RIGHTS_ABI1 ((UINT64_C(1) << 13) - 1)

static int
add_rule(scmp_filter_ctx ctx, uint32_t action, const struct syscall_rule *rule)
{
	uint32_t i;
	int r = 0;

	if (rule->count == 0)
		return seccomp_rule_add_array(ctx, action, rule->nr, 0, NULL);
	for (i = 0; r == 0 && i < rule->count; i++) {
		struct scmp_arg_cmp cmp = {
			.arg = rule->arg,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = rule->mask != 0 ? rule->mask : UINT64_MAX,
			.datum_b = rule->values[i],
		};

		r = seccomp_rule_add_array(ctx, action, rule->nr, 1, &cmp);
	}
	return r;
}

/* Loads CTX, with the kernel's own errors instead of one for all. */
static int
load(scmp_filter_ctx ctx)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);

	return r < 0 ? r : seccomp_load(ctx);
}

int
sandbox_syscalls(const struct syscall_rule *rules, size_t count)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t i;
	int r = 0;

	if (ctx == NULL)
		return -ENOMEM;
	for (i = 0; r == 0 && i < count; i++)
		r = add_rule(ctx, SCMP_ACT_ALLOW, &rules[i]);
#ifndef BANGER_SANITIZE
	if (r == 0)
		r = load(ctx);
#endif
	seccomp_release(ctx);
	return r;
}

int
sandbox_refuse(const struct syscall_rule *rules, size_t count)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;
	int r = 0;

	if (ctx == NULL)
		return -ENOMEM;
	for (i = 0; r == 0 && i < count; i++)
		r = add_rule(ctx, SCMP_ACT_ERRNO((uint32_t)(rules[i].error != 0 ?
		    rules[i].error : EPERM)), &rules[i]);
	if (r == 0)
		r = load(ctx);
	seccomp_release(ctx);
	return r;
}

/* The rights that the kernel of ABI knows. */
static uint64_t
rights_of(long abi)
{
	uint64_t rights = RIGHTS_ABI1;

	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rights |= RIGHT_TRUNCATE;
	if (abi >= 5)
		rights |= RIGHT_IOCTL_DEV;
	return rights;
}

static int
add_path(int ruleset, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr attr = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rights &= LANDLOCK_ACCESS_FS_EXECUTE |
		    LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE;
	attr.allowed_access = rights;
	return syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
}

/*
 * An empty rule set that handles all rights of this kernel but EXCEPT: its fd
 * and *HANDLED; -ENOSYS, which is said, without landlock; or -errno.
 */
static int
open_ruleset(uint64_t except, uint64_t *handled)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int fd;

	if (abi < 1) {
		log_info("landlock is not available: %s", strerror(errno));
		return -ENOSYS;
	}
	attr.handled_access_fs = *handled = rights_of(abi) & ~except;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	return fd < 0 ? -errno : fd;
}

static int
enforce(int ruleset)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -errno;
	return 0;
}

int
sandbox_files(const int *read_fds, size_t reads, const int *write_fds,
    size_t writes)
{
	_cleanup_close_ int ruleset = -1;
	uint64_t handled, writing;
	size_t i;
	int r = 0;

	ruleset = open_ruleset(0, &handled);
	if (ruleset < 0)
		return ruleset == -ENOSYS ? 0 : ruleset;
	writing = handled & ~(uint64_t)(
	    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM);
	for (i = 0; r == 0 && i < reads; i++)
		r = add_path(ruleset, read_fds[i], RIGHTS_READ);
	for (i = 0; r == 0 && i < writes; i++)
		r = add_path(ruleset, write_fds[i], writing);
	return r < 0 ? r : enforce(ruleset);
}

int
sandbox_no_writes(void)
{
	_cleanup_close_ int ruleset = -1;
	uint64_t handled;

	ruleset = open_ruleset(RIGHTS_READ | LANDLOCK_ACCESS_FS_EXECUTE |
	    RIGHT_IOCTL_DEV, &handled);
	if (ruleset < 0)
		return ruleset == -ENOSYS ? 0 : ruleset;
	return enforce(ruleset);
}

int
sandbox_process(void)
{
	static const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	return 0;
}
