/*
 * nf_tables messages and expressions: the encoding under nft.c, which holds
 * the rules. Everything is appended to the netlink builder, whose error is
 * sticky, so nothing here returns one.
 *
 * Formats: linux/netfilter/nf_tables.h; `nft --debug=netlink` shows the
 * expressions of a rule in the words used here.
 */
#ifndef BANGER_PRIVSEP_NFT_BUILD_H
#define BANGER_PRIVSEP_NFT_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/netlink.h"

/* A table being written to. */
struct nft_table {
	struct netlink *nl;
	uint8_t family;			/* NFPROTO_* */
	const char *name;
	size_t expressions;		/* place of the open rule's */
};

/* One transaction: all of it takes effect, or nothing. */
void	 nft_batch_begin(struct netlink *nl);
/* Closes and sends it. 0 or as nl_call. */
int	 nft_batch_commit(struct netlink *nl);

/* No error when it is there. */
void	 nft_table_add(struct nft_table *t);
/* With all its content; must exist. */
void	 nft_table_del(struct nft_table *t);

/* Where the kernel calls a base chain. */
struct nft_hook {
	const char *type;		/* "filter" or "nat" */
	uint32_t hook;			/* NF_BR_* or NF_INET_* */
	int32_t priority;
};

/* HOOK is NULL for a chain that is only jumped to; policy is accept. */
void	 nft_chain_add(struct nft_table *t, const char *name,
	    const struct nft_hook *hook);

/*
 * A set of keys of KEY_BYTES; KEY_TYPE is what nft(8) calls the type, ID a
 * number that is unique in the transaction.
 */
void	 nft_set_add(struct nft_table *t, const char *name, uint32_t id,
	    uint32_t key_type, uint32_t key_bytes);

/*
 * Adds elements (no error for those that are there) or removes them (an error
 * for those that are not): begin, any number of elements, end.
 */
struct nft_elements {
	size_t list;
};
struct nft_elements nft_elements_begin(struct nft_table *t, const char *set,
	    bool add);
void	 nft_element(struct nft_table *t, const void *key, size_t len);
void	 nft_elements_end(struct nft_table *t, struct nft_elements e);
/* Removes all. */
void	 nft_set_flush(struct nft_table *t, const char *set);
/* One element only. */
void	 nft_element_change(struct nft_table *t, const char *set, bool add,
	    const void *key, size_t len);

/* A rule at the end of CHAIN, or at its head: begin, expressions, end. */
void	 nft_rule_begin(struct nft_table *t, const char *chain);
void	 nft_rule_insert(struct nft_table *t, const char *chain);
void	 nft_rule_end(struct nft_table *t);

enum { NFT_COMMENT_BYTES = 64, NFT_IFNAME_BYTES = 16 };

/* After nft_rule_end: what nft(8) shows as the rule's comment. */
void	 nft_rule_comment(struct nft_table *t, const char *text);

/* Removes the rule with that handle (as dumped: big-endian). */
void	 nft_rule_del(struct nft_table *t, const char *chain, uint64_t handle);

/* --- dumps, for nl_dump --- */

/* All chains of all tables. */
void	 nft_chains_get(struct netlink *nl);
/* The rules of CHAIN, first to last. */
void	 nft_rules_get(struct nft_table *t, const char *chain);
/* The comment in a rule's user data (absent, or anything), "" for none. Pure. */
void	 nft_comment(const struct nl_attr *userdata,
	    char text[NFT_COMMENT_BYTES]);

/* --- expressions; REG is one of the sixteen 32-bit registers, 0 to 15 --- */

/* The packet's LEN bytes at BASE (NFT_PAYLOAD_*) + OFFSET. */
void	 nft_payload(struct nft_table *t, uint32_t reg, uint32_t base,
	    uint32_t offset, uint32_t len);
/* NFT_META_* KEY; an interface name takes four registers. */
void	 nft_meta(struct nft_table *t, uint32_t reg, uint32_t key);
/* The name of a packet's link, NFT_META_IIFNAME or OIFNAME, OP NAME; uses 0-3. */
void	 nft_match_name(struct nft_table *t, uint32_t meta, uint32_t op,
	    const char *name);
/* Counts the packets that get here. */
void	 nft_counter(struct nft_table *t);
/* NFT_CT_* KEY of the connection. */
void	 nft_ct(struct nft_table *t, uint32_t reg, uint32_t key);
/* reg = reg & MASK, LEN bytes. */
void	 nft_mask(struct nft_table *t, uint32_t reg, const void *mask,
	    uint32_t len);
/* Goes on with the rule if reg OP (NFT_CMP_*) DATA holds. */
void	 nft_cmp(struct nft_table *t, uint32_t reg, uint32_t op,
	    const void *data, size_t len);
/* Goes on with the rule if the key at reg is in SET, or, NOT, if it isn't. */
void	 nft_lookup(struct nft_table *t, uint32_t reg, const char *set,
	    bool not);
/* NF_ACCEPT, NF_DROP, or NFT_JUMP to CHAIN. */
void	 nft_verdict(struct nft_table *t, int32_t code, const char *chain);
/* Source address translation to the address of the outgoing link. */
void	 nft_masquerade(struct nft_table *t);

#endif
