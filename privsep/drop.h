/*
 * The stages in which each process of the daemon gives up what it does not
 * need. See the comment at the top of drop.c.
 */
#ifndef BANGER_PRIVSEP_DROP_H
#define BANGER_PRIVSEP_DROP_H

#include <sys/types.h>

/*
 * What the daemon starts with, as systemd.exec(5) has it: all that monitor and
 * launcher keep (see drop.c), and for the start CAP_FOWNER, to set modes in the
 * worker's directories, and CAP_SYS_PTRACE, to see which executable an adopted
 * VMM runs.
 */
#define DAEMON_CAPABILITIES \
	"CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_MKNOD " \
	"CAP_NET_ADMIN CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN " \
	"CAP_SYS_PTRACE"

/*
 * First thing in the daemon, still root with everything: umask, working
 * directory, standard input and output, signals, limit of fds, stray fds above
 * KEEP. Fatal on failure, like all of these.
 */
void	 drop_initial(int keep);

/* Mount namespace of the daemon's own; the host's mounts still propagate in. */
void	 drop_mounts(void);

/*
 * The resolver: no capability at all, no way to get one, and no file that it
 * could write, though it is root's to those whom it talks to.
 */
void	 drop_resolver(void);

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
 * Stays root with what Firecracker's jailer needs to make a VMM of itself, and
 * no way to more: the bounding set has the same six capabilities. For a child
 * of the launcher about to execve. 0 or -errno.
 */
int	 drop_to_jailer(void);

/*
 * Becomes UID (and the gid of the same number) for good: no groups, no
 * capability in any set, no_new_privs, a session keyring of its own. For a child about to execve. 0 or
 * -errno.
 */
int	 drop_to_uid(uid_t uid);

#endif
