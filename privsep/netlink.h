/*
 * Netlink in the small: one socket, one request (or one batch of requests) at
 * a time, built into a fixed buffer and answered into another. Nothing is
 * allocated. Used for rtnetlink and nf_tables.
 *
 * Formats: RFC 3549, netlink(7), and the kernel's
 * Documentation/userspace-api/netlink/intro.rst.
 */
#ifndef BANGER_PRIVSEP_NETLINK_H
#define BANGER_PRIVSEP_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* The kernel fills dump messages up to 32 KiB, if there is room. */
	NL_BUF_BYTES = 32768,
	NL_REPLY_TIMEOUT_MS = 2000,
	NL_DUMP_TRIES = 8,
};

/* A netlink socket with its buffers: a static object of the role owning it. */
struct netlink {
	int fd;
	uint32_t portid;	/* ours, as the kernel knows it */
	uint32_t seq;		/* of the newest message */
	uint32_t first;		/* of the first message in tx */
	uint32_t acked;		/* of the one to be acknowledged: see nl_ack */
	bool has_ack;
	size_t len;		/* bytes in tx */
	size_t msg;		/* where the newest message starts in tx */
	int error;		/* sticky: the first failure while building */
	_Alignas(8) uint8_t tx[NL_BUF_BYTES];
	_Alignas(8) uint8_t rx[NL_BUF_BYTES];
};

/* A received message; data points into the buffer it was parsed from. */
struct nl_msg {
	uint16_t type;
	uint16_t flags;
	uint32_t seq;
	uint32_t portid;
	const uint8_t *data;
	size_t len;
};

/* A received attribute's payload; data is NULL when it is absent. */
struct nl_attr {
	const uint8_t *data;
	size_t len;
};

/*
 * Opens a netlink socket of PROTO (NETLINK_ROUTE, NETLINK_NETFILTER) that
 * talks to the kernel only (connect(2) makes it refuse everyone else), with
 * extended and short acknowledgements and strict checks of dump requests
 * (Linux 4.20), and a receive timeout. 0 or -errno; NL's fd is -1 on failure.
 */
int	 nl_open(struct netlink *nl, int proto);

/* Closes the socket; harmless when it is not open (fd -1). */
void	 nl_close(struct netlink *nl);

/*
 * Building. nl_begin appends a message of TYPE with FLAGS (NLM_F_REQUEST is
 * implied) and a family header HDR of HDR_LEN bytes; nl_put* append attributes
 * to it. A full buffer is a sticky error that the call then returns
 * (-EMSGSIZE): nothing is sent.
 */
void	 nl_begin(struct netlink *nl, uint16_t type, uint16_t flags,
	    const void *hdr, size_t hdr_len);
void	 nl_put(struct netlink *nl, uint16_t type, const void *data, size_t len);
void	 nl_put_u8(struct netlink *nl, uint16_t type, uint8_t value);
void	 nl_put_u32(struct netlink *nl, uint16_t type, uint32_t value);
/* The value is stored in network byte order. */
void	 nl_put_be32(struct netlink *nl, uint16_t type, uint32_t value);
void	 nl_put_be64(struct netlink *nl, uint16_t type, uint64_t value);
/* With the terminating NUL. */
void	 nl_put_str(struct netlink *nl, uint16_t type, const char *s);
/* Opens a nested attribute (NLA_F_NESTED); its place, for nl_nest_end. */
size_t	 nl_nest(struct netlink *nl, uint16_t type);
void	 nl_nest_end(struct netlink *nl, size_t nest);

/*
 * Asks for the acknowledgement of the newest message instead of the last one:
 * nf_tables never acknowledged the end of a batch before Linux 6.10.
 */
void	 nl_ack(struct netlink *nl);

/*
 * Takes one received message. ARG is the caller's. 0, or -errno, which the
 * call returns after the rest of the answer has been read. Before a dump's
 * first message, and again when a dump starts over because its subject changed
 * meanwhile (NLM_F_DUMP_INTR), it is called with NULL: forget what came so far.
 */
typedef int (*nl_reply_fn)(const struct nl_msg *msg, void *arg);

/*
 * Sends what was built as one datagram and waits for the acknowledgement of
 * its last message (or that of nl_ack, which must come late in the batch); a failure of any message of
 * the batch is the result. Other replies go to REPLY, which may be NULL. The
 * builder is empty afterwards, whatever happens. The kernel's extended
 * acknowledgement text, if any, is logged.
 * 0, the kernel's -errno, -EMSGSIZE (did not fit), -ETIMEDOUT, -EBADMSG (the
 * answer is malformed), -ENOBUFS (answers were lost: the outcome is unknown).
 */
int	 nl_call(struct netlink *nl, nl_reply_fn reply, void *arg);

/*
 * Same for a dump: one message, which gets NLM_F_DUMP here. -EINTR when it was
 * interrupted NL_DUMP_TRIES times.
 */
int	 nl_dump(struct netlink *nl, nl_reply_fn reply, void *arg);

/*
 * Parsing: pure functions of a buffer, which may hold anything. The iterators
 * advance *P and *LEFT: 1 and the item, 0 at the end, -EBADMSG when a length
 * lies or bytes are left over.
 */
int	 nl_msg_next(const uint8_t **p, size_t *left, struct nl_msg *msg);
int	 nl_attr_next(const uint8_t **p, size_t *left, uint16_t *type,
	    struct nl_attr *attr);

/*
 * Sorts the attributes in BUF into TB by type: absent ones have data NULL,
 * types from N up are ignored, of doubles the last counts. 0, or -EBADMSG with
 * TB all absent.
 */
int	 nl_parse(const uint8_t *buf, size_t len, struct nl_attr *tb, size_t n);

/*
 * The attributes of MSG, after its family header of HDR_LEN bytes, which are
 * copied to HDR. As nl_parse; -EBADMSG also when the header is short.
 */
int	 nl_parse_msg(const struct nl_msg *msg, void *hdr, size_t hdr_len,
	    struct nl_attr *tb, size_t n);

/* Exactly SIZE bytes to OUT. 0, or -EBADMSG when absent or of another size. */
int	 nl_get(const struct nl_attr *attr, void *out, size_t size);

/* A big-endian 32-bit value, to host order. As nl_get. */
int	 nl_get_be32(const struct nl_attr *attr, uint32_t *out);

/*
 * A string, with or without its NUL, no NUL inside, to BUF of SIZE bytes.
 * 0, or -EBADMSG with an empty string when absent or too long.
 */
int	 nl_get_str(const struct nl_attr *attr, char *buf, size_t size);

#endif
