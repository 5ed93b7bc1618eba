/*
 * The guest agent: PID 1 of the initrd, then the machine's hand for the host.
 */
#ifndef BANGER_GUEST_AGENT_H
#define BANGER_GUEST_AGENT_H

/*
 * Entry point of the executable as /init in a guest: boots, hands over to the
 * image's init, serves the control channel and the streams until the machine
 * ends. Returns only an exit status for failures before any of that.
 */
int	 agent_main(void);

#endif
