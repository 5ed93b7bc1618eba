/*
 * IPv4 forwarding for the bridge and the uplinks only. net.ipv4.ip_forward
 * would make a router of every link the host has, and resets per-link
 * settings of others; IFLA_INET_CONF sets one link's and needs no writable
 * /proc/sys. What the kernel does besides when the sysctl is written,
 * switching large receive offload off, is done here by hand.
 *
 * That the uplinks' forwarding serves the guests only, and nobody in the
 * uplink's network, is the business of the rules in nft.c.
 */
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/link_int.h"
#include "privsep/netlink.h"
#include "privsep/util.h"

static int
add_uplink(struct uplinks *u, int32_t index)
{
	uint32_t i;

	for (i = 0; i < u->count; i++)
		if (u->index[i] == index)
			return 0;
	if (u->count == FORWARD_MAX)
		return -ENOSPC;
	u->index[u->count++] = index;
	return 0;
}

/* The links of a multipath route: a row of struct rtnexthop. */
static int
add_multipath(struct uplinks *u, const struct nl_attr *attr)
{
	const uint8_t *p = attr->data;
	size_t left = attr->len;
	struct rtnexthop nh;

	while (left >= sizeof(nh)) {
		size_t step;
		int r;

		memcpy(&nh, p, sizeof(nh));
		step = ((size_t)nh.rtnh_len + 3) & ~(size_t)3;
		if (nh.rtnh_len < sizeof(nh) || step > left)
			return -EBADMSG;
		r = add_uplink(u, nh.rtnh_ifindex);
		if (r < 0)
			return r;
		p += step;
		left -= step;
	}
	return left == 0 ? 0 : -EBADMSG;
}

static int
take_default(const struct nl_msg *msg, void *arg)
{
	struct uplinks *u = arg;
	struct nl_attr tb[RTA_MULTIPATH + 1];
	struct rtmsg h;
	int32_t oif;

	if (msg == NULL) {
		u->count = 0;
		return 0;
	}
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0)
		return -EBADMSG;
	/* Up to /1: the two halves that a VPN puts over the default route. */
	if (h.rtm_family != AF_INET || h.rtm_table != RT_TABLE_MAIN ||
	    h.rtm_type != RTN_UNICAST || h.rtm_dst_len > 1)
		return 0;
	if (tb[RTA_MULTIPATH].data != NULL)
		return add_multipath(u, &tb[RTA_MULTIPATH]);
	if (tb[RTA_OIF].data == NULL)
		return 0;
	if (nl_get(&tb[RTA_OIF], &oif, sizeof(oif)) < 0)
		return -EBADMSG;
	return add_uplink(u, oif);
}

int
uplinks_find(struct netlink *nl, struct uplinks *out)
{
	const struct rtmsg h = {
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN,
	};
	struct link_info l;
	uint32_t i;
	int r;

	*out = (struct uplinks){ 0 };
	nl_begin(nl, RTM_GETROUTE, 0, &h, sizeof(h));
	r = nl_dump(nl, take_default, out);
	for (i = 0; r == 0 && i < out->count; i++) {
		r = link_get_index(nl, out->index[i], &l);
		if (r == 0) {
			memcpy(out->name[i], l.name, LINK_NAME_BYTES);
			out->forwards[i] = l.forwarding;
		} else if (r == -ENODEV) {
			/* Gone meanwhile. */
			out->index[i--] = out->index[--out->count];
			r = 0;
		}
	}
	return r;
}

static int
take_netconf(const struct nl_msg *msg, void *arg)
{
	struct nl_attr tb[NETCONFA_FORWARDING + 1];
	struct netconfmsg h;
	int32_t value;

	if (msg->type != RTM_NEWNETCONF ||
	    nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0 ||
	    nl_get(&tb[NETCONFA_FORWARDING], &value, sizeof(value)) < 0)
		return -EBADMSG;
	*(bool *)arg = value != 0;
	return 0;
}

/* net.ipv4.conf.all.forwarding, which is net.ipv4.ip_forward. */
static int
host_forwards(struct netlink *nl, bool *out)
{
	const struct netconfmsg h = { .ncm_family = AF_INET };

	nl_begin(nl, RTM_GETNETCONF, 0, &h, sizeof(h));
	nl_put_u32(nl, NETCONFA_IFINDEX, (uint32_t)NETCONFA_IFINDEX_ALL);
	return nl_call(nl, take_netconf, out);
}

static int
set_forwarding(struct netlink *nl, int32_t index, bool on)
{
	const struct ipv4_conf conf = { IPV4_DEVCONF_FORWARDING, on };
	const struct ifinfomsg h = { .ifi_index = index };

	nl_begin(nl, RTM_SETLINK, 0, &h, sizeof(h));
	link_put_ipv4_conf(nl, &conf, 1);
	return nl_call(nl, NULL, NULL);
}

/*
 * Packets merged by LRO cannot be forwarded; most drivers have none (then the
 * first ioctl already fails, or the bit is clear). It stays off on restore.
 */
static void
drop_lro(const struct netlink *nl, const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq ifr = { .ifr_data = (void *)&value };

	memcpy(ifr.ifr_name, name, LINK_NAME_BYTES);
	if (ioctl(nl->fd, SIOCETHTOOL, &ifr) < 0 ||
	    (value.data & ETH_FLAG_LRO) == 0)
		return;
	value.cmd = ETHTOOL_SFLAGS;
	value.data &= ~(uint32_t)ETH_FLAG_LRO;
	(void)ioctl(nl->fd, SIOCETHTOOL, &ifr);
}

/* Adds uplink I to STATE, if it is not there yet. */
static int
record(struct forward_state *state, const struct uplinks *uplinks, uint32_t i)
{
	struct forward_change change = { .index = uplinks->index[i] };
	uint32_t j;

	memcpy(change.name, uplinks->name[i], sizeof(change.name));
	for (j = 0; j < state->count; j++)
		if (memcmp(&state->changed[j], &change, sizeof(change)) == 0)
			return 0;
	if (state->count >= FORWARD_MAX)
		return -ENOSPC;
	state->changed[state->count++] = change;
	return 0;
}

static int
enable_uplinks(struct netlink *nl, struct forward_state *state,
    const struct uplinks *uplinks)
{
	uint32_t i;
	int r = 0;

	for (i = 0; r == 0 && i < uplinks->count; i++) {
		if (uplinks->forwards[i])
			continue;
		r = record(state, uplinks, i);
		if (r < 0)
			break;
		drop_lro(nl, uplinks->name[i]);
		r = set_forwarding(nl, uplinks->index[i], true);
	}
	return r;
}

int
forward_check(const struct forward_state *state)
{
	uint32_t i;

	if (state->count > FORWARD_MAX)
		return -EINVAL;
	for (i = 0; i < state->count; i++)
		if (state->changed[i].index <= 0 ||
		    state->changed[i].name[0] == '\0' ||
		    memchr(state->changed[i].name, '\0',
		    LINK_NAME_BYTES) == NULL)
			return -EINVAL;
	return 0;
}

int
forward_enable(struct netlink *nl, const char *bridge,
    struct forward_state *state, struct uplinks *uplinks)
{
	struct link_info l;
	bool all = false;
	int r = bridge_get(nl, bridge, &l);

	if (r == 0)
		r = host_forwards(nl, &all);
	if (r == 0 && all)
		state->count = 0;
	if (r == 0 && !l.forwarding)
		r = set_forwarding(nl, l.index, true);
	if (r == 0)
		r = uplinks_find(nl, uplinks);
	return r < 0 ? r : enable_uplinks(nl, state, uplinks);
}

int
forward_restore(struct netlink *nl, struct forward_state *state)
{
	bool all = false;
	int r = host_forwards(nl, &all);

	while (r == 0 && state->count > 0) {
		const struct forward_change *c =
		    &state->changed[state->count - 1];
		struct link_info l;

		r = all ? -ENODEV : link_get(nl, c->name, &l);
		if (r == 0 && l.index == c->index)
			r = set_forwarding(nl, c->index, false);
		if (r == -ENODEV)
			r = 0;
		if (r == 0)
			state->count--;
	}
	return r;
}
