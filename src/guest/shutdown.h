/*
 * The ways a guest ends.
 */
#ifndef BANGER_GUEST_SHUTDOWN_H
#define BANGER_GUEST_SHUTDOWN_H

#include "base/agent_proto.h"

/*
 * Asks for an end, once or again: without an init every process gets SIGTERM,
 * systemd is told by signal, another init by the image's own reboot(8).
 */
void	 shutdown_ask(enum agent_shutdown_how how, bool pid1);

/*
 * Ends the machine now: kills everything, writes the file system out, makes it
 * read-only, resets or powers off. Does not return.
 */
void	 shutdown_force(enum agent_shutdown_how how) __attribute__((noreturn));

#endif
