/*
 * Looking links up, listing and removing them. The mark that tells our links
 * from others is checked by the callers, in bridge.c and tap.c, on the index
 * that is then acted upon: an index, unlike a name, is not reused.
 */
#include "privsep/link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "privsep/netlink.h"
#include "privsep/util.h"

_Static_assert(LINK_NAME_BYTES == IFNAMSIZ, "size of interface names");

/*
 * The link's own `forwarding` out of IFLA_AF_SPEC / AF_INET / IFLA_INET_CONF,
 * which is an array of 32-bit values, the first one being number 1.
 */
static bool
parse_forwarding(const struct nl_attr *spec)
{
	struct nl_attr family[AF_INET + 1], inet[IFLA_INET_CONF + 1];
	const size_t at = (IPV4_DEVCONF_FORWARDING - 1) * sizeof(uint32_t);
	uint32_t value;

	if (nl_parse(spec->data, spec->len, family, ARRAY_SIZE(family)) < 0 ||
	    nl_parse(family[AF_INET].data, family[AF_INET].len, inet,
	    ARRAY_SIZE(inet)) < 0 ||
	    inet[IFLA_INET_CONF].len < at + sizeof(value))
		return false;
	memcpy(&value, inet[IFLA_INET_CONF].data + at, sizeof(value));
	return value != 0;
}

static int
parse_kind(const struct nl_attr *linkinfo, char *buf, size_t size)
{
	struct nl_attr tb[IFLA_INFO_KIND + 1];
	int r = nl_parse(linkinfo->data, linkinfo->len, tb, ARRAY_SIZE(tb));

	if (r < 0 || tb[IFLA_INFO_KIND].data == NULL)
		return r;
	return nl_get_str(&tb[IFLA_INFO_KIND], buf, size);
}

/* An alias may have 255 bytes; a long one only has to differ from ours. */
static void
parse_alias(const struct nl_attr *alias, char *buf, size_t size)
{
	size_t len = alias->len < size - 1 ? alias->len : size - 1;

	if (len > 0)
		memcpy(buf, alias->data, len);
	buf[len] = '\0';
}

int
link_parse(const struct nl_msg *msg, struct link_info *out)
{
	struct nl_attr tb[IFLA_EXT_MASK + 1];
	struct link_info l = { 0 };
	struct ifinfomsg h;

	if (msg->type != RTM_NEWLINK)
		return -ENOMSG;
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0 ||
	    h.ifi_index <= 0 ||
	    nl_get_str(&tb[IFLA_IFNAME], l.name, sizeof(l.name)) < 0 ||
	    parse_kind(&tb[IFLA_LINKINFO], l.kind, sizeof(l.kind)) < 0)
		return -EBADMSG;
	l.index = h.ifi_index;
	l.up = (h.ifi_flags & IFF_UP) != 0;
	l.forwarding = parse_forwarding(&tb[IFLA_AF_SPEC]);
	parse_alias(&tb[IFLA_IFALIAS], l.alias, sizeof(l.alias));
	/* Absent or of another size: not an Ethernet link, left at zero. */
	(void)nl_get(&tb[IFLA_GROUP], &l.group, sizeof(l.group));
	(void)nl_get(&tb[IFLA_MASTER], &l.master, sizeof(l.master));
	(void)nl_get(&tb[IFLA_ADDRESS], l.mac, sizeof(l.mac));
	*out = l;
	return 0;
}

static void
begin_getlink(struct netlink *nl, int32_t index)
{
	const struct ifinfomsg h = { .ifi_index = index };

	nl_begin(nl, RTM_GETLINK, 0, &h, sizeof(h));
	nl_put_u32(nl, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

static int
take_link(const struct nl_msg *msg, void *arg)
{
	return link_parse(msg, arg);
}

int
link_get(struct netlink *nl, const char *name, struct link_info *out)
{
	struct link_info l = { 0 };
	int r;

	begin_getlink(nl, 0);
	nl_put_str(nl, IFLA_IFNAME, name);
	r = nl_call(nl, take_link, &l);
	if (r < 0)
		return r;
	if (l.index <= 0 || strcmp(l.name, name) != 0)
		return -EBADMSG;
	*out = l;
	return 0;
}

int
link_get_index(struct netlink *nl, int32_t index, struct link_info *out)
{
	struct link_info l = { 0 };
	int r;

	begin_getlink(nl, index);
	r = nl_call(nl, take_link, &l);
	if (r < 0)
		return r;
	if (l.index != index)
		return -EBADMSG;
	*out = l;
	return 0;
}

struct lister {
	uint32_t master;
	link_fn each;
	void *arg;
};

static int
list_one(const struct nl_msg *msg, void *arg)
{
	const struct lister *lister = arg;
	struct link_info l;
	int r;

	if (msg == NULL)
		return lister->each(NULL, lister->arg);
	r = link_parse(msg, &l);
	if (r < 0)
		return r;
	if (lister->master != 0 && l.master != lister->master)
		return 0;
	return lister->each(&l, lister->arg);
}

int
link_list(struct netlink *nl, uint32_t master, link_fn each, void *arg)
{
	struct lister lister = { master, each, arg };

	begin_getlink(nl, 0);
	if (master != 0)
		nl_put_u32(nl, IFLA_MASTER, master);
	return nl_dump(nl, list_one, &lister);
}

int
link_delete(struct netlink *nl, int32_t index)
{
	const struct ifinfomsg h = { .ifi_index = index };

	nl_begin(nl, RTM_DELLINK, 0, &h, sizeof(h));
	return nl_call(nl, NULL, NULL);
}

uint32_t
link_group(const char *bridge)
{
	uint32_t hash = UINT32_C(2166136261);

	/* FNV-1a, 32 bits. */
	for (; *bridge != '\0'; bridge++)
		hash = (hash ^ (unsigned char)*bridge) * UINT32_C(16777619);
	return UINT32_C(0x62000000) | ((hash ^ hash >> 24) & 0xffffff);
}
