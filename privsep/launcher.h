/*
 * The launcher: the one process that starts VMMs. It is forked by the monitor
 * before the monitor's system-call filter goes on (a filter is inherited
 * across execve and would reach the VMM), reads staged launches from the
 * monitor alone, and reports exits.
 */
#ifndef BANGER_PRIVSEP_LAUNCHER_H
#define BANGER_PRIVSEP_LAUNCHER_H

#include <stdint.h>
#include <sys/types.h>

#include "privsep/jail.h"
#include "privsep/wire.h"

/*
 * A launch, ready: every resource is an fd. TARGETS names the mount point of
 * each fd after the fixed ones. The argument vector follows from VMM alone.
 */
struct launch {
	uint32_t vmm;			/* enum vmm_kind */
	uint32_t uid;			/* also the gid */
	uint32_t nmounts;
	uint32_t targets[JAIL_MOUNTS];	/* enum jail_mount */
	uint32_t pad;
};

/* Fds of a launch, in this order; then NMOUNTS detached mounts. */
enum {
	LAUNCHER_EXEC,			/* O_PATH, checked by check_exec_fd */
	LAUNCHER_ROOT,			/* the jail's root directory */
	LAUNCHER_STDERR,		/* writing end of a pipe */
	LAUNCHER_TAP,
	LAUNCHER_DISK,
	LAUNCHER_FDS,
};

/* Reply to a launch, with the pidfd as its fd. */
struct launched {
	int32_t pid;
	uint32_t pad;
};

/*
 * The launcher's life: serves SOCK (SOCK_SEQPACKET to the monitor) until it
 * closes. VMMs outlive it. Never returns.
 */
void	 launcher_main(int sock) __attribute__((noreturn));

#endif
