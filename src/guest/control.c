/*
 * A worker that restarts leaves half a conversation behind: when its end of the
 * port is closed both queues are emptied. Should that have been missed, bytes
 * are skipped until a message starts. Nothing is read while no host is
 * connected: what is there already is the next worker's.
 */
#include "guest/control.h"

#include <string.h>

#include "privsep/util.h"

void
control_init(struct control *c)
{
	memset(c, 0, sizeof(*c));
	c->link.fd = -1;
	c->rx = (struct fifo){ c->rx_data, sizeof(c->rx_data), 0, 0 };
	c->tx = (struct fifo){ c->tx_data, sizeof(c->tx_data), 0, 0 };
}

static void
forget(struct control *c)
{
	fifo_drop(&c->rx, c->rx.len);
	fifo_drop(&c->tx, c->tx.len);
}

void
control_close(struct control *c, struct loop *loop)
{
	loop_unwatch(loop, &c->link);
	forget(c);
	c->over = false;
}

/* True when something was read. */
static bool
fill(struct control *c)
{
	size_t room = fifo_room(&c->rx);
	ssize_t n;

	if (c->link.fd < 0 || room == 0 ||
	    (c->link.ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return false;
	if (!c->connection && (loop_look(&c->link) & EPOLLHUP) != 0) {
		c->link.ready = 0;
		forget(c);
		return false;
	}
	n = read(c->link.fd, fifo_tail(&c->rx, room), room);
	if (n > 0) {
		c->rx.len += (size_t)n;
		return true;
	}
	if (c->connection && (n == 0 || errno != EAGAIN))
		c->over = true;
	c->link.ready &= ~(uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR);
	return false;
}

static bool
take(struct control *c, struct agent_msg *msg)
{
	while (c->rx.len >= AGENT_MSG_SIZE) {
		if (agent_msg_decode(fifo_head(&c->rx), STREAM_CLIENT, msg) ==
		    0) {
			fifo_drop(&c->rx, AGENT_MSG_SIZE);
			return true;
		}
		fifo_drop(&c->rx, agent_msg_resync(fifo_head(&c->rx),
		    c->rx.len));
	}
	return false;
}

bool
control_receive(struct control *c, struct agent_msg *msg)
{
	do {
		if (take(c, msg))
			return true;
	} while (fill(c));
	return false;
}

void
control_send(struct control *c, const struct agent_msg *msg)
{
	uint8_t bytes[AGENT_MSG_SIZE];

	if (c->link.fd < 0 || fifo_room(&c->tx) < AGENT_MSG_SIZE)
		return;
	agent_msg_encode(bytes, msg);
	fifo_put(&c->tx, bytes, sizeof(bytes));
	control_flush(c);
}

size_t
control_room(const struct control *c)
{
	return fifo_room(&c->tx) / AGENT_MSG_SIZE;
}

void
control_flush(struct control *c)
{
	while (c->link.fd >= 0 && c->tx.len > 0 &&
	    (c->link.ready & EPOLLOUT) != 0) {
		ssize_t n = write(c->link.fd, fifo_head(&c->tx), c->tx.len);

		if (n >= 0)
			fifo_drop(&c->tx, (size_t)n);
		else if (errno != EINTR)
			c->link.ready &= ~(uint32_t)EPOLLOUT;
	}
}
