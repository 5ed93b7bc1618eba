/*
 * What is made of the kernel's answers about routes, links, forwarding and the
 * chains of others: whole ones of every kind, and such as no kernel should give.
 * nl_call and nl_dump are replaced at link time (--wrap) by a host of the test's
 * own; that conversation itself is netlink_test.c's.
 */
#include "unit.h"

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/log.h"
#include "privsep/netlink.h"
#include "privsep/nft.h"

#define BRIDGE "br-fc"

enum { BRIDGE_INDEX = 1, SETS_MAX = 32 };

/* How a message is spoilt. */
enum spoilt {
	WHOLE, NO_HEADER, SHORT_LINK, SHORT_HOP, LONG_HOP, HALF_HOP,
	NO_LINK, NO_NAME, NO_TABLE, NO_TYPE, NO_HOOK, NO_HOOK_NUMBER, BAD_HOOK,
	LONG_NAME, NO_HANDLE,
};

struct route {
	uint8_t family, table, type, dst_len;
	int32_t link;
	int hops;			/* that many, of LINK and the next ones */
	enum spoilt how;
};

struct chain {
	uint8_t family;
	uint32_t hook;
	const char *type, *table, *name;
	uint32_t policy;
	enum spoilt how;
};

/* A rule is up to two expressions: see put_expression. */
struct rule {
	const char *expressions[2];
	enum spoilt how;
};

static struct host {
	const struct route *routes;
	size_t nroutes;
	int32_t gone;			/* this link is, meanwhile */
	int link_error;			/* of looking up an uplink */
	bool forwards;			/* every uplink does already */
	bool all;			/* the host does as a whole */
	bool bad_all;			/* and does not tell it well */
	int set_error;
	int32_t set[SETS_MAX];		/* links that were set, in this order */
	size_t nset;
	bool lro, no_lro_tool;
	unsigned int lro_off;		/* times that it was switched off */
	const struct chain *chains;
	size_t nchains;
	const struct rule *rules;	/* of each chain */
	size_t nrules;
	unsigned int ours;		/* and so many of ours */
	int rules_errors[2];		/* of asking for them: first, later */
	unsigned int rules_asked, batches, inserted;
} host;

static struct netlink nl, made;

int	 __wrap_nl_call(struct netlink *to, nl_reply_fn reply, void *arg);
int	 __wrap_nl_dump(struct netlink *to, nl_reply_fn reply, void *arg);
int	 __real_ioctl(int fd, unsigned long request, ...);
int	 __wrap_ioctl(int fd, unsigned long request, ...);

/* ---- answers ---- */

static void
put_link(int32_t index)
{
	const struct ifinfomsg h = { .ifi_index = index, .ifi_flags = IFF_UP };
	bool bridge = index == BRIDGE_INDEX;
	size_t info, spec, inet;
	uint32_t conf[IPV4_DEVCONF_FORWARDING] = { 0 };
	char name[16];

	snprintf(name, sizeof(name), "up%d", index);
	conf[IPV4_DEVCONF_FORWARDING - 1] = host.forwards;
	nl_begin(&made, RTM_NEWLINK, 0, &h, sizeof(h));
	nl_put_str(&made, IFLA_IFNAME, bridge ? BRIDGE : name);
	if (bridge) {
		nl_put_str(&made, IFLA_IFALIAS, "banger");
		info = nl_nest(&made, IFLA_LINKINFO);
		nl_put_str(&made, IFLA_INFO_KIND, "bridge");
		nl_nest_end(&made, info);
	}
	spec = nl_nest(&made, IFLA_AF_SPEC);
	inet = nl_nest(&made, AF_INET);
	nl_put(&made, IFLA_INET_CONF, conf, sizeof(conf));
	nl_nest_end(&made, inet);
	nl_nest_end(&made, spec);
}

static void
put_hops(const struct route *r)
{
	struct rtnexthop hops[32];
	size_t len = (size_t)r->hops * sizeof(hops[0]);
	int i;

	memset(hops, 0, sizeof(hops));
	for (i = 0; i < r->hops; i++) {
		hops[i].rtnh_len = sizeof(hops[0]);
		hops[i].rtnh_ifindex = r->link + i;
	}
	if (r->how == SHORT_HOP)
		hops[0].rtnh_len = 4;
	if (r->how == LONG_HOP)
		hops[0].rtnh_len = (unsigned short)(len + 4);
	nl_put(&made, RTA_MULTIPATH, hops, r->how == HALF_HOP ? len - 4 : len);
}

static void
put_route(const struct route *r)
{
	const struct rtmsg h = { .rtm_family = r->family,
		.rtm_table = r->table, .rtm_type = r->type,
		.rtm_dst_len = r->dst_len };

	nl_begin(&made, RTM_NEWROUTE, 0, &h, r->how == NO_HEADER ? 4 :
	    sizeof(h));
	if (r->hops > 0)
		put_hops(r);
	else if (r->how != NO_LINK && r->how != NO_HEADER)
		nl_put(&made, RTA_OIF, &r->link, r->how == SHORT_LINK ? 2 :
		    sizeof(r->link));
}

static void
put_chain(const struct chain *c)
{
	const struct nfgenmsg h = { .nfgen_family = c->family };
	char name[100];
	size_t hook;

	memset(name, 'n', sizeof(name));
	snprintf(name, c->how == LONG_NAME ? 0 : sizeof(name), "%s", c->name);
	name[sizeof(name) - 1] = '\0';
	nl_begin(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, 0, &h,
	    c->how == NO_HEADER ? 0 : sizeof(h));
	if (c->how != NO_TABLE)
		nl_put_str(&made, NFTA_CHAIN_TABLE, c->table);
	if (c->how != NO_NAME)
		nl_put_str(&made, NFTA_CHAIN_NAME, name);
	if (c->how != NO_TYPE)
		nl_put_str(&made, NFTA_CHAIN_TYPE, c->type);
	nl_put_be32(&made, NFTA_CHAIN_POLICY, c->policy);
	if (c->how == BAD_HOOK)
		nl_put(&made, NFTA_CHAIN_HOOK, "abc", 3);
	if (c->how == BAD_HOOK || c->how == NO_HOOK)
		return;
	hook = nl_nest(&made, NFTA_CHAIN_HOOK);
	if (c->how != NO_HOOK_NUMBER)
		nl_put_be32(&made, NFTA_HOOK_HOOKNUM, c->hook);
	nl_nest_end(&made, hook);
}

/*
 * "NAME", "immediate CODE", "target NAME"; "NAME !" has data that does not parse, at
 * the depth of so many exclamation marks.
 */
static void
put_data(const char *name, const char *value)
{
	size_t data = nl_nest(&made, NFTA_EXPR_DATA), one, two;

	if (strcmp(value, "!") == 0) {
		nl_put(&made, 0, "", 0);
		made.len -= 2;
	} else if (strcmp(name, "target") == 0) {
		nl_put_str(&made, NFTA_TARGET_NAME, value);
	} else if (strcmp(value, "!!") == 0) {
		nl_put(&made, NFTA_IMMEDIATE_DATA, "abc", 3);
	} else {
		one = nl_nest(&made, NFTA_IMMEDIATE_DATA);
		if (strcmp(value, "!!!") == 0) {
			nl_put(&made, NFTA_DATA_VERDICT, "abc", 3);
		} else {
			two = nl_nest(&made, NFTA_DATA_VERDICT);
			if (value[0] != '\0')
				nl_put_be32(&made, NFTA_VERDICT_CODE,
				    (uint32_t)atoi(value));
			nl_nest_end(&made, two);
		}
		nl_nest_end(&made, one);
	}
	nl_nest_end(&made, data);
}

static void
put_expression(const char *text)
{
	char copy[64], *value = copy, *name;
	size_t element;

	snprintf(copy, sizeof(copy), "%s", text);
	name = strsep(&value, " ");
	if (strcmp(name, "?") == 0) {
		nl_put(&made, NFTA_LIST_ELEM, "abc", 3);
		return;
	}
	element = nl_nest(&made, NFTA_LIST_ELEM);
	if (name[0] != '\0')
		nl_put_str(&made, NFTA_EXPR_NAME, name);
	if (value != NULL)
		put_data(name, value);
	nl_nest_end(&made, element);
}

/* OURS has our comment, as nft(8) writes one: type 0, its size, its text. */
static void
put_rule(const struct rule *rule, bool ours)
{
	static const char comment[] = "\0\x0d" "banger br-fc";
	const struct nfgenmsg h = { .nfgen_family = NFPROTO_IPV4 };
	const uint64_t handle = 7;
	size_t list, i;

	nl_begin(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, &h,
	    rule->how == NO_HEADER ? 0 : sizeof(h));
	if (rule->how != NO_HANDLE)
		nl_put(&made, NFTA_RULE_HANDLE, &handle, sizeof(handle));
	list = nl_nest(&made, NFTA_RULE_EXPRESSIONS);
	for (i = 0; i < 2 && rule->expressions[i] != NULL; i++)
		put_expression(rule->expressions[i]);
	nl_nest_end(&made, list);
	if (ours)
		nl_put(&made, NFTA_RULE_USERDATA, comment, sizeof(comment));
}

/* ---- the host ---- */

/* Gives what was made to REPLY. The first error. */
static int
give(nl_reply_fn reply, void *arg)
{
	const uint8_t *p = made.tx;
	size_t left = made.len;
	struct nl_msg msg;
	int r = 0;

	assert_int_equal(made.error, 0);
	while (r == 0 && nl_msg_next(&p, &left, &msg) == 1)
		r = reply(&msg, arg);
	return r;
}

static void
begin_answer(void)
{
	made.len = made.msg = 0;
	made.error = 0;
}

/* The first message that was asked; NL is empty then. */
static struct nl_msg
take_request(struct netlink *to)
{
	const uint8_t *p = to->tx;
	size_t left = to->len;
	struct nl_msg msg;

	assert_int_equal(to->error, 0);
	assert_int_equal(nl_msg_next(&p, &left, &msg), 1);
	for (; msg.type >> 8 != NFNL_SUBSYS_NFTABLES && left > 0;)
		(void)nl_msg_next(&p, &left, &msg);
	to->len = to->msg = 0;
	to->has_ack = false;
	return msg;
}

static int
find_link(const struct nl_msg *msg, nl_reply_fn reply, void *arg)
{
	struct nl_attr tb[IFLA_IFNAME + 1];
	struct ifinfomsg h;
	char name[16] = "";

	assert_int_equal(nl_parse_msg(msg, &h, sizeof(h), tb, IFLA_IFNAME + 1),
	    0);
	(void)nl_get_str(&tb[IFLA_IFNAME], name, sizeof(name));
	if (h.ifi_index == 0)
		h.ifi_index = strcmp(name, BRIDGE) == 0 ? BRIDGE_INDEX :
		    atoi(name + 2);
	if (h.ifi_index == host.gone)
		return -ENODEV;
	if (h.ifi_index != BRIDGE_INDEX && host.link_error != 0)
		return host.link_error;
	put_link(h.ifi_index);
	return give(reply, arg);
}

static int
tell_all(nl_reply_fn reply, void *arg)
{
	const struct netconfmsg h = { .ncm_family = AF_INET };
	const int32_t value = host.all;

	nl_begin(&made, RTM_NEWNETCONF, 0, &h, sizeof(h));
	if (!host.bad_all)
		nl_put(&made, NETCONFA_FORWARDING, &value, sizeof(value));
	return give(reply, arg);
}

/* Rules that a batch puts into a chain. */
static void
count_inserted(const struct netlink *to)
{
	const uint8_t *p = to->tx;
	size_t left = to->len;
	struct nl_msg msg;

	host.batches++;
	while (nl_msg_next(&p, &left, &msg) == 1)
		host.inserted += msg.type ==
		    (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE);
}

int
__wrap_nl_call(struct netlink *to, nl_reply_fn reply, void *arg)
{
	struct netlink asked = *to;
	struct nl_msg msg = take_request(&asked);
	struct ifinfomsg h;

	begin_answer();
	if (msg.type >> 8 == NFNL_SUBSYS_NFTABLES)
		count_inserted(to);
	(void)take_request(to);
	switch (msg.type) {
	case RTM_GETLINK:
		return find_link(&msg, reply, arg);
	case RTM_GETNETCONF:
		return tell_all(reply, arg);
	case RTM_SETLINK:
		memcpy(&h, msg.data, sizeof(h));
		assert_true(host.nset < SETS_MAX);
		host.set[host.nset++] = h.ifi_index;
		return h.ifi_index != BRIDGE_INDEX ? host.set_error : 0;
	default:
		return 0;
	}
}

int
__wrap_nl_dump(struct netlink *to, nl_reply_fn reply, void *arg)
{
	uint16_t type = take_request(to).type;
	size_t i;
	int r;

	begin_answer();
	r = reply(NULL, arg);
	assert_int_equal(r, 0);
	if (type == RTM_GETROUTE) {
		for (i = 0; i < host.nroutes; i++)
			put_route(&host.routes[i]);
	} else if ((type & 0xff) == NFT_MSG_GETCHAIN) {
		for (i = 0; i < host.nchains; i++)
			put_chain(&host.chains[i]);
	} else {
		r = host.rules_errors[host.rules_asked > 0];
		host.rules_asked++;
		for (i = 0; i < host.ours; i++)
			put_rule(&(struct rule){ .how = WHOLE }, true);
		for (i = 0; i < host.nrules; i++)
			put_rule(&host.rules[i], false);
	}
	return r < 0 ? r : give(reply, arg);
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	struct ethtool_value *value;
	struct ifreq *ifr;
	va_list ap;

	va_start(ap, request);
	ifr = va_arg(ap, struct ifreq *);
	va_end(ap);
	if (request != SIOCETHTOOL)
		return __real_ioctl(fd, request, ifr);
	if (host.no_lro_tool) {
		errno = EOPNOTSUPP;
		return -1;
	}
	value = (void *)ifr->ifr_data;
	if (value->cmd == ETHTOOL_GFLAGS) {
		value->data = ETH_FLAG_RXHASH | (host.lro ? ETH_FLAG_LRO : 0);
	} else {
		assert_int_equal(value->cmd, ETHTOOL_SFLAGS);
		assert_int_equal(value->data, ETH_FLAG_RXHASH);
		host.lro_off++;
	}
	return 0;
}

/* ---- routes ---- */

#define HOPS(link, n, how) \
	{ AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0, link, n, how }
#define DEFAULT(link) HOPS(link, 0, WHOLE)

static void
uplinks(void **state)
{
	static const struct {
		const char *name;
		struct route routes[3];
		int expected;		/* links, or -errno */
		int32_t gone;
		int link_error;
	} cases[] = {
		{ "none", { { 0 } }, 0, 0, 0 },
		{ "one", { DEFAULT(2) }, 1, 0, 0 },
		{ "two", { DEFAULT(2), DEFAULT(3) }, 2, 0, 0 },
		{ "one, twice", { DEFAULT(2), DEFAULT(2) }, 1, 0, 0 },
		{ "halves", {
		    { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 1, 4, 0, WHOLE },
		    { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 1, 4, 0, WHOLE },
		    DEFAULT(2) }, 2, 0, 0 },
		{ "others", {
		    { AF_INET6, RT_TABLE_MAIN, RTN_UNICAST, 0, 2, 0, WHOLE },
		    { AF_INET, RT_TABLE_LOCAL, RTN_UNICAST, 0, 2, 0, WHOLE },
		    { AF_INET, RT_TABLE_MAIN, RTN_BLACKHOLE, 0, 2, 0,
		    WHOLE } }, 0, 0, 0 },
		{ "a net", {
		    { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 2, 2, 0, WHOLE } },
		    0, 0, 0 },
		{ "no link", { { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0, 2, 0,
		    NO_LINK } }, 0, 0, 0 },
		{ "paths", { HOPS(2, 3, WHOLE), DEFAULT(3) }, 3, 0, 0 },
		{ "16 paths", { HOPS(2, 16, WHOLE) }, 16, 0, 0 },
		{ "17 paths", { HOPS(2, 17, WHOLE) }, -ENOSPC, 0, 0 },
		{ "17 links", { HOPS(2, 16, WHOLE), DEFAULT(40) }, -ENOSPC, 0,
		    0 },
		{ "short path", { HOPS(2, 2, SHORT_HOP) }, -EBADMSG, 0, 0 },
		{ "long path", { HOPS(2, 2, LONG_HOP) }, -EBADMSG, 0, 0 },
		{ "half a path", { HOPS(2, 2, HALF_HOP) }, -EBADMSG, 0, 0 },
		{ "half a link", { { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0, 2,
		    0, SHORT_LINK } }, -EBADMSG, 0, 0 },
		{ "no header", { { AF_INET, RT_TABLE_MAIN, RTN_UNICAST, 0, 2,
		    0, NO_HEADER } }, -EBADMSG, 0, 0 },
		{ "one is gone", { DEFAULT(2), DEFAULT(3), DEFAULT(4) }, 2, 3,
		    0 },
		{ "no answer", { DEFAULT(2) }, -ETIMEDOUT, 0, -ETIMEDOUT },
	};
	struct uplinks found;
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		host = (struct host){ .routes = cases[i].routes, .nroutes = 3,
			.gone = cases[i].gone,
			.link_error = cases[i].link_error };
		while (host.nroutes > 0 &&
		    cases[i].routes[host.nroutes - 1].family == 0)
			host.nroutes--;
		r = uplinks_find(&nl, &found);
		if (cases[i].expected < 0) {
			assert_case(r == cases[i].expected, i, cases[i].name);
			continue;
		}
		assert_case(r == 0, i, cases[i].name);
		assert_case(found.count == (uint32_t)cases[i].expected, i,
		    cases[i].name);
		for (j = 0; j < found.count; j++)
			assert_case(atoi(found.name[j] + 2) ==
			    found.index[j] && found.index[j] !=
			    cases[i].gone, i, cases[i].name);
	}
}

/* ---- forwarding ---- */

static const struct route two[] = { DEFAULT(2), DEFAULT(3) };

static struct host
host_with_two(void)
{
	return (struct host){ .routes = two, .nroutes = 2 };
}

/* As if COUNT uplinks from number FIRST on had been changed before. */
static struct forward_state
changed(int32_t first, uint32_t count)
{
	struct forward_state state = { .count = count };
	uint32_t i;

	for (i = 0; i < count; i++) {
		state.changed[i].index = first + (int32_t)i;
		snprintf(state.changed[i].name, LINK_NAME_BYTES, "up%d",
		    state.changed[i].index);
	}
	return state;
}

static void
forwarding_is_switched_on(void **state)
{
	struct forward_state forward = { 0 };
	struct uplinks found;

	(void)state;
	host = host_with_two();
	host.lro = true;
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found), 0);
	assert_int_equal(found.count, 2);
	assert_int_equal(forward.count, 2);
	assert_string_equal(forward.changed[1].name, "up3");
	assert_int_equal(host.nset, 3);
	assert_int_equal(host.set[0], BRIDGE_INDEX);
	assert_int_equal(host.lro_off, 2);
	/* Once more, as somebody has switched it off meanwhile. */
	host = host_with_two();
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found), 0);
	assert_int_equal(forward.count, 2);
	assert_int_equal(host.nset, 3);
	assert_int_equal(host.lro_off, 0);
	/* It is on: nothing of ours. */
	host = host_with_two();
	host.forwards = true;
	forward.count = 0;
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found), 0);
	assert_int_equal(host.nset, 0);
	assert_int_equal(forward.count, 0);
	/* The host does as a whole: what was ours is no longer. */
	host = host_with_two();
	host.forwards = host.all = host.no_lro_tool = true;
	forward = changed(2, 2);
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found), 0);
	assert_int_equal(forward.count, 0);
}

static void
forwarding_fails(void **state)
{
	struct forward_state forward = { 0 };
	struct uplinks found;

	(void)state;
	host = host_with_two();
	host.gone = BRIDGE_INDEX;
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found),
	    -ENODEV);
	host = host_with_two();
	host.bad_all = true;
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found),
	    -EBADMSG);
	assert_int_equal(host.nset, 0);
	/* On record before it is done: it may have been done. */
	host = host_with_two();
	host.no_lro_tool = true;
	host.set_error = -EPERM;
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found),
	    -EPERM);
	assert_int_equal(forward.count, 1);
	/* No room on the record: not done. */
	host = host_with_two();
	forward = changed(100, FORWARD_MAX);
	assert_int_equal(forward_enable(&nl, BRIDGE, &forward, &found),
	    -ENOSPC);
	assert_int_equal(host.nset, 1);
	assert_int_equal(host.set[0], BRIDGE_INDEX);
}

static void
forwarding_is_taken_back(void **state)
{
	struct forward_state forward = changed(2, 3);

	(void)state;
	host = (struct host){ .gone = 3 };
	/* The same name, another link. */
	forward.changed[0].index = 77;
	assert_int_equal(forward_restore(&nl, &forward), 0);
	assert_int_equal(forward.count, 0);
	assert_int_equal(host.nset, 1);
	assert_int_equal(host.set[0], 4);
	host = (struct host){ .all = true };
	forward = changed(2, 3);
	assert_int_equal(forward_restore(&nl, &forward), 0);
	assert_int_equal(forward.count, 0);
	assert_int_equal(host.nset, 0);
	/* What could not be is still on record. */
	host = (struct host){ .set_error = -EPERM };
	forward = changed(2, 3);
	assert_int_equal(forward_restore(&nl, &forward), -EPERM);
	assert_int_equal(forward.count, 3);
	host = (struct host){ .link_error = -ETIMEDOUT };
	assert_int_equal(forward_restore(&nl, &forward), -ETIMEDOUT);
	assert_int_equal(forward.count, 3);
	host = (struct host){ .bad_all = true };
	assert_int_equal(forward_restore(&nl, &forward), -EBADMSG);
}

/* ---- the chains of others ---- */

static const struct uplinks some = { .count = 2, .index = { 2, 3 },
	.name = { "up2", "up3" } };

#define DROPS(table) \
	{ NFPROTO_IPV4, NF_INET_FORWARD, "filter", table, "fwd", NF_DROP, WHOLE }
#define CHAIN(family, hook, type, how) \
	{ family, hook, type, "other", "fwd", NF_DROP, how }

static void
chains(void **state)
{
	static const struct {
		const char *name;
		struct chain chain;
		int expected;
		unsigned int inserted;
	} cases[] = {
		{ "drops", DROPS("other"), 0, 3 },
		{ "inet", CHAIN(NFPROTO_INET, NF_INET_FORWARD, "filter",
		    WHOLE), 0, 3 },
		{ "accepts", { NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    "other", "fwd", NF_ACCEPT, WHOLE }, 0, 0 },
		{ "IPv6", CHAIN(NFPROTO_IPV6, NF_INET_FORWARD, "filter",
		    WHOLE), 0, 0 },
		{ "input", CHAIN(NFPROTO_IPV4, NF_INET_LOCAL_IN, "filter",
		    WHOLE), 0, 0 },
		{ "nat", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "nat", WHOLE),
		    0, 0 },
		{ "ours", DROPS("banger"), 0, 0 },
		{ "no base", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_HOOK), 0, 0 },
		{ "half a hook", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    BAD_HOOK), 0, 0 },
		{ "no number", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_HOOK_NUMBER), 0, 0 },
		{ "no type", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_TYPE), 0, 0 },
		{ "no table", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_TABLE), 0, 0 },
		{ "no name", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_NAME), -EBADMSG, 0 },
		{ "long name", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    LONG_NAME), -EBADMSG, 0 },
		{ "no header", CHAIN(NFPROTO_IPV4, NF_INET_FORWARD, "filter",
		    NO_HEADER), -EBADMSG, 0 },
	};
	struct chain many[17];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		host = (struct host){ .chains = &cases[i].chain,
			.nchains = 1 };
		assert_case(nft_foreign_set(&nl, BRIDGE, &some) ==
		    cases[i].expected, i, cases[i].name);
		assert_case(host.inserted == cases[i].inserted, i,
		    cases[i].name);
	}
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = cases[0].chain;
	host = (struct host){ .chains = many, .nchains = 16 };
	assert_int_equal(nft_foreign_set(&nl, BRIDGE, &some), 0);
	assert_int_equal(host.inserted, 48);
	host = (struct host){ .chains = many, .nchains = 17 };
	assert_int_equal(nft_foreign_set(&nl, BRIDGE, &some), -ENOSPC);
	assert_int_equal(host.inserted, 0);
	assert_int_equal(nft_foreign_set(&nl, "eth0", &some), -EINVAL);
}

/* Which last rule of a chain that accepts by its policy drops all the same. */
static void
last_rules(void **state)
{
	static const struct {
		struct rule rule;
		bool drops;
	} cases[] = {
		{ { { "immediate 0" }, WHOLE }, true },
		{ { { "counter", "immediate 0" }, WHOLE }, true },
		{ { { "log", "immediate 0" }, WHOLE }, true },
		{ { { "reject" }, WHOLE }, true },
		{ { { "counter", "reject" }, WHOLE }, true },
		{ { { "target DROP" }, WHOLE }, true },
		{ { { "target REJECT" }, WHOLE }, true },
		{ { { "target LOG" }, WHOLE }, false },
		{ { { "target !" }, WHOLE }, false },
		{ { { "target " "0123456789012345678901234567890123456789" },
		    WHOLE }, false },
		{ { { "immediate 1" }, WHOLE }, false },
		{ { { "immediate " }, WHOLE }, false },
		{ { { "immediate !" }, WHOLE }, false },
		{ { { "immediate !!" }, WHOLE }, false },
		{ { { "immediate !!!" }, WHOLE }, false },
		{ { { "immediate" }, WHOLE }, false },
		{ { { "counter" }, WHOLE }, false },
		{ { { "cmp", "immediate 0" }, WHOLE }, false },
		{ { { "immediate 0", "cmp" }, WHOLE }, false },
		{ { { "", "immediate 0" }, WHOLE }, false },
		{ { { "?", "immediate 0" }, WHOLE }, false },
		{ { { NULL }, WHOLE }, false },
	};
	static const struct chain accepts = { NFPROTO_IPV4, NF_INET_FORWARD,
		"filter", "other", "fwd", NF_ACCEPT, WHOLE };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = cases[i].rule.expressions[0];

		host = (struct host){ .chains = &accepts, .nchains = 1,
			.rules = &cases[i].rule, .nrules = 1 };
		assert_int_equal(nft_foreign_set(&nl, BRIDGE, &some), 0);
		assert_case(host.inserted == (cases[i].drops ? 3 : 0), i,
		    name != NULL ? name : "empty");
	}
}

/* Chains that cannot be read or changed are left, and said; others are not. */
static void
rules(void **state)
{
	static const struct chain drops = DROPS("other");
	static const struct uplinks none = { .count = 0 };
	static const struct rule rules[] = {
		{ { "reject" }, NO_HEADER }, { { "reject" }, NO_HANDLE },
	};
	static const struct {
		const char *name;
		const struct uplinks *to;
		unsigned int ours;
		int errors[2];
		const struct rule *rule;
		unsigned int asked, batches, inserted;
	} cases[] = {
		{ "new", &some, 0, { 0, 0 }, NULL, 1, 1, 3 },
		{ "again", &some, 3, { 0, 0 }, NULL, 1, 1, 3 },
		{ "taken back", NULL, 3, { 0, 0 }, NULL, 1, 1, 0 },
		{ "none there", NULL, 0, { 0, 0 }, NULL, 1, 0, 0 },
		{ "no uplink", &none, 0, { 0, 0 }, NULL, 1, 0, 0 },
		{ "no uplink any more", &none, 3, { 0, 0 }, NULL, 1, 1, 0 },
		{ "as many as can be", &some, 34, { 0, 0 }, NULL, 1, 1, 3 },
		{ "more", &some, 35, { 0, 0 }, NULL, 1, 0, 0 },
		{ "rewritten meanwhile", &some, 0, { -ENOENT, 0 }, NULL, 2, 1,
		    3 },
		{ "gone", &some, 0, { -ENOENT, -ENOENT }, NULL, 2, 0, 0 },
		{ "owned", &some, 0, { -EPERM, 0 }, NULL, 1, 0, 0 },
		{ "no header", &some, 0, { 0, 0 }, &rules[0], 1, 0, 0 },
		{ "no handle", &some, 0, { 0, 0 }, &rules[1], 1, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		host = (struct host){ .chains = &drops, .nchains = 1,
			.ours = cases[i].ours, .rules = cases[i].rule,
			.nrules = cases[i].rule != NULL };
		memcpy(host.rules_errors, cases[i].errors,
		    sizeof(host.rules_errors));
		assert_int_equal(nft_foreign_set(&nl, BRIDGE, cases[i].to), 0);
		assert_case(host.rules_asked == cases[i].asked, i,
		    cases[i].name);
		assert_case(host.batches == cases[i].batches, i,
		    cases[i].name);
		assert_case(host.inserted == cases[i].inserted, i,
		    cases[i].name);
	}
}

/* ---- taps ---- */

/* A name that would have the kernel choose one, or is none. */
static void
tap_names(void **state)
{
	static const struct {
		const char *name;
		int expected;
	} cases[] = {
		{ "", -EINVAL }, { "fc-%d", -EINVAL }, { "%", -EINVAL },
		{ "fc-0123456789abc", -ENAMETOOLONG },
	};
	struct tap_spec spec = { .bridge = BRIDGE };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		host = (struct host){ .gone = 99 };
		spec.name = cases[i].name;
		assert_case(tap_create(&nl, &spec) == cases[i].expected, i,
		    cases[i].name);
		assert_int_equal(host.nset, 0);
	}
	host = (struct host){ .gone = BRIDGE_INDEX };
	assert_int_equal(tap_create(&nl, &spec), -ENODEV);
	assert_true(tap_persist(-1) == -EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uplinks),
		cmocka_unit_test(forwarding_is_switched_on),
		cmocka_unit_test(forwarding_fails),
		cmocka_unit_test(forwarding_is_taken_back),
		cmocka_unit_test(chains),
		cmocka_unit_test(last_rules),
		cmocka_unit_test(rules),
		cmocka_unit_test(tap_names),
	};

	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
