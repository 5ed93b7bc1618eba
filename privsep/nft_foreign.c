/*
 * Other tools' forward chains. In nf_tables an accept ends one base chain only,
 * a drop is final: where Docker, ufw or firewalld drop what is forwarded, our own
 * table's accept does not help. Every such chain gets, before its first rule,
 *
 *	iifname BRIDGE oifname UPLINK counter accept	[for each uplink]
 *	oifname BRIDGE counter accept
 *
 * marked as ours by a comment. That is all our own table (nft.c) lets through to
 * the uplinks, and back; links that the other tool guards, such as its bridges
 * of containers, stay as closed to guests as it made them. The rules have the form
 * that iptables-nft(8) can read, as it refuses a table with any other one in it.
 */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "privsep/log.h"
#include "privsep/nft.h"
#include "privsep/nft_build.h"
#include "privsep/util.h"

enum { CHAINS_MAX = 16, NAME_BYTES = 64, RULES_MAX = 2 * (FORWARD_MAX + 1) };

struct chain {
	uint8_t family;
	bool policy_drop;
	char table[NAME_BYTES];
	char name[NAME_BYTES];
};

struct chains {
	const char *own;		/* our own table's name */
	uint32_t count;
	struct chain chain[CHAINS_MAX];
};

/* What a chain's rules tell. */
struct rules {
	const char *comment;
	bool ends_in_drop;		/* the last one takes all that is left */
	uint32_t count;			/* those of ours, by handle */
	uint64_t handle[RULES_MAX];
};

/* A base chain for packets that are forwarded, of another's table. */
static bool
is_foreign_forward(const struct nl_attr *tb, const struct chains *c)
{
	struct nl_attr hook[NFTA_HOOK_HOOKNUM + 1];
	char type[16], table[NAME_BYTES];
	uint32_t number;

	return tb[NFTA_CHAIN_HOOK].data != NULL &&
	    nl_parse(tb[NFTA_CHAIN_HOOK].data, tb[NFTA_CHAIN_HOOK].len, hook,
	    ARRAY_SIZE(hook)) == 0 &&
	    nl_get_be32(&hook[NFTA_HOOK_HOOKNUM], &number) == 0 &&
	    number == NF_INET_FORWARD &&
	    nl_get_str(&tb[NFTA_CHAIN_TYPE], type, sizeof(type)) == 0 &&
	    strcmp(type, "filter") == 0 &&
	    nl_get_str(&tb[NFTA_CHAIN_TABLE], table, sizeof(table)) == 0 &&
	    strcmp(table, c->own) != 0;
}

static int
take_chain(const struct nl_msg *msg, void *arg)
{
	struct nl_attr tb[NFTA_CHAIN_TYPE + 1];
	struct chains *c = arg;
	struct nfgenmsg h;
	struct chain *to;
	uint32_t policy = NF_ACCEPT;

	if (msg == NULL) {
		c->count = 0;
		return 0;
	}
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0)
		return -EBADMSG;
	if ((h.nfgen_family != NFPROTO_IPV4 &&
	    h.nfgen_family != NFPROTO_INET) || !is_foreign_forward(tb, c))
		return 0;
	if (c->count == CHAINS_MAX)
		return -ENOSPC;
	to = &c->chain[c->count];
	if (nl_get_str(&tb[NFTA_CHAIN_TABLE], to->table, NAME_BYTES) < 0 ||
	    nl_get_str(&tb[NFTA_CHAIN_NAME], to->name, NAME_BYTES) < 0)
		return -EBADMSG;
	(void)nl_get_be32(&tb[NFTA_CHAIN_POLICY], &policy);
	to->family = h.nfgen_family;
	to->policy_drop = policy == NF_DROP;
	c->count++;
	return 0;
}

/* The expression is a verdict, and says drop. */
static bool
is_drop(const struct nl_attr *expr)
{
	struct nl_attr tb[NFTA_IMMEDIATE_DATA + 1];
	struct nl_attr data[NFTA_DATA_VERDICT + 1];
	struct nl_attr verdict[NFTA_VERDICT_CODE + 1];
	uint32_t code;

	return nl_parse(expr->data, expr->len, tb, ARRAY_SIZE(tb)) == 0 &&
	    nl_parse(tb[NFTA_IMMEDIATE_DATA].data, tb[NFTA_IMMEDIATE_DATA].len,
	    data, ARRAY_SIZE(data)) == 0 &&
	    nl_parse(data[NFTA_DATA_VERDICT].data, data[NFTA_DATA_VERDICT].len,
	    verdict, ARRAY_SIZE(verdict)) == 0 &&
	    nl_get_be32(&verdict[NFTA_VERDICT_CODE], &code) == 0 &&
	    code == NF_DROP;
}

/* The same of one that iptables has put there. */
static bool
is_drop_target(const struct nl_attr *expr)
{
	struct nl_attr tb[NFTA_TARGET_NAME + 1];
	char name[NAME_BYTES];

	return nl_parse(expr->data, expr->len, tb, ARRAY_SIZE(tb)) == 0 &&
	    nl_get_str(&tb[NFTA_TARGET_NAME], name, sizeof(name)) == 0 &&
	    (strcmp(name, "REJECT") == 0 || strcmp(name, "DROP") == 0);
}

/* A rule without a condition, by which every packet ends. */
static bool
drops_all(const struct nl_attr *list)
{
	const uint8_t *p = list->data;
	size_t left = list->len;
	struct nl_attr element;
	bool drops = false;
	uint16_t type;

	while (nl_attr_next(&p, &left, &type, &element) == 1) {
		struct nl_attr tb[NFTA_EXPR_DATA + 1];
		const struct nl_attr *data = &tb[NFTA_EXPR_DATA];
		char name[NAME_BYTES];

		if (nl_parse(element.data, element.len, tb,
		    ARRAY_SIZE(tb)) < 0 ||
		    nl_get_str(&tb[NFTA_EXPR_NAME], name, sizeof(name)) < 0)
			return false;
		if (strcmp(name, "reject") == 0 ||
		    (strcmp(name, "immediate") == 0 && is_drop(data)) ||
		    (strcmp(name, "target") == 0 && is_drop_target(data)))
			drops = true;
		else if (strcmp(name, "counter") != 0 &&
		    strcmp(name, "log") != 0)
			return false;
	}
	return drops;
}

static int
take_rule(const struct nl_msg *msg, void *arg)
{
	struct nl_attr tb[NFTA_RULE_USERDATA + 1];
	char mark[NFT_COMMENT_BYTES];
	struct rules *rules = arg;
	struct nfgenmsg h;
	uint64_t handle;

	if (msg == NULL) {
		rules->count = 0;
		rules->ends_in_drop = false;
		return 0;
	}
	if (nl_parse_msg(msg, &h, sizeof(h), tb, ARRAY_SIZE(tb)) < 0 ||
	    nl_get(&tb[NFTA_RULE_HANDLE], &handle, sizeof(handle)) < 0)
		return -EBADMSG;
	nft_comment(&tb[NFTA_RULE_USERDATA], mark);
	if (strcmp(mark, rules->comment) != 0) {
		rules->ends_in_drop = drops_all(&tb[NFTA_RULE_EXPRESSIONS]);
		return 0;
	}
	if (rules->count == RULES_MAX)
		return -ENOSPC;
	rules->handle[rules->count++] = handle;
	return 0;
}

/* Adds a rule, before all others, for what comes in at IIF (if given). */
static void
insert_accept(struct nft_table *t, const struct chain *c, const char *iif,
    const char *oif, const char *comment)
{
	nft_rule_insert(t, c->name);
	if (iif != NULL)
		nft_match_name(t, NFT_META_IIFNAME, NFT_CMP_EQ, iif);
	nft_match_name(t, NFT_META_OIFNAME, NFT_CMP_EQ, oif);
	nft_counter(t);
	nft_verdict(t, NF_ACCEPT, NULL);
	nft_rule_end(t);
	nft_rule_comment(t, comment);
}

/* Takes our rules of chain C away and, if it drops, puts those for U there. */
static int
rewrite(struct netlink *nl, const struct chain *c, const char *bridge,
    const struct uplinks *u)
{
	struct nft_table t = { .nl = nl, .family = c->family, .name = c->table };
	char comment[NFT_COMMENT_BYTES];
	struct rules rules = { .comment = comment };
	uint32_t i;
	int r = format(comment, sizeof(comment), "banger %s", bridge);

	if (r < 0)
		return r;
	nft_rules_get(&t, c->name);
	r = nl_dump(nl, take_rule, &rules);
	if (r < 0)
		return r;
	if (!c->policy_drop && !rules.ends_in_drop)
		u = NULL;
	if (rules.count == 0 && (u == NULL || u->count == 0))
		return 0;
	nft_batch_begin(nl);
	for (i = 0; i < rules.count; i++)
		nft_rule_del(&t, c->name, rules.handle[i]);
	for (i = 0; u != NULL && i < u->count; i++)
		insert_accept(&t, c, bridge, u->name[i], comment);
	if (u != NULL && u->count > 0)
		insert_accept(&t, c, NULL, bridge, comment);
	return nft_batch_commit(nl);
}

int
nft_foreign_set(struct netlink *nl, const char *bridge,
    const struct uplinks *uplinks)
{
	char own[NFT_NAME_BYTES];
	struct chains chains = { .own = own };
	uint32_t i;
	int r = nft_table_name(bridge, own);

	if (r < 0)
		return r;
	nft_chains_get(nl);
	r = nl_dump(nl, take_chain, &chains);
	for (i = 0; r == 0 && i < chains.count; i++) {
		const struct chain *c = &chains.chain[i];
		int one = rewrite(nl, c, bridge, uplinks);

		/* Its owner was faster: once more with what is there now. */
		if (one == -ENOENT)
			one = rewrite(nl, c, bridge, uplinks);
		if (one < 0)
			log_warn("chain %s of table %s drops what guests of %s "
			    "send, and cannot be changed: %s", c->name,
			    c->table, bridge, strerror(-one));
	}
	return r;
}
