/*
 * The name server's messages: what a resolver asks and what it gets, and what
 * nobody but an attacker would send.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "worker/dns.h"
#include "worker/dns_zone.h"

enum { ID = 0xbeef, RD = 0x0100, GUEST = 0xac100002, RANDOM_PACKETS = 200000 };

/* A packet under construction. */
struct packet {
	size_t len;
	uint8_t bytes[4096];
};

static void
add(struct packet *p, const void *bytes, size_t n)
{
	assert_true(n <= sizeof(p->bytes) - p->len);
	memcpy(p->bytes + p->len, bytes, n);
	p->len += n;
}

static void
add16(struct packet *p, unsigned int value)
{
	const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

	add(p, bytes, sizeof(bytes));
}

/* Dotted text as a name. */
static void
add_name(struct packet *p, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;

		add(p, &len, 1);
		add(p, name, n);
		name += n + (name[n] == '.');
	}
	add(p, "", 1);
}

static void
header(struct packet *p, unsigned int flags, unsigned int questions,
    unsigned int answers, unsigned int authorities, unsigned int additional)
{
	p->len = 0;
	add16(p, ID);
	add16(p, flags);
	add16(p, questions);
	add16(p, answers);
	add16(p, authorities);
	add16(p, additional);
}

static void
query(struct packet *p, const char *name, unsigned int type)
{
	header(p, RD, 1, 0, 0, 0);
	add_name(p, name);
	add16(p, type);
	add16(p, DNS_IN);
}

static void
opt(struct packet *p, unsigned int version, unsigned int option_bytes)
{
	static const uint8_t zero[64];

	p->bytes[11]++;
	add(p, "", 1);
	add16(p, DNS_OPT);
	add16(p, 4096);
	add16(p, version);		/* extended rcode 0, version */
	add16(p, 0x8000);		/* DO */
	add16(p, option_bytes);
	add(p, zero, option_bytes);
}

/* ---- a zone ---- */

static unsigned int asked;

static uint32_t
address(void *arg, const char *name)
{
	(void)arg;
	asked++;
	return strcmp(name, "web") == 0 ? GUEST :
	    strlen(name) == 63 ? GUEST + 1 : 0;
}

static enum dns_whose
whose(void *arg, uint32_t ipv4, char name[NAME_BYTES])
{
	(void)arg;
	if (ipv4 >> 8 != GUEST >> 8)
		return DNS_NOT_OURS;
	if (ipv4 != GUEST)
		return DNS_NOBODYS;
	strcpy(name, "web");
	return DNS_OF_VM;
}

static const struct dns_zone zone = { NULL, address, whose };

/* The reply to P; its length in LEN. */
static const uint8_t *
answer(const struct packet *p, size_t *len)
{
	static struct dns_reply reply;
	/* A copy of its size, so that a sanitizer sees the end. */
	uint8_t *copy = malloc(p->len > 0 ? p->len : 1);

	assert_non_null(copy);
	memcpy(copy, p->bytes, p->len);
	memset(&reply, 0xa5, sizeof(reply));
	*len = dns_answer(&zone, copy, p->len, &reply);
	free(copy);
	assert_true(*len <= DNS_REPLY_MAX);
	return reply.bytes;
}

static unsigned int
get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* Flags, rcode and the four counts of the reply; -1: none came. */
static int
expect(const struct packet *p, unsigned int rcode, bool authoritative,
    const char *counts)
{
	size_t len, i;
	const uint8_t *r = answer(p, &len);

	if (len == 0)
		return -1;
	assert_true(len >= 12);
	assert_int_equal(get16(r), ID);
	/* Response, RD as it was, never truncated, never recursive. */
	assert_int_equal(get16(r + 2) & 0x87ff, 0x8000U | rcode |
	    (get16(p->bytes + 2) & RD) | (authoritative ? 0x0400 : 0));
	for (i = 0; i < 4; i++)
		assert_int_equal(get16(r + 4 + 2 * i), counts[i] - '0');
	return (int)len;
}

/* ---- tests ---- */

static void
addresses(void **state)
{
	static const uint8_t want[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4,
		172, 16, 0, 2 };
	static const char *const names[] = { "web.vm", "WEB.vm", "wEb.Vm" };
	struct packet p;
	size_t i, len;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const uint8_t *r;

		query(&p, names[i], DNS_A);
		assert_int_equal(expect(&p, DNS_NOERROR, true, "1100"),
		    p.len + sizeof(want));
		r = answer(&p, &len);
		/* The question in the case in which it came. */
		assert_memory_equal(r + 12, p.bytes + 12, p.len - 12);
		assert_memory_equal(r + p.len, want, sizeof(want));
	}
	query(&p, "web.vm", DNS_ANY);
	assert_true(expect(&p, DNS_NOERROR, true, "1100") > 0);
	/* AAAA, MX, TXT, HTTPS, PTR: the name is there, and has none. */
	for (i = 0; i < 5; i++) {
		query(&p, "web.vm", ((unsigned int[]){ 28, 15, 16, 65, 12 })[i]);
		assert_true(expect(&p, DNS_NOERROR, true, "1010") > 0);
	}
	/* Without recursion desired, and with other harmless bits. */
	query(&p, "web.vm", DNS_A);
	p.bytes[2] = 0;
	p.bytes[3] = 0x20;
	assert_true(expect(&p, DNS_NOERROR, true, "1100") > 0);
	/* The longest name that a VM can have. */
	query(&p, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    ".vm", DNS_A);
	assert_true(expect(&p, DNS_NOERROR, true, "1100") > 0);
}

static void
other_names(void **state)
{
	static const char *const missing[] = { "db.vm", "w.vm", "webb.vm",
		"www.web.vm", "a.b.c.d.vm", "*.vm", "vm.vm", "we b.vm" };
	static const char *const refused[] = { "", "web", "vm.web", "web.vmm",
		"web.xvm", "example.org", "web.vm.example.org", "in-addr.arpa",
		"2.0.16.172", "2.0.16.172.ip6.arpa", "1.0.0.10.in-addr.arpa",
		"0.16.172.in-addr.arpa", "02.0.16.172.in-addr.arpa",
		"256.0.16.172.in-addr.arpa", "x.2.0.16.172.in-addr.arpa",
		"-1.0.16.172.in-addr.arpa", "+2.0.16.172.in-addr.arpa",
		"a.0.16.172.in-addr.arpa" };
	struct packet p;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(missing); i++) {
		query(&p, missing[i], DNS_A);
		assert_case(expect(&p, DNS_NXDOMAIN, true, "1010") > 0, i,
		    missing[i]);
	}
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		query(&p, refused[i], DNS_A);
		assert_case(expect(&p, DNS_REFUSED, false, "1000") > 0, i,
		    refused[i]);
	}
	/* Labels that hold what text would take for the end of something. */
	query(&p, "web.vm", DNS_A);
	memcpy(p.bytes + 12, "\6web\2vm", 8);
	p.bytes[19] = 0;
	assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
	header(&p, RD, 1, 0, 0, 0);
	add(&p, "\4web\0\2vm\0\0\1\0\1", 13);
	assert_true(expect(&p, DNS_NXDOMAIN, true, "1010") > 0);
	header(&p, RD, 1, 0, 0, 0);
	add(&p, "\6web.vm\0\0\1\0\1", 12);
	assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
	/* Other classes: CH, NONE, ANY. */
	for (i = 0; i < 3; i++) {
		query(&p, "web.vm", DNS_A);
		p.len -= 2;
		add16(&p, ((unsigned int[]){ 3, 254, 255 })[i]);
		assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
	}
}

static void
zone_itself(void **state)
{
	static const uint8_t soa[] = { 0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 38,
		0xc0, 12, 6, 'n', 'o', 'b', 'o', 'd', 'y', 7, 'i', 'n', 'v',
		'a', 'l', 'i', 'd', 0 };
	struct packet p;
	const uint8_t *r;
	size_t len;

	(void)state;
	query(&p, "vm", DNS_SOA);
	assert_int_equal(expect(&p, DNS_NOERROR, true, "1100"),
	    p.len + sizeof(soa) + 20);
	r = answer(&p, &len);
	assert_memory_equal(r + p.len, soa, sizeof(soa));
	query(&p, "VM", DNS_NS);
	assert_int_equal(expect(&p, DNS_NOERROR, true, "1100"), p.len + 14);
	query(&p, "vm", DNS_ANY);
	assert_true(expect(&p, DNS_NOERROR, true, "1200") > 0);
	query(&p, "vm", DNS_A);
	assert_true(expect(&p, DNS_NOERROR, true, "1010") > 0);
	/* The owner in a negative answer is the zone, not the name. */
	query(&p, "x.y.vm", DNS_A);
	r = answer(&p, &len);
	assert_int_equal(get16(r + p.len), 0xc000 + 12 + 4);
}

static void
reverse(void **state)
{
	static const uint8_t want[] = { 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 0, 0,
		8, 3, 'w', 'e', 'b', 2, 'v', 'm', 0 };
	struct packet p;
	size_t len;

	(void)state;
	query(&p, "2.0.16.172.In-Addr.ARPA", DNS_PTR);
	assert_int_equal(expect(&p, DNS_NOERROR, true, "1100"),
	    p.len + sizeof(want));
	assert_memory_equal(answer(&p, &len) + p.len, want, sizeof(want));
	query(&p, "2.0.16.172.in-addr.arpa", DNS_A);
	assert_true(expect(&p, DNS_NOERROR, true, "1010") > 0);
	query(&p, "3.0.16.172.in-addr.arpa", DNS_PTR);
	assert_true(expect(&p, DNS_NXDOMAIN, true, "1010") > 0);
	/* 16.172.in-addr.arpa */
	assert_int_equal(get16(answer(&p, &len) + p.len), 0xc000 + 12 + 4);
	query(&p, "2.1.16.172.in-addr.arpa", DNS_PTR);
	assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
}

static void
edns(void **state)
{
	struct packet p;
	const uint8_t *r;
	size_t len;

	(void)state;
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 0);
	len = (size_t)expect(&p, DNS_NOERROR, true, "1101");
	r = answer(&p, &len);
	/* Root, OPT, our size, no error, version 0, no DO, no options. */
	assert_memory_equal(r + len - 11, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 24);
	assert_true(expect(&p, DNS_NOERROR, true, "1101") > 0);
	/* A version that nobody has. */
	query(&p, "web.vm", DNS_A);
	opt(&p, 1, 0);
	assert_int_equal(expect(&p, 0, false, "0001"), 12 + 11);
	r = answer(&p, &len);
	assert_int_equal(r[12 + 5], 1);
	/* Two of them; one that is none; one whose name is not the root. */
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 0);
	opt(&p, 0, 0);
	assert_true(expect(&p, DNS_FORMERR, false, "0000") > 0);
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 0);
	p.bytes[p.len - 9] = 42;
	assert_true(expect(&p, DNS_FORMERR, false, "0000") > 0);
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 0);
	p.bytes[p.len - 11] = 1;
	assert_true(expect(&p, DNS_FORMERR, false, "0000") > 0);
	/* Options longer and shorter than the packet. */
	query(&p, "web.vm", DNS_A);
	opt(&p, 0, 8);
	p.len--;
	assert_true(expect(&p, DNS_FORMERR, false, "0000") > 0);
	p.len += 2;
	assert_true(expect(&p, DNS_FORMERR, false, "0001") > 0);
}

static void
not_answered(void **state)
{
	struct packet p;
	size_t len;

	(void)state;
	query(&p, "web.vm", DNS_A);
	for (p.len = 0; p.len < 12; p.len++) {
		(void)answer(&p, &len);
		assert_int_equal(len, 0);
	}
	/* A reply, of any opcode and with any rcode. */
	query(&p, "web.vm", DNS_A);
	p.bytes[2] |= 0x80;
	assert_int_equal(expect(&p, 0, false, "0000"), -1);
	memset(p.bytes, 0xff, 12);
	assert_int_equal(expect(&p, 0, false, "0000"), -1);
}

static void
wrong_headers(void **state)
{
	static const unsigned int counts[][4] = {
		{ 0, 0, 0, 0 }, { 2, 0, 0, 0 }, { 65535, 0, 0, 0 },
		{ 1, 1, 0, 0 }, { 1, 0, 1, 0 }, { 1, 0, 0, 1 },
		{ 1, 0, 0, 2 }, { 1, 0, 0, 65535 }, { 1, 65535, 65535, 0 },
		{ 0, 1, 0, 0 }, { 65535, 65535, 65535, 65535 },
		{ 256, 0, 0, 0 }, { 257, 0, 0, 0 },
	};
	struct packet p;
	unsigned int opcode;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		header(&p, RD, counts[i][0], counts[i][1], counts[i][2],
		    counts[i][3]);
		add_name(&p, "web.vm");
		add16(&p, DNS_A);
		add16(&p, DNS_IN);
		assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
	}
	/* IQUERY, STATUS, NOTIFY, UPDATE, ...: before anything else is read. */
	for (opcode = 1; opcode < 16; opcode++) {
		const uint8_t *r;
		size_t len;

		header(&p, RD | opcode << 11, 65535, 1, 2, 3);
		r = answer(&p, &len);
		assert_int_equal(len, 12);
		assert_int_equal(get16(r + 2), 0x8000U | RD | opcode << 11 |
		    DNS_NOTIMP);
	}
	/* A question that was cut cannot be one. */
	query(&p, "web.vm", DNS_A);
	p.bytes[2] |= 2;
	assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
}

/* Names that end nowhere, or somewhere else. */
static void
wrong_names(void **state)
{
	struct packet p;
	unsigned int i;
	size_t cut;

	(void)state;
	/* Compression: itself, the header, forward, far away. */
	for (i = 0; i < 5; i++) {
		header(&p, RD, 1, 0, 0, 0);
		add16(&p, 0xc000 | ((unsigned int[]){ 12, 0, 14, 13,
		    0x3fff })[i]);
		add16(&p, DNS_A);
		add16(&p, DNS_IN);
		assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
	}
	/* After a label: a loop for whoever would follow it. */
	header(&p, RD, 1, 0, 0, 0);
	add(&p, "\3web\xc0\x0c\0\1\0\1", 10);
	assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
	/* The other label types (RFC 6891 has given up on them). */
	for (i = 64; i < 256; i++) {
		query(&p, "web.vm", DNS_A);
		p.bytes[12] = (uint8_t)i;
		assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
	}
	/* Every label length that does not fit what follows. */
	for (i = 0; i < 64; i++) {
		query(&p, "web.vm", DNS_A);
		p.bytes[12] = (uint8_t)i;
		if (i != 3)
			assert_true(expect(&p, i == 6 ? DNS_REFUSED :
			    DNS_FORMERR, false, i == 6 ? "1000" :
			    "0000") > 0);
	}
	/* Cut anywhere, or with something after it. */
	query(&p, "web.vm", DNS_A);
	for (cut = p.len; cut-- > 12;) {
		p.len = cut;
		assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
	}
	query(&p, "web.vm", DNS_A);
	add(&p, "", 1);
	assert_int_equal(expect(&p, DNS_FORMERR, false, "0000"), 12);
}

/* 255 bytes are a name, 256 are none; 127 labels are the most there are. */
static void
long_names(void **state)
{
	struct packet p;
	unsigned int n, i;

	(void)state;
	for (n = 120; n <= 140; n++) {
		header(&p, RD, 1, 0, 0, 0);
		for (i = 0; i < n; i++)
			add(&p, "\1x", 2);
		add(&p, "\0\0\1\0\1", 5);
		if (n <= 127)
			assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
		else
			assert_int_equal(expect(&p, DNS_FORMERR, false,
			    "0000"), 12);
	}
	/* The largest reply of all still fits. */
	header(&p, RD, 1, 0, 0, 0);
	for (i = 0; i < 125; i++)
		add(&p, "\1x", 2);
	add(&p, "\2vm\0\0\1\0\1", 8);
	opt(&p, 0, 0);
	assert_true(expect(&p, DNS_NXDOMAIN, true, "1011") > 0);
	for (n = 190; n <= 253; n++) {
		header(&p, RD, 1, 0, 0, 0);
		for (i = n; i > 0; i -= i > 63 ? 64 : i) {
			uint8_t len = (uint8_t)((i > 63 ? 64 : i) - 1);

			if (len == 0)
				break;
			add(&p, &len, 1);
			add(&p, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
			    "yyyyyyyyyyyyyyy", len);
		}
		add(&p, "\0\0\1\0\1", 5);
		assert_true(expect(&p, DNS_REFUSED, false, "1000") > 0);
	}
}

/* A reply that has become too large is none. */
static void
too_large(void **state)
{
	struct dns_query q;
	struct dns_reply reply;
	struct packet p;
	int i;

	(void)state;
	query(&p, "web.vm", DNS_A);
	assert_int_equal(dns_query_parse(p.bytes, p.len, &q), 0);
	dns_reply_begin(&reply, &q, DNS_NOERROR, true);
	for (i = 0; i < 40; i++)
		dns_reply_a(&reply, 0, GUEST);
	assert_true(reply.len <= DNS_REPLY_MAX);
	assert_int_equal(dns_reply_end(&reply, &q), 0);
}

static uint64_t seed = 42;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

/* Right packets with some bytes spoilt: an answer to a query, or none. */
static void
random_packets(void **state)
{
	static const char *const names[] = { "web.vm", "vm", "a.b.vm",
		"2.0.16.172.in-addr.arpa", "example.org" };
	unsigned int i, answered = 0, dropped = 0;

	(void)state;
	for (i = 0; i < RANDOM_PACKETS; i++) {
		unsigned int flips = random_below(4);
		struct packet p;
		const uint8_t *r;
		size_t len;

		query(&p, names[random_below(ARRAY_SIZE(names))],
		    random_below(30));
		if (random_below(2) == 0)
			opt(&p, 0, random_below(20));
		while (flips-- > 0)
			p.bytes[random_below((uint32_t)p.len)] =
			    (uint8_t)random_below(256);
		if (random_below(4) == 0)
			p.len = random_below((uint32_t)p.len + 1);
		r = answer(&p, &len);
		answered += len > 0;
		dropped += len == 0;
		if (len == 0) {
			assert_true(p.len < 12 || (p.bytes[2] & 0x80) != 0);
			continue;
		}
		assert_true(len >= 12 && p.len >= 12);
		assert_memory_equal(r, p.bytes, 2);
		assert_int_equal(r[2] & 0x82, 0x80);
	}
	assert_true(answered > 1000 && dropped > 1000 && asked > 1000);
}

/* ---- the process that has the socket ---- */

static int
bound(struct sockaddr_in *at)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(sock, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(sock, (struct sockaddr *)at, &len), 0);
	return sock;
}

/* What the process asks of its worker: an address, then 64 bytes of a name. */
static void
expect_question(int sock, uint32_t ipv4, const char *name)
{
	uint8_t question[256];
	char want[NAME_BYTES] = "";

	strcpy(want, name);
	assert_int_equal(recv(sock, question, sizeof(question), 0), 68);
	assert_memory_equal(question, &ipv4, 4);
	assert_memory_equal(question + 4, want, NAME_BYTES);
}

static void
tell(int sock, uint32_t ipv4, uint32_t of, const char *name)
{
	uint8_t answer_bytes[8 + NAME_BYTES] = { 0 };

	memcpy(answer_bytes, &ipv4, 4);
	memcpy(answer_bytes + 4, &of, 4);
	memcpy(answer_bytes + 8, name, strnlen(name, NAME_BYTES));
	assert_int_equal(send(sock, answer_bytes, sizeof(answer_bytes), 0),
	    sizeof(answer_bytes));
}

static unsigned int
reply_rcode(int client, size_t len)
{
	uint8_t reply[DNS_REPLY_MAX];

	assert_int_equal(recv(client, reply, sizeof(reply), 0), len);
	return get16(reply + 2) & 15;
}

static void
process(void **state)
{
	static const char evil[NAME_BYTES] = "..\0";
	struct sockaddr_in at, from;
	struct packet p;
	int udp = bound(&at), client = bound(&from), sock, null, status;

	(void)state;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(dns_spawn(null), -ENOTSOCK);
	close(null);
	sock = dns_spawn(udp);
	assert_true(sock >= 0);
	close(udp);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)),
	    0);
	query(&p, "Web.vm", DNS_A);
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	expect_question(sock, 0, "web");
	tell(sock, GUEST, 0, "");
	assert_int_equal(reply_rcode(client, p.len + 16), DNS_NOERROR);
	/* What can be no VM's name is asked of nobody; nor is what is broken. */
	query(&p, "we_b.vm", DNS_A);
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	assert_int_equal(reply_rcode(client, p.len + 50), DNS_NXDOMAIN);
	assert_int_equal(send(client, p.bytes, 20, 0), 20);
	assert_int_equal(reply_rcode(client, 12), DNS_FORMERR);
	assert_int_equal(send(client, p.bytes, sizeof(p.bytes), 0),
	    sizeof(p.bytes));
	query(&p, "2.0.16.172.in-addr.arpa", DNS_PTR);
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	expect_question(sock, GUEST, "");
	tell(sock, 0, DNS_OF_VM, "web");
	assert_int_equal(reply_rcode(client, p.len + 20), DNS_NOERROR);
	/* A worker that was taken over has no say in what is in a packet. */
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	expect_question(sock, GUEST, "");
	tell(sock, 0, DNS_OF_VM, evil);
	assert_int_equal(reply_rcode(client, p.len), DNS_REFUSED);
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	expect_question(sock, GUEST, "");
	tell(sock, 0, UINT32_MAX, "web");
	assert_int_equal(reply_rcode(client, p.len), DNS_REFUSED);
	/* It ends with its worker, at the next question. */
	close(sock);
	assert_int_equal(send(client, p.bytes, p.len, 0), p.len);
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(other_names),
		cmocka_unit_test(zone_itself),
		cmocka_unit_test(reverse),
		cmocka_unit_test(edns),
		cmocka_unit_test(not_answered),
		cmocka_unit_test(wrong_headers),
		cmocka_unit_test(wrong_names),
		cmocka_unit_test(long_names),
		cmocka_unit_test(too_large),
		cmocka_unit_test(random_packets),
		cmocka_unit_test(process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
