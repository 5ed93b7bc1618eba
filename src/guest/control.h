/*
 * The agent's end of the control channel: whole messages in, whole messages
 * out, over a port whose host end comes and goes.
 */
#ifndef BANGER_GUEST_CONTROL_H
#define BANGER_GUEST_CONTROL_H

#include "base/agent_proto.h"
#include "base/fifo.h"
#include "guest/loop.h"

struct control {
	struct watch link;
	struct fifo rx, tx;
	uint8_t rx_data[16 * AGENT_MSG_SIZE];
	uint8_t tx_data[16 * AGENT_MSG_SIZE];
};

/* Makes C empty, without a link. */
void	 control_init(struct control *c);

/* Takes the next request: true with MSG filled. Skips what is no message. */
bool	 control_receive(struct control *c, struct agent_msg *msg);

/* Queues MSG; it is dropped when the host has not read the sixteen before. */
void	 control_send(struct control *c, const struct agent_msg *msg);

/* Writes what is queued as far as the host takes it. */
void	 control_flush(struct control *c);

#endif
