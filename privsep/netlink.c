/*
 * The kernel answers a netlink request while sendmsg(2) is still running, so
 * this is a function call in disguise: build, send, read until the
 * acknowledgement of the last message. Whatever does not carry our port id
 * and a sequence number of this very request is thrown away: it belongs to an
 * earlier call that was given up.
 *
 * The peer is the kernel, but what it relays is in part made by others (names
 * and addresses of links, for instance): every length is checked against what
 * really arrived, and values are copied out, never pointed into.
 */
#include "privsep/netlink.h"

#include <endian.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "privsep/log.h"
#include "privsep/util.h"

static size_t
align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* --- the socket --- */

/* The builder starts over. */
static void
empty(struct netlink *nl)
{
	nl->len = nl->msg = 0;
	nl->error = 0;
	nl->has_ack = false;
}

static int
set_options(int fd)
{
	/* NETLINK_CAP_ACK: an acknowledgement does not repeat the batch. */
	static const int options[] = { NETLINK_EXT_ACK, NETLINK_CAP_ACK,
	    NETLINK_GET_STRICT_CHK };
	const struct timeval timeout = {
		.tv_sec = NL_REPLY_TIMEOUT_MS / 1000,
		.tv_usec = NL_REPLY_TIMEOUT_MS % 1000 * 1000L,
	};
	const int on = 1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, SOL_NETLINK, options[i], &on,
		    sizeof(on)) < 0)
			return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
	    sizeof(timeout)) < 0)
		return -errno;
	return 0;
}

int
nl_open(struct netlink *nl, int proto)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	socklen_t addr_len = sizeof(addr);
	_cleanup_close_ int fd = -1;
	int r;

	nl->fd = -1;
	empty(nl);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, proto);
	if (fd < 0)
		return -errno;
	r = set_options(fd);
	if (r < 0)
		return r;
	/* nl_pid 0 is the kernel; this also binds us to a port id. */
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &addr_len) < 0)
		return -errno;
	nl->portid = addr.nl_pid;
	nl->seq = 0;
	nl->fd = steal_fd(&fd);
	return 0;
}

void
nl_close(struct netlink *nl)
{
	if (nl->fd >= 0)
		close(steal_fd(&nl->fd));
}

/* --- building --- */

/* Room for LEN bytes, zeroed, 4-aligned at the end; NULL when there is none. */
static uint8_t *
reserve(struct netlink *nl, size_t len)
{
	uint8_t *p = nl->tx + nl->len;

	if (nl->error < 0)
		return NULL;
	if (len > sizeof(nl->tx) || align4(len) > sizeof(nl->tx) - nl->len) {
		nl->error = -EMSGSIZE;
		return NULL;
	}
	memset(p, 0, align4(len));
	nl->len += align4(len);
	return p;
}

/* The open message reaches up to here. */
static void
close_msg(struct netlink *nl)
{
	uint32_t len = (uint32_t)(nl->len - nl->msg);

	memcpy(nl->tx + nl->msg + offsetof(struct nlmsghdr, nlmsg_len), &len,
	    sizeof(len));
}

static void
add_flags(struct netlink *nl, uint16_t flags)
{
	uint8_t *at = nl->tx + nl->msg + offsetof(struct nlmsghdr, nlmsg_flags);
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	value |= flags;
	memcpy(at, &value, sizeof(value));
}

void
nl_begin(struct netlink *nl, uint16_t type, uint16_t flags, const void *hdr,
    size_t hdr_len)
{
	struct nlmsghdr h = { .nlmsg_type = type, .nlmsg_pid = nl->portid };
	size_t at = nl->len;
	uint8_t *p;

	h.nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST);
	h.nlmsg_seq = ++nl->seq;
	if (at == 0)
		nl->first = h.nlmsg_seq;
	p = reserve(nl, sizeof(h) + hdr_len);
	if (p == NULL)
		return;
	memcpy(p, &h, sizeof(h));
	if (hdr_len > 0)
		memcpy(p + sizeof(h), hdr, hdr_len);
	nl->msg = at;
	close_msg(nl);
}

void
nl_put(struct netlink *nl, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_type = type };
	uint8_t *p;

	if (len > UINT16_MAX - sizeof(a)) {
		nl->error = nl->error < 0 ? nl->error : -EMSGSIZE;
		return;
	}
	a.nla_len = (uint16_t)(sizeof(a) + len);
	p = reserve(nl, a.nla_len);
	if (p == NULL)
		return;
	memcpy(p, &a, sizeof(a));
	if (len > 0)
		memcpy(p + sizeof(a), data, len);
	close_msg(nl);
}

void
nl_put_u8(struct netlink *nl, uint16_t type, uint8_t value)
{
	nl_put(nl, type, &value, sizeof(value));
}

void
nl_put_u32(struct netlink *nl, uint16_t type, uint32_t value)
{
	nl_put(nl, type, &value, sizeof(value));
}

void
nl_put_be32(struct netlink *nl, uint16_t type, uint32_t value)
{
	nl_put_u32(nl, type, htobe32(value));
}

void
nl_put_be64(struct netlink *nl, uint16_t type, uint64_t value)
{
	value = htobe64(value);
	nl_put(nl, type, &value, sizeof(value));
}

void
nl_put_str(struct netlink *nl, uint16_t type, const char *s)
{
	nl_put(nl, type, s, strlen(s) + 1);
}

size_t
nl_nest(struct netlink *nl, uint16_t type)
{
	size_t at = nl->len;

	nl_put(nl, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
	return at;
}

void
nl_nest_end(struct netlink *nl, size_t nest)
{
	size_t len = nl->len - nest;
	uint16_t value = (uint16_t)len;

	if (nl->error < 0)
		return;
	if (len > UINT16_MAX) {
		nl->error = -EMSGSIZE;
		return;
	}
	memcpy(nl->tx + nest + offsetof(struct nlattr, nla_len), &value,
	    sizeof(value));
}

void
nl_ack(struct netlink *nl)
{
	if (nl->error < 0)
		return;
	add_flags(nl, NLM_F_ACK);
	nl->acked = nl->seq;
	nl->has_ack = true;
}

/* --- parsing --- */

int
nl_msg_next(const uint8_t **p, size_t *left, struct nl_msg *msg)
{
	struct nlmsghdr h;
	size_t step;

	if (*left == 0)
		return 0;
	if (*left < sizeof(h))
		return -EBADMSG;
	memcpy(&h, *p, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > *left)
		return -EBADMSG;
	msg->type = h.nlmsg_type;
	msg->flags = h.nlmsg_flags;
	msg->seq = h.nlmsg_seq;
	msg->portid = h.nlmsg_pid;
	msg->data = *p + sizeof(h);
	msg->len = h.nlmsg_len - sizeof(h);
	/* The padding of the last one may be missing. */
	step = align4(h.nlmsg_len) < *left ? align4(h.nlmsg_len) : *left;
	*p += step;
	*left -= step;
	return 1;
}

int
nl_attr_next(const uint8_t **p, size_t *left, uint16_t *type,
    struct nl_attr *attr)
{
	struct nlattr a;
	size_t step;

	if (*left == 0)
		return 0;
	if (*left < sizeof(a))
		return -EBADMSG;
	memcpy(&a, *p, sizeof(a));
	if (a.nla_len < sizeof(a) || a.nla_len > *left)
		return -EBADMSG;
	*type = a.nla_type & (uint16_t)NLA_TYPE_MASK;
	attr->data = *p + sizeof(a);
	attr->len = a.nla_len - sizeof(a);
	step = align4(a.nla_len) < *left ? align4(a.nla_len) : *left;
	*p += step;
	*left -= step;
	return 1;
}

int
nl_parse(const uint8_t *buf, size_t len, struct nl_attr *tb, size_t n)
{
	struct nl_attr attr;
	uint16_t type;
	int r;

	memset(tb, 0, n * sizeof(*tb));
	while ((r = nl_attr_next(&buf, &len, &type, &attr)) == 1)
		if (type < n)
			tb[type] = attr;
	if (r < 0)
		memset(tb, 0, n * sizeof(*tb));
	return r;
}

int
nl_parse_msg(const struct nl_msg *msg, void *hdr, size_t hdr_len,
    struct nl_attr *tb, size_t n)
{
	size_t skip = align4(hdr_len);

	memset(tb, 0, n * sizeof(*tb));
	if (msg->len < skip)
		return -EBADMSG;
	memcpy(hdr, msg->data, hdr_len);
	return nl_parse(msg->data + skip, msg->len - skip, tb, n);
}

int
nl_get(const struct nl_attr *attr, void *out, size_t size)
{
	if (attr->data == NULL || attr->len != size)
		return -EBADMSG;
	memcpy(out, attr->data, size);
	return 0;
}

int
nl_get_be32(const struct nl_attr *attr, uint32_t *out)
{
	uint32_t value;
	int r = nl_get(attr, &value, sizeof(value));

	if (r == 0)
		*out = be32toh(value);
	return r;
}

int
nl_get_str(const struct nl_attr *attr, char *buf, size_t size)
{
	size_t len;

	buf[0] = '\0';
	if (attr->data == NULL)
		return -EBADMSG;
	len = strnlen((const char *)attr->data, attr->len);
	if (len >= size || len + 1 < attr->len)
		return -EBADMSG;
	memcpy(buf, attr->data, len);
	buf[len] = '\0';
	return 0;
}

/* --- the conversation --- */

/* What an answer has told so far. */
struct answer {
	bool done;
	bool interrupted;		/* a dump's subject changed meanwhile */
	int error;			/* the first one */
};

static void
fail(struct answer *a, int error)
{
	if (a->error == 0)
		a->error = error;
}

/* The text that explains an error, if the kernel sent one (NLMSGERR_ATTR_*). */
static void
log_ext_ack(const struct nl_msg *msg, const struct nlmsgerr *err)
{
	struct nl_attr tb[NLMSGERR_ATTR_MSG + 1];
	size_t skip = sizeof(*err);
	char text[160];

	if ((msg->flags & NLM_F_ACK_TLVS) == 0)
		return;
	/* Unless capped, the request's payload stands before the attributes. */
	if ((msg->flags & NLM_F_CAPPED) == 0) {
		if (err->msg.nlmsg_len < sizeof(err->msg))
			return;
		skip += align4(err->msg.nlmsg_len - sizeof(err->msg));
	}
	if (skip <= msg->len &&
	    nl_parse(msg->data + skip, msg->len - skip, tb,
	    ARRAY_SIZE(tb)) == 0 &&
	    nl_get_str(&tb[NLMSGERR_ATTR_MSG], text, sizeof(text)) == 0)
		log_warn("netlink: kernel: %s (error %d)", text, err->error);
}

/* An acknowledgement or error; LAST when it ends the answer. */
static void
take_error(const struct nl_msg *msg, bool last, struct answer *a)
{
	struct nlmsgerr err;

	if (msg->len < sizeof(err)) {
		fail(a, -EBADMSG);
		return;
	}
	memcpy(&err, msg->data, sizeof(err));
	if (err.error > 0)
		fail(a, -EBADMSG);
	else if (err.error < 0) {
		log_ext_ack(msg, &err);
		fail(a, err.error);
	}
	a->done = last;
}

/* The end of a dump; since Linux 4.20 it carries the dump's result. */
static void
take_done(const struct nl_msg *msg, struct answer *a)
{
	int32_t result = 0;

	if (msg->len >= sizeof(result))
		memcpy(&result, msg->data, sizeof(result));
	if (result < 0)
		fail(a, result);
	a->done = true;
}

static void
take_msg(struct netlink *nl, const struct nl_msg *msg, nl_reply_fn reply,
    void *arg, struct answer *a)
{
	/* Unsigned: also right when the numbers wrap around. */
	if (msg->portid != nl->portid ||
	    msg->seq - nl->first > nl->seq - nl->first)
		return;
	if (msg->flags & NLM_F_DUMP_INTR)
		a->interrupted = true;
	switch (msg->type) {
	case NLMSG_NOOP:
		break;
	case NLMSG_ERROR:
		take_error(msg, msg->seq == nl->acked, a);
		break;
	case NLMSG_DONE:
		take_done(msg, a);
		break;
	case NLMSG_OVERRUN:
		fail(a, -ENOBUFS);
		break;
	default:
		if (reply != NULL && a->error == 0)
			fail(a, reply(msg, arg));
	}
}

/* One datagram into rx; its length or -errno. */
static ssize_t
receive(struct netlink *nl, int flags)
{
	ssize_t n;

	do
		n = recv(nl->fd, nl->rx, sizeof(nl->rx), flags | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n == 0)
		return -EPIPE;
	return (size_t)n > sizeof(nl->rx) ? -EMSGSIZE : n;
}

/*
 * Reads until the answer is complete. After a failure only what is already
 * queued is read: a batch that failed early never acknowledges its last
 * message, and everything the kernel had to say was queued before sendmsg
 * returned.
 */
static void
take_answer(struct netlink *nl, nl_reply_fn reply, void *arg, struct answer *a)
{
	const int64_t deadline = monotonic_ms() + NL_REPLY_TIMEOUT_MS;

	while (!a->done) {
		struct nl_msg msg;
		const uint8_t *p = nl->rx;
		ssize_t n = receive(nl, a->error < 0 ? MSG_DONTWAIT : 0);
		size_t left;
		int r;

		if (n < 0)
			fail(a, (int)n);
		if (n < 0 && n != -EMSGSIZE && n != -ENOBUFS)
			return;
		left = n < 0 ? 0 : (size_t)n;
		while ((r = nl_msg_next(&p, &left, &msg)) == 1)
			take_msg(nl, &msg, reply, arg, a);
		if (r < 0)
			fail(a, r);
		if (!a->done && monotonic_ms() > deadline) {
			fail(a, -ETIMEDOUT);
			return;
		}
	}
}

static int
send_all(const struct netlink *nl)
{
	ssize_t n;

	do
		n = send(nl->fd, nl->tx, nl->len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == nl->len ? 0 : -EIO;
}

/* What was built, or why it cannot be sent. */
static int
built(const struct netlink *nl)
{
	if (nl->error < 0)
		return nl->error;
	return nl->len > 0 ? 0 : -EINVAL;
}

int
nl_call(struct netlink *nl, nl_reply_fn reply, void *arg)
{
	struct answer a = { .error = built(nl) };

	if (a.error == 0) {
		if (!nl->has_ack)
			nl_ack(nl);
		a.error = send_all(nl);
		if (a.error == 0)
			take_answer(nl, reply, arg, &a);
	}
	empty(nl);
	return a.error;
}

/* The request once more, under a new number. */
static void
renumber(struct netlink *nl)
{
	nl->first = nl->acked = ++nl->seq;
	memcpy(nl->tx + offsetof(struct nlmsghdr, nlmsg_seq), &nl->seq,
	    sizeof(nl->seq));
}

int
nl_dump(struct netlink *nl, nl_reply_fn reply, void *arg)
{
	bool interrupted = true;
	int r = built(nl), tries;

	if (r == 0)
		add_flags(nl, NLM_F_DUMP);
	nl->acked = nl->seq;
	for (tries = 0; r == 0 && interrupted; tries++) {
		struct answer a = { .error = reply(NULL, arg) };

		if (tries == NL_DUMP_TRIES)
			a.error = -EINTR;
		else if (tries > 0)
			renumber(nl);
		if (a.error == 0)
			a.error = send_all(nl);
		if (a.error == 0)
			take_answer(nl, reply, arg, &a);
		r = a.error;
		interrupted = a.interrupted;
	}
	empty(nl);
	return r;
}
