/*
 * The agent's end of the control channel: whole messages in, whole messages
 * out, over a port whose host end comes and goes, or over a connection, which
 * ends once and for all.
 */
#ifndef BANGER_GUEST_CONTROL_H
#define BANGER_GUEST_CONTROL_H

#include "base/agent_proto.h"
#include "base/fifo.h"
#include "guest/loop.h"

struct control {
	struct watch link;
	bool connection;	/* LINK was accepted, not opened */
	bool over;		/* such a LINK has ended: close it */
	struct fifo rx, tx;
	uint8_t rx_data[16 * AGENT_MSG_SIZE];
	/* The replies to one PORTS, and what else may be under way. */
	uint8_t tx_data[(16 + AGENT_LISTENERS_MAX) * AGENT_MSG_SIZE];
};

/* Makes C empty, without a link. */
void	 control_init(struct control *c);

/* Closes the link and forgets what it held. */
void	 control_close(struct control *c, struct loop *loop);

/* Takes the next request: true with MSG filled. Skips what is no message. */
bool	 control_receive(struct control *c, struct agent_msg *msg);

/* Queues MSG; it is dropped when there is no room for it. */
void	 control_send(struct control *c, const struct agent_msg *msg);

/* How many messages may be queued now without one being dropped. */
size_t	 control_room(const struct control *c);

/* Writes what is queued as far as the host takes it. */
void	 control_flush(struct control *c);

#endif
