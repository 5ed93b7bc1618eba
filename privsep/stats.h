/*
 * What a VMM has used, in the words of OP_VMM_STATS: of its cgroup where it has
 * one (Documentation/admin-guide/cgroup-v2.rst), else of its process (proc(5)).
 * Numbers that the kernel does not give are left out, not guessed.
 */
#ifndef BANGER_PRIVSEP_STATS_H
#define BANGER_PRIVSEP_STATS_H

#include "privsep/proto.h"
#include "privsep/vm.h"

/*
 * Adds what the cgroup of directory fd DIR tells to REPLY, STATS_CGROUP and the
 * bits of what was found included. 0, or -errno when not even its processor
 * time can be read.
 */
int	 stats_of_cgroup(int dir, struct vmm_stats_reply *reply);

/*
 * The same of process PID below PROC_FD (/proc), which must be the one of PIDFD.
 * 0 or -errno, -ESRCH when it has ended.
 */
int	 stats_of_process(int proc_fd, pid_t pid, int pidfd,
	    struct vmm_stats_reply *reply);

/*
 * The cgroup of VM below CGROUPS (a directory fd, or -1) if it has one, else its
 * process. VM is running. 0 or -errno.
 */
int	 stats_of_vmm(int proc_fd, int cgroups, const struct vm *vm,
	    struct vmm_stats_reply *reply);

#endif
