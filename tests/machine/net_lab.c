/*
 * See net_lab.h. Failures of the laboratory itself end the program: they say
 * nothing about the code under test.
 */
#include "net_lab.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "privsep/util.h"

enum { VNET_HDR = 10, ETHER_HDR = 14, PROTO_ICMP = 1, PROTO_UDP = 17 };

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

/* --- commands --- */

static void
run(const char *prefix, const char *fmt, va_list ap)
{
	char line[2048];
	int n = snprintf(line, sizeof(line), "%s", prefix);

	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	if (system(line) != 0)
		errx(1, "failed: %s", line);
}

void
sh(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	run("", fmt, ap);
	va_end(ap);
}

void
world_sh(const struct lab *lab, const char *fmt, ...)
{
	char prefix[64];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "nsenter -n -t %d ", (int)lab->world);
	va_start(ap, fmt);
	run(prefix, fmt, ap);
	va_end(ap);
}

static char *
read_command(const char *line)
{
	FILE *p = popen(line, "r");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int c;

	if (p == NULL || out == NULL)
		err(1, "%s", line);
	while ((c = getc(p)) != EOF)
		putc(c, out);
	fclose(out);
	if (pclose(p) != 0)
		errx(1, "failed: %s", line);
	return text;
}

char *
output(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return read_command(line);
}

char *
inventory(void)
{
	/* Without what the kernel changes by itself a moment after lab_up. */
	return read_command("ip -d link | sed 's/[a-z_]*timer *[0-9.]*//g; "
	    "s/,LOWER_UP//; s/NO-CARRIER,//; s/ state [A-Z]*//'; "
	    "ip addr | grep inet | grep -v ' fe80:'; "
	    "ip neigh | sed 's/ [A-Z]*$//' | grep -v '^fe80:'; "
	    "bridge fdb; nft list ruleset; "
	    "grep . /proc/sys/net/ipv4/ip_forward "
	    "/proc/sys/net/ipv4/conf/*/forwarding");
}

bool
unchanged(char *before)
{
	char *now = inventory();
	bool same = strcmp(before, now) == 0;

	if (!same)
		fprintf(stderr, "before:\n%s\nnow:\n%s\n", before, now);
	free(before);
	free(now);
	return same;
}

/* --- the namespaces --- */

static int
own_ns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "/proc/self/ns/net");
	return fd;
}

static void
enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		err(1, "setns");
}

static void
new_ns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		err(1, "unshare");
	sh("ip link set lo up");
}

void
lab_open(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	new_ns();
	lab->world_ns = own_ns();
	lab->world = fork();
	if (lab->world == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	new_ns();
	lab->host_ns = own_ns();
	sh("ip link add up0 address 02:00:00:00:00:01 type veth "
	    "peer name up1 address 02:00:00:00:00:02");
	sh("ip link set up1 netns %d", (int)lab->world);
	sh("ip addr add 203.0.113.1/24 dev up0; ip link set up0 up; "
	    "ip neigh add 203.0.113.2 lladdr 02:00:00:00:00:02 dev up0; "
	    "ip route add default via 203.0.113.2");
	world_sh(lab, "sh -c 'ip addr add 203.0.113.2/24 dev up1; "
	    "ip neigh add 203.0.113.1 lladdr 02:00:00:00:00:01 dev up1; "
	    "ip link set up1 up'");
	if (nl_open(&lab->route, NETLINK_ROUTE) < 0 ||
	    nl_open(&lab->filter, NETLINK_NETFILTER) < 0)
		errx(1, "netlink");
	lab->net = (struct ipv4_net){ IP(172, 16, 0, 1), 24 };
}

void
lab_close(struct lab *lab)
{
	nl_close(&lab->route);
	nl_close(&lab->filter);
	kill(lab->world, SIGKILL);
	waitpid(lab->world, NULL, 0);
	close(lab->world_ns);
	close(lab->host_ns);
}

static void
must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, strerror(-r));
}

void
lab_up(struct lab *lab)
{
	const struct nft_net net = { BRIDGE, lab->net.addr, false };

	must(bridge_ensure(&lab->route, BRIDGE, &lab->net, true), "bridge");
	must(nft_ensure(&lab->filter, &net, NULL, 0, &lab->forward), "nft");
}

void
lab_down(struct lab *lab)
{
	must(forward_restore(&lab->route, &lab->forward), "restore");
	must(bridge_remove(&lab->route, BRIDGE), "bridge_remove");
	must(nft_remove(&lab->filter, BRIDGE), "nft_remove");
}

/* --- guests --- */

void
guest_plug(struct lab *lab, struct guest *g, unsigned int n)
{
	struct tap_spec spec = { .bridge = BRIDGE, .uid = 700001,
	    .gid = 700001 };
	uint8_t mac[6] = { 0x02, 0xfc, 0, 0, 0, (uint8_t)n };

	memset(g, 0, sizeof(*g));
	snprintf(g->id.tap, sizeof(g->id.tap), "fc-%012x", n);
	memcpy(g->id.mac, mac, 6);
	memcpy(spec.mac, mac, 6);
	spec.name = g->id.tap;
	g->id.ipv4 = lab->net.addr + n;
	g->fd = tap_create(&lab->route, &spec);
	must(g->fd, "tap_create");
}

void
guest_start(struct lab *lab, struct guest *g, unsigned int n, bool nat)
{
	int tries;

	guest_plug(lab, g, n);
	g->id.nat = nat;
	must(nft_guest_add(&lab->filter, BRIDGE, &g->id), "nft_guest_add");
	/* A bridge's first port comes on line a moment later (linkwatch). */
	for (tries = 0; !guest_arps(g, lab->net.addr); tries++)
		if (tries == 10)
			errx(1, "guest %u: no answer to ARP", n);
}

void
guest_stop(struct lab *lab, struct guest *g)
{
	close(g->fd);
	must(nft_guest_del(&lab->filter, BRIDGE, &g->id), "nft_guest_del");
}

void
guest_send(const struct guest *g, const struct frame *f)
{
	uint8_t buf[VNET_HDR + FRAME_MAX] = { 0 };

	memcpy(buf + VNET_HDR, f->data, f->len);
	if (write(g->fd, buf, VNET_HDR + f->len) < 0)
		err(1, "write to tap");
}

bool
guest_expect(const struct guest *g, frame_fn wanted, const void *arg,
    struct frame *f)
{
	const int64_t deadline = monotonic_ms() + PATIENCE_MS;
	uint8_t buf[VNET_HDR + FRAME_MAX];

	for (;;) {
		struct pollfd p = { .fd = g->fd, .events = POLLIN };
		int64_t left = deadline - monotonic_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		n = read(g->fd, buf, sizeof(buf));
		if (n < VNET_HDR + ETHER_HDR)
			errx(1, "read from tap: %zd", n);
		f->len = (size_t)n - VNET_HDR;
		memcpy(f->data, buf + VNET_HDR, f->len);
		if (wanted(f, arg))
			return true;
	}
}

void
guest_drain(const struct guest *g)
{
	uint8_t buf[VNET_HDR + FRAME_MAX];

	while (read(g->fd, buf, sizeof(buf)) > 0)
		;
}

/* --- frames --- */

void
frame_add(struct frame *f, const void *data, size_t len)
{
	if (f->len + len > sizeof(f->data))
		errx(1, "frame too long");
	memcpy(f->data + f->len, data, len);
	f->len += len;
}

void
frame_ether(struct frame *f, const uint8_t dst[6], const uint8_t src[6],
    uint16_t type)
{
	f->len = 0;
	frame_add(f, dst, 6);
	frame_add(f, src, 6);
	type = htons(type);
	frame_add(f, &type, 2);
}

static uint16_t
checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

void
frame_ipv4(struct frame *f, uint8_t protocol, uint32_t src, uint32_t dst,
    const void *payload, size_t len)
{
	uint8_t h[20] = { 0x45 };
	uint16_t v = htons((uint16_t)(len + sizeof(h)));

	memcpy(h + 2, &v, 2);
	h[8] = 64;
	h[9] = protocol;
	src = htonl(src);
	dst = htonl(dst);
	memcpy(h + 12, &src, 4);
	memcpy(h + 16, &dst, 4);
	v = checksum(h, sizeof(h));
	memcpy(h + 10, &v, 2);
	frame_add(f, h, sizeof(h));
	frame_add(f, payload, len);
}

/* --- questions --- */

static bool
is_arp_reply(const struct frame *f, const void *arg)
{
	uint32_t sender;

	if (f->len < ETHER_HDR + 28 || f->data[12] != 8 || f->data[13] != 6 ||
	    f->data[21] != 2)
		return false;
	memcpy(&sender, f->data + ETHER_HDR + 14, 4);
	return sender == htonl(*(const uint32_t *)arg);
}

bool
guest_arps(struct guest *g, uint32_t target)
{
	uint8_t arp[28] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint32_t ip = htonl(g->id.ipv4), to = htonl(target);
	struct frame f, answer;

	memcpy(arp + 8, g->id.mac, 6);
	memcpy(arp + 14, &ip, 4);
	memcpy(arp + 24, &to, 4);
	frame_ether(&f, broadcast, g->id.mac, 0x0806);
	frame_add(&f, arp, sizeof(arp));
	guest_send(g, &f);
	if (!guest_expect(g, is_arp_reply, &target, &answer))
		return false;
	memcpy(g->gateway_mac, answer.data + ETHER_HDR + 8, 6);
	return true;
}

static bool
is_echo_reply(const struct frame *f, const void *arg)
{
	uint32_t src;

	if (f->len < ETHER_HDR + 28 || f->data[12] != 8 || f->data[13] != 0 ||
	    f->data[ETHER_HDR + 9] != PROTO_ICMP || f->data[ETHER_HDR + 20])
		return false;
	memcpy(&src, f->data + ETHER_HDR + 12, 4);
	return src == htonl(*(const uint32_t *)arg);
}

bool
guest_pings(const struct guest *g, uint32_t target)
{
	static uint8_t seq;
	uint8_t icmp[16] = { 8, 0, 0, 0, 0x12, g->id.mac[5] };
	struct frame f, answer;
	uint16_t sum;

	icmp[7] = ++seq;
	sum = checksum(icmp, sizeof(icmp));
	memcpy(icmp + 2, &sum, 2);
	frame_ether(&f, g->gateway_mac, g->id.mac, 0x0800);
	frame_ipv4(&f, PROTO_ICMP, g->id.ipv4, target, icmp, sizeof(icmp));
	guest_send(g, &f);
	return guest_expect(g, is_echo_reply, &target, &answer);
}

void
guest_udp(const struct guest *g, uint32_t dst, uint16_t port)
{
	uint8_t udp[13] = { GUEST_PORT >> 8, GUEST_PORT & 0xff, 0, 0,
	    0, sizeof(udp), 0, 0, 'h', 'e', 'l', 'l', 'o' };
	struct frame f;

	port = htons(port);
	memcpy(udp + 2, &port, 2);
	frame_ether(&f, g->gateway_mac, g->id.mac, 0x0800);
	frame_ipv4(&f, PROTO_UDP, g->id.ipv4, dst, udp, sizeof(udp));
	guest_send(g, &f);
}

int
host_udp(uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(port), .sin_addr.s_addr = htonl(addr) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		err(1, "udp socket");
	return fd;
}

int
world_udp(const struct lab *lab, uint32_t addr, uint16_t port)
{
	int fd;

	enter(lab->world_ns);
	fd = host_udp(addr, port);
	enter(lab->host_ns);
	return fd;
}

void
udp_send(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(port), .sin_addr.s_addr = htonl(addr) };

	if (sendto(fd, "x", 1, 0, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		err(1, "sendto");
}

uint32_t
udp_heard(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[64];

	if (poll(&p, 1, PATIENCE_MS) <= 0)
		return 0;
	if (recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from,
	    &len) < 0)
		err(1, "recvfrom");
	return ntohl(from.sin_addr.s_addr);
}
