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
 * each fd after the fixed ones. The argument vector follows from VMM, UID, API
 * and the VM's id.
 */
struct launch {
	uint32_t vmm;			/* enum vmm_kind */
	uint32_t uid;			/* also the gid */
	uint32_t cgroup;		/* 1: LAUNCHER_CGROUP is one */
	uint32_t api;			/* 1: Firecracker has its API socket */
	uint32_t nmounts;
	uint32_t targets[JAIL_MOUNTS];	/* enum jail_mount */
};

/*
 * Fds of a launch, in this order; then NMOUNTS detached mounts. Where a kind of
 * VMM has no use for one, it is /dev/null.
 */
enum {
	LAUNCHER_EXEC,			/* QEMU or the jailer, checked */
	LAUNCHER_ROOT,			/* the jail: directory, or mount */
	LAUNCHER_OUT,			/* standard output */
	LAUNCHER_ERR,			/* writing end of a pipe */
	LAUNCHER_GO,			/* reading end: a byte, or end of file */
	LAUNCHER_CGROUP,		/* directory */
	LAUNCHER_TAP,			/* QEMU */
	LAUNCHER_DISK,			/* QEMU */
	LAUNCHER_VMM,			/* Firecracker, a detached mount */
	LAUNCHER_FDS,
};

/*
 * First reply to a launch, with the pidfd as its fd: the process exists, and
 * does nothing until a byte comes from LAUNCHER_GO; at its end of file it is
 * gone. Then a second reply, without a body: it has executed, or why not.
 * There is only one reply when the first is an error.
 */
struct launched {
	int32_t pid;
	uint32_t pad;
};

/*
 * The launcher's life: serves SOCK (SOCK_SEQPACKET to the monitor) until it
 * closes. VMMs outlive it. JAIL_DIR is where Firecracker's jails are mounted,
 * in their own namespaces only. Never returns.
 */
void	 launcher_main(int sock, const char *jail_dir)
	    __attribute__((noreturn));

#endif
