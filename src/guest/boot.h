/*
 * From the kernel's first process to a root file system with a network, and the
 * image's own init.
 */
#ifndef BANGER_GUEST_BOOT_H
#define BANGER_GUEST_BOOT_H

#include <stdint.h>

#include "guest/config.h"
#include "privsep/util.h"

/*
 * As PID 1 of the initrd, the first part: /dev, /proc, the kernel command line
 * into CONFIG, and the modules that this machine has a use for. What cannot be
 * done without ends the machine, with a message on the console.
 */
void	 boot_drivers(struct guest_config *config);

/*
 * The second part: root file system, names, network; on return the calling
 * process is in the new root and the initrd is empty. Sets bits of *STATE
 * (AGENT_STATE_*) for what did not work.
 */
void	 boot_root(const struct guest_config *config, uint32_t *state);

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
