/*
 * The bridge. It is created, marked and then given its settings by index, in
 * one batch; should we die between creation and mark, the next call knows its
 * own bridge by the MAC address, which is derived from the name and was part
 * of the creation.
 */
#include <endian.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/netlink.h"
#include "privsep/link_int.h"
#include "privsep/util.h"

/* Locally administered, the same on every host: it never leaves this one. */
static void
bridge_mac(const char *name, uint8_t mac[6])
{
	const uint32_t id = htobe32(link_group(name));

	mac[0] = 0x02;
	mac[1] = 0xfc;
	memcpy(mac + 2, &id, sizeof(id));
}

bool
bridge_is_ours(const struct link_info *l)
{
	uint8_t mac[6];

	if (strcmp(l->kind, "bridge") != 0)
		return false;
	if (strcmp(l->alias, LINK_ALIAS) == 0)
		return true;
	bridge_mac(l->name, mac);
	return l->alias[0] == '\0' && memcmp(l->mac, mac, sizeof(mac)) == 0;
}

int
bridge_get(struct netlink *nl, const char *name, struct link_info *out)
{
	int r = link_get(nl, name, out);

	return r == 0 && !bridge_is_ours(out) ? -EEXIST : r;
}

static int
create(struct netlink *nl, const char *name)
{
	const struct ifinfomsg h = { .ifi_family = AF_UNSPEC };
	uint8_t mac[6];
	size_t info, data;

	bridge_mac(name, mac);
	nl_begin(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof(h));
	nl_put_str(nl, IFLA_IFNAME, name);
	nl_put(nl, IFLA_ADDRESS, mac, sizeof(mac));
	info = nl_nest(nl, IFLA_LINKINFO);
	nl_put_str(nl, IFLA_INFO_KIND, "bridge");
	data = nl_nest(nl, IFLA_INFO_DATA);
	nl_put_u32(nl, IFLA_BR_STP_STATE, 0);
	nl_put_u32(nl, IFLA_BR_FORWARD_DELAY, 0);
	nl_put_u8(nl, IFLA_BR_MCAST_SNOOPING, 0);
	nl_nest_end(nl, data);
	nl_nest_end(nl, info);
	return nl_call(nl, NULL, NULL);
}

int
link_no_ipv6(struct netlink *nl, int32_t index)
{
	const struct ifinfomsg h = { .ifi_index = index };
	size_t spec, inet6;
	int r;

	nl_begin(nl, RTM_SETLINK, 0, &h, sizeof(h));
	spec = nl_nest(nl, IFLA_AF_SPEC);
	inet6 = nl_nest(nl, AF_INET6);
	nl_put_u8(nl, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nl_nest_end(nl, inet6);
	nl_nest_end(nl, spec);
	r = nl_call(nl, NULL, NULL);
	/* The host was booted without IPv6. */
	return r == -EAFNOSUPPORT ? 0 : r;
}

void
link_put_ipv4_conf(struct netlink *nl, const struct ipv4_conf *conf,
    size_t count)
{
	size_t spec = nl_nest(nl, IFLA_AF_SPEC);
	size_t inet = nl_nest(nl, AF_INET);
	size_t list = nl_nest(nl, IFLA_INET_CONF);
	size_t i;

	for (i = 0; i < count; i++)
		nl_put_u32(nl, conf[i].what, conf[i].value);
	nl_nest_end(nl, list);
	nl_nest_end(nl, inet);
	nl_nest_end(nl, spec);
}

/* Everything but the address, also after somebody has changed it. */
static int
configure(struct netlink *nl, int32_t index)
{
	/* What a guest may not get out of the host (ip-sysctl.rst). */
	static const struct ipv4_conf conf[] = {
		{ IPV4_DEVCONF_ARP_IGNORE, 1 },	/* the host's other addresses */
		{ IPV4_DEVCONF_ARP_ANNOUNCE, 2 },
		{ IPV4_DEVCONF_RP_FILTER, 1 },
		{ IPV4_DEVCONF_ACCEPT_REDIRECTS, 0 },
		{ IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, 0 },
		{ IPV4_DEVCONF_ROUTE_LOCALNET, 0 },
	};
	const struct ifinfomsg mark = { .ifi_index = index };
	const struct ifinfomsg up = {
		.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP,
	};
	int r;

	nl_begin(nl, RTM_SETLINK, 0, &mark, sizeof(mark));
	nl_put_str(nl, IFLA_IFALIAS, LINK_ALIAS);
	link_put_ipv4_conf(nl, conf, ARRAY_SIZE(conf));
	r = nl_call(nl, NULL, NULL);
	if (r == 0)
		r = link_no_ipv6(nl, index);
	if (r < 0)
		return r;
	nl_begin(nl, RTM_SETLINK, 0, &up, sizeof(up));
	return nl_call(nl, NULL, NULL);
}

static int
change_address(struct netlink *nl, uint16_t type, uint16_t flags,
    int32_t index, struct ipv4_net net)
{
	const struct ifaddrmsg h = {
		.ifa_family = AF_INET,
		.ifa_prefixlen = (uint8_t)net.prefix,
		.ifa_index = (uint32_t)index,
	};

	nl_begin(nl, type, flags, &h, sizeof(h));
	nl_put_be32(nl, IFA_LOCAL, net.addr);
	nl_put_be32(nl, IFA_ADDRESS, net.addr);
	return nl_call(nl, NULL, NULL);
}

struct address {
	int32_t index;
	struct ipv4_net net;		/* prefix 0: none found */
};

/* The first primary address of the link. */
static int
take_own_address(const struct nl_msg *msg, void *arg)
{
	struct address *a = arg;
	struct nl_attr tb[IFA_LOCAL + 1];
	struct ifaddrmsg h;

	if (msg == NULL) {
		a->net.prefix = 0;
		return 0;
	}
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0)
		return -EBADMSG;
	if (h.ifa_family != AF_INET || (int32_t)h.ifa_index != a->index ||
	    (h.ifa_flags & IFA_F_SECONDARY) != 0 || a->net.prefix != 0)
		return 0;
	if (nl_get_be32(&tb[IFA_LOCAL], &a->net.addr) < 0)
		return -EBADMSG;
	a->net.prefix = h.ifa_prefixlen;
	return 0;
}

static int
get_address(struct netlink *nl, int32_t index, struct ipv4_net *out)
{
	const struct ifaddrmsg h = {
		.ifa_family = AF_INET, .ifa_index = (uint32_t)index,
	};
	struct address a = { .index = index };
	int r;

	nl_begin(nl, RTM_GETADDR, 0, &h, sizeof(h));
	r = nl_dump(nl, take_own_address, &a);
	if (r == 0)
		*out = a.net;
	return r;
}

static int
count_one(const struct link_info *link, void *arg)
{
	size_t *count = arg;

	*count = link == NULL ? 0 : *count + 1;
	return 0;
}

/* 0 when the bridge has no ports, else -EBUSY. */
static int
check_no_ports(struct netlink *nl, int32_t index)
{
	size_t count = 0;
	int r = link_list(nl, (uint32_t)index, count_one, &count);

	return r == 0 && count > 0 ? -EBUSY : r;
}

/* Gives the bridge, which is ours, an address; *NET as in bridge_ensure. */
static int
address(struct netlink *nl, int32_t index, struct ipv4_net *net, bool fixed)
{
	struct subnet_scan scan = { .wanted = *net, .own_index = index };
	struct ipv4_net have = { 0 }, chosen;
	int r = get_address(nl, index, &have);

	if (r < 0)
		return r;
	if (have.prefix != 0 && (!fixed || (have.addr == net->addr &&
	    have.prefix == net->prefix))) {
		*net = have;
		return 0;
	}
	r = have.prefix == 0 ? 0 : check_no_ports(nl, index);
	if (r == 0)
		r = subnet_scan(nl, &scan);
	if (r == 0)
		r = subnet_choose(&scan, fixed, &chosen);
	if (r == 0 && have.prefix != 0)
		r = change_address(nl, RTM_DELADDR, 0, index, have);
	if (r == 0)
		r = change_address(nl, RTM_NEWADDR,
		    NLM_F_CREATE | NLM_F_EXCL, index, chosen);
	if (r == 0)
		*net = chosen;
	return r;
}

int
bridge_ensure(struct netlink *nl, const char *name, struct ipv4_net *net,
    bool fixed)
{
	struct link_info l;
	bool created = false;
	int r = bridge_get(nl, name, &l);

	if (r == -ENODEV) {
		r = create(nl, name);
		/* Other failures may be a lost answer, and it is there. */
		created = r != -EEXIST;
		if (r == 0)
			r = link_get(nl, name, &l);
	}
	if (r == 0 && (created || !l.up || l.alias[0] == '\0'))
		r = configure(nl, l.index);
	if (r == 0)
		r = address(nl, l.index, net, fixed);
	if (r < 0 && created)
		(void)bridge_remove(nl, name);
	return r;
}

int
bridge_remove(struct netlink *nl, const char *name)
{
	struct link_info l;
	int r = bridge_get(nl, name, &l);

	if (r == 0)
		r = check_no_ports(nl, l.index);
	if (r == 0)
		r = link_delete(nl, l.index);
	return r == -ENODEV ? 0 : r;
}
