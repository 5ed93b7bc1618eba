/*
 * A control channel may hold what a former worker left unread, so that nothing
 * is believed before the reply to this worker's own HELLO; from then on every
 * byte must be part of a legal message, for a guest is not trusted.
 */
#include "vmm/agent_client.h"

#include <errno.h>
#include <string.h>

static uint32_t
build(struct agent_client *c, struct agent_msg *msg, uint8_t *out)
{
	msg->seq = ++c->seq;
	agent_msg_encode(out, msg);
	return msg->seq;
}

uint32_t
agent_client_hello(struct agent_client *c, const uint8_t *nonce, uint8_t *out)
{
	struct agent_msg msg = { .type = AGENT_HELLO };

	memcpy(msg.hello.nonce, nonce, STREAM_NONCE_SIZE);
	memcpy(c->nonce, nonce, STREAM_NONCE_SIZE);
	c->synced = false;
	c->skipped = 0;
	c->hello_seq = build(c, &msg, out);
	return c->hello_seq;
}

uint32_t
agent_client_open(struct agent_client *c, const uint8_t *nonce, uint8_t *out)
{
	struct agent_msg msg = { .type = AGENT_OPEN };

	memcpy(msg.open.nonce, nonce, STREAM_NONCE_SIZE);
	return build(c, &msg, out);
}

uint32_t
agent_client_shutdown(struct agent_client *c, enum agent_shutdown_how how,
    uint32_t timeout_ms, uint8_t *out)
{
	struct agent_msg msg = { .type = AGENT_SHUTDOWN };

	msg.shutdown.how = how;
	msg.shutdown.timeout_ms = timeout_ms;
	return build(c, &msg, out);
}

uint32_t
agent_client_ping(struct agent_client *c, uint8_t *out)
{
	struct agent_msg msg = { .type = AGENT_PING };

	return build(c, &msg, out);
}

uint32_t
agent_client_inspect(struct agent_client *c, enum agent_type type, uint8_t *out)
{
	struct agent_msg msg = { .type = type };

	return build(c, &msg, out);
}

static bool
answers_hello(const struct agent_client *c, const struct agent_msg *msg)
{
	return msg->type == AGENT_HELLO && msg->status == 0 &&
	    msg->seq == c->hello_seq &&
	    memcmp(msg->hello.nonce, c->nonce, STREAM_NONCE_SIZE) == 0;
}

/* Judges a full buffer: 1 for a message to hand out, 0, or -EPROTO. */
static int
take(struct agent_client *c, struct agent_msg *msg)
{
	struct agent_msg got;
	int r = agent_msg_decode(c->rx, STREAM_AGENT, &got);
	size_t drop = AGENT_MSG_SIZE;

	if (r < 0 && c->synced)
		return r;
	if (r < 0)
		drop = agent_msg_resync(c->rx, c->have);
	else if (!c->synced && answers_hello(c, &got))
		c->synced = true;
	c->have -= drop;
	memmove(c->rx, c->rx + drop, c->have);
	if (!c->synced) {
		c->skipped += drop;
		return c->skipped > AGENT_CLIENT_SKIP_MAX ? -EPROTO : 0;
	}
	*msg = got;
	return 1;
}

int
agent_client_feed(struct agent_client *c, const uint8_t *data, size_t len,
    size_t *used, struct agent_msg *msg)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		size_t n = AGENT_MSG_SIZE - c->have;

		if (n > len - at)
			n = len - at;
		memcpy(c->rx + c->have, data + at, n);
		c->have += n;
		at += n;
		if (c->have == AGENT_MSG_SIZE)
			r = take(c, msg);
	}
	*used = at;
	return r;
}
