/*
 * Which VMM a host gets, and what is said where it is not the one that somebody
 * wants: programs, cgroups and KVM of the test's own (--wrap). And what an upgrade
 * has put in a program's place.
 */
#include "unit.h"

#include "privsep/cgroup.h"
#include "privsep/log.h"
#include "privsep/monitor.h"

/* The host: 0, or why each cannot be had. */
static struct {
	int programs[PROGRAMS];
	int cgroups;
	unsigned int opened;
} host;

static struct config cfg;
static struct monitor monitor;

int	 __wrap_cgroup_open(void);
int	 __wrap_program_open(enum program program, const char *configured,
	    char *why, size_t size);

int
__wrap_cgroup_open(void)
{
	return host.cgroups;
}

int
__wrap_program_open(enum program program, const char *configured, char *why,
    size_t size)
{
	(void)configured;
	host.opened++;
	if (host.programs[program] == 0)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	snprintf(why, size, "program %d", (int)program);
	return host.programs[program];
}

static void
close_programs(void)
{
	size_t i;

	for (i = 0; i < PROGRAMS; i++)
		close_fdp(&monitor.programs[i]);
}

static void
choices(void **state)
{
	static const struct {
		const char *name;
		uint32_t asked;		/* in the configuration */
		const char *bin;	/* firecracker_bin there */
		const char *jailer;
		bool kvm;
		int programs[PROGRAMS];	/* QEMU, Firecracker, jailer */
		int cgroups;
		uint32_t vmm;
		const char *problem;	/* part of it; NULL: none */
	} cases[] = {
		{ "all", 0, "", "", true, { 0, 0, 0 }, 0, VMM_FIRECRACKER,
		    NULL },
		{ "no KVM", 0, "", "", false, { 0, 0, 0 }, 0, VMM_QEMU, NULL },
		{ "not installed", 0, "", "", true, { 0, -ENOENT, -ENOENT }, 0,
		    VMM_QEMU, NULL },
		{ "jailer not installed", 0, "", "", true, { 0, 0, -ENOENT },
		    0, VMM_QEMU, NULL },
		{ "no VMM", 0, "", "", false, { -ENOENT, -ENOENT, -ENOENT }, 0,
		    VMM_QEMU, "program 0" },
		/* Installed, or named, and not good: not silently another. */
		{ "not root's", 0, "", "", true, { 0, -EPERM, 0 }, 0,
		    VMM_FIRECRACKER, "program 1" },
		{ "jailer not root's", 0, "", "", true, { 0, 0, -EPERM }, 0,
		    VMM_FIRECRACKER, "program 2" },
		{ "named", 0, "/opt/fc", "", true, { 0, -ENOENT, 0 }, 0,
		    VMM_FIRECRACKER, "program 1" },
		{ "jailer named", 0, "", "/opt/jailer", true,
		    { 0, 0, -ENOENT }, 0, VMM_FIRECRACKER, "program 2" },
		{ "cgroup v1", 0, "", "", true, { 0, 0, 0 }, -EOPNOTSUPP,
		    VMM_FIRECRACKER, "no cgroup v2" },
		{ "no cgroup", 0, "", "", true, { 0, 0, 0 }, -EROFS,
		    VMM_FIRECRACKER, "/sys/fs/cgroup: Read-only" },
		/* Asked for. */
		{ "Firecracker, no KVM", VMM_FIRECRACKER, "", "", false,
		    { 0, 0, 0 }, 0, VMM_FIRECRACKER, "KVM runs no guest" },
		{ "Firecracker, no QEMU", VMM_FIRECRACKER, "", "", true,
		    { -ENOENT, 0, 0 }, 0, VMM_FIRECRACKER, NULL },
		{ "QEMU", VMM_QEMU, "", "", true, { 0, 0, 0 }, -EOPNOTSUPP,
		    VMM_QEMU, NULL },
		{ "QEMU, not there", VMM_QEMU, "", "", true,
		    { -ENOENT, 0, 0 }, 0, VMM_QEMU, "program 0" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(host.programs, cases[i].programs,
		    sizeof(host.programs));
		host.cgroups = cases[i].cgroups;
		cfg = (struct config){ .vmm = cases[i].asked };
		strcpy(cfg.firecracker_bin, cases[i].bin);
		strcpy(cfg.jailer_bin, cases[i].jailer);
		memset(&monitor, 0, sizeof(monitor));
		memset(monitor.programs, 0xff, sizeof(monitor.programs));
		monitor.cfg = &cfg;
		monitor.kvm = cases[i].kvm;
		vmm_choose(&monitor);
		assert_case(monitor.vmm == cases[i].vmm, i, cases[i].name);
		assert_case(cases[i].problem == NULL ?
		    monitor.vmm_problem[0] == '\0' :
		    strstr(monitor.vmm_problem, cases[i].problem) != NULL, i,
		    cases[i].name);
		close_programs();
	}
}

/* One that is there is kept; one that was deleted is opened again. */
static void
upgrades(void **state)
{
	static const struct {
		enum vmm_kind vmm;
		bool deleted[PROGRAMS];
		int error;		/* of opening what was */
		unsigned int opened;
		int expected;
	} cases[] = {
		{ VMM_QEMU, { false, true, true }, 0, 0, 0 },
		{ VMM_QEMU, { true, false, false }, 0, 1, 0 },
		{ VMM_QEMU, { true, false, false }, -EPERM, 1, -EPERM },
		{ VMM_FIRECRACKER, { true, false, false }, 0, 0, 0 },
		{ VMM_FIRECRACKER, { false, true, false }, 0, 1, 0 },
		{ VMM_FIRECRACKER, { false, true, true }, 0, 2, 0 },
		{ VMM_FIRECRACKER, { false, true, true }, -ENOENT, 1, -ENOENT },
		{ VMM_FIRECRACKER, { false, false, true }, -EPERM, 1, -EPERM },
	};
	const unsigned int fds = count_fds();
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&monitor, 0, sizeof(monitor));
		monitor.cfg = &cfg;
		for (j = 0; j < PROGRAMS; j++) {
			host.programs[j] = cases[i].error;
			monitor.programs[j] = cases[i].deleted[j] ?
			    open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
			    open("/dev/null", O_RDONLY | O_CLOEXEC);
			assert_true(monitor.programs[j] >= 0);
		}
		host.opened = 0;
		assert_int_equal(vmm_renew(&monitor, cases[i].vmm),
		    cases[i].expected);
		assert_int_equal(host.opened, cases[i].opened);
		assert_int_equal(monitor.error[0] != '\0',
		    cases[i].expected < 0);
		close_programs();
		assert_int_equal(count_fds(), fds);
	}
	monitor.programs[PROGRAM_QEMU] = -1;
	assert_int_equal(vmm_renew(&monitor, VMM_QEMU), -EBADF);
	assert_string_not_equal(monitor.error, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices),
		cmocka_unit_test(upgrades),
	};

	/* What is wrong is logged, too. */
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
