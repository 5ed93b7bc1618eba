/*
 * The stages in which each process of the daemon gives up what it does not
 * need. See the comment at the top of drop.c.
 */
#ifndef BANGER_PRIVSEP_DROP_H
#define BANGER_PRIVSEP_DROP_H

#include <sys/types.h>

/*
 * First thing in the daemon, still root with everything: umask, working
 * directory, standard input and output, signals, limit of fds, stray fds above
 * KEEP. Fatal on failure, like all of these.
 */
void	 drop_initial(int keep);

/* Mount namespace of the daemon's own; the host's mounts still propagate in. */
void	 drop_mounts(void);

/* Capabilities of the launcher. */
void	 drop_launcher(void);

/* Capabilities and system calls of the monitor: nothing can be executed. */
void	 drop_monitor(void);

/*
 * Refuses a VMM the system calls that no VMM needs, beside its own filter.
 * 0 or -errno.
 */
int	 drop_vmm_syscalls(void);

/*
 * Becomes UID (and the gid of the same number) for good: no groups, no
 * capability in any set, no_new_privs, a session keyring of its own. For a child about to execve. 0 or
 * -errno.
 */
int	 drop_to_uid(uid_t uid);

#endif
