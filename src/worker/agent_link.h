/*
 * The worker's connection to one guest's agent: greets it, asks it for streams
 * and for the guest's end. Nothing here blocks, and nothing the guest sends
 * can do more than end this link.
 */
#ifndef BANGER_WORKER_AGENT_LINK_H
#define BANGER_WORKER_AGENT_LINK_H

#include "base/event.h"
#include "vmm/agent_client.h"
#include "worker/vsock_dial.h"

/* A stream asked for. Zero it before the first use. */
struct stream_request {
	struct list node;
	bool pending;
	bool sent;
	uint32_t seq;
	uint8_t nonce[STREAM_NONCE_SIZE];
	struct event_timer deadline;
	struct event_timer again;
	int64_t busy_until_ms;		/* how long a busy agent is asked again */
	struct agent_link *link;
	/* ERROR is 0 and PORT the stream's port, or -errno. */
	void (*fn)(void *arg, int error, uint32_t port);
	void *arg;
};

/* A question about the guest (PORTS, STATS). Zero it before the first use. */
struct agent_query {
	struct list node;
	bool pending;
	bool sent;
	enum agent_type type;
	uint32_t seq;
	uint32_t next;			/* PORTS: index of the next reply */
	uint32_t total;
	struct event_timer deadline;
	struct agent_link *link;
	/* Called for each reply, and LAST once; MSG is NULL for an ERROR. */
	void (*fn)(void *arg, int error, const struct agent_msg *msg,
	    bool last);
	void *arg;
};

/* Start with agent_link_init. */
struct agent_link {
	struct events *events;
	struct event_io io;
	int fd;				/* -1: no connection */
	struct vsock_dial dial;		/* active: there may be one soon */
	bool ready;			/* the agent has answered */
	struct agent_client codec;
	struct event_timer again;	/* HELLO is repeated */
	struct list opens;
	struct list queries;
	uint32_t version;		/* of the agent, once it is ready */
	void (*on_ready)(void *arg, const struct agent_hello *hello);
	void (*on_lost)(void *arg, const char *why);
	void (*on_pong)(void *arg);	/* may be NULL */
	void *arg;
};

/* A link that is not connected; the callbacks are called with ARG. */
void	 agent_link_init(struct agent_link *link, struct events *events,
	    void (*on_ready)(void *arg, const struct agent_hello *hello),
	    void (*on_lost)(void *arg, const char *why), void *arg);

/*
 * Takes over FD, the control socket, and greets the agent, which may still be
 * far from booted: on_ready tells when it answers. 0 or -errno (FD closed).
 */
int	 agent_link_start(struct agent_link *link, int fd);

/*
 * As above for Firecracker, FD being its vsock socket: asks for the agent's
 * control port first. When that is refused, or not answered in time, on_lost
 * tells, which may be because the guest is too young: try again.
 */
int	 agent_link_dial(struct agent_link *link, int fd);

/* Whether there is a connection, or one being made. */
bool	 agent_link_active(const struct agent_link *link);

/* Closes the connection; what was asked for fails with -EPIPE. */
void	 agent_link_stop(struct agent_link *link);

/*
 * Asks for a stream with a new random nonce, at once or when the agent is
 * ready; OPEN's fn is called later, within TIMEOUT_MS. A guest that is so young
 * that its ports are still coming, or whose ports are just being given back,
 * is asked again. 0 or -errno.
 */
int	 agent_link_open(struct agent_link *link, struct stream_request *open,
	    int64_t timeout_ms,
	    void (*fn)(void *arg, int error, uint32_t port), void *arg);

/* Forgets a pending request; its fn is not called. */
void	 stream_request_cancel(struct stream_request *open);

/* Asks for a sign of life, on_pong. 0; -EAGAIN when there is no agent. */
int	 agent_link_ping(struct agent_link *link);

/*
 * Asks TYPE, AGENT_PORTS or AGENT_STATS, at once or when the agent is ready;
 * QUERY's fn is called later, for the last time within TIMEOUT_MS; -EOPNOTSUPP is
 * an agent that is too old. 0 or -errno.
 */
int	 agent_link_ask(struct agent_link *link, struct agent_query *query,
	    enum agent_type type, int64_t timeout_ms,
	    void (*fn)(void *arg, int error, const struct agent_msg *msg,
	    bool last), void *arg);

/* Forgets a pending query; its fn is not called. */
void	 agent_query_cancel(struct agent_query *query);

/*
 * Asks the agent to end the guest, by force after TIMEOUT_MS. 0; -EAGAIN when
 * the agent is not there to be asked.
 */
int	 agent_link_shutdown(struct agent_link *link, uint32_t timeout_ms);

#endif
