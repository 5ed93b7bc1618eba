/*
 * Bridge, taps and forwarding, by rtnetlink (rtnetlink(7)) and the tun driver
 * (Documentation/networking/tuntap.rst).
 *
 * What is ours is marked: alias `banger`, and a group number (IFLA_GROUP) that
 * is derived from the bridge's name, so that instances with different bridges
 * share a network namespace without seeing each other. What does not bear the
 * mark is never changed, attached or removed, whatever its name is.
 *
 * Addresses are in host byte order. NL is a NETLINK_ROUTE socket. All need
 * CAP_NET_ADMIN in the network namespace's user namespace.
 */
#ifndef BANGER_PRIVSEP_LINK_H
#define BANGER_PRIVSEP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct netlink;
struct nl_msg;

enum { LINK_NAME_BYTES = 16 };	/* IFNAMSIZ */

#define LINK_ALIAS "banger"

/* One network link, as far as it concerns us. */
struct link_info {
	int32_t index;
	uint32_t group;
	uint32_t master;		/* index of its bridge, or 0 */
	bool up;
	bool forwarding;		/* its own IPv4 `forwarding` setting */
	uint8_t mac[6];
	char name[LINK_NAME_BYTES];
	char kind[16];			/* "bridge", "tun", "veth", … or "" */
	char alias[16];			/* cut off when longer */
};

/* A gateway address with the prefix length of its subnet. */
struct ipv4_net {
	uint32_t addr;
	uint32_t prefix;
};

/* --- link.c --- */

/*
 * RTM_NEWLINK message MSG to OUT. Pure. 0, -EBADMSG, or -ENOMSG when it is
 * a message of another type.
 */
int	 link_parse(const struct nl_msg *msg, struct link_info *out);

/* The link called NAME. 0, -ENODEV, or as nl_call. */
int	 link_get(struct netlink *nl, const char *name, struct link_info *out);

/* The same of the link of INDEX. */
int	 link_get_index(struct netlink *nl, int32_t index,
	    struct link_info *out);

/*
 * Calls EACH for every link of the namespace, or, with MASTER not 0, for
 * those enslaved to that index; with NULL first, and again with NULL when the
 * list starts over. As nl_dump.
 */
typedef int (*link_fn)(const struct link_info *link, void *arg);
int	 link_list(struct netlink *nl, uint32_t master, link_fn each, void *arg);

/* Removes the link of that index. 0, -ENODEV, or as nl_call. */
int	 link_delete(struct netlink *nl, int32_t index);

/* The group number that marks the taps of BRIDGE: 0x62000000 to 0x62ffffff. */
uint32_t link_group(const char *bridge);

/* --- subnet.c --- */

enum { SUBNET_CANDIDATES = 64 };

/* Which subnets the host already uses. Start with everything else zero. */
struct subnet_scan {
	struct ipv4_net wanted;
	int32_t own_index;		/* our bridge: its routes do not count */
	bool wanted_taken;
	uint64_t taken;			/* bit N: candidate N */
};

/*
 * Candidate N, in the order they are tried: 172.16.0.1/24 to 172.31.0.1/24,
 * 10.200.0.1/24 to 10.231.0.1/24, 192.168.200.1/24 to 192.168.215.1/24.
 * Pure.
 */
struct ipv4_net subnet_candidate(unsigned int n);

/*
 * Notes that ADDR/PREFIX is in use. Prefixes shorter than 8 are taken for a
 * default route, or a half of one, and do not count. Pure.
 */
void	 subnet_mark(struct subnet_scan *scan, uint32_t addr, uint32_t prefix);

/*
 * The subnet to use: the wanted one, or the first free candidate unless FIXED.
 * 0, -EADDRINUSE when FIXED, -EADDRNOTAVAIL. Pure.
 */
int	 subnet_choose(const struct subnet_scan *scan, bool fixed,
	    struct ipv4_net *out);

/* Fills SCAN from the host's IPv4 addresses and routes of all tables. */
int	 subnet_scan(struct netlink *nl, struct subnet_scan *scan);

/* --- bridge.c --- */

/*
 * Makes sure that bridge NAME is there, ours, up and has an address; NET is
 * the wanted one on entry and the one it has on return. A bridge of ours that
 * has an address keeps it. Where the host uses the wanted subnet already (an
 * address, or a route in any table), a free candidate is taken instead, unless
 * FIXED. The bridge has no spanning tree, a MAC address of its own and no IPv6
 * address; it answers ARP for its own address only.
 *
 * 0; -EEXIST: a link of that name is not ours (and is untouched);
 * -EADDRINUSE: FIXED, and the subnet is used elsewhere; -EBUSY: FIXED, ours
 * has another address and ports; -EADDRNOTAVAIL: no candidate is free; or as
 * nl_call. On failure no new bridge remains, and NET is untouched.
 */
int	 bridge_ensure(struct netlink *nl, const char *name,
	    struct ipv4_net *net, bool fixed);

/*
 * Removes bridge NAME. 0, also when there is none; -EEXIST: not ours; -EBUSY:
 * it has ports.
 */
int	 bridge_remove(struct netlink *nl, const char *name);

/* --- tap.c --- */

struct tap_spec {
	const char *name;
	const char *bridge;
	uid_t uid;			/* who may attach to it once persistent */
	gid_t gid;
	uint8_t mac[6];			/* of the guest */
};

/*
 * Creates a tap, with virtio-net headers, as an isolated port of our bridge,
 * and switches it on. It vanishes with the last copy of the returned fd
 * (non-blocking, close-on-exec; the caller's). The bridge sends it broadcasts
 * and what is addressed to the guest's MAC address, nothing else, and learns
 * nothing from it.
 *
 * -EEXIST: a link of that name is there, or the bridge is not ours;
 * -ENODEV: no bridge, -ENOENT: no /dev/net/tun; or as ioctl(2), nl_call.
 * On failure nothing remains.
 */
int	 tap_create(struct netlink *nl, const struct tap_spec *spec);

/*
 * Makes the tap outlive its fds (TUNSETPERSIST), for a VMM that opens it
 * itself, by name, as its owner. tap_delete is then the only end of it.
 */
int	 tap_persist(int fd);

/*
 * Removes tap NAME of BRIDGE, busy or not. 0, also when there is none;
 * -EEXIST: not a tap of ours.
 */
int	 tap_delete(struct netlink *nl, const char *name, const char *bridge);

/* What has passed a link, as the host sees it: received from the guest. */
struct link_stats {
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bytes, tx_bytes;
};

/*
 * Reads the counters of tap NAME of BRIDGE (IFLA_STATS64). 0; -EEXIST: not a tap
 * of ours; -EBADMSG; or as link_get.
 */
int	 tap_stats(struct netlink *nl, const char *name, const char *bridge,
	    struct link_stats *out);

/* link_list with the taps of BRIDGE only. */
int	 tap_list(struct netlink *nl, const char *bridge, link_fn each,
	    void *arg);

/* --- forward.c --- */

enum { FORWARD_MAX = 16 };

/* The links with a default route. */
struct uplinks {
	uint32_t count;
	int32_t index[FORWARD_MAX];
	char name[FORWARD_MAX][LINK_NAME_BYTES];
	bool forwards[FORWARD_MAX];	/* IPv4 */
};

/*
 * Those of the main table; the two halves that a VPN puts over the default route
 * count as one. 0; -ENOSPC: more than FORWARD_MAX; or as nl_dump.
 */
int	 uplinks_find(struct netlink *nl, struct uplinks *out);

/* An uplink on which we switched IPv4 forwarding on. */
struct forward_change {
	int32_t index;
	char name[LINK_NAME_BYTES];
};

/* What has to be undone one day; zero at first. Fit to be stored. */
struct forward_state {
	uint32_t count;
	struct forward_change changed[FORWARD_MAX];
};

/* STATE as read back from a file: counts and strings are sound. -EINVAL. */
int	 forward_check(const struct forward_state *state);

/*
 * Lets the host forward IPv4 between BRIDGE and the uplinks, which are the
 * links with a default route in the main table. It is set for these links
 * only, not for the host as a whole; large receive offload, which spoils
 * forwarded packets, is switched off there. STATE grows by the uplinks that
 * had to be changed; it becomes empty when somebody has meanwhile made the
 * host forward as a whole (net.ipv4.ip_forward): it is theirs then.
 * 0, with UPLINKS as they were before; -ENODEV: no bridge; -EEXIST: not ours;
 * -ENOSPC: more than FORWARD_MAX uplinks; or as nl_call. STATE tells what was
 * changed also after a failure.
 */
int	 forward_enable(struct netlink *nl, const char *bridge,
	    struct forward_state *state, struct uplinks *uplinks);

/*
 * Takes back what STATE tells, unless the host now forwards as a whole; links
 * that are gone are skipped. STATE is empty afterwards, unless it fails.
 */
int	 forward_restore(struct netlink *nl, struct forward_state *state);

#endif
