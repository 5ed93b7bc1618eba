/*
 * See dns_zone.h. Addresses are told with a life of 0 s: the next VM may have
 * this one's a moment later, and asking again costs nothing on one host.
 */
#include "worker/dns_zone.h"

enum { TTL_S = 0 };

/* Our zone, and the one that names of addresses are in. */
static const char zone_vm[] = "\2vm";
static const char zone_reverse[] = "\7in-addr\4arpa";

/* Nothing of that kind (NOERROR), or no such name; SOA says for how long. */
static size_t
none(const struct dns_query *query, unsigned int zone, int rcode,
    struct dns_reply *reply)
{
	dns_reply_begin(reply, query, rcode, true);
	dns_reply_soa(reply, query, zone, TTL_S, false);
	return dns_reply_end(reply, query);
}

static size_t
refuse(const struct dns_query *query, struct dns_reply *reply)
{
	dns_reply_begin(reply, query, DNS_REFUSED, false);
	return dns_reply_end(reply, query);
}

/* The zone's own name. */
static size_t
answer_zone(const struct dns_query *query, struct dns_reply *reply)
{
	bool any = query->type == DNS_ANY;

	if (!any && query->type != DNS_SOA && query->type != DNS_NS)
		return none(query, 0, DNS_NOERROR, reply);
	dns_reply_begin(reply, query, DNS_NOERROR, true);
	if (any || query->type == DNS_SOA)
		dns_reply_soa(reply, query, 0, TTL_S, true);
	if (any || query->type == DNS_NS)
		dns_reply_ns(reply, query, 0, TTL_S);
	return dns_reply_end(reply, query);
}

/* A name in the zone, BEFORE labels below it. */
static size_t
answer_vm(const struct dns_zone *zone, const struct dns_query *query,
    unsigned int before, struct dns_reply *reply)
{
	char name[DNS_LABEL_MAX + 1];
	uint32_t ipv4 = 0;

	if (before == 0)
		return answer_zone(query, reply);
	if (before == 1 && dns_query_label(query, 0, name) == 0)
		ipv4 = zone->address(zone->arg, name);
	if (ipv4 == 0)
		return none(query, before, DNS_NXDOMAIN, reply);
	if (query->type != DNS_A && query->type != DNS_ANY)
		return none(query, before, DNS_NOERROR, reply);
	dns_reply_begin(reply, query, DNS_NOERROR, true);
	dns_reply_a(reply, TTL_S, ipv4);
	return dns_reply_end(reply, query);
}

/*
 * A name of an address. The zone is taken to begin with the first two numbers,
 * which is right for any network that is not larger than /16, and nobody asks.
 */
static size_t
answer_reverse(const struct dns_zone *zone, const struct dns_query *query,
    struct dns_reply *reply)
{
	enum dns_whose whose = DNS_NOT_OURS;
	char name[NAME_BYTES];
	uint32_t ipv4;

	if (dns_query_reverse(query, &ipv4) == 0)
		whose = zone->name(zone->arg, ipv4, name);
	if (whose == DNS_NOT_OURS)
		return refuse(query, reply);
	if (whose == DNS_NOBODYS)
		return none(query, 2, DNS_NXDOMAIN, reply);
	if (query->type != DNS_PTR && query->type != DNS_ANY)
		return none(query, 2, DNS_NOERROR, reply);
	dns_reply_begin(reply, query, DNS_NOERROR, true);
	dns_reply_ptr(reply, TTL_S, name, zone_vm);
	return dns_reply_end(reply, query);
}

size_t
dns_answer(const struct dns_zone *zone, const uint8_t *packet, size_t len,
    struct dns_reply *reply)
{
	struct dns_query query;
	int r = dns_query_parse(packet, len, &query), before;

	if (r < 0)
		return 0;
	if (r > 0) {
		dns_reply_error(reply, &query, r);
		return reply->len;
	}
	if (query.class != DNS_IN)
		return refuse(&query, reply);
	before = dns_query_below(&query, zone_vm);
	if (before >= 0)
		return answer_vm(zone, &query, (unsigned int)before, reply);
	if (dns_query_below(&query, zone_reverse) >= 0)
		return answer_reverse(zone, &query, reply);
	return refuse(&query, reply);
}
