/*
 * DNS messages (RFC 1035, section 4; EDNS: RFC 6891): a query taken apart, a
 * reply put together. Pure: nothing here knows a zone, a socket or a clock.
 *
 * The sender is anybody on this host. What cannot be a query of a resolver's is
 * either not answered at all, so that two servers never answer each other, or
 * answered with an error that copies nothing but its id. The question is kept
 * as the bytes it is: a label may hold a dot or a NUL, which no text would tell
 * from the end of a label or of the name.
 */
#ifndef BANGER_BASE_DNS_MESSAGE_H
#define BANGER_BASE_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dns_limits {
	DNS_NAME_MAX = 255,		/* bytes of a name, as sent */
	DNS_LABELS_MAX = 127,
	DNS_LABEL_MAX = 63,
	DNS_QUERY_MAX = 1232,		/* larger ones are not read in full */
	DNS_REPLY_MAX = 512,		/* no reply of ours is ever cut */
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_OPT = 41,
	DNS_ANY = 255,
};

enum { DNS_IN = 1 };

/* A query. NAME is in lower case, names being equal in any (RFC 4343). */
struct dns_query {
	uint16_t id;
	uint16_t flags;			/* of the header */
	uint16_t type, class;
	bool edns;			/* it came with an OPT record */
	uint8_t name[DNS_NAME_MAX];	/* labels and the root's empty one */
	uint8_t asked[DNS_NAME_MAX];	/* the same, as it was sent */
	uint8_t name_len;
	uint8_t labels;			/* without the root */
	uint8_t starts[DNS_LABELS_MAX];	/* of each label, in NAME */
};

/*
 * Takes PACKET of LEN bytes apart. 0; a positive enum dns_rcode to be answered
 * with dns_reply_error (of QUERY only id, flags and edns are set then); or
 * -EBADMSG: not to be answered.
 */
int	 dns_query_parse(const uint8_t *packet, size_t len,
	    struct dns_query *query);

/*
 * Whether the last labels of QUERY's name are those of SUFFIX, a name in bytes
 * ("\2vm"). Returns the number of labels before them, or -1.
 */
int	 dns_query_below(const struct dns_query *query, const char *suffix);

/* Label I of the name, terminated, into OUT; -EINVAL when it holds a NUL. */
int	 dns_query_label(const struct dns_query *query, unsigned int i,
	    char out[DNS_LABEL_MAX + 1]);

/*
 * The address whose name in in-addr.arpa QUERY's name is (RFC 1035, 3.5), host
 * order: four labels of plain decimal numbers. 0 or -EINVAL.
 */
int	 dns_query_reverse(const struct dns_query *query, uint32_t *ipv4);

/* A reply under construction; records in the order of their sections. */
struct dns_reply {
	size_t len;
	bool overflow;			/* what was added did not fit */
	uint8_t bytes[DNS_REPLY_MAX];
};

/* A reply to a broken query: header, RCODE, no question. */
void	 dns_reply_error(struct dns_reply *reply, const struct dns_query *query,
	    int rcode);

/* Header and question; AUTHORITATIVE: we are the zone's own server. */
void	 dns_reply_begin(struct dns_reply *reply, const struct dns_query *query,
	    int rcode, bool authoritative);

/*
 * Records; TTL_S in seconds. The owner is the question's name, from LABEL on
 * for SOA and NS (the zone's). PTR is HOST with SUFFIX, as dns_query_below has
 * it. SOA and NS name the zone itself as its server, as RFC 6303, section 3,
 * has it for zones that exist on one host only.
 */
void	 dns_reply_a(struct dns_reply *reply, uint32_t ttl_s, uint32_t ipv4);
void	 dns_reply_ptr(struct dns_reply *reply, uint32_t ttl_s,
	    const char *host, const char *suffix);
void	 dns_reply_ns(struct dns_reply *reply, const struct dns_query *query,
	    unsigned int label, uint32_t ttl_s);
/* ANSWER: it was asked for; else it says that there is no such thing. */
void	 dns_reply_soa(struct dns_reply *reply, const struct dns_query *query,
	    unsigned int label, uint32_t ttl_s, bool answer);

/*
 * Ends it, with an OPT record if the query had one. The length, or 0 when it
 * did not fit: nothing is to be sent.
 */
size_t	 dns_reply_end(struct dns_reply *reply, const struct dns_query *query);

#endif
