/*
 * One function per message and expression of nf_tables, each of a few lines:
 * the attribute names are the documentation. Numbers in nf_tables attributes
 * are big-endian, unlike in rtnetlink; data compared with registers are bytes.
 */
#include "privsep/nft_build.h"

#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include "privsep/util.h"

/* NFTNL_UDATA_RULE_COMMENT of libnftnl; {type, length, value} (udata.h). */
enum { UDATA_COMMENT = 0 };

/* --- messages --- */

static void
begin(struct netlink *nl, uint16_t type, uint16_t flags, uint8_t family,
    uint16_t res_id)
{
	const struct nfgenmsg h = {
		.nfgen_family = family,
		.version = NFNETLINK_V0,
		.res_id = htobe16(res_id),
	};

	nl_begin(nl, type, flags, &h, sizeof(h));
}

static void
begin_nft(struct nft_table *t, unsigned int type, uint16_t flags)
{
	begin(t->nl, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
	    t->family, 0);
}

void
nft_batch_begin(struct netlink *nl)
{
	begin(nl, NFNL_MSG_BATCH_BEGIN, 0, NFPROTO_UNSPEC,
	    NFNL_SUBSYS_NFTABLES);
}

int
nft_batch_commit(struct netlink *nl)
{
	nl_ack(nl);
	begin(nl, NFNL_MSG_BATCH_END, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return nl_call(nl, NULL, NULL);
}

void
nft_table_add(struct nft_table *t)
{
	begin_nft(t, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	nl_put_str(t->nl, NFTA_TABLE_NAME, t->name);
}

void
nft_table_del(struct nft_table *t)
{
	begin_nft(t, NFT_MSG_DELTABLE, 0);
	nl_put_str(t->nl, NFTA_TABLE_NAME, t->name);
}

void
nft_chain_add(struct nft_table *t, const char *name,
    const struct nft_hook *hook)
{
	size_t nest;

	begin_nft(t, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nl_put_str(t->nl, NFTA_CHAIN_TABLE, t->name);
	nl_put_str(t->nl, NFTA_CHAIN_NAME, name);
	if (hook == NULL)
		return;
	nest = nl_nest(t->nl, NFTA_CHAIN_HOOK);
	nl_put_be32(t->nl, NFTA_HOOK_HOOKNUM, hook->hook);
	nl_put_be32(t->nl, NFTA_HOOK_PRIORITY, (uint32_t)hook->priority);
	nl_nest_end(t->nl, nest);
	nl_put_str(t->nl, NFTA_CHAIN_TYPE, hook->type);
	nl_put_be32(t->nl, NFTA_CHAIN_POLICY, NF_ACCEPT);
}

void
nft_set_add(struct nft_table *t, const char *name, uint32_t id,
    uint32_t key_type, uint32_t key_bytes)
{
	begin_nft(t, NFT_MSG_NEWSET, NLM_F_CREATE);
	nl_put_str(t->nl, NFTA_SET_TABLE, t->name);
	nl_put_str(t->nl, NFTA_SET_NAME, name);
	nl_put_be32(t->nl, NFTA_SET_ID, id);
	nl_put_be32(t->nl, NFTA_SET_FLAGS, 0);
	nl_put_be32(t->nl, NFTA_SET_KEY_TYPE, key_type);
	nl_put_be32(t->nl, NFTA_SET_KEY_LEN, key_bytes);
}

static void
begin_elements(struct nft_table *t, const char *set, bool add)
{
	if (add)
		begin_nft(t, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	else
		begin_nft(t, NFT_MSG_DELSETELEM, 0);
	nl_put_str(t->nl, NFTA_SET_ELEM_LIST_TABLE, t->name);
	nl_put_str(t->nl, NFTA_SET_ELEM_LIST_SET, set);
}

void
nft_set_flush(struct nft_table *t, const char *set)
{
	begin_elements(t, set, false);
}

struct nft_elements
nft_elements_begin(struct nft_table *t, const char *set, bool add)
{
	begin_elements(t, set, add);
	return (struct nft_elements){
		nl_nest(t->nl, NFTA_SET_ELEM_LIST_ELEMENTS) };
}

void
nft_element(struct nft_table *t, const void *key, size_t len)
{
	size_t element = nl_nest(t->nl, NFTA_LIST_ELEM);
	size_t nest = nl_nest(t->nl, NFTA_SET_ELEM_KEY);

	nl_put(t->nl, NFTA_DATA_VALUE, key, len);
	nl_nest_end(t->nl, nest);
	nl_nest_end(t->nl, element);
}

void
nft_elements_end(struct nft_table *t, struct nft_elements e)
{
	nl_nest_end(t->nl, e.list);
}

void
nft_element_change(struct nft_table *t, const char *set, bool add,
    const void *key, size_t len)
{
	struct nft_elements e = nft_elements_begin(t, set, add);

	nft_element(t, key, len);
	nft_elements_end(t, e);
}

static void
begin_rule(struct nft_table *t, unsigned int type, uint16_t flags,
    const char *chain)
{
	begin_nft(t, type, flags);
	nl_put_str(t->nl, NFTA_RULE_TABLE, t->name);
	nl_put_str(t->nl, NFTA_RULE_CHAIN, chain);
}

void
nft_rule_begin(struct nft_table *t, const char *chain)
{
	begin_rule(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, chain);
	t->expressions = nl_nest(t->nl, NFTA_RULE_EXPRESSIONS);
}

void
nft_rule_insert(struct nft_table *t, const char *chain)
{
	begin_rule(t, NFT_MSG_NEWRULE, NLM_F_CREATE, chain);
	t->expressions = nl_nest(t->nl, NFTA_RULE_EXPRESSIONS);
}

void
nft_rule_end(struct nft_table *t)
{
	nl_nest_end(t->nl, t->expressions);
}

void
nft_rule_comment(struct nft_table *t, const char *text)
{
	uint8_t udata[2 + NFT_COMMENT_BYTES] = { UDATA_COMMENT };
	size_t len = strlen(text) + 1;

	if (len > NFT_COMMENT_BYTES)
		len = NFT_COMMENT_BYTES;
	udata[1] = (uint8_t)len;
	memcpy(udata + 2, text, len - 1);
	nl_put(t->nl, NFTA_RULE_USERDATA, udata, 2 + len);
}

void
nft_rule_del(struct nft_table *t, const char *chain, uint64_t handle)
{
	begin_rule(t, NFT_MSG_DELRULE, 0, chain);
	nl_put(t->nl, NFTA_RULE_HANDLE, &handle, sizeof(handle));
}

void
nft_chains_get(struct netlink *nl)
{
	struct nft_table all = { .nl = nl, .family = NFPROTO_UNSPEC };

	begin_nft(&all, NFT_MSG_GETCHAIN, 0);
}

void
nft_rules_get(struct nft_table *t, const char *chain)
{
	begin_rule(t, NFT_MSG_GETRULE, 0, chain);
}

void
nft_comment(const struct nl_attr *userdata, char text[NFT_COMMENT_BYTES])
{
	const uint8_t *p = userdata->data;
	size_t left = userdata->len;

	text[0] = '\0';
	while (p != NULL && left >= 2 && p[1] <= left - 2) {
		const struct nl_attr value = { p + 2, p[1] };

		if (p[0] == UDATA_COMMENT) {
			(void)nl_get_str(&value, text, NFT_COMMENT_BYTES);
			return;
		}
		left -= 2 + value.len;
		p += 2 + value.len;
	}
}

/* --- expressions --- */

/* An open expression. */
struct expression {
	size_t element;
	size_t data;
};

static struct expression
expression(struct nft_table *t, const char *name)
{
	struct expression e;

	e.element = nl_nest(t->nl, NFTA_LIST_ELEM);
	nl_put_str(t->nl, NFTA_EXPR_NAME, name);
	e.data = nl_nest(t->nl, NFTA_EXPR_DATA);
	return e;
}

static void
expression_end(struct nft_table *t, struct expression e)
{
	nl_nest_end(t->nl, e.data);
	nl_nest_end(t->nl, e.element);
}

static void
put_reg(struct nft_table *t, uint16_t type, uint32_t reg)
{
	nl_put_be32(t->nl, type, NFT_REG32_00 + reg);
}

static void
put_value(struct nft_table *t, uint16_t type, const void *data, size_t len)
{
	size_t nest = nl_nest(t->nl, type);

	nl_put(t->nl, NFTA_DATA_VALUE, data, len);
	nl_nest_end(t->nl, nest);
}

void
nft_payload(struct nft_table *t, uint32_t reg, uint32_t base, uint32_t offset,
    uint32_t len)
{
	struct expression e = expression(t, "payload");

	put_reg(t, NFTA_PAYLOAD_DREG, reg);
	nl_put_be32(t->nl, NFTA_PAYLOAD_BASE, base);
	nl_put_be32(t->nl, NFTA_PAYLOAD_OFFSET, offset);
	nl_put_be32(t->nl, NFTA_PAYLOAD_LEN, len);
	expression_end(t, e);
}

void
nft_meta(struct nft_table *t, uint32_t reg, uint32_t key)
{
	struct expression e = expression(t, "meta");

	put_reg(t, NFTA_META_DREG, reg);
	nl_put_be32(t->nl, NFTA_META_KEY, key);
	expression_end(t, e);
}

void
nft_match_name(struct nft_table *t, uint32_t meta, uint32_t op,
    const char *name)
{
	char padded[NFT_IFNAME_BYTES] = { 0 };

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	nft_meta(t, 0, meta);
	nft_cmp(t, 0, op, padded, sizeof(padded));
}

void
nft_counter(struct nft_table *t)
{
	expression_end(t, expression(t, "counter"));
}

void
nft_ct(struct nft_table *t, uint32_t reg, uint32_t key)
{
	struct expression e = expression(t, "ct");

	put_reg(t, NFTA_CT_DREG, reg);
	nl_put_be32(t->nl, NFTA_CT_KEY, key);
	expression_end(t, e);
}

void
nft_mask(struct nft_table *t, uint32_t reg, const void *mask, uint32_t len)
{
	static const uint8_t zero[16];
	struct expression e = expression(t, "bitwise");

	put_reg(t, NFTA_BITWISE_SREG, reg);
	put_reg(t, NFTA_BITWISE_DREG, reg);
	nl_put_be32(t->nl, NFTA_BITWISE_LEN, len);
	put_value(t, NFTA_BITWISE_MASK, mask, len);
	put_value(t, NFTA_BITWISE_XOR, zero, len);
	expression_end(t, e);
}

void
nft_cmp(struct nft_table *t, uint32_t reg, uint32_t op, const void *data,
    size_t len)
{
	struct expression e = expression(t, "cmp");

	put_reg(t, NFTA_CMP_SREG, reg);
	nl_put_be32(t->nl, NFTA_CMP_OP, op);
	put_value(t, NFTA_CMP_DATA, data, len);
	expression_end(t, e);
}

void
nft_lookup(struct nft_table *t, uint32_t reg, const char *set, bool not)
{
	struct expression e = expression(t, "lookup");

	nl_put_str(t->nl, NFTA_LOOKUP_SET, set);
	put_reg(t, NFTA_LOOKUP_SREG, reg);
	if (not)
		nl_put_be32(t->nl, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	expression_end(t, e);
}

void
nft_verdict(struct nft_table *t, int32_t code, const char *chain)
{
	struct expression e = expression(t, "immediate");
	size_t data, verdict;

	nl_put_be32(t->nl, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nl_nest(t->nl, NFTA_IMMEDIATE_DATA);
	verdict = nl_nest(t->nl, NFTA_DATA_VERDICT);
	nl_put_be32(t->nl, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain != NULL)
		nl_put_str(t->nl, NFTA_VERDICT_CHAIN, chain);
	nl_nest_end(t->nl, verdict);
	nl_nest_end(t->nl, data);
	expression_end(t, e);
}

void
nft_masquerade(struct nft_table *t)
{
	expression_end(t, expression(t, "masq"));
}
