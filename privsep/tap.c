/*
 * Taps. The fd comes first and everything else hangs on it: until the caller
 * keeps it, closing it undoes all. No frame can come from a tap before its fd
 * is handed to a VMM, so the order of the settings is free, and they travel in
 * one batch.
 *
 * Against a hostile guest: the port is isolated (frames pass between it and
 * the bridge itself only), the bridge learns no address from it (the guest's
 * is entered by hand, and can move neither way), and frames that are not for
 * the guest are not flooded to it. Frames for the reserved group addresses
 * 01:80:c2:00:00:0x do not pass the bridge but reach the host's stack as if
 * the tap were an ordinary link: its strict reverse path filter and silent ARP
 * are there for these, and nft.c drops them before.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/link_int.h"
#include "privsep/netlink.h"
#include "privsep/util.h"

_Static_assert(offsetof(struct rtnl_link_stats64, rx_packets) ==
    offsetof(struct link_stats, rx_packets) &&
    offsetof(struct rtnl_link_stats64, tx_packets) ==
    offsetof(struct link_stats, tx_packets) &&
    offsetof(struct rtnl_link_stats64, rx_bytes) ==
    offsetof(struct link_stats, rx_bytes) &&
    offsetof(struct rtnl_link_stats64, tx_bytes) ==
    offsetof(struct link_stats, tx_bytes), "the kernel's order of counters");

/* A new tap called NAME; its fd or -errno. */
static int
open_tap(const struct tap_spec *spec)
{
	struct ifreq ifr = { 0 };
	_cleanup_close_ int fd = -1;

	/* No name, or a pattern, would make the kernel choose one. */
	if (spec->name[0] == '\0' || strchr(spec->name, '%') != NULL)
		return -EINVAL;
	if (strlen(spec->name) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, spec->name, strlen(spec->name));
	/* IFF_TUN_EXCL: never attach to a tap that is already there. */
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
	    IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNSETOWNER, (unsigned long)spec->uid) < 0 ||
	    ioctl(fd, TUNSETGROUP, (unsigned long)spec->gid) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Any socket answers SIOCGIFINDEX (netdevice(7)); it needs no rtnl lock. */
static int
get_index(const struct netlink *nl, const char *name, int32_t *out)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(nl->fd, SIOCGIFINDEX, &ifr) < 0)
		return -errno;
	*out = ifr.ifr_ifindex;
	return 0;
}

/* The mark, and a place in the bridge. */
static void
put_mark(struct netlink *nl, int32_t index, uint32_t group, int32_t bridge)
{
	static const struct ipv4_conf conf[] = {
		{ IPV4_DEVCONF_RP_FILTER, 1 },
		{ IPV4_DEVCONF_ARP_IGNORE, 8 },	/* answer for no address */
		{ IPV4_DEVCONF_FORWARDING, 0 },
	};
	const struct ifinfomsg h = { .ifi_index = index };

	nl_begin(nl, RTM_SETLINK, 0, &h, sizeof(h));
	nl_put_u32(nl, IFLA_GROUP, group);
	nl_put_str(nl, IFLA_IFALIAS, LINK_ALIAS);
	nl_put_u32(nl, IFLA_MASTER, (uint32_t)bridge);
	link_put_ipv4_conf(nl, conf, ARRAY_SIZE(conf));
}

/* The port's settings, and up: slave data needs RTM_NEWLINK. */
static void
put_port(struct netlink *nl, int32_t index)
{
	static const struct {
		uint16_t type;
		uint8_t value;
	} settings[] = {
		{ IFLA_BRPORT_ISOLATED, 1 },
		{ IFLA_BRPORT_LEARNING, 0 },
		{ IFLA_BRPORT_UNICAST_FLOOD, 0 },
		{ IFLA_BRPORT_MCAST_FLOOD, 0 },
	};
	const struct ifinfomsg h = {
		.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP,
	};
	size_t info, data, i;

	nl_begin(nl, RTM_NEWLINK, 0, &h, sizeof(h));
	info = nl_nest(nl, IFLA_LINKINFO);
	nl_put_str(nl, IFLA_INFO_SLAVE_KIND, "bridge");
	data = nl_nest(nl, IFLA_INFO_SLAVE_DATA);
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		nl_put_u8(nl, settings[i].type, settings[i].value);
	nl_nest_end(nl, data);
	nl_nest_end(nl, info);
}

/* The guest's address is behind this port, for good. */
static void
put_fdb(struct netlink *nl, int32_t index, const uint8_t mac[6])
{
	const struct ndmsg h = {
		.ndm_family = AF_BRIDGE, .ndm_ifindex = index,
		.ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER,
	};

	nl_begin(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof(h));
	nl_put(nl, NDA_LLADDR, mac, 6);
}

int
tap_create(struct netlink *nl, const struct tap_spec *spec)
{
	struct link_info bridge;
	_cleanup_close_ int fd = -1;
	int32_t index = 0;
	int r;

	r = bridge_get(nl, spec->bridge, &bridge);
	if (r < 0)
		return r;
	fd = open_tap(spec);
	/* A tap of that name; another kind of link of that name. */
	if (fd == -EBUSY ||
	    (fd == -EINVAL && get_index(nl, spec->name, &index) == 0))
		return -EEXIST;
	if (fd < 0)
		return fd;
	r = get_index(nl, spec->name, &index);
	if (r == 0)
		r = link_no_ipv6(nl, index);
	if (r < 0)
		return r;
	put_mark(nl, index, link_group(spec->bridge), bridge.index);
	put_port(nl, index);
	put_fdb(nl, index, spec->mac);
	r = nl_call(nl, NULL, NULL);
	return r < 0 ? r : steal_fd(&fd);
}

int
tap_persist(int fd)
{
	return ioctl(fd, TUNSETPERSIST, 1UL) < 0 ? -errno : 0;
}

static bool
is_ours(const struct link_info *l, uint32_t group)
{
	return strcmp(l->kind, "tun") == 0 &&
	    strcmp(l->alias, LINK_ALIAS) == 0 && l->group == group;
}

int
tap_delete(struct netlink *nl, const char *name, const char *bridge)
{
	struct link_info l;
	int r = link_get(nl, name, &l);

	if (r == 0 && !is_ours(&l, link_group(bridge)))
		return -EEXIST;
	if (r == 0)
		r = link_delete(nl, l.index);
	/* It may also have gone with its VMM at this very moment. */
	return r == -ENODEV ? 0 : r;
}

struct tap_reader {
	struct link_info link;
	struct link_stats stats;
};

/* The kernel's struct has grown, and begins as it always did (if_link.h). */
static int
take_stats(const struct nl_msg *msg, void *arg)
{
	struct tap_reader *reader = arg;
	struct nl_attr tb[IFLA_STATS64 + 1];
	struct ifinfomsg h;
	int r = link_parse(msg, &reader->link);

	if (r < 0)
		return r;
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0 ||
	    tb[IFLA_STATS64].len < sizeof(reader->stats))
		return -EBADMSG;
	memcpy(&reader->stats, tb[IFLA_STATS64].data, sizeof(reader->stats));
	return 0;
}

int
tap_stats(struct netlink *nl, const char *name, const char *bridge,
    struct link_stats *out)
{
	const struct ifinfomsg h = { .ifi_family = AF_UNSPEC };
	struct tap_reader reader = { .link = { .index = 0 } };
	int r;

	nl_begin(nl, RTM_GETLINK, 0, &h, sizeof(h));
	nl_put_str(nl, IFLA_IFNAME, name);
	r = nl_call(nl, take_stats, &reader);
	if (r < 0)
		return r;
	if (reader.link.index <= 0 || strcmp(reader.link.name, name) != 0)
		return -EBADMSG;
	if (!is_ours(&reader.link, link_group(bridge)))
		return -EEXIST;
	*out = reader.stats;
	return 0;
}

struct tap_lister {
	uint32_t group;
	link_fn each;
	void *arg;
};

static int
list_tap(const struct link_info *link, void *arg)
{
	const struct tap_lister *lister = arg;

	if (link != NULL && !is_ours(link, lister->group))
		return 0;
	return lister->each(link, lister->arg);
}

int
tap_list(struct netlink *nl, const char *bridge, link_fn each, void *arg)
{
	struct tap_lister lister = { link_group(bridge), each, arg };

	return link_list(nl, 0, list_tap, &lister);
}
