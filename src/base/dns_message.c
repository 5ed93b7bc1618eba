/*
 * See dns_message.h. The reader is one cursor that only moves forward: the
 * first name of a message has nothing before it that a compression pointer
 * could mean, and the one record that may follow has the root's name, so that
 * no pointer is ever followed.
 */
#include "base/dns_message.h"

#include <errno.h>
#include <string.h>

#include "privsep/util.h"

/* Places in the header, and the bits of its flags (RFC 1035, 4.1.1). */
enum {
	AT_ID = 0, AT_FLAGS = 2, AT_COUNTS = 4, HEADER_BYTES = 12,
	FLAG_RESPONSE = 1 << 15, FLAG_AUTHORITATIVE = 1 << 10,
	FLAG_TRUNCATED = 1 << 9, FLAG_RECURSION_DESIRED = 1 << 8,
	FLAG_CHECKING_DISABLED = 1 << 4,	/* RFC 4035, 3.2.2 */
	OPCODE_SHIFT = 11, OPCODE_MASK = 15,
	POINTER = 0xc000, LABEL_POINTER = 0xc0,
};

enum section { QUESTION, ANSWER, AUTHORITY, ADDITIONAL };

/* What is left of a packet. */
struct reader {
	const uint8_t *at;
	size_t left;
};

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The next N bytes, or NULL. */
static const uint8_t *
take(struct reader *in, size_t n)
{
	const uint8_t *p = in->at;

	if (in->left < n)
		return NULL;
	in->at += n;
	in->left -= n;
	return p;
}

static uint8_t
lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* The question's name: 0, or DNS_FORMERR. */
static int
take_name(struct reader *in, struct dns_query *query)
{
	size_t len = 0;

	for (;;) {
		const uint8_t *p = take(in, 1);
		size_t n = p != NULL ? p[0] : LABEL_POINTER, i;

		/* A pointer, or one of the label types that nobody uses. */
		if (n > DNS_LABEL_MAX || len + 1 + n > DNS_NAME_MAX)
			return DNS_FORMERR;
		query->asked[len] = query->name[len] = (uint8_t)n;
		if (n == 0)
			break;
		/* One byte must be left for the root. */
		if (len + 1 + n == DNS_NAME_MAX ||
		    (p = take(in, n)) == NULL)
			return DNS_FORMERR;
		query->starts[query->labels++] = (uint8_t)len++;
		for (i = 0; i < n; i++, len++) {
			query->asked[len] = p[i];
			query->name[len] = lower(p[i]);
		}
	}
	query->name_len = (uint8_t)(len + 1);
	return 0;
}

/* The OPT record, whose options are of no concern: 0 or an enum dns_rcode. */
static int
take_opt(struct reader *in, struct dns_query *query)
{
	/* Root, type, size (class), extended rcode, version, flags, length. */
	const uint8_t *p = take(in, 11);

	if (p == NULL || p[0] != 0 || be16(p + 1) != DNS_OPT ||
	    take(in, be16(p + 9)) == NULL)
		return DNS_FORMERR;
	query->edns = true;
	return p[6] == 0 ? 0 : DNS_BADVERS;
}

/* How many records of SECTION the header announces. */
static uint16_t
announced(const uint8_t *counts, enum section section)
{
	return be16(counts + (size_t)2 * section);
}

/* What follows the header. 0 or an enum dns_rcode. */
static int
take_sections(struct reader *in, const uint8_t *counts,
    struct dns_query *query)
{
	uint16_t additional = announced(counts, ADDITIONAL);
	const uint8_t *p;
	int r;

	/* One question, no more (RFC 9619). */
	if (announced(counts, QUESTION) != 1 ||
	    announced(counts, ANSWER) != 0 ||
	    announced(counts, AUTHORITY) != 0 || additional > 1)
		return DNS_FORMERR;
	r = take_name(in, query);
	if (r != 0)
		return r;
	p = take(in, 4);
	if (p == NULL)
		return DNS_FORMERR;
	query->type = be16(p);
	query->class = be16(p + 2);
	r = additional == 1 ? take_opt(in, query) : 0;
	return r == 0 && in->left > 0 ? DNS_FORMERR : r;
}

int
dns_query_parse(const uint8_t *packet, size_t len, struct dns_query *query)
{
	struct reader in = { packet, len };
	const uint8_t *header = take(&in, HEADER_BYTES);

	memset(query, 0, sizeof(*query));
	if (header == NULL)
		return -EBADMSG;
	query->id = be16(header + AT_ID);
	query->flags = be16(header + AT_FLAGS);
	if ((query->flags & FLAG_RESPONSE) != 0)
		return -EBADMSG;
	if ((query->flags >> OPCODE_SHIFT & OPCODE_MASK) != 0)
		return DNS_NOTIMP;
	if ((query->flags & FLAG_TRUNCATED) != 0)
		return DNS_FORMERR;
	return take_sections(&in, header + AT_COUNTS, query);
}

int
dns_query_below(const struct dns_query *query, const char *suffix)
{
	size_t len = strlen(suffix) + 1;
	unsigned int i;

	if (query->name_len < len ||
	    memcmp(query->name + query->name_len - len, suffix, len) != 0)
		return -1;
	/* The same bytes may also lie across labels. */
	for (i = 0; i < query->labels; i++)
		if (query->starts[i] == query->name_len - len)
			return (int)i;
	return -1;
}

int
dns_query_label(const struct dns_query *query, unsigned int i,
    char out[DNS_LABEL_MAX + 1])
{
	const uint8_t *label = query->name + query->starts[i];

	if (memchr(label + 1, '\0', label[0]) != NULL)
		return -EINVAL;
	memcpy(out, label + 1, label[0]);
	out[label[0]] = '\0';
	return 0;
}

int
dns_query_reverse(const struct dns_query *query, uint32_t *ipv4)
{
	char text[DNS_LABEL_MAX + 1];
	uint32_t address = 0;
	uint64_t number;
	unsigned int i;

	if (dns_query_below(query, "\7in-addr\4arpa") != 4)
		return -EINVAL;
	for (i = 4; i > 0; i--) {
		if (dns_query_label(query, i - 1, text) < 0 ||
		    parse_u64(text, 255, &number) < 0)
			return -EINVAL;
		address = address << 8 | (uint32_t)number;
	}
	*ipv4 = address;
	return 0;
}

/* ---- replies ---- */

static void
put(struct dns_reply *reply, const void *bytes, size_t n)
{
	if (n > sizeof(reply->bytes) - reply->len) {
		reply->overflow = true;
		return;
	}
	memcpy(reply->bytes + reply->len, bytes, n);
	reply->len += n;
}

static void
put16(struct dns_reply *reply, uint32_t value)
{
	uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(reply, bytes, sizeof(bytes));
}

static void
put32(struct dns_reply *reply, uint32_t value)
{
	put16(reply, value >> 16);
	put16(reply, value & UINT16_MAX);
}

/* A name that is the question's, from byte START of it on. */
static void
put_pointer(struct dns_reply *reply, uint8_t start)
{
	put16(reply, (uint32_t)POINTER | (HEADER_BYTES + start));
}

static void
count(struct dns_reply *reply, enum section section)
{
	/* Never as many as 256. */
	reply->bytes[AT_COUNTS + 2 * section + 1]++;
}

/* The fixed part of a record, after its owner; DATA_LEN bytes follow. */
static void
put_record(struct dns_reply *reply, enum dns_type type, uint32_t ttl_s,
    size_t data_len)
{
	put16(reply, type);
	put16(reply, DNS_IN);
	put32(reply, ttl_s);
	put16(reply, (uint32_t)data_len);
}

static void
begin(struct dns_reply *reply, const struct dns_query *query, int rcode,
    uint32_t flags)
{
	static const uint8_t no_counts[8];

	reply->len = 0;
	reply->overflow = false;
	put16(reply, query->id);
	put16(reply, FLAG_RESPONSE | flags | ((uint32_t)rcode & 15) |
	    (query->flags & (OPCODE_MASK << OPCODE_SHIFT |
	    FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)));
	put(reply, no_counts, sizeof(no_counts));
}

/* The extended rcode is what of RCODE the header has no room for. */
static void
put_opt(struct dns_reply *reply, int rcode)
{
	put(reply, "", 1);
	put16(reply, DNS_OPT);
	put16(reply, DNS_QUERY_MAX);
	put32(reply, (uint32_t)rcode >> 4 << 24);
	put16(reply, 0);
	count(reply, ADDITIONAL);
}

void
dns_reply_error(struct dns_reply *reply, const struct dns_query *query,
    int rcode)
{
	begin(reply, query, rcode, 0);
	if (query->edns)
		put_opt(reply, rcode);
}

void
dns_reply_begin(struct dns_reply *reply, const struct dns_query *query,
    int rcode, bool authoritative)
{
	begin(reply, query, rcode, authoritative ? FLAG_AUTHORITATIVE : 0);
	put(reply, query->asked, query->name_len);
	put16(reply, query->type);
	put16(reply, query->class);
	count(reply, QUESTION);
}

void
dns_reply_a(struct dns_reply *reply, uint32_t ttl_s, uint32_t ipv4)
{
	put_pointer(reply, 0);
	put_record(reply, DNS_A, ttl_s, sizeof(ipv4));
	put32(reply, ipv4);
	count(reply, ANSWER);
}

void
dns_reply_ptr(struct dns_reply *reply, uint32_t ttl_s, const char *host,
    const char *suffix)
{
	size_t host_len = strnlen(host, DNS_LABEL_MAX);
	size_t suffix_len = strlen(suffix) + 1;
	uint8_t n = (uint8_t)host_len;

	put_pointer(reply, 0);
	put_record(reply, DNS_PTR, ttl_s, 1 + host_len + suffix_len);
	put(reply, &n, 1);
	put(reply, host, host_len);
	put(reply, suffix, suffix_len);
	count(reply, ANSWER);
}

void
dns_reply_ns(struct dns_reply *reply, const struct dns_query *query,
    unsigned int label, uint32_t ttl_s)
{
	put_pointer(reply, query->starts[label]);
	put_record(reply, DNS_NS, ttl_s, 2);
	put_pointer(reply, query->starts[label]);
	count(reply, ANSWER);
}

void
dns_reply_soa(struct dns_reply *reply, const struct dns_query *query,
    unsigned int label, uint32_t ttl_s, bool answer)
{
	static const char mailbox[] = "\6nobody\7invalid";
	/* Serial, refresh, retry, expire; nobody transfers this zone. */
	static const uint32_t times[] = { 1, 3600, 1200, 604800 };
	size_t i;

	put_pointer(reply, query->starts[label]);
	put_record(reply, DNS_SOA, ttl_s, 2 + sizeof(mailbox) + 20);
	put_pointer(reply, query->starts[label]);
	put(reply, mailbox, sizeof(mailbox));
	for (i = 0; i < ARRAY_SIZE(times); i++)
		put32(reply, times[i]);
	/* How long it may be remembered that a name is not there. */
	put32(reply, ttl_s);
	count(reply, answer ? ANSWER : AUTHORITY);
}

size_t
dns_reply_end(struct dns_reply *reply, const struct dns_query *query)
{
	if (query->edns)
		put_opt(reply, 0);
	return reply->overflow ? 0 : reply->len;
}
