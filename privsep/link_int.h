/*
 * What link.c, bridge.c, tap.c and forward.c share and nobody else needs.
 */
#ifndef BANGER_PRIVSEP_LINK_INT_H
#define BANGER_PRIVSEP_LINK_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link_info;
struct netlink;

/* An IPv4 setting of a link: IPV4_DEVCONF_* (linux/ip.h) and its value. */
struct ipv4_conf {
	uint16_t what;
	uint32_t value;
};

/* Adds IFLA_AF_SPEC with these settings to the message being built. */
void	 link_put_ipv4_conf(struct netlink *nl, const struct ipv4_conf *conf,
	    size_t count);

/* The link gets no IPv6 address by itself. 0 or as nl_call. */
int	 link_no_ipv6(struct netlink *nl, int32_t index);

/* A bridge with our mark. Pure. */
bool	 bridge_is_ours(const struct link_info *l);

/* link_get, but -EEXIST for what is not a bridge of ours. */
int	 bridge_get(struct netlink *nl, const char *name,
	    struct link_info *out);

#endif
