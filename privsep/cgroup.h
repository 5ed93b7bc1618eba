/*
 * A cgroup per VM, /sys/fs/cgroup/banger/<id>, with limits on processor,
 * memory and processes (cgroup v2, Documentation/admin-guide/cgroup-v2.rst).
 * It is outside of every service's, so that no service manager's clean-up can
 * end a VM.
 */
#ifndef BANGER_PRIVSEP_CGROUP_H
#define BANGER_PRIVSEP_CGROUP_H

#include <stdint.h>

#define CGROUP_PARENT "banger"

struct cgroup_limits {
	uint32_t cpus;			/* processors' worth of time */
	uint64_t memory_bytes;
	uint32_t pids;
};

/*
 * Makes /sys/fs/cgroup/banger ready to hold VMs. A directory fd, the caller's;
 * or -errno: -EOPNOTSUPP when there is no cgroup v2 with these controllers
 * (cgroup v1, or a container without them).
 */
int	 cgroup_open(void);

/*
 * Makes the cgroup NAME below BASE with LIMITS. A directory fd for clone3's
 * CLONE_INTO_CGROUP, the caller's; or -errno and nothing is left.
 */
int	 cgroup_create(int base, const char *name,
	    const struct cgroup_limits *limits);

/*
 * Ends whatever is left in the cgroup NAME below BASE and removes it. A missing
 * one is no error. 0 or -errno.
 */
int	 cgroup_remove(int base, const char *name);

#endif
