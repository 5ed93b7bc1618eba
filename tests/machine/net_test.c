/*
 * Bridge, taps, filter and NAT on the real kernel, with real frames: see
 * net_lab.h. Needs root, ip(8), bridge(8), nft(8), nsenter(1). Nothing outside
 * of its own two network namespaces is touched. Every "is dropped" stands next
 * to a "passes" that differs from it in one thing only.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net_lab.h"
#include "privsep/log.h"

static struct lab lab;

static const char others[] = BRIDGE "-other";

static bool
contains(char *text, const char *part)
{
	bool found = strstr(text, part) != NULL;

	if (!found)
		fprintf(stderr, "no \"%s\" in: %s\n", part, text);
	free(text);
	return found;
}

static int
take_ensure(const struct nft_guest *guests, size_t count)
{
	const struct nft_net net = { BRIDGE, lab.net.addr, false };

	return nft_ensure(&lab.filter, &net, guests, count, &lab.forward);
}

/* --- links --- */

static int
forward_on(struct forward_state *state)
{
	struct uplinks uplinks;

	return forward_enable(&lab.route, BRIDGE, state, &uplinks);
}

static void
bridge_is_made_and_found_again(void **state)
{
	struct ipv4_net net = lab.net;
	struct link_info a, b;
	char *before;

	(void)state;
	before = inventory();
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, false), 0);
	assert_int_equal(net.addr, IP(172, 16, 0, 1));
	assert_int_equal(link_get(&lab.route, BRIDGE, &a), 0);
	assert_true(a.up);
	assert_string_equal(a.kind, "bridge");
	assert_string_equal(a.alias, "banger");
	/* A wish that is not fixed does not move an existing bridge. */
	net = (struct ipv4_net){ IP(10, 9, 8, 1), 24 };
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, false), 0);
	assert_int_equal(net.addr, IP(172, 16, 0, 1));
	assert_int_equal(link_get(&lab.route, BRIDGE, &b), 0);
	assert_int_equal(a.index, b.index);
	assert_true(contains(output("ip -d link show " BRIDGE),
	    "addrgenmode none"));
	assert_true(contains(output("ip -d link show " BRIDGE),
	    "forward_delay 0"));
	assert_true(contains(output("ip -d link show " BRIDGE),
	    "stp_state 0"));
	assert_true(contains(output("ip -6 addr show " BRIDGE " | wc -l"), "0"));
	/* A fixed one does, and an address taken away comes back. */
	net = (struct ipv4_net){ IP(10, 9, 8, 1), 24 };
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, true), 0);
	sh("ip addr flush dev " BRIDGE "; ip link set " BRIDGE " down");
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, true), 0);
	assert_true(contains(output("ip addr show " BRIDGE),
	    "inet 10.9.8.1/24"));
	assert_int_equal(bridge_remove(&lab.route, BRIDGE), 0);
	assert_int_equal(bridge_remove(&lab.route, BRIDGE), 0);
	assert_true(unchanged(before));
}

static void
half_made_bridge_is_ours(void **state)
{
	struct ipv4_net net = lab.net;
	struct link_info l;

	(void)state;
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, false), 0);
	/* As if we had been killed after its creation. */
	sh("ip link set " BRIDGE " down; ip link set " BRIDGE " alias ''; "
	    "ip addr flush dev " BRIDGE);
	assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, false), 0);
	assert_int_equal(link_get(&lab.route, BRIDGE, &l), 0);
	assert_string_equal(l.alias, "banger");
	assert_int_equal(bridge_remove(&lab.route, BRIDGE), 0);
}

static void
foreign_bridge_is_refused(void **state)
{
	static const char *const makers[] = {
		"ip link add " BRIDGE " type bridge",
		"ip link add " BRIDGE " type bridge; "
		    "ip link set " BRIDGE " alias bangers",
		"ip link add " BRIDGE " type veth peer name peer0; "
		    "ip link set " BRIDGE " alias banger",
	};
	struct tap_spec spec = { .name = "fc-000000000001", .bridge = BRIDGE };
	struct forward_state forward = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct ipv4_net net = lab.net;
		char *before;

		sh("%s", makers[i]);
		before = inventory();
		assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, false),
		    -EEXIST);
		assert_int_equal(bridge_remove(&lab.route, BRIDGE), -EEXIST);
		assert_int_equal(tap_create(&lab.route, &spec), -EEXIST);
		assert_int_equal(forward_on(&forward), -EEXIST);
		assert_true(unchanged(before));
		sh("ip link del " BRIDGE);
	}
}

static void
subnet_in_use_is_avoided(void **state)
{
	static const struct {
		const char *add, *del;
		uint32_t want;
	} cases[] = {
		{ "route add 172.16.0.0/16 via 203.0.113.2",
		    "route del 172.16.0.0/16", IP(172, 17, 0, 1) },
		{ "route add 172.16.0.128/25 via 203.0.113.2 table 77",
		    "route del 172.16.0.128/25 table 77", IP(172, 17, 0, 1) },
		{ "addr add 172.16.0.9/20 dev up0",
		    "addr del 172.16.0.9/20 dev up0", IP(172, 17, 0, 1) },
		{ "route add 172.16.0.0/12 via 203.0.113.2",
		    "route del 172.16.0.0/12", IP(10, 200, 0, 1) },
		{ "route add 128.0.0.0/1 via 203.0.113.2",
		    "route del 128.0.0.0/1", IP(172, 16, 0, 1) },
		{ "route add blackhole 172.16.0.0/12",
		    "route del blackhole 172.16.0.0/12", IP(172, 16, 0, 1) },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipv4_net net = lab.net;
		struct link_info l;
		bool taken = cases[i].want != lab.net.addr;

		sh("ip %s", cases[i].add);
		assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net, true),
		    taken ? -EADDRINUSE : 0);
		if (taken)
			assert_int_equal(link_get(&lab.route, BRIDGE, &l),
			    -ENODEV);
		else
			assert_int_equal(bridge_remove(&lab.route, BRIDGE), 0);
		assert_int_equal(bridge_ensure(&lab.route, BRIDGE, &net,
		    false), 0);
		assert_int_equal(net.addr, cases[i].want);
		assert_int_equal(net.prefix, 24);
		sh("ip %s", cases[i].del);
		assert_int_equal(bridge_remove(&lab.route, BRIDGE), 0);
	}
}

static int
count_link(const struct link_info *link, void *arg)
{
	unsigned int *count = arg;

	*count = link == NULL ? 0 : *count + 1;
	return 0;
}

static unsigned int
count_taps(const char *bridge)
{
	unsigned int count = 99;

	assert_int_equal(tap_list(&lab.route, bridge, count_link, &count), 0);
	return count;
}

static void
tap_is_made_as_told(void **state)
{
	struct guest g;
	struct link_info l;
	struct link_stats stats;
	struct ifreq ifr = { 0 };
	char *text;

	(void)state;
	lab_up(&lab);
	guest_plug(&lab, &g, 1);
	assert_int_equal(link_get(&lab.route, g.id.tap, &l), 0);
	assert_true(l.up);
	assert_int_equal(l.group, link_group(BRIDGE));
	assert_int_equal(count_taps(BRIDGE), 1);
	assert_int_equal(count_taps(others), 0);
	assert_int_equal(ioctl(g.fd, TUNGETIFF, &ifr), 0);
	assert_int_equal(ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
	    IFF_PERSIST), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(fcntl(g.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(tap_stats(&lab.route, g.id.tap, BRIDGE, &stats), 0);
	assert_int_equal(stats.rx_bytes, 0);
	assert_int_equal(stats.rx_packets, 0);
	assert_int_equal(tap_stats(&lab.route, g.id.tap, others, &stats),
	    -EEXIST);
	assert_int_equal(tap_stats(&lab.route, BRIDGE, BRIDGE, &stats),
	    -EEXIST);
	text = output("ip -d link show %s", g.id.tap);
	assert_non_null(strstr(text, "isolated on"));
	assert_non_null(strstr(text, " learning off flood off"));
	assert_non_null(strstr(text, "mcast_flood off"));
	assert_non_null(strstr(text, "master " BRIDGE));
	assert_non_null(strstr(text, "user 700001 group 700001"));
	assert_non_null(strstr(text, "addrgenmode none"));
	assert_non_null(strstr(text, "alias banger"));
	free(text);
	assert_true(contains(output("bridge fdb show dev %s", g.id.tap),
	    "02:fc:00:00:00:01 master " BRIDGE " static"));
	assert_int_equal(bridge_remove(&lab.route, BRIDGE), -EBUSY);
	close(g.fd);
	assert_int_equal(link_get(&lab.route, g.id.tap, &l), -ENODEV);
	assert_int_equal(tap_stats(&lab.route, g.id.tap, BRIDGE, &stats),
	    -ENODEV);
	lab_down(&lab);
}

static void
persistent_tap_is_found_and_deleted(void **state)
{
	struct guest g;

	(void)state;
	lab_up(&lab);
	guest_plug(&lab, &g, 1);
	assert_int_equal(tap_persist(g.fd), 0);
	close(g.fd);
	assert_int_equal(count_taps(BRIDGE), 1);
	assert_int_equal(tap_delete(&lab.route, g.id.tap, others), -EEXIST);
	assert_int_equal(tap_delete(&lab.route, g.id.tap, BRIDGE), 0);
	assert_int_equal(tap_delete(&lab.route, g.id.tap, BRIDGE), 0);
	assert_int_equal(count_taps(BRIDGE), 0);
	/* One that a VMM still holds goes too. */
	guest_plug(&lab, &g, 2);
	assert_int_equal(tap_delete(&lab.route, g.id.tap, BRIDGE), 0);
	close(g.fd);
	lab_down(&lab);
}

static void
foreign_tap_is_refused(void **state)
{
	static const char *const makers[] = {
		"ip tuntap add fc-000000000001 mode tap vnet_hdr",
		"ip link add fc-000000000001 type veth peer name peer0",
		"ip link add fc-000000000001 type bridge",
		"ip tuntap add fc-000000000001 mode tap vnet_hdr; "
		    "ip link set fc-000000000001 alias banger",
	};
	struct tap_spec spec = { .name = "fc-000000000001", .bridge = BRIDGE };
	size_t i;

	(void)state;
	lab_up(&lab);
	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		char *before;

		sh("%s", makers[i]);
		before = inventory();
		assert_int_equal(tap_create(&lab.route, &spec), -EEXIST);
		assert_int_equal(tap_delete(&lab.route, spec.name, BRIDGE),
		    -EEXIST);
		assert_int_equal(count_taps(BRIDGE), 0);
		assert_true(unchanged(before));
		sh("ip link del fc-000000000001");
	}
	lab_down(&lab);
}

static void
failed_tap_leaves_nothing(void **state)
{
	struct tap_spec spec = { .name = "fc-000000000001", .bridge = BRIDGE };
	struct link_info l;

	(void)state;
	assert_int_equal(tap_create(&lab.route, &spec), -ENODEV);
	lab_up(&lab);
	/* The last step fails: the bridge wants no address of zeros. */
	assert_int_equal(tap_create(&lab.route, &spec), -EINVAL);
	assert_int_equal(link_get(&lab.route, spec.name, &l), -ENODEV);
	lab_down(&lab);
}

/* --- what a guest may send --- */

static void
guest_reaches_the_gateway_only(void **state)
{
	struct guest g;
	int fd;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	fd = host_udp(0, 53);
	assert_true(guest_pings(&g, lab.net.addr));
	assert_false(guest_pings(&g, HOST_IP));
	assert_false(guest_pings(&g, IP(127, 0, 0, 1)));
	assert_false(guest_arps(&g, HOST_IP));
	guest_udp(&g, lab.net.addr, 53);
	guest_udp(&g, HOST_IP, 53);
	guest_udp(&g, IP(255, 255, 255, 255), 53);
	guest_udp(&g, IP(172, 16, 0, 255), 53);
	assert_int_equal(udp_heard(fd), 0);
	close(fd);
	guest_stop(&lab, &g);
	lab_down(&lab);
}

static void
host_hears_the_answers_of_its_guests(void **state)
{
	struct guest g;
	int fd;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, false);
	fd = host_udp(lab.net.addr, 4000);
	guest_udp(&g, lab.net.addr, 4000);
	assert_int_equal(udp_heard(fd), 0);
	udp_send(fd, g.id.ipv4, GUEST_PORT);
	guest_udp(&g, lab.net.addr, 4000);
	assert_int_equal(udp_heard(fd), g.id.ipv4);
	close(fd);
	guest_stop(&lab, &g);
	lab_down(&lab);
}

static void
gateway_answers_dns_when_told(void **state)
{
	const struct nft_net net = { BRIDGE, IP(172, 16, 0, 1), true };
	struct guest g;
	int dns, other;

	(void)state;
	lab_up(&lab);
	assert_int_equal(nft_ensure(&lab.filter, &net, NULL, 0, &lab.forward),
	    0);
	guest_start(&lab, &g, 1, false);
	dns = host_udp(0, 53);
	other = host_udp(0, 54);
	guest_udp(&g, lab.net.addr, 53);
	assert_int_equal(udp_heard(dns), g.id.ipv4);
	guest_udp(&g, lab.net.addr, 54);
	assert_int_equal(udp_heard(other), 0);
	guest_udp(&g, HOST_IP, 53);
	assert_int_equal(udp_heard(dns), 0);
	close(dns);
	close(other);
	guest_stop(&lab, &g);
	lab_down(&lab);
}

static void
spoofed_source_is_dropped(void **state)
{
	struct guest g, liar, second;
	int fd;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	guest_start(&lab, &second, 2, true);
	assert_int_equal(forward_on(&lab.forward), 0);
	fd = world_udp(&lab, WORLD_IP, 7);
	guest_udp(&g, WORLD_IP, 7);
	assert_int_equal(udp_heard(fd), HOST_IP);
	/* The neighbour's address, nobody's, the gateway's, the world's. */
	liar = g;
	liar.id.ipv4 = second.id.ipv4;
	guest_udp(&liar, WORLD_IP, 7);
	assert_false(guest_arps(&liar, lab.net.addr));
	liar.id.ipv4 = IP(172, 16, 0, 77);
	guest_udp(&liar, WORLD_IP, 7);
	assert_false(guest_arps(&liar, lab.net.addr));
	liar.id.ipv4 = lab.net.addr;
	guest_udp(&liar, WORLD_IP, 7);
	assert_false(guest_arps(&liar, lab.net.addr));
	liar.id.ipv4 = WORLD_IP;
	guest_udp(&liar, WORLD_IP, 7);
	/* Its own address from another MAC address; both of the neighbour. */
	liar = g;
	memcpy(liar.id.mac, second.id.mac, 6);
	guest_udp(&liar, WORLD_IP, 7);
	assert_false(guest_arps(&liar, lab.net.addr));
	liar.id.ipv4 = second.id.ipv4;
	guest_udp(&liar, WORLD_IP, 7);
	assert_false(guest_arps(&liar, lab.net.addr));
	assert_int_equal(udp_heard(fd), 0);
	/* None of this moved the neighbour's address to the liar's port. */
	assert_true(guest_pings(&second, lab.net.addr));
	guest_udp(&g, WORLD_IP, 7);
	assert_int_equal(udp_heard(fd), HOST_IP);
	close(fd);
	guest_stop(&lab, &g);
	guest_stop(&lab, &second);
	lab_down(&lab);
}

/* ARP from the guest's frame address, but with another one inside. */
static void
send_two_faced_arp(const struct guest *g)
{
	uint8_t arp[28] = { 0, 1, 8, 0, 6, 4, 0, 2, 2, 6, 6, 6, 6, 6 };
	uint32_t ip = htobe32(g->id.ipv4);
	struct frame f;

	memcpy(arp + 14, &ip, 4);
	ip = htobe32(lab.net.addr);
	memcpy(arp + 24, &ip, 4);
	frame_ether(&f, g->gateway_mac, g->id.mac, 0x0806);
	frame_add(&f, arp, sizeof(arp));
	guest_send(g, &f);
}

static void
arp_with_two_senders_is_dropped(void **state)
{
	static const char neigh[] = "ip neigh show 172.16.0.2 dev " BRIDGE;
	struct guest g;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, false);
	sh("ip neigh replace 172.16.0.2 lladdr 02:fc:00:00:00:01 nud stale "
	    "dev " BRIDGE);
	send_two_faced_arp(&g);
	assert_true(contains(output(neigh), "02:fc:00:00:00:01"));
	assert_int_equal(nft_remove(&lab.filter, BRIDGE), 0);
	usleep(1100000);	/* the kernel's locktime for such changes */
	send_two_faced_arp(&g);
	assert_true(contains(output(neigh), "02:06:06:06:06:06"));
	close(g.fd);
	lab_down(&lab);
}

/* A frame of TYPE from the guest to all; did the bridge take it? */
static bool
bridge_takes(const struct guest *g, uint16_t type)
{
	static const uint8_t to[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	/* A sound IPv6 header, which is what br_netfilter looks at. */
	static const uint8_t body[60] = { 0x60, 0, 0, 0, 0, 20, 59, 255,
	    0xfe, 0x80, [23] = 1, 0xff, 2, [39] = 1 };
	char *before, *after;
	struct frame f;
	bool taken;

	frame_ether(&f, to, g->id.mac, type);
	frame_add(&f, body, sizeof(body));
	before = output("ip -s -j link show " BRIDGE " | "
	    "jq '.[0].stats64.rx.packets'");
	guest_send(g, &f);
	after = output("ip -s -j link show " BRIDGE " | "
	    "jq '.[0].stats64.rx.packets'");
	taken = strcmp(before, after) != 0;
	free(before);
	free(after);
	return taken;
}

static void
other_frame_types_are_dropped(void **state)
{
	/* LLC, IPv6, VLAN, VLAN in VLAN, PPPoE, EAPOL, RARP; empty ARP, IPv4. */
	static const uint16_t types[] = { 0x0026, 0x86dd, 0x8100, 0x88a8,
	    0x8863, 0x888e, 0x8035, 0x0806, 0x0800 };
	struct guest g;
	size_t i;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_false(bridge_takes(&g, types[i]));
	assert_int_equal(nft_remove(&lab.filter, BRIDGE), 0);
	for (i = 0; i < sizeof(types) / sizeof(types[0]) - 1; i++)
		assert_true(bridge_takes(&g, types[i]));
	close(g.fd);
	lab_down(&lab);
}

/* An IPv4 packet within a VLAN tag is not IPv4, whoever took the tag off. */
static void
tagged_packets_are_dropped(void **state)
{
	uint8_t udp[8] = { 0x30, 0x39, 0, 7, 0, 8, 0, 0 };
	const uint8_t tag[4] = { 0, 0, 8, 0 };
	struct guest g;
	struct frame f;
	int fd;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	assert_int_equal(forward_on(&lab.forward), 0);
	fd = world_udp(&lab, WORLD_IP, 7);
	frame_ether(&f, g.gateway_mac, g.id.mac, 0x8100);
	frame_add(&f, tag, sizeof(tag));
	frame_ipv4(&f, 17, g.id.ipv4, WORLD_IP, udp, sizeof(udp));
	guest_send(&g, &f);
	assert_int_equal(udp_heard(fd), 0);
	frame_ether(&f, g.gateway_mac, g.id.mac, 0x0800);
	frame_ipv4(&f, 17, g.id.ipv4, WORLD_IP, udp, sizeof(udp));
	guest_send(&g, &f);
	assert_int_equal(udp_heard(fd), HOST_IP);
	close(fd);
	guest_stop(&lab, &g);
	lab_down(&lab);
}

/* See nft.c: such frames reach the host as from the tap. */
static void
reserved_addresses_are_no_way_in(void **state)
{
	struct guest g, liar;
	int fd, i;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	fd = host_udp(0, 53);
	liar = g;
	for (i = 0; i < 16; i++) {
		const uint8_t dst[6] = { 1, 0x80, 0xc2, 0, 0, (uint8_t)i };

		memcpy(liar.gateway_mac, dst, 6);
		guest_udp(&liar, lab.net.addr, 53);
		guest_udp(&liar, HOST_IP, 53);
	}
	assert_int_equal(udp_heard(fd), 0);
	/* Without the filter, the tap's own reverse path filter still holds. */
	assert_int_equal(nft_remove(&lab.filter, BRIDGE), 0);
	guest_udp(&liar, lab.net.addr, 53);
	assert_int_equal(udp_heard(fd), 0);
	/* And without both, the way in is real: the test tests something. */
	sh("sysctl -qw net.ipv4.conf.%s.rp_filter=0 "
	    "net.ipv4.conf.all.rp_filter=0", g.id.tap);
	guest_udp(&liar, lab.net.addr, 53);
	assert_int_equal(udp_heard(fd), g.id.ipv4);
	close(fd);
	close(g.fd);
	lab_down(&lab);
}

static void
unknown_tap_is_mute(void **state)
{
	struct guest g;

	(void)state;
	lab_up(&lab);
	guest_plug(&lab, &g, 1);
	assert_false(guest_arps(&g, lab.net.addr));
	assert_int_equal(nft_guest_add(&lab.filter, BRIDGE, &g.id), 0);
	assert_int_equal(nft_guest_add(&lab.filter, BRIDGE, &g.id), 0);
	assert_true(guest_arps(&g, lab.net.addr));
	assert_int_equal(nft_guest_del(&lab.filter, BRIDGE, &g.id), 0);
	assert_int_equal(nft_guest_del(&lab.filter, BRIDGE, &g.id), 0);
	assert_false(guest_arps(&g, lab.net.addr));
	close(g.fd);
	lab_down(&lab);
}

/* --- guests among themselves --- */

static bool
is_from(const struct frame *f, const void *arg)
{
	return memcmp(f->data + 6, arg, 6) == 0;
}

static bool
is_to_guest(const struct frame *f, const void *arg)
{
	return f->len > 30 && f->data[12] == 8 && f->data[13] == 0 &&
	    memcmp(f->data, arg, 6) == 0;
}

static void
guests_are_isolated(void **state)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	struct guest a, b, to;
	struct frame f;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &a, 1, true);
	guest_start(&lab, &b, 2, true);
	assert_int_equal(forward_on(&lab.forward), 0);
	/* Directly, by broadcast, by ARP. */
	guest_drain(&b);
	to = a;
	memcpy(to.gateway_mac, b.id.mac, 6);
	guest_udp(&to, b.id.ipv4, 7);
	memcpy(to.gateway_mac, all, 6);
	guest_udp(&to, b.id.ipv4, 7);
	assert_false(guest_arps(&a, b.id.ipv4));
	assert_false(guest_expect(&b, is_from, a.id.mac, &f));
	/* Routed, by way of the gateway: nothing at all arrives. */
	guest_udp(&a, b.id.ipv4, 7);
	assert_false(guest_pings(&a, b.id.ipv4));
	assert_false(guest_expect(&b, is_to_guest, b.id.mac, &f));
	/* What the host sends to A, B does not see. */
	guest_drain(&b);
	sh("ip neigh replace 172.16.0.2 lladdr 02:fc:00:00:00:01 dev " BRIDGE);
	sh("bash -c 'echo x >/dev/udp/172.16.0.2/9'");
	assert_true(guest_expect(&a, is_to_guest, a.id.mac, &f));
	assert_false(guest_expect(&b, is_to_guest, a.id.mac, &f));
	sh("ip neigh replace 172.16.0.9 lladdr 02:fc:00:00:00:99 dev " BRIDGE);
	sh("bash -c 'echo x >/dev/udp/172.16.0.9/9'");
	assert_false(guest_expect(&b, is_from, a.gateway_mac, &f));
	guest_stop(&lab, &a);
	guest_stop(&lab, &b);
	lab_down(&lab);
}

/* --- the world --- */

static void
nat_is_for_members(void **state)
{
	struct guest in, out;
	char *before;
	int fd;

	(void)state;
	before = inventory();
	lab_up(&lab);
	guest_start(&lab, &in, 1, true);
	guest_start(&lab, &out, 2, false);
	assert_false(guest_pings(&in, WORLD_IP));	/* not yet forwarding */
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(lab.forward.count, 1);
	assert_string_equal(lab.forward.changed[0].name, "up0");
	assert_int_equal(nft_uplinks_set(&lab.filter, BRIDGE, &lab.forward),
	    0);
	assert_true(guest_pings(&in, WORLD_IP));
	assert_false(guest_pings(&out, WORLD_IP));
	fd = world_udp(&lab, WORLD_IP, 7);
	guest_udp(&in, WORLD_IP, 7);
	assert_int_equal(udp_heard(fd), HOST_IP);
	guest_udp(&out, WORLD_IP, 7);
	assert_int_equal(udp_heard(fd), 0);
	/* Switched over. */
	assert_int_equal(nft_nat_set(&lab.filter, BRIDGE, in.id.ipv4, false),
	    0);
	assert_int_equal(nft_nat_set(&lab.filter, BRIDGE, out.id.ipv4, true),
	    0);
	assert_false(guest_pings(&in, WORLD_IP));
	assert_true(guest_pings(&out, WORLD_IP));
	close(fd);
	guest_stop(&lab, &in);
	guest_stop(&lab, &out);
	lab_down(&lab);
	assert_true(unchanged(before));
}

static void
metadata_service_is_closed(void **state)
{
	struct guest g;
	int fd;

	(void)state;
	lab_up(&lab);
	world_sh(&lab, "ip addr add 169.254.169.254/32 dev lo");
	world_sh(&lab, "ip addr add 198.51.100.9/32 dev lo");
	guest_start(&lab, &g, 1, true);
	assert_int_equal(forward_on(&lab.forward), 0);
	fd = world_udp(&lab, 0, 80);
	guest_udp(&g, IP(198, 51, 100, 9), 80);
	assert_int_equal(udp_heard(fd), HOST_IP);
	guest_udp(&g, IP(169, 254, 169, 254), 80);
	assert_int_equal(udp_heard(fd), 0);
	close(fd);
	guest_stop(&lab, &g);
	lab_down(&lab);
	world_sh(&lab, "ip addr flush dev lo scope global");
}

static void
world_cannot_call_guests(void **state)
{
	struct guest g;
	struct frame f;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &g, 1, true);
	assert_int_equal(forward_on(&lab.forward), 0);
	world_sh(&lab, "ip route add 172.16.0.0/24 via 203.0.113.1");
	sh("ip neigh replace 172.16.0.2 lladdr 02:fc:00:00:00:01 dev " BRIDGE);
	guest_drain(&g);
	world_sh(&lab, "bash -c 'echo x >/dev/udp/172.16.0.2/9'");
	assert_false(guest_expect(&g, is_to_guest, g.id.mac, &f));
	sh("bash -c 'echo x >/dev/udp/172.16.0.2/9'");
	assert_true(guest_expect(&g, is_to_guest, g.id.mac, &f));
	world_sh(&lab, "ip route del 172.16.0.0/24");
	guest_stop(&lab, &g);
	lab_down(&lab);
}

/* Does the world's datagram to TO pass the host, to the net behind it? */
static bool
neighbour_is_routed(const char *to)
{
	static const char sent[] = "ip -s -j link show inner0 | "
	    "jq '.[0].stats64.tx.packets'";
	char *before = output(sent), *after;
	bool routed;

	world_sh(&lab, "bash -c 'echo x >/dev/udp/%s'", to);
	after = output(sent);
	routed = strcmp(before, after) != 0;
	free(before);
	free(after);
	return routed;
}

/* Forwarding that we switch on for our guests serves nobody else. */
static void
host_is_no_router_for_neighbours(void **state)
{
	struct guest g;

	(void)state;
	lab_up(&lab);
	sh("ip link add inner0 type veth peer name inner1; "
	    "ip link set inner0 addrgenmode none; "
	    "ip link set inner1 addrgenmode none; "
	    "ip link set inner1 up; ip addr add 10.1.0.1/24 dev inner0; "
	    "ip link set inner0 up; ip neigh add 10.1.0.2 "
	    "lladdr 02:00:00:00:00:03 dev inner0");
	world_sh(&lab, "ip route add 10.1.0.0/24 via 203.0.113.1");
	guest_start(&lab, &g, 1, true);
	assert_false(neighbour_is_routed("10.1.0.2/9"));
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_true(neighbour_is_routed("10.1.0.2/9"));
	assert_int_equal(nft_uplinks_set(&lab.filter, BRIDGE, &lab.forward),
	    0);
	assert_false(neighbour_is_routed("10.1.0.2/9"));
	/* Guests, and ports that somebody has published, are served. */
	assert_true(guest_pings(&g, WORLD_IP));
	sh("nft 'add table ip theirs; add chain ip theirs pre "
	    "{ type nat hook prerouting priority -100; }; add rule ip theirs "
	    "pre ip daddr 203.0.113.1 udp dport 99 dnat to 10.1.0.2'");
	assert_true(neighbour_is_routed("203.0.113.1/99"));
	assert_false(neighbour_is_routed("203.0.113.1/98"));
	sh("nft delete table ip theirs");
	world_sh(&lab, "ip route del 10.1.0.0/24");
	sh("ip link del inner0");
	guest_stop(&lab, &g);
	lab_down(&lab);
}

static void
forwarding_of_others_is_kept(void **state)
{
	char *before;

	(void)state;
	/* Forwarding already: nothing to change, nothing to restore. */
	sh("sysctl -qw net.ipv4.conf.up0.forwarding=1");
	before = inventory();
	lab_up(&lab);
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(lab.forward.count, 0);
	lab_down(&lab);
	assert_true(unchanged(before));
	/* Ours, then somebody switches the whole host: theirs from then on. */
	sh("sysctl -qw net.ipv4.conf.up0.forwarding=0");
	lab_up(&lab);
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(lab.forward.count, 1);
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(lab.forward.count, 1);
	sh("sysctl -qw net.ipv4.ip_forward=1");
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(lab.forward.count, 0);
	lab_down(&lab);
	sh("test $(cat /proc/sys/net/ipv4/conf/up0/forwarding) = 1; "
	    "sysctl -qw net.ipv4.ip_forward=0");
}

/* Rules of other tools, none of which lets a stranger's packets through. */
static const char *const droppers[] = {
	/* Docker, ufw: by iptables. */
	"iptables -P FORWARD DROP; iptables -N DOCKER-USER; "
	    "iptables -A FORWARD -j DOCKER-USER; "
	    "iptables -A FORWARD -o docker0 -j ACCEPT",
	/* Red Hat's default of old. */
	"iptables -A FORWARD -i lo -j ACCEPT; "
	    "iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
	/* firewalld: a verdict of its own for each zone, then this. */
	"nft 'add table inet firewalld; add chain inet firewalld zones; "
	    "add rule inet firewalld zones reject with icmpx admin-prohibited; "
	    "add chain inet firewalld pass { type filter hook forward "
	    "priority 10; }; add rule inet firewalld pass iifname \"lo\" accept; "
	    "add rule inet firewalld pass jump zones; "
	    "add rule inet firewalld pass log prefix \"x\" counter drop'",
};

static void
chains_of_others_are_passed(void **state)
{
	struct guest in, out;
	struct uplinks uplinks;
	char *before, *ours, *again;
	size_t i;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &in, 1, true);
	guest_start(&lab, &out, 2, false);
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(uplinks_find(&lab.route, &uplinks), 0);
	assert_int_equal(uplinks.count, 1);
	assert_string_equal(uplinks.name[0], "up0");
	for (i = 0; i < sizeof(droppers) / sizeof(droppers[0]); i++) {
		sh("%s", droppers[i]);
		before = output("nft -s list ruleset");
		assert_false(guest_pings(&in, WORLD_IP));
		assert_int_equal(nft_foreign_set(&lab.filter, BRIDGE,
		    &uplinks), 0);
		assert_true(guest_pings(&in, WORLD_IP));
		assert_false(guest_pings(&out, WORLD_IP));
		/* Again: the same, not twice. */
		ours = output("nft -s list ruleset");
		assert_string_not_equal(before, ours);
		assert_int_equal(nft_foreign_set(&lab.filter, BRIDGE,
		    &uplinks), 0);
		again = output("nft -s list ruleset");
		assert_string_equal(ours, again);
		free(ours);
		free(again);
		assert_int_equal(nft_foreign_set(&lab.filter, BRIDGE, NULL), 0);
		assert_false(guest_pings(&in, WORLD_IP));
		again = output("nft -s list ruleset");
		assert_string_equal(before, again);
		free(before);
		free(again);
		sh("nft -a list tables | grep -vE ' banger( |$)' | sed 's/ #.*//' | "
		    "while read -r _ t; do nft delete table $t; done");
	}
	guest_stop(&lab, &in);
	guest_stop(&lab, &out);
	lab_down(&lab);
}

static void
chains_of_others_stay_as_they_are(void **state)
{
	struct uplinks uplinks = { .count = 1, .name = { "up0" } };
	char *before, *after;

	(void)state;
	/* No chain that drops all; and one of ours of another instance. */
	sh("nft 'add table ip theirs; add chain ip theirs pass "
	    "{ type filter hook forward priority 0; }; "
	    "add rule ip theirs pass ip daddr 10.0.0.0/8 drop; "
	    "add chain ip theirs in { type filter hook input priority 0; "
	    "policy drop; }; add table ip6 theirs; add chain ip6 theirs pass "
	    "{ type filter hook forward priority 0; policy drop; }'");
	before = output("nft -s list ruleset");
	assert_int_equal(nft_foreign_set(&lab.filter, BRIDGE, &uplinks), 0);
	after = output("nft -s list ruleset");
	assert_string_equal(before, after);
	free(before);
	free(after);
	sh("nft flush ruleset");
	/* What iptables says of a chain that has our rules. */
	sh("iptables -P FORWARD DROP");
	assert_int_equal(nft_foreign_set(&lab.filter, others, &uplinks), 0);
	assert_int_equal(nft_foreign_set(&lab.filter, BRIDGE, &uplinks), 0);
	assert_int_equal(nft_foreign_set(&lab.filter, others, NULL), 0);
	after = output("iptables -S FORWARD");
	assert_string_equal(after, "-P FORWARD DROP\n"
	    "-A FORWARD -o " BRIDGE " -m comment --comment \"banger " BRIDGE
	    "\" -j ACCEPT\n"
	    "-A FORWARD -i " BRIDGE " -o up0 -m comment --comment \"banger "
	    BRIDGE "\" -j ACCEPT\n");
	free(after);
	sh("nft flush ruleset");
}

/* --- the tables as a whole --- */

static void
flushed_ruleset_is_rewritten(void **state)
{
	struct nft_guest both[2];
	struct guest a, b;
	char *before, *after;

	(void)state;
	lab_up(&lab);
	guest_start(&lab, &a, 1, true);
	guest_start(&lab, &b, 2, false);
	assert_int_equal(forward_on(&lab.forward), 0);
	assert_int_equal(nft_uplinks_set(&lab.filter, BRIDGE, &lab.forward),
	    0);
	before = output("nft -s list ruleset | sort");
	sh("nft flush ruleset");
	assert_int_equal(nft_guest_add(&lab.filter, BRIDGE, &a.id), -ENOENT);
	assert_int_equal(nft_nat_set(&lab.filter, BRIDGE, a.id.ipv4, true),
	    -ENOENT);
	assert_int_equal(nft_guest_del(&lab.filter, BRIDGE, &a.id), 0);
	both[0] = a.id;
	both[1] = b.id;
	assert_int_equal(take_ensure(both, 2), 0);
	after = output("nft -s list ruleset | sort");
	assert_string_equal(before, after);
	free(after);
	assert_true(guest_pings(&a, WORLD_IP));
	assert_false(guest_pings(&b, WORLD_IP));
	/* Somebody's additions to our tables go, their own tables stay. */
	sh("nft add table ip theirs; "
	    "nft add rule inet banger input accept; "
	    "nft delete element bridge banger guests "
	    "'{ fc-000000000001 . 02:fc:00:00:00:01 . 172.16.0.2 }'");
	assert_false(guest_arps(&a, lab.net.addr));
	assert_int_equal(take_ensure(both, 2), 0);
	assert_true(guest_arps(&a, lab.net.addr));
	sh("nft delete table ip theirs");
	after = output("nft -s list ruleset | sort");
	assert_string_equal(before, after);
	free(before);
	free(after);
	guest_stop(&lab, &a);
	guest_stop(&lab, &b);
	lab_down(&lab);
}

static void
many_guests_are_written(void **state)
{
	enum { MANY = 1000 };
	struct nft_guest *guests = calloc(MANY, sizeof(*guests));
	unsigned int i;

	(void)state;
	assert_non_null(guests);
	for (i = 0; i < MANY; i++) {
		snprintf(guests[i].tap, sizeof(guests[i].tap), "fc-%012x", i);
		guests[i].mac[4] = (uint8_t)(i >> 8);
		guests[i].mac[5] = (uint8_t)i;
		guests[i].ipv4 = IP(10, 0, 0, 0) + i;
		guests[i].nat = true;
	}
	assert_int_equal(take_ensure(guests, MANY), 0);
	assert_true(contains(output("nft list set bridge banger guests | "
	    "grep -o fc- | wc -l"), "1000"));
	assert_true(contains(output("nft list set inet banger nat | "
	    "grep -oE '10[.]0[.][0-9]+[.][0-9]+' | wc -l"), "1000"));
	assert_int_equal(nft_remove(&lab.filter, BRIDGE), 0);
	free(guests);
}

static void
instances_do_not_clash(void **state)
{
	const struct nft_net net = { others, IP(172, 20, 0, 1), false };
	struct ipv4_net other = { IP(172, 20, 0, 1), 24 };
	struct tap_spec spec = { .name = "fc-0000000000ff", .bridge = others,
	    .mac = { 2, 0, 0, 0, 0, 9 } };
	struct guest g;
	int fd;

	(void)state;
	lab_up(&lab);
	assert_int_equal(bridge_ensure(&lab.route, others, &other, true), 0);
	assert_int_equal(nft_ensure(&lab.filter, &net, NULL, 0,
	    &(struct forward_state){ 0 }), 0);
	fd = tap_create(&lab.route, &spec);
	assert_true(fd >= 0);
	guest_start(&lab, &g, 1, true);
	assert_int_equal(count_taps(BRIDGE), 1);
	assert_int_equal(count_taps(others), 1);
	assert_true(guest_pings(&g, lab.net.addr));
	assert_false(guest_pings(&g, other.addr));
	assert_int_equal(nft_remove(&lab.filter, others), 0);
	assert_true(guest_pings(&g, lab.net.addr));
	close(fd);
	assert_int_equal(bridge_remove(&lab.route, others), 0);
	guest_stop(&lab, &g);
	lab_down(&lab);
}

static void
everything_goes_again(void **state)
{
	struct guest g[8];
	char *before;
	unsigned int i;

	(void)state;
	before = inventory();
	lab_up(&lab);
	for (i = 0; i < 8; i++)
		guest_start(&lab, &g[i], i + 1, i % 2 == 0);
	assert_int_equal(forward_on(&lab.forward), 0);
	for (i = 0; i < 8; i++)
		guest_stop(&lab, &g[i]);
	lab_down(&lab);
	assert_true(unchanged(before));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridge_is_made_and_found_again),
		cmocka_unit_test(half_made_bridge_is_ours),
		cmocka_unit_test(foreign_bridge_is_refused),
		cmocka_unit_test(subnet_in_use_is_avoided),
		cmocka_unit_test(tap_is_made_as_told),
		cmocka_unit_test(persistent_tap_is_found_and_deleted),
		cmocka_unit_test(foreign_tap_is_refused),
		cmocka_unit_test(failed_tap_leaves_nothing),
		cmocka_unit_test(guest_reaches_the_gateway_only),
		cmocka_unit_test(host_hears_the_answers_of_its_guests),
		cmocka_unit_test(gateway_answers_dns_when_told),
		cmocka_unit_test(spoofed_source_is_dropped),
		cmocka_unit_test(arp_with_two_senders_is_dropped),
		cmocka_unit_test(other_frame_types_are_dropped),
		cmocka_unit_test(tagged_packets_are_dropped),
		cmocka_unit_test(reserved_addresses_are_no_way_in),
		cmocka_unit_test(unknown_tap_is_mute),
		cmocka_unit_test(guests_are_isolated),
		cmocka_unit_test(nat_is_for_members),
		cmocka_unit_test(metadata_service_is_closed),
		cmocka_unit_test(world_cannot_call_guests),
		cmocka_unit_test(host_is_no_router_for_neighbours),
		cmocka_unit_test(forwarding_of_others_is_kept),
		cmocka_unit_test(chains_of_others_are_passed),
		cmocka_unit_test(chains_of_others_stay_as_they_are),
		cmocka_unit_test(flushed_ruleset_is_rewritten),
		cmocka_unit_test(many_guests_are_written),
		cmocka_unit_test(instances_do_not_clash),
		cmocka_unit_test(everything_goes_again),
	};
	int failed;

	log_init("net_test", LOG_WARN);
	lab_open(&lab);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	lab_close(&lab);
	return failed;
}
