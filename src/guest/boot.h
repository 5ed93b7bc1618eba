/*
 * From the kernel's first process to a root file system with a network, and the
 * image's own init.
 */
#ifndef BANGER_GUEST_BOOT_H
#define BANGER_GUEST_BOOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/config.h"
#include "privsep/util.h"

/* What the first process has come to. */
struct boot {
	struct guest_config config;
	uint32_t state;			/* AGENT_STATE_* of what did not work */
	bool mounted;			/* the disk, where it becomes the root */
	pid_t grower;			/* makes it larger; 0: nobody */
	int grown;			/* becomes readable when that is done */
};

/*
 * As PID 1 of the initrd, the first part: /dev, /proc, the kernel command line
 * into boot->config, and the modules that this machine has a use for, but for
 * vsock's transport. *BOOT is all zeros before. What cannot be done without ends
 * the machine, with a message on the console.
 */
void	 boot_drivers(struct boot *boot);

/*
 * The second part: vsock's transport, root file system, names, network; on return
 * the calling process is in the new root and the initrd is empty.
 */
void	 boot_root(struct boot *boot);

/*
 * Becomes the image's init, as PID 1; returns only when there is none that can
 * be executed.
 */
void	 boot_exec_init(void);

/* Whether the image has an init that boot_exec_init() would try. */
bool	 boot_has_init(void);

/*
 * Ends the machine with the console message "banger: …". By a reset: that is
 * what makes both Firecracker and QEMU (-no-reboot) exit.
 */
void	 boot_fail(const char *fmt, ...) PRINTF_LIKE(1, 2)
	    __attribute__((noreturn));

#endif
