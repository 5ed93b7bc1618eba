/*
 * Which VMM runs here? What somebody asked for, by name or by installing it, is
 * not silently replaced by another: then the start of a VM says what is wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/cgroup.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/util.h"

/* What keeps Firecracker from running here, in monitor->vmm_problem, or "". */
static void
find_problem(struct monitor *monitor, const char *why)
{
	char *problem = monitor->vmm_problem;
	size_t size = sizeof(monitor->vmm_problem);

	if (!monitor->kvm)
		snprintf(problem, size, "firecracker: KVM runs no guest here, "
		    "see `banger doctor`; mend that, or set vmm to qemu");
	else if (why[0] != '\0')
		snprintf(problem, size, "%s", why);
	else if (monitor->cgroups == -EOPNOTSUPP)
		snprintf(problem, size, "firecracker: no cgroup v2 with cpu, "
		    "memory and pids at /sys/fs/cgroup; boot with "
		    "systemd.unified_cgroup_hierarchy=1, or set vmm to qemu");
	else if (monitor->cgroups < 0)
		snprintf(problem, size, "firecracker: /sys/fs/cgroup: %s; mend "
		    "that, or set vmm to qemu", strerror(-monitor->cgroups));
}

/* Both programs of Firecracker. 0; or the first's -errno, and WHY. */
static int
open_firecracker(struct monitor *monitor, char *why, size_t size)
{
	const struct config *cfg = monitor->cfg;
	int *programs = monitor->programs;

	programs[PROGRAM_FIRECRACKER] = program_open(PROGRAM_FIRECRACKER,
	    cfg->firecracker_bin, why, size);
	if (programs[PROGRAM_FIRECRACKER] < 0)
		return programs[PROGRAM_FIRECRACKER];
	programs[PROGRAM_JAILER] = program_open(PROGRAM_JAILER,
	    cfg->jailer_bin, why, size);
	return programs[PROGRAM_JAILER] < 0 ? programs[PROGRAM_JAILER] : 0;
}

/* Nobody said which: Firecracker, where somebody seems to want it. */
static bool
wants_firecracker(const struct monitor *monitor, int error)
{
	const struct config *cfg = monitor->cfg;

	return monitor->kvm && (error != -ENOENT ||
	    cfg->firecracker_bin[0] != '\0' || cfg->jailer_bin[0] != '\0');
}

void
vmm_choose(struct monitor *monitor)
{
	const struct config *cfg = monitor->cfg;
	char why[WIRE_ERROR_MAX] = "";
	int r;

	monitor->cgroups = cgroup_open();
	monitor->programs[PROGRAM_QEMU] = program_open(PROGRAM_QEMU,
	    cfg->qemu_bin, monitor->vmm_problem, sizeof(monitor->vmm_problem));
	r = open_firecracker(monitor, why, sizeof(why));
	monitor->vmm = cfg->vmm != 0 ? (enum vmm_kind)cfg->vmm :
	    wants_firecracker(monitor, r) ? VMM_FIRECRACKER : VMM_QEMU;
	if (monitor->vmm == VMM_FIRECRACKER) {
		monitor->vmm_problem[0] = '\0';
		find_problem(monitor, why);
	}
	if (monitor->vmm_problem[0] != '\0')
		log_warn("%s", monitor->vmm_problem);
}

static int
renew(struct monitor *monitor, enum program program, const char *configured)
{
	int *fd = &monitor->programs[program], r;
	char why[WIRE_ERROR_MAX];
	struct stat st;

	if (fstat(*fd, &st) < 0)
		return op_error(monitor, -errno, "VMM: %s", strerror(errno));
	if (st.st_nlink > 0)
		return 0;
	r = program_open(program, configured, why, sizeof(why));
	if (r < 0)
		return op_error(monitor, r, "%s", why);
	close_fdp(fd);
	*fd = r;
	return 0;
}

int
vmm_renew(struct monitor *monitor, enum vmm_kind vmm)
{
	const struct config *cfg = monitor->cfg;
	int r;

	if (vmm == VMM_QEMU)
		return renew(monitor, PROGRAM_QEMU, cfg->qemu_bin);
	r = renew(monitor, PROGRAM_FIRECRACKER, cfg->firecracker_bin);
	return r < 0 ? r : renew(monitor, PROGRAM_JAILER, cfg->jailer_bin);
}
