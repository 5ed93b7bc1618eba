/*
 * Finding a subnet that the host does not use yet. One pass over its addresses
 * and routes marks the candidates that are taken, so a host with many routes
 * costs one dump, whatever the number of candidates.
 */
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/netlink.h"
#include "privsep/util.h"

struct ipv4_net
subnet_candidate(unsigned int n)
{
	/* RFC 1918; in 10/8 and 192.168/16 not where everybody starts. */
	uint32_t addr = n < 16 ? UINT32_C(0xac100001) + (n << 16) :
	    n < 48 ? UINT32_C(0x0ac80001) + ((n - 16) << 16) :
	    UINT32_C(0xc0a8c801) + ((n - 48) << 8);

	return (struct ipv4_net){ addr, 24 };
}

static bool
overlap(struct ipv4_net a, struct ipv4_net b)
{
	uint32_t prefix = a.prefix < b.prefix ? a.prefix : b.prefix;
	uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);

	return (a.addr & mask) == (b.addr & mask);
}

void
subnet_mark(struct subnet_scan *scan, uint32_t addr, uint32_t prefix)
{
	const struct ipv4_net used = { addr, prefix };
	unsigned int n;

	/* VPNs put 0.0.0.0/1 and 128.0.0.0/1 over the default route. */
	if (prefix < 8 || prefix > 32)
		return;
	if (overlap(used, scan->wanted))
		scan->wanted_taken = true;
	for (n = 0; n < SUBNET_CANDIDATES; n++)
		if (overlap(used, subnet_candidate(n)))
			scan->taken |= UINT64_C(1) << n;
}

int
subnet_choose(const struct subnet_scan *scan, bool fixed,
    struct ipv4_net *out)
{
	unsigned int n;

	if (!scan->wanted_taken) {
		*out = scan->wanted;
		return 0;
	}
	if (fixed)
		return -EADDRINUSE;
	for (n = 0; n < SUBNET_CANDIDATES; n++)
		if ((scan->taken & UINT64_C(1) << n) == 0) {
			*out = subnet_candidate(n);
			return 0;
		}
	return -EADDRNOTAVAIL;
}

static void
forget(struct subnet_scan *scan)
{
	scan->wanted_taken = false;
	scan->taken = 0;
}

/* Addresses, as their link's subnet: also those of links that are down. */
static int
take_address(const struct nl_msg *msg, void *arg)
{
	struct subnet_scan *scan = arg;
	struct nl_attr tb[IFA_LOCAL + 1];
	struct ifaddrmsg h;
	uint32_t addr;

	if (msg == NULL) {
		forget(scan);
		return 0;
	}
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0)
		return -EBADMSG;
	if (h.ifa_family != AF_INET || (int32_t)h.ifa_index == scan->own_index)
		return 0;
	/* IFA_ADDRESS is the far end on point-to-point links. */
	if (nl_get_be32(&tb[IFA_ADDRESS], &addr) == 0)
		subnet_mark(scan, addr, h.ifa_prefixlen);
	if (nl_get_be32(&tb[IFA_LOCAL], &addr) == 0)
		subnet_mark(scan, addr, h.ifa_prefixlen);
	return 0;
}

static int
take_route(const struct nl_msg *msg, void *arg)
{
	struct subnet_scan *scan = arg;
	struct nl_attr tb[RTA_OIF + 1];
	struct rtmsg h;
	uint32_t addr;
	int32_t oif = 0;

	if (msg == NULL)
		return 0;	/* marks are only ever added: see subnet_scan */
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0)
		return -EBADMSG;
	/* A blackhole for all of RFC 1918, say, keeps nothing from being used. */
	if (h.rtm_family != AF_INET || (h.rtm_type != RTN_UNICAST &&
	    h.rtm_type != RTN_LOCAL))
		return 0;
	if (tb[RTA_OIF].data != NULL &&
	    nl_get(&tb[RTA_OIF], &oif, sizeof(oif)) < 0)
		return -EBADMSG;
	if (oif != 0 && oif == scan->own_index)
		return 0;
	if (nl_get_be32(&tb[RTA_DST], &addr) == 0)
		subnet_mark(scan, addr, h.rtm_dst_len);
	return 0;
}

int
subnet_scan(struct netlink *nl, struct subnet_scan *scan)
{
	const struct ifaddrmsg ifa = { .ifa_family = AF_INET };
	const struct rtmsg rtm = { .rtm_family = AF_INET };
	int r;

	nl_begin(nl, RTM_GETADDR, 0, &ifa, sizeof(ifa));
	r = nl_dump(nl, take_address, scan);
	if (r < 0)
		return r;
	/* A route that went away during the dump only costs a candidate. */
	nl_begin(nl, RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	return nl_dump(nl, take_route, scan);
}
