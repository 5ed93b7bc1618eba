/*
 * The worker's end of an agent's control channel, without any I/O: builds
 * requests, and finds replies in whatever bytes the guest sent.
 */
#ifndef BANGER_VMM_AGENT_CLIENT_H
#define BANGER_VMM_AGENT_CLIENT_H

#include "base/agent_proto.h"

/* How much stale output a channel may hold before the answer to HELLO. */
#define AGENT_CLIENT_SKIP_MAX 65536u

/* Zeroed at first; one per connection to a control port. */
struct agent_client {
	uint8_t rx[AGENT_MSG_SIZE];
	size_t have;
	size_t skipped;
	bool synced;
	uint32_t seq;			/* of the last request */
	uint32_t hello_seq;
	uint8_t nonce[STREAM_NONCE_SIZE];
};

/*
 * Build a request of AGENT_MSG_SIZE bytes in OUT and return its seq. The caller
 * writes all of it. HELLO must come first and may be repeated with another
 * NONCE when no answer came in time; NONCE is random, never used before.
 */
uint32_t agent_client_hello(struct agent_client *c, const uint8_t *nonce,
	    uint8_t *out);
uint32_t agent_client_open(struct agent_client *c, const uint8_t *nonce,
	    uint8_t *out);
uint32_t agent_client_shutdown(struct agent_client *c,
	    enum agent_shutdown_how how, uint32_t timeout_ms, uint8_t *out);
uint32_t agent_client_ping(struct agent_client *c, uint8_t *out);

/* TYPE is AGENT_PORTS or AGENT_STATS. */
uint32_t agent_client_inspect(struct agent_client *c, enum agent_type type,
	    uint8_t *out);

/*
 * Takes bytes from DATA up to the end of the next message; *USED says how many
 * and is set in every case. 1: MSG is filled, call again with the rest. 0: all
 * taken, no message yet. -EPROTO: the guest does not keep to the protocol; give
 * up the connection. Before the answer to HELLO everything else is skipped.
 */
int	 agent_client_feed(struct agent_client *c, const uint8_t *data,
	    size_t len, size_t *used, struct agent_msg *msg);

#endif
