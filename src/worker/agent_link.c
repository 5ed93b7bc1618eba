/*
 * Messages to the agent are small and few: one that the socket does not take
 * at once means that the guest reads nothing, and the link is given up.
 */
#include "worker/agent_link.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "privsep/util.h"

/* The greeting waits in the socket; this is for one that got lost. */
enum { HELLO_AGAIN_MS = 5000 };

/*
 * A guest that has its vsock driver answers at once. One that has not yet leaves
 * the request with the VMM, which passes it on when it can.
 */
enum { DIAL_TIMEOUT_MS = 5000 };

/* A port comes, or comes back, within milliseconds. */
enum { OPEN_AGAIN_MS = 5, BUSY_PATIENCE_MS = 1000 };

void
agent_link_init(struct agent_link *link, struct events *events,
    void (*on_ready)(void *arg, const struct agent_hello *hello),
    void (*on_lost)(void *arg, const char *why), void *arg)
{
	memset(link, 0, sizeof(*link));
	link->events = events;
	link->fd = -1;
	list_init(&link->opens);
	list_init(&link->queries);
	link->on_ready = on_ready;
	link->on_lost = on_lost;
	link->arg = arg;
}

static void
finish_open(struct stream_request *open, int error, uint32_t port)
{
	stream_request_cancel(open);
	open->fn(open->arg, error, port);
}

static void
fail_query(struct agent_query *query, int error)
{
	agent_query_cancel(query);
	query->fn(query->arg, error, NULL, true);
}

static void
stop_with(struct agent_link *link, int error)
{
	vsock_dial_cancel(&link->dial);
	event_io_stop(&link->io);
	event_timer_clear(&link->again);
	close_fdp(&link->fd);
	link->ready = false;
	while (!list_empty(&link->opens))
		finish_open(list_entry(link->opens.next,
		    struct stream_request, node), error, 0);
	while (!list_empty(&link->queries))
		fail_query(list_entry(link->queries.next,
		    struct agent_query, node), error);
}

void
agent_link_stop(struct agent_link *link)
{
	stop_with(link, -EPIPE);
}

bool
agent_link_active(const struct agent_link *link)
{
	return link->fd >= 0 || link->dial.active;
}

static void
lose(struct agent_link *link, const char *why)
{
	agent_link_stop(link);
	link->on_lost(link->arg, why);
}

/* 0 or -errno; the link is still there. */
static int
transmit(struct agent_link *link, const uint8_t *message)
{
	ssize_t n = send(link->fd, message, AGENT_MSG_SIZE,
	    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == AGENT_MSG_SIZE)
		return 0;
	return n < 0 ? -errno : -EAGAIN;
}

static int
greet(struct agent_link *link)
{
	uint8_t nonce[STREAM_NONCE_SIZE], message[AGENT_MSG_SIZE];

	if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -EIO;
	agent_client_hello(&link->codec, nonce, message);
	return transmit(link, message);
}

static void
greet_again(void *arg)
{
	struct agent_link *link = arg;

	/* A full socket holds the former greetings: they will do. */
	(void)greet(link);
	event_timer_set(link->events, &link->again, HELLO_AGAIN_MS,
	    greet_again, link);
}

static int
send_open(struct agent_link *link, struct stream_request *open)
{
	uint8_t message[AGENT_MSG_SIZE];

	open->seq = agent_client_open(&link->codec, open->nonce, message);
	open->sent = true;
	return transmit(link, message);
}

static int
send_query(struct agent_link *link, struct agent_query *query)
{
	uint8_t message[AGENT_MSG_SIZE];

	if (link->version < AGENT_VERSION_INSPECT)
		return -EOPNOTSUPP;
	query->seq = agent_client_inspect(&link->codec, query->type, message);
	query->sent = true;
	return transmit(link, message);
}

static void
send_queries(struct agent_link *link)
{
	struct list *node, *following;

	list_each(node, following, &link->queries) {
		struct agent_query *query = list_entry(node,
		    struct agent_query, node);
		int r = send_query(link, query);

		if (r < 0)
			fail_query(query, r);
	}
}

static void
take_ready(struct agent_link *link, const struct agent_msg *msg)
{
	struct list *node, *following;

	event_timer_clear(&link->again);
	if (link->ready)
		return;
	link->ready = true;
	link->version = msg->hello.version;
	list_each(node, following, &link->opens) {
		if (send_open(link, list_entry(node, struct stream_request,
		    node)) < 0) {
			lose(link, "the guest agent takes no messages");
			return;
		}
	}
	send_queries(link);
	link->on_ready(link->arg, &msg->hello);
}

static void
open_again(void *arg)
{
	struct stream_request *open = arg;
	int r = send_open(open->link, open);

	if (r < 0)
		finish_open(open, r, 0);
}

/* Whether a refusal may be another one in a moment. */
static bool
may_pass(const struct stream_request *open, int status)
{
	return status == ENOENT || (status == EBUSY &&
	    monotonic_ms() < open->busy_until_ms);
}

/* The reply to an OPEN, if it is one that is still waited for. */
static void
take_open(struct agent_link *link, const struct agent_msg *msg)
{
	struct list *node, *following;

	list_each(node, following, &link->opens) {
		struct stream_request *open = list_entry(node,
		    struct stream_request, node);

		if (!open->sent || open->seq != msg->seq)
			continue;
		if (may_pass(open, msg->status)) {
			open->sent = false;
			event_timer_set(link->events, &open->again,
			    OPEN_AGAIN_MS, open_again, open);
		} else if (msg->status != 0) {
			finish_open(open, -msg->status, 0);
		} else if (msg->open.port >= AGENT_STREAM_PORTS ||
		    memcmp(msg->open.nonce, open->nonce,
		    sizeof(open->nonce)) != 0) {
			finish_open(open, -EPROTO, 0);
		} else {
			finish_open(open, 0, msg->open.port);
		}
		return;
	}
}

/*
 * One reply to QUERY: 1 when more are to come, 0 for the last, or -errno. Those
 * to PORTS must be all there and in order.
 */
static int
judge_reply(struct agent_query *query, const struct agent_msg *msg)
{
	const struct agent_listener *listener = &msg->listener;

	if (msg->type != query->type)
		return -EPROTO;
	if (msg->status != 0)
		return -msg->status;
	if (msg->type != AGENT_PORTS || listener->total == 0)
		return query->next == 0 ? 0 : -EPROTO;
	if (query->next == 0)
		query->total = listener->total;
	if (listener->total != query->total || listener->index != query->next)
		return -EPROTO;
	return ++query->next < query->total;
}

/* A reply to a question, if it is one that is still waited for. */
static void
take_answer(struct agent_link *link, const struct agent_msg *msg)
{
	struct list *node, *following;

	list_each(node, following, &link->queries) {
		struct agent_query *query = list_entry(node,
		    struct agent_query, node);
		int r;

		if (!query->sent || query->seq != msg->seq)
			continue;
		r = judge_reply(query, msg);
		if (r < 0) {
			fail_query(query, r);
			return;
		}
		if (r == 0)
			agent_query_cancel(query);
		query->fn(query->arg, 0, msg, r == 0);
		return;
	}
}

static void
take_message(struct agent_link *link, const struct agent_msg *msg)
{
	switch (msg->type) {
	case AGENT_HELLO:
		take_ready(link, msg);
		break;
	case AGENT_OPEN:
		take_open(link, msg);
		break;
	case AGENT_PORTS:
	case AGENT_STATS:
		take_answer(link, msg);
		break;
	case AGENT_PING:
		if (link->on_pong != NULL)
			link->on_pong(link->arg);
		break;
	case AGENT_SHUTDOWN:
	case AGENT_READY:
		break;
	}
}

static void
on_bytes(void *arg, uint32_t ready UNUSED)
{
	struct agent_link *link = arg;
	uint8_t bytes[8 * AGENT_MSG_SIZE];
	ssize_t n = recv(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	size_t at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lose(link, "the VMM closed the agent's channel");
		return;
	}
	/* A callback may end the link. */
	while (link->fd >= 0 && at < (size_t)n) {
		struct agent_msg msg;
		size_t used;
		int r = agent_client_feed(&link->codec, bytes + at,
		    (size_t)n - at, &used, &msg);

		at += used;
		if (r < 0)
			lose(link, "the guest agent does not keep to the "
			    "protocol");
		else if (r == 1)
			take_message(link, &msg);
	}
}

int
agent_link_start(struct agent_link *link, int fd)
{
	int r;

	memset(&link->codec, 0, sizeof(link->codec));
	link->fd = fd;
	link->ready = false;
	r = event_io_start(link->events, &link->io, fd, EPOLLIN, on_bytes,
	    link);
	if (r == 0)
		r = greet(link);
	if (r < 0) {
		agent_link_stop(link);
		return r;
	}
	event_timer_set(link->events, &link->again, HELLO_AGAIN_MS,
	    greet_again, link);
	return 0;
}

static void
on_dialled(void *arg, int fd)
{
	struct agent_link *link = arg;
	int r = fd < 0 ? fd : agent_link_start(link, fd);

	if (r == 0)
		return;
	stop_with(link, r);
	link->on_lost(link->arg, r == -ETIMEDOUT ?
	    "the VMM does not connect to the guest's agent" :
	    r == -ECONNREFUSED ? "the guest's agent does not listen" :
	    "the guest's agent cannot be reached");
}

int
agent_link_dial(struct agent_link *link, int fd)
{
	return vsock_dial_start(&link->dial, link->events, fd, AGENT_VSOCK_CTL,
	    DIAL_TIMEOUT_MS, on_dialled, link);
}

static void
open_too_late(void *arg)
{
	finish_open(arg, -ETIMEDOUT, 0);
}

int
agent_link_open(struct agent_link *link, struct stream_request *open,
    int64_t timeout_ms, void (*fn)(void *arg, int error, uint32_t port),
    void *arg)
{
	if (!agent_link_active(link))
		return -EAGAIN;
	if (getrandom(open->nonce, sizeof(open->nonce), 0) !=
	    (ssize_t)sizeof(open->nonce))
		return -EIO;
	open->sent = false;
	if (link->ready) {
		int r = send_open(link, open);

		if (r < 0)
			return r;
	}
	open->link = link;
	open->fn = fn;
	open->arg = arg;
	open->pending = true;
	open->busy_until_ms = monotonic_ms() + BUSY_PATIENCE_MS;
	list_insert(&link->opens, &open->node);
	event_timer_set(link->events, &open->deadline, timeout_ms,
	    open_too_late, open);
	return 0;
}

void
stream_request_cancel(struct stream_request *open)
{
	if (!open->pending)
		return;
	open->pending = false;
	list_remove(&open->node);
	event_timer_clear(&open->deadline);
	event_timer_clear(&open->again);
}

static void
query_too_late(void *arg)
{
	fail_query(arg, -ETIMEDOUT);
}

int
agent_link_ask(struct agent_link *link, struct agent_query *query,
    enum agent_type type, int64_t timeout_ms,
    void (*fn)(void *arg, int error, const struct agent_msg *msg, bool last),
    void *arg)
{
	if (link->fd < 0)
		return -EAGAIN;
	query->type = type;
	query->sent = false;
	query->next = query->total = 0;
	if (link->ready) {
		int r = send_query(link, query);

		if (r < 0)
			return r;
	}
	query->link = link;
	query->fn = fn;
	query->arg = arg;
	query->pending = true;
	list_insert(&link->queries, &query->node);
	event_timer_set(link->events, &query->deadline, timeout_ms,
	    query_too_late, query);
	return 0;
}

void
agent_query_cancel(struct agent_query *query)
{
	if (!query->pending)
		return;
	query->pending = false;
	list_remove(&query->node);
	event_timer_clear(&query->deadline);
}

int
agent_link_shutdown(struct agent_link *link, uint32_t timeout_ms)
{
	uint8_t message[AGENT_MSG_SIZE];

	if (link->fd < 0 || !link->ready)
		return -EAGAIN;
	agent_client_shutdown(&link->codec, AGENT_REBOOT, timeout_ms, message);
	return transmit(link, message);
}

int
agent_link_ping(struct agent_link *link)
{
	uint8_t message[AGENT_MSG_SIZE];

	if (link->fd < 0 || !link->ready)
		return -EAGAIN;
	agent_client_ping(&link->codec, message);
	return transmit(link, message);
}
