/*
 * From a fork of the launcher to a VMM, or to the jailer that becomes one.
 */
#ifndef BANGER_PRIVSEP_ENTER_H
#define BANGER_PRIVSEP_ENTER_H

#include <stdint.h>

#include "privsep/launcher.h"

enum enter_step {
	ENTER_GO, ENTER_SESSION, ENTER_NETNS, ENTER_ROOT, ENTER_MOUNT,
	ENTER_PIVOT, ENTER_FDS, ENTER_LIMITS, ENTER_IDS, ENTER_FILTER,
	ENTER_EXEC, ENTER_STEPS,
};

/* What the child tells the launcher when it fails before execve(2). */
struct enter_failure {
	int32_t error;			/* -errno */
	uint32_t step;			/* enum enter_step */
};

/* The step in words, or "?" for what is none. */
const char *enter_step_name(uint32_t step);

/*
 * What the launcher gave the child beside the launch itself; all by fork.
 */
struct enter {
	const struct launch *launch;
	const int *fds;			/* LAUNCHER_FDS, then the mounts */
	uint64_t vm;
	const char *jail_dir;		/* mount point of Firecracker's jails */
	int netns;			/* the host's, as the monitor has it */
	int report;			/* close-on-exec: struct enter_failure */
};

/* Never returns; what REPORT gets is nothing when the program runs. */
void	 enter_vmm(const struct enter *enter) __attribute__((noreturn));

#endif
