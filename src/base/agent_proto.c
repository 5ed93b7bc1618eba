/*
 * Control messages to and from bytes. A body is written by one function per
 * type; what is left of its 48 bytes is zero and is checked to be.
 */
#include "base/agent_proto.h"

#include <errno.h>
#include <string.h>

#include "base/le.h"

#define HEADER_SIZE (AGENT_MSG_SIZE - AGENT_BODY_SIZE)
#define FLAG_REPLY 0x01
#define FLAG_MORE 0x01	/* of a listener */

static void
put_hello(uint8_t *p, const struct agent_hello *hello, bool request)
{
	memcpy(p, hello->nonce, STREAM_NONCE_SIZE);
	if (request)
		return;
	memcpy(p + 16, hello->boot_id, AGENT_BOOT_ID_SIZE);
	put_le64(p + 32, hello->uptime_ms);
	put_le32(p + 40, hello->version);
	put_le32(p + 44, hello->state);
}

static void
put_listener(uint8_t *p, const struct agent_listener *listener)
{
	put_le16(p, listener->index);
	put_le16(p + 2, listener->total);
	memcpy(p + 4, listener->addr, sizeof(listener->addr));
	put_le16(p + 20, listener->port);
	p[22] = (uint8_t)listener->proto;
	p[23] = listener->more ? FLAG_MORE : 0;
	put_le32(p + 24, listener->pid);
	memcpy(p + 28, listener->comm, AGENT_COMM_SIZE);
}

static void
put_stats(uint8_t *p, const struct agent_stats *stats)
{
	size_t i;

	put_le64(p, stats->mem_total_bytes);
	put_le64(p + 8, stats->mem_available_bytes);
	put_le64(p + 16, stats->fs_total_bytes);
	put_le64(p + 24, stats->fs_free_bytes);
	for (i = 0; i < 3; i++)
		put_le32(p + 32 + 4 * i, stats->load[i]);
	put_le32(p + 44, stats->processes);
}

static void
put_body(uint8_t *p, const struct agent_msg *msg)
{
	switch (msg->type) {
	case AGENT_HELLO:
		put_hello(p, &msg->hello, !msg->reply);
		break;
	case AGENT_READY:
		put_hello(p, &msg->hello, false);
		break;
	case AGENT_OPEN:
		memcpy(p, msg->open.nonce, STREAM_NONCE_SIZE);
		if (msg->reply)
			put_le32(p + 16, msg->open.port);
		break;
	case AGENT_SHUTDOWN:
		if (msg->reply)
			break;
		put_le32(p, (uint32_t)msg->shutdown.how);
		put_le32(p + 4, msg->shutdown.timeout_ms);
		break;
	case AGENT_PING:
		if (msg->reply)
			put_le64(p, msg->uptime_ms);
		break;
	case AGENT_PORTS:
		if (msg->reply)
			put_listener(p, &msg->listener);
		break;
	case AGENT_STATS:
		if (msg->reply)
			put_stats(p, &msg->stats);
		break;
	}
}

void
agent_msg_encode(uint8_t *out, const struct agent_msg *msg)
{
	memset(out, 0, AGENT_MSG_SIZE);
	put_le32(out, AGENT_MAGIC);
	out[4] = (uint8_t)msg->type;
	out[5] = msg->reply ? FLAG_REPLY : 0;
	put_le32(out + 8, msg->seq);
	put_le32(out + 12, (uint32_t)msg->status);
	if (msg->status == 0)
		put_body(out + HEADER_SIZE, msg);
}

/* Whether nothing but zeros follows the first USED bytes of a body. */
static bool
rest_is_zero(const uint8_t *body, size_t used)
{
	for (; used < AGENT_BODY_SIZE; used++)
		if (body[used] != 0)
			return false;
	return true;
}

static int
get_hello(const uint8_t *p, bool request, struct agent_hello *hello)
{
	memcpy(hello->nonce, p, STREAM_NONCE_SIZE);
	if (request)
		return rest_is_zero(p, STREAM_NONCE_SIZE) ? 0 : -EPROTO;
	memcpy(hello->boot_id, p + 16, AGENT_BOOT_ID_SIZE);
	hello->uptime_ms = get_le64(p + 32);
	hello->version = get_le32(p + 40);
	hello->state = get_le32(p + 44);
	return (hello->state & ~AGENT_STATE_ALL) == 0 ? 0 : -EPROTO;
}

static int
get_open(const uint8_t *p, bool reply, struct agent_open *request)
{
	memcpy(request->nonce, p, STREAM_NONCE_SIZE);
	if (!reply)
		return rest_is_zero(p, STREAM_NONCE_SIZE) ? 0 : -EPROTO;
	request->port = get_le32(p + 16);
	if (request->port >= AGENT_STREAM_PORTS || !rest_is_zero(p, 20))
		return -EPROTO;
	return 0;
}

static int
get_shutdown(const uint8_t *p, bool reply, struct agent_shutdown *request)
{
	uint32_t how = get_le32(p);

	if (reply)
		return rest_is_zero(p, 0) ? 0 : -EPROTO;
	if ((how != AGENT_REBOOT && how != AGENT_POWEROFF) ||
	    !rest_is_zero(p, 8))
		return -EPROTO;
	request->how = (enum agent_shutdown_how)how;
	request->timeout_ms = get_le32(p + 4);
	return 0;
}

/* Text of the guest's that goes to a terminal: printable, then only zeros. */
static bool
comm_is_clean(const uint8_t *p)
{
	size_t i = 0;

	while (i < AGENT_COMM_SIZE && p[i] >= 0x20 && p[i] < 0x7f)
		i++;
	if (i == AGENT_COMM_SIZE)
		return false;
	for (; i < AGENT_COMM_SIZE; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* The N bytes from P on are zero. */
static bool
all_zero(const uint8_t *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

static int
get_listener(const uint8_t *p, struct agent_listener *listener)
{
	listener->index = get_le16(p);
	listener->total = get_le16(p + 2);
	if (listener->total == 0)
		return rest_is_zero(p, 0) ? 0 : -EPROTO;
	memcpy(listener->addr, p + 4, sizeof(listener->addr));
	listener->port = get_le16(p + 20);
	listener->proto = (enum agent_socket)p[22];
	listener->more = (p[23] & FLAG_MORE) != 0;
	listener->pid = get_le32(p + 24);
	memcpy(listener->comm, p + 28, AGENT_COMM_SIZE);
	if (listener->total > AGENT_LISTENERS_MAX ||
	    listener->index >= listener->total || listener->port == 0 ||
	    p[22] < AGENT_TCP || p[22] > AGENT_UDP6 ||
	    (p[23] & ~FLAG_MORE) != 0 || !comm_is_clean(p + 28) ||
	    !rest_is_zero(p, 44))
		return -EPROTO;
	if ((p[22] == AGENT_TCP || p[22] == AGENT_UDP) && !all_zero(p + 8, 12))
		return -EPROTO;
	return 0;
}

static void
get_stats(const uint8_t *p, struct agent_stats *stats)
{
	size_t i;

	stats->mem_total_bytes = get_le64(p);
	stats->mem_available_bytes = get_le64(p + 8);
	stats->fs_total_bytes = get_le64(p + 16);
	stats->fs_free_bytes = get_le64(p + 24);
	for (i = 0; i < 3; i++)
		stats->load[i] = get_le32(p + 32 + 4 * i);
	stats->processes = get_le32(p + 44);
}

/* PORTS and STATS: requests are empty. */
static int
get_inspection(const uint8_t *p, struct agent_msg *msg)
{
	if (!msg->reply)
		return rest_is_zero(p, 0) ? 0 : -EPROTO;
	if (msg->type == AGENT_PORTS)
		return get_listener(p, &msg->listener);
	get_stats(p, &msg->stats);
	return 0;
}

static int
get_body(const uint8_t *p, struct agent_msg *msg)
{
	switch (msg->type) {
	case AGENT_HELLO:
		return get_hello(p, !msg->reply, &msg->hello);
	case AGENT_READY:
		return get_hello(p, false, &msg->hello);
	case AGENT_OPEN:
		return get_open(p, msg->reply, &msg->open);
	case AGENT_SHUTDOWN:
		return get_shutdown(p, msg->reply, &msg->shutdown);
	case AGENT_PING:
		if (!rest_is_zero(p, msg->reply ? 8 : 0))
			return -EPROTO;
		msg->uptime_ms = get_le64(p);
		return 0;
	case AGENT_PORTS:
	case AGENT_STATS:
		return get_inspection(p, msg);
	}
	return -EPROTO;
}

int
agent_msg_decode(const uint8_t *in, enum stream_side from,
    struct agent_msg *out)
{
	struct agent_msg msg = { 0 };
	uint32_t status = get_le32(in + 12);
	int r;

	if (get_le32(in) != AGENT_MAGIC || in[4] < AGENT_HELLO ||
	    in[4] > AGENT_STATS || (in[5] & ~FLAG_REPLY) != 0 ||
	    get_le16(in + 6) != 0)
		return -EPROTO;
	msg.type = (enum agent_type)in[4];
	msg.reply = (in[5] & FLAG_REPLY) != 0;
	msg.seq = get_le32(in + 8);
	msg.status = (int)status;
	/* The agent sends replies and READY, the worker everything else. */
	if ((msg.reply || msg.type == AGENT_READY) != (from == STREAM_AGENT) ||
	    (msg.reply && msg.type == AGENT_READY))
		return -EPROTO;
	if (status != 0) {
		if (!msg.reply || status > EHWPOISON ||
		    !rest_is_zero(in + HEADER_SIZE, 0))
			return -EPROTO;
	} else {
		r = get_body(in + HEADER_SIZE, &msg);
		if (r < 0)
			return r;
	}
	*out = msg;
	return 0;
}

size_t
agent_msg_resync(const uint8_t *in, size_t have)
{
	uint8_t magic[4];
	size_t skip, left;

	put_le32(magic, AGENT_MAGIC);
	for (skip = 1; skip < have; skip++) {
		left = have - skip;
		if (memcmp(in + skip, magic, left < 4 ? left : 4) == 0)
			break;
	}
	return skip;
}
