/*
 * The packet filter of the VMs, by nf_tables netlink transactions. It lives in
 * two tables of our own, of the families `bridge` and `inet`, both called
 * `banger` for bridge `br-fc` and `banger-X` for `br-fc-X`. The rules are the
 * same from the first VM to the last: a VM is an element of their sets.
 *
 * NL is a NETLINK_NETFILTER socket. Addresses are in host byte order. All
 * need CAP_NET_ADMIN in the network namespace's user namespace; nothing but
 * these two tables is ever touched, and, by nft_foreign_set, the chains that would
 * undo what they allow.
 */
#ifndef BANGER_PRIVSEP_NFT_H
#define BANGER_PRIVSEP_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/link.h"

enum { NFT_NAME_BYTES = 32 };

/* What the rules are made for. */
struct nft_net {
	const char *bridge;
	uint32_t gateway;		/* the bridge's own address */
	bool dns;			/* guests may ask a resolver on it */
};

/* A VM: the only source of frames that its tap may send. */
struct nft_guest {
	char tap[LINK_NAME_BYTES];
	uint8_t mac[6];
	uint32_t ipv4;
	bool nat;			/* may reach the world */
};

/*
 * The tables' name for BRIDGE. 0, or -EINVAL when the name is neither `br-fc`
 * nor `br-fc-X`. Pure.
 */
int	 nft_table_name(const char *bridge, char name[NFT_NAME_BYTES]);

/*
 * Writes both tables anew, with exactly COUNT GUESTS and with the uplinks of
 * FORWARD (see nft_uplinks_set), in one transaction: no packet ever sees them
 * half done or missing, and whatever was done to them before is gone. (From
 * the 257th guest on the rest follows in further transactions; till then
 * their packets are dropped.) 0 or as nl_call.
 */
int	 nft_ensure(struct netlink *nl, const struct nft_net *net,
	    const struct nft_guest *guests, size_t count,
	    const struct forward_state *forward);

/*
 * Lets the guest talk. Call it before the tap is given away: without it
 * the tap is mute. No error when it is there already. -ENOENT: the tables are
 * gone (`nft flush ruleset`), call nft_ensure; or as nl_call.
 */
int	 nft_guest_add(struct netlink *nl, const char *bridge,
	    const struct nft_guest *guest);

/* The opposite; no error when guest or tables are gone. */
int	 nft_guest_del(struct netlink *nl, const char *bridge,
	    const struct nft_guest *guest);

/* Switches NAT for one address. As nft_guest_add. */
int	 nft_nat_set(struct netlink *nl, const char *bridge, uint32_t ipv4,
	    bool on);

/*
 * On the uplinks that forward only since forward_enable, and for us, new
 * connections that are not for our bridge are dropped, unless they were
 * redirected to a port (another tool's published port) or stay among these
 * uplinks: the host does not become a router for its neighbours. Call it
 * after forward_enable and forward_restore. -ENOENT as nft_guest_add.
 */
int	 nft_uplinks_set(struct netlink *nl, const char *bridge,
	    const struct forward_state *forward);

/*
 * In the forward chains of others that drop all they do not know (their policy,
 * or their last rule, drops), accepts what BRIDGE sends to UPLINKS and what comes
 * back; what was put there before for BRIDGE is replaced. UPLINKS is NULL: our
 * rules are taken away. A chain that cannot be changed is logged. 0; -ENOSPC: the
 * host has more than 16 such chains; or as nl_dump. See nft_foreign.c.
 */
int	 nft_foreign_set(struct netlink *nl, const char *bridge,
	    const struct uplinks *uplinks);

/* Removes both tables; no error when they are gone. */
int	 nft_remove(struct netlink *nl, const char *bridge);

#endif
