/*
 * The pure parts of the network code: which subnet is chosen, what is read
 * from a link message, what things are called.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "privsep/link.h"
#include "privsep/netlink.h"
#include "privsep/nft.h"

#define IP(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static struct netlink nl;

static void
candidates_are_private_and_distinct(void **state)
{
	unsigned int i, j;

	(void)state;
	for (i = 0; i < SUBNET_CANDIDATES; i++) {
		const struct ipv4_net net = subnet_candidate(i);

		assert_int_equal(net.prefix, 24);
		assert_int_equal(net.addr & 0xff, 1);
		assert_true(net.addr >> 24 == 10 || net.addr >> 20 == 0xac1 ||
		    net.addr >> 16 == 0xc0a8);
		for (j = 0; j < i; j++)
			assert_int_not_equal(net.addr,
			    subnet_candidate(j).addr);
	}
	assert_int_equal(subnet_candidate(0).addr, IP(172, 16, 0, 1));
	assert_int_equal(subnet_candidate(15).addr, IP(172, 31, 0, 1));
	assert_int_equal(subnet_candidate(16).addr, IP(10, 200, 0, 1));
	assert_int_equal(subnet_candidate(47).addr, IP(10, 231, 0, 1));
	assert_int_equal(subnet_candidate(48).addr, IP(192, 168, 200, 1));
	assert_int_equal(subnet_candidate(63).addr, IP(192, 168, 215, 1));
}

static void
overlap_decides(void **state)
{
	static const struct {
		uint32_t addr, prefix, want;
	} cases[] = {
		{ IP(172, 16, 0, 0), 24, IP(172, 17, 0, 1) },
		{ IP(172, 16, 0, 200), 32, IP(172, 17, 0, 1) },
		{ IP(172, 16, 0, 0), 12, IP(10, 200, 0, 1) },
		{ IP(172, 0, 0, 0), 8, IP(10, 200, 0, 1) },
		{ IP(172, 16, 1, 0), 24, IP(172, 16, 0, 1) },
		{ IP(172, 15, 255, 255), 32, IP(172, 16, 0, 1) },
		/* As good as a default route, or nonsense. */
		{ IP(128, 0, 0, 0), 1, IP(172, 16, 0, 1) },
		{ IP(172, 0, 0, 0), 7, IP(172, 16, 0, 1) },
		{ 0, 0, IP(172, 16, 0, 1) },
		{ IP(172, 16, 0, 0), 33, IP(172, 16, 0, 1) },
		{ IP(172, 16, 0, 0), UINT32_MAX, IP(172, 16, 0, 1) },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct subnet_scan scan = { .wanted = subnet_candidate(0) };
		struct ipv4_net net = { 1, 2 };
		int fixed;

		subnet_mark(&scan, cases[i].addr, cases[i].prefix);
		fixed = subnet_choose(&scan, true, &net);
		if (cases[i].want == scan.wanted.addr)
			assert_int_equal(fixed, 0);
		else {
			assert_int_equal(fixed, -EADDRINUSE);
			assert_int_equal(net.addr, 1);
		}
		assert_int_equal(subnet_choose(&scan, false, &net), 0);
		assert_int_equal(net.addr, cases[i].want);
	}
}

static void
no_candidate_is_an_error(void **state)
{
	struct subnet_scan scan = { .wanted = { IP(10, 1, 2, 1), 24 } };
	struct ipv4_net net = { 1, 2 };

	(void)state;
	subnet_mark(&scan, IP(172, 16, 0, 0), 12);
	subnet_mark(&scan, IP(192, 168, 0, 0), 16);
	assert_int_equal(subnet_choose(&scan, false, &net), 0);
	assert_int_equal(net.addr, IP(10, 1, 2, 1));
	subnet_mark(&scan, IP(10, 1, 0, 0), 16);
	assert_int_equal(subnet_choose(&scan, false, &net), 0);
	assert_int_equal(net.addr, IP(10, 200, 0, 1));
	subnet_mark(&scan, IP(10, 0, 0, 0), 8);
	net.addr = 1;
	assert_int_equal(subnet_choose(&scan, false, &net), -EADDRNOTAVAIL);
	assert_int_equal(net.addr, 1);
}

/* What is in tx as one received message, cut off after LEN bytes. */
static int
parse_built(size_t len, struct link_info *l)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	const uint8_t *p = copy;
	struct nl_msg msg;
	uint32_t cut = (uint32_t)len;
	int r;

	assert_non_null(copy);
	memcpy(copy, nl.tx, len);
	if (len >= sizeof(cut))
		memcpy(copy, &cut, sizeof(cut));
	r = nl_msg_next(&p, &len, &msg);
	r = r == 1 ? link_parse(&msg, l) : -EBADMSG;
	free(copy);
	return r;
}

static void
build_link(const char *name, const char *kind, const char *alias)
{
	const struct ifinfomsg h = { .ifi_index = 7, .ifi_flags = IFF_UP };
	const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
	size_t info;

	nl.len = nl.msg = 0;
	nl_begin(&nl, RTM_NEWLINK, 0, &h, sizeof(h));
	nl_put_str(&nl, IFLA_IFNAME, name);
	nl_put(&nl, IFLA_ADDRESS, mac, sizeof(mac));
	nl_put_u32(&nl, IFLA_MASTER, 3);
	nl_put_u32(&nl, IFLA_GROUP, 99);
	nl_put_str(&nl, IFLA_IFALIAS, alias);
	info = nl_nest(&nl, IFLA_LINKINFO);
	nl_put_str(&nl, IFLA_INFO_KIND, kind);
	nl_nest_end(&nl, info);
	assert_int_equal(nl.error, 0);
}

static void
link_messages_are_read(void **state)
{
	char longest[256];
	struct link_info l;
	size_t cut;

	(void)state;
	build_link("fc-0123456789ab", "tun", "banger");
	assert_int_equal(parse_built(nl.len, &l), 0);
	assert_int_equal(l.index, 7);
	assert_int_equal(l.master, 3);
	assert_int_equal(l.group, 99);
	assert_true(l.up);
	assert_false(l.forwarding);
	assert_string_equal(l.name, "fc-0123456789ab");
	assert_string_equal(l.kind, "tun");
	assert_string_equal(l.alias, "banger");
	/* Cut off anywhere: an error, or a message with less in it. */
	for (cut = 0; cut < nl.len; cut++)
		(void)parse_built(cut, &l);
	build_link("fc-0123456789abc", "tun", "banger");
	assert_int_equal(parse_built(nl.len, &l), -EBADMSG);
	/* A long alias is not an error, and not ours. */
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, "banger", 6);
	longest[sizeof(longest) - 1] = '\0';
	build_link("a", "tun", longest);
	assert_int_equal(parse_built(nl.len, &l), 0);
	assert_string_not_equal(l.alias, "banger");
	nl.len = nl.msg = 0;
	nl_begin(&nl, RTM_DELLINK, 0, NULL, 0);
	assert_int_equal(parse_built(nl.len, &l), -ENOMSG);
}

static void
groups_follow_the_bridge(void **state)
{
	(void)state;
	assert_int_equal(link_group("br-fc") >> 24, 0x62);
	assert_int_equal(link_group("br-fc-x") >> 24, 0x62);
	assert_int_equal(link_group("br-fc"), link_group("br-fc"));
	assert_int_not_equal(link_group("br-fc"), link_group("br-fc-x"));
	assert_int_not_equal(link_group("br-fc-a"), link_group("br-fc-b"));
}

static void
tables_follow_the_bridge(void **state)
{
	char name[NFT_NAME_BYTES];

	(void)state;
	assert_int_equal(nft_table_name("br-fc", name), 0);
	assert_string_equal(name, "banger");
	assert_int_equal(nft_table_name("br-fc-x", name), 0);
	assert_string_equal(name, "banger-x");
	assert_int_equal(nft_table_name("br-fc-123456789", name), 0);
	assert_string_equal(name, "banger-123456789");
	assert_int_equal(nft_table_name("br-fcx", name), -EINVAL);
	assert_int_equal(nft_table_name("br-f", name), -EINVAL);
	assert_int_equal(nft_table_name("", name), -EINVAL);
	assert_int_equal(nft_table_name("docker0", name), -EINVAL);
	assert_int_equal(nft_table_name("br-fc-0123456789012345678901234567",
	    name), -EINVAL);
}

static void
stored_forwarding_is_checked(void **state)
{
	struct forward_state f = { .count = 1,
		.changed = { { .index = 2, .name = "eth0" } } };

	(void)state;
	assert_int_equal(forward_check(&f), 0);
	f.count = FORWARD_MAX + 1;
	assert_int_equal(forward_check(&f), -EINVAL);
	f.count = UINT32_MAX;
	assert_int_equal(forward_check(&f), -EINVAL);
	f.count = 2;
	assert_int_equal(forward_check(&f), -EINVAL);
	f.count = 1;
	f.changed[0].index = -1;
	assert_int_equal(forward_check(&f), -EINVAL);
	f.changed[0].index = 2;
	memset(f.changed[0].name, 'x', sizeof(f.changed[0].name));
	assert_int_equal(forward_check(&f), -EINVAL);
	memset(&f, 0, sizeof(f));
	assert_int_equal(forward_check(&f), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(candidates_are_private_and_distinct),
		cmocka_unit_test(overlap_decides),
		cmocka_unit_test(no_candidate_is_an_error),
		cmocka_unit_test(link_messages_are_read),
		cmocka_unit_test(groups_follow_the_bridge),
		cmocka_unit_test(tables_follow_the_bridge),
		cmocka_unit_test(stored_forwarding_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
