/*
 * The rules. Against whom: a guest that owns its kernel and sends any frame it
 * likes, and the guest next to it.
 *
 * Table `bridge banger`: what a tap may send, decided before the bridge looks
 * at it. Our taps are known by their group number, so that a tap which is in
 * no set is mute, and other bridges of the host are not concerned.
 *
 *	chain prerouting, input { iifgroup GROUP jump guard }
 *	chain guard {
 *		ether daddr 01:80:c2:00:00:00/44 drop
 *		ether type ip  iifname . ether saddr . ip saddr @guests accept
 *		ether type arp [Ethernet, IPv4]
 *		    iifname . ether saddr . arp saddr ip @guests
 *		    iifname . arp saddr ether . arp saddr ip @guests accept
 *		drop
 *	}
 *
 * Frames for the reserved group addresses (IEEE 802.1D, 7.12.6) skip
 * prerouting and, once past input, reach the host's stack as coming from the
 * tap, not from the bridge: a UDP datagram sent to one of them would pass by
 * every rule that says "from the bridge". Hence the second hook, and the rules
 * on GROUP below. The type is read from the frame, not from the packet's
 * metadata, where a VLAN tag is no longer visible. IPv6, VLAN tags and all
 * other types end at the last rule.
 *
 * Table `inet banger`: what guests reach through the host.
 *
 *	chain input {
 *		iifgroup GROUP drop
 *		iifname != BRIDGE accept
 *		ct state established,related accept
 *		ip daddr GATEWAY icmp type echo-request accept
 *		[ip daddr GATEWAY udp|tcp dport 53 accept]
 *		drop
 *	}
 *	chain forward {
 *		iifgroup GROUP drop
 *		iifname BRIDGE oifname BRIDGE drop
 *		iifname BRIDGE ip daddr 169.254.0.0/16 drop
 *		iifname BRIDGE ip saddr @nat accept
 *		iifname BRIDGE drop
 *		oifname BRIDGE ct state established,related accept
 *		oifname BRIDGE drop
 *		iifname @uplinks oifname != @uplinks
 *		    ct state not established,related ct status not dnat drop
 *	}
 *	chain postrouting { ip saddr @nat oifname != BRIDGE masquerade }
 *
 * Guest to guest is closed twice: the ports are isolated, and what is routed
 * back into the bridge is dropped. 169.254/16 holds cloud metadata services,
 * which hand out the host's credentials.
 */
#include "privsep/nft.h"

#include <endian.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "privsep/nft_build.h"
#include "privsep/util.h"

/* linux/netfilter_bridge.h does not go together with musl's headers. */
enum { BRIDGE_PRE_ROUTING = 0, BRIDGE_LOCAL_IN = 1 };

/* Before other tools' chains: dstnat in the bridge family, filter - 10. */
enum { BRIDGE_PRIORITY = -300, FILTER_PRIORITY = -10, SRCNAT_PRIORITY = 100 };

/* Types as nft(8) numbers them, six bits each when concatenated. */
enum {
	TYPE_IPV4 = 7,
	TYPE_ETHER = 9,
	TYPE_IFNAME = 41,
	TYPE_GUEST = TYPE_IFNAME << 12 | TYPE_ETHER << 6 | TYPE_IPV4,
};

enum set_id { SET_GUESTS = 1, SET_NAT, SET_UPLINKS };

/* Offsets in the Ethernet, ARP, IPv4, ICMP and UDP or TCP headers. */
enum {
	ETHER_DADDR = 0, ETHER_SADDR = 6, ETHER_TYPE = 12,
	ARP_FIXED = 0, ARP_SHA = 8, ARP_SPA = 14,
	IP_SADDR = 12, IP_DADDR = 16,
	ICMP_TYPE = 0, L4_DPORT = 2,
};

enum { L4_ICMP = 1, L4_TCP = 6, L4_UDP = 17, ICMP_ECHO = 8, DNS_PORT = 53 };

enum { GUESTS_PER_BATCH = 256 };

/* An element of @guests, as the registers are laid out for its lookup. */
struct guest_key {
	char tap[IFNAMSIZ];		/* registers 0 to 3 */
	uint8_t mac[8];			/* 4 and 5, zero at the end */
	uint32_t ipv4;			/* 6; network order */
};

enum { REG_TAP = 0, REG_MAC = 4, REG_IPV4 = 6 };

_Static_assert(sizeof(struct guest_key) == 28, "layout of set elements");

static struct guest_key
guest_key(const struct nft_guest *g)
{
	struct guest_key key = { .ipv4 = htobe32(g->ipv4) };

	memcpy(key.tap, g->tap, strnlen(g->tap, sizeof(key.tap) - 1));
	memcpy(key.mac, g->mac, sizeof(g->mac));
	return key;
}

int
nft_table_name(const char *bridge, char name[NFT_NAME_BYTES])
{
	static const char common[] = "br-fc";
	const size_t len = sizeof(common) - 1;

	if (strncmp(bridge, common, len) != 0 ||
	    (bridge[len] != '\0' && bridge[len] != '-'))
		return -EINVAL;
	return format(name, NFT_NAME_BYTES, "banger%s", bridge + len) < 0 ?
	    -EINVAL : 0;
}

/* Both tables of a bridge. */
struct tables {
	char name[NFT_NAME_BYTES];
	struct nft_table bridge;
	struct nft_table inet;
};

static int
tables(struct netlink *nl, const char *bridge, struct tables *t)
{
	int r = nft_table_name(bridge, t->name);

	t->bridge = (struct nft_table){
		.nl = nl, .family = NFPROTO_BRIDGE, .name = t->name };
	t->inet = (struct nft_table){
		.nl = nl, .family = NFPROTO_INET, .name = t->name };
	return r;
}

/* --- parts of rules; register 0 is free at the start of each --- */

static void
match_group(struct nft_table *t, uint32_t group)
{
	nft_meta(t, 0, NFT_META_IIFGROUP);
	nft_cmp(t, 0, NFT_CMP_EQ, &group, sizeof(group));
}

/* The packet has these LEN bytes there. */
static void
match_payload(struct nft_table *t, uint32_t base, uint32_t offset,
    const void *data, uint32_t len)
{
	nft_payload(t, 0, base, offset, len);
	nft_cmp(t, 0, NFT_CMP_EQ, data, len);
}

static void
match_ether_type(struct nft_table *t, uint16_t type)
{
	type = htobe16(type);
	match_payload(t, NFT_PAYLOAD_LL_HEADER, ETHER_TYPE, &type,
	    sizeof(type));
}

static void
match_ipv4(struct nft_table *t)
{
	const uint8_t family = NFPROTO_IPV4;

	nft_meta(t, 0, NFT_META_NFPROTO);
	nft_cmp(t, 0, NFT_CMP_EQ, &family, sizeof(family));
}

static void
match_l4(struct nft_table *t, uint8_t protocol)
{
	nft_meta(t, 0, NFT_META_L4PROTO);
	nft_cmp(t, 0, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

/* The connection has (NFT_CMP_NEQ) or lacks (NFT_CMP_EQ) all of BITS. */
static void
match_ct(struct nft_table *t, uint32_t key, uint32_t bits, uint32_t op)
{
	const uint32_t zero = 0;

	nft_ct(t, 0, key);
	nft_mask(t, 0, &bits, sizeof(bits));
	nft_cmp(t, 0, op, &zero, sizeof(zero));
}

/* Part of a connection that was allowed when it began; or, EQ, not so. */
static void
match_known(struct nft_table *t, uint32_t op)
{
	match_ct(t, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) |
	    NF_CT_STATE_BIT(IP_CT_RELATED), op);
}

static void
match_nat_source(struct nft_table *t)
{
	match_ipv4(t);
	nft_payload(t, 0, NFT_PAYLOAD_NETWORK_HEADER, IP_SADDR, 4);
	nft_lookup(t, 0, "nat", false);
}

static void
end_rule(struct nft_table *t, int32_t verdict)
{
	nft_verdict(t, verdict, NULL);
	nft_rule_end(t);
}

/* --- table bridge --- */

static void
guard_reserved(struct nft_table *t)
{
	static const uint8_t reserved[6] = { 0x01, 0x80, 0xc2, 0, 0, 0 };
	static const uint8_t mask[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0 };

	nft_rule_begin(t, "guard");
	nft_payload(t, 0, NFT_PAYLOAD_LL_HEADER, ETHER_DADDR, sizeof(mask));
	nft_mask(t, 0, mask, sizeof(mask));
	nft_cmp(t, 0, NFT_CMP_EQ, reserved, sizeof(reserved));
	end_rule(t, NF_DROP);
}

/* Tap, MAC address at BASE + MAC and IPv4 address at IP are one guest's. */
static void
match_guest(struct nft_table *t, uint32_t base, uint32_t mac, uint32_t ip)
{
	nft_meta(t, REG_TAP, NFT_META_IIFNAME);
	nft_payload(t, REG_MAC, base, mac, 6);
	nft_payload(t, REG_IPV4, NFT_PAYLOAD_NETWORK_HEADER, ip, 4);
	nft_lookup(t, REG_TAP, "guests", false);
}

static void
guard_ipv4(struct nft_table *t)
{
	nft_rule_begin(t, "guard");
	match_ether_type(t, ETH_P_IP);
	match_guest(t, NFT_PAYLOAD_LL_HEADER, ETHER_SADDR, IP_SADDR);
	end_rule(t, NF_ACCEPT);
}

static void
guard_arp(struct nft_table *t)
{
	/* Ethernet, IPv4, address lengths 6 and 4 (RFC 826). */
	static const uint8_t fixed[6] = { 0, 1, 8, 0, 6, 4 };

	nft_rule_begin(t, "guard");
	match_ether_type(t, ETH_P_ARP);
	match_payload(t, NFT_PAYLOAD_NETWORK_HEADER, ARP_FIXED, fixed,
	    sizeof(fixed));
	match_guest(t, NFT_PAYLOAD_LL_HEADER, ETHER_SADDR, ARP_SPA);
	match_guest(t, NFT_PAYLOAD_NETWORK_HEADER, ARP_SHA, ARP_SPA);
	end_rule(t, NF_ACCEPT);
}

static void
jump_to_guard(struct nft_table *t, const char *chain, uint32_t hook,
    uint32_t group)
{
	const struct nft_hook at = { "filter", hook, BRIDGE_PRIORITY };

	nft_chain_add(t, chain, &at);
	nft_rule_begin(t, chain);
	match_group(t, group);
	nft_verdict(t, NFT_JUMP, "guard");
	nft_rule_end(t);
}

static void
write_bridge_table(struct nft_table *t, const struct nft_net *net)
{
	const uint32_t group = link_group(net->bridge);

	nft_set_add(t, "guests", SET_GUESTS, TYPE_GUEST,
	    sizeof(struct guest_key));
	nft_chain_add(t, "guard", NULL);
	guard_reserved(t);
	guard_ipv4(t);
	guard_arp(t);
	nft_rule_begin(t, "guard");
	end_rule(t, NF_DROP);
	jump_to_guard(t, "prerouting", BRIDGE_PRE_ROUTING, group);
	jump_to_guard(t, "input", BRIDGE_LOCAL_IN, group);
}

/* --- table inet --- */

static void
drop_taps(struct nft_table *t, const char *chain, const char *bridge)
{
	nft_rule_begin(t, chain);
	match_group(t, link_group(bridge));
	end_rule(t, NF_DROP);
}

/* Starts a rule for packets to the gateway's address. */
static void
to_gateway(struct nft_table *t, uint32_t gateway, uint8_t protocol)
{
	const uint32_t daddr = htobe32(gateway);

	nft_rule_begin(t, "input");
	match_ipv4(t);
	match_payload(t, NFT_PAYLOAD_NETWORK_HEADER, IP_DADDR, &daddr,
	    sizeof(daddr));
	match_l4(t, protocol);
}

static void
accept_dns(struct nft_table *t, uint32_t gateway, uint8_t protocol)
{
	const uint16_t port = htobe16(DNS_PORT);

	to_gateway(t, gateway, protocol);
	match_payload(t, NFT_PAYLOAD_TRANSPORT_HEADER, L4_DPORT, &port,
	    sizeof(port));
	end_rule(t, NF_ACCEPT);
}

static void
write_input(struct nft_table *t, const struct nft_net *net)
{
	static const struct nft_hook hook = {
		"filter", NF_INET_LOCAL_IN, FILTER_PRIORITY };
	const uint8_t echo = ICMP_ECHO;

	nft_chain_add(t, "input", &hook);
	drop_taps(t, "input", net->bridge);
	nft_rule_begin(t, "input");
	nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_NEQ, net->bridge);
	end_rule(t, NF_ACCEPT);
	nft_rule_begin(t, "input");
	match_known(t, NFT_CMP_NEQ);
	end_rule(t, NF_ACCEPT);
	to_gateway(t, net->gateway, L4_ICMP);
	match_payload(t, NFT_PAYLOAD_TRANSPORT_HEADER, ICMP_TYPE, &echo,
	    sizeof(echo));
	end_rule(t, NF_ACCEPT);
	if (net->dns) {
		accept_dns(t, net->gateway, L4_UDP);
		accept_dns(t, net->gateway, L4_TCP);
	}
	nft_rule_begin(t, "input");
	end_rule(t, NF_DROP);
}

static void
forward_from_bridge(struct nft_table *t, const char *bridge)
{
	static const uint8_t link_local[2] = { 169, 254 };

	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	nft_match_name(t, NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
	end_rule(t, NF_DROP);
	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	match_ipv4(t);
	match_payload(t, NFT_PAYLOAD_NETWORK_HEADER, IP_DADDR, link_local,
	    sizeof(link_local));
	end_rule(t, NF_DROP);
	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	match_nat_source(t);
	end_rule(t, NF_ACCEPT);
	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_EQ, bridge);
	end_rule(t, NF_DROP);
}

static void
forward_to_bridge(struct nft_table *t, const char *bridge)
{
	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
	match_known(t, NFT_CMP_NEQ);
	end_rule(t, NF_ACCEPT);
	nft_rule_begin(t, "forward");
	nft_match_name(t, NFT_META_OIFNAME, NFT_CMP_EQ, bridge);
	end_rule(t, NF_DROP);
}

/*
 * See nft_uplinks_set. The uplink may be a bridge itself, whose bridged frames
 * pass here too when br_netfilter is loaded: hence "not among the uplinks".
 */
static void
forward_uplinks(struct nft_table *t)
{
	nft_rule_begin(t, "forward");
	nft_meta(t, 0, NFT_META_IIFNAME);
	nft_lookup(t, 0, "uplinks", false);
	nft_meta(t, 0, NFT_META_OIFNAME);
	nft_lookup(t, 0, "uplinks", true);
	match_known(t, NFT_CMP_EQ);
	match_ct(t, NFT_CT_STATUS, IPS_DST_NAT, NFT_CMP_EQ);
	end_rule(t, NF_DROP);
}

static void
write_inet_table(struct nft_table *t, const struct nft_net *net)
{
	static const struct nft_hook forward = {
		"filter", NF_INET_FORWARD, FILTER_PRIORITY };
	static const struct nft_hook postrouting = {
		"nat", NF_INET_POST_ROUTING, SRCNAT_PRIORITY };

	nft_set_add(t, "nat", SET_NAT, TYPE_IPV4, sizeof(uint32_t));
	nft_set_add(t, "uplinks", SET_UPLINKS, TYPE_IFNAME, IFNAMSIZ);
	write_input(t, net);
	nft_chain_add(t, "forward", &forward);
	drop_taps(t, "forward", net->bridge);
	forward_from_bridge(t, net->bridge);
	forward_to_bridge(t, net->bridge);
	forward_uplinks(t);
	nft_chain_add(t, "postrouting", &postrouting);
	nft_rule_begin(t, "postrouting");
	match_nat_source(t);
	nft_match_name(t, NFT_META_OIFNAME, NFT_CMP_NEQ, net->bridge);
	nft_masquerade(t);
	nft_rule_end(t);
}

/* --- elements --- */

static void
change_nat(struct tables *t, uint32_t ipv4, bool add)
{
	const uint32_t key = htobe32(ipv4);

	nft_element_change(&t->inet, "nat", add, &key, sizeof(key));
}

/* Removal is no error when it was not there: add, then remove. */
static void
put_nat(struct tables *t, uint32_t ipv4, bool on)
{
	change_nat(t, ipv4, true);
	if (!on)
		change_nat(t, ipv4, false);
}

/* Up to GUESTS_PER_BATCH guests. */
static void
put_guests(struct tables *t, const struct nft_guest *guests, size_t count)
{
	struct nft_elements e;
	size_t i;

	if (count == 0)
		return;
	e = nft_elements_begin(&t->bridge, "guests", true);
	for (i = 0; i < count; i++) {
		const struct guest_key key = guest_key(&guests[i]);

		nft_element(&t->bridge, &key, sizeof(key));
	}
	nft_elements_end(&t->bridge, e);
	e = nft_elements_begin(&t->inet, "nat", true);
	for (i = 0; i < count; i++) {
		const uint32_t ipv4 = htobe32(guests[i].ipv4);

		if (guests[i].nat)
			nft_element(&t->inet, &ipv4, sizeof(ipv4));
	}
	nft_elements_end(&t->inet, e);
}

static void
put_uplinks(struct tables *t, const struct forward_state *forward)
{
	struct nft_elements e;
	uint32_t i;

	e = nft_elements_begin(&t->inet, "uplinks", true);
	for (i = 0; i < forward->count && i < FORWARD_MAX; i++)
		nft_element(&t->inet, forward->changed[i].name,
		    LINK_NAME_BYTES);
	nft_elements_end(&t->inet, e);
}

/* --- the interface --- */

int
nft_ensure(struct netlink *nl, const struct nft_net *net,
    const struct nft_guest *guests, size_t count,
    const struct forward_state *forward)
{
	struct tables t;
	size_t done = 0;
	int r = tables(nl, net->bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	/* Add, so that there is something to delete; then add the new one. */
	nft_table_add(&t.bridge);
	nft_table_del(&t.bridge);
	nft_table_add(&t.bridge);
	write_bridge_table(&t.bridge, net);
	nft_table_add(&t.inet);
	nft_table_del(&t.inet);
	nft_table_add(&t.inet);
	write_inet_table(&t.inet, net);
	put_uplinks(&t, forward);
	do {
		size_t now = count - done < GUESTS_PER_BATCH ? count - done :
		    GUESTS_PER_BATCH;

		if (done > 0)
			nft_batch_begin(nl);
		put_guests(&t, guests + done, now);
		r = nft_batch_commit(nl);
		done += now;
	} while (r == 0 && done < count);
	return r;
}

int
nft_guest_add(struct netlink *nl, const char *bridge,
    const struct nft_guest *guest)
{
	const struct guest_key key = guest_key(guest);
	struct tables t;
	int r = tables(nl, bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	nft_element_change(&t.bridge, "guests", true, &key, sizeof(key));
	put_nat(&t, guest->ipv4, guest->nat);
	return nft_batch_commit(nl);
}

int
nft_guest_del(struct netlink *nl, const char *bridge,
    const struct nft_guest *guest)
{
	const struct guest_key key = guest_key(guest);
	struct tables t;
	int r = tables(nl, bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	nft_element_change(&t.bridge, "guests", true, &key, sizeof(key));
	nft_element_change(&t.bridge, "guests", false, &key, sizeof(key));
	put_nat(&t, guest->ipv4, false);
	r = nft_batch_commit(nl);
	return r == -ENOENT ? 0 : r;
}

int
nft_nat_set(struct netlink *nl, const char *bridge, uint32_t ipv4, bool on)
{
	struct tables t;
	int r = tables(nl, bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	put_nat(&t, ipv4, on);
	return nft_batch_commit(nl);
}

int
nft_uplinks_set(struct netlink *nl, const char *bridge,
    const struct forward_state *forward)
{
	struct tables t;
	int r = tables(nl, bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	nft_set_flush(&t.inet, "uplinks");
	put_uplinks(&t, forward);
	return nft_batch_commit(nl);
}

int
nft_remove(struct netlink *nl, const char *bridge)
{
	struct tables t;
	int r = tables(nl, bridge, &t);

	if (r < 0)
		return r;
	nft_batch_begin(nl);
	nft_table_add(&t.bridge);
	nft_table_del(&t.bridge);
	nft_table_add(&t.inet);
	nft_table_del(&t.inet);
	return nft_batch_commit(nl);
}
