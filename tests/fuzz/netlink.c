/*
 * What the kernel, or a process that could pass for it, answers on a netlink
 * socket: send(2) and recv(2) are replaced at link time (--wrap). The functions
 * are those that ask for links, addresses, routes, rules and counters.
 */
#include "fuzz.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "privsep/link.h"
#include "privsep/log.h"
#include "privsep/netlink.h"
#include "privsep/nft.h"

enum { PORT_ID = 7 };

ssize_t	 __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t	 __wrap_recv(int fd, void *bytes, size_t len, int flags);

static struct netlink nl;
static struct input answers;

ssize_t
__wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	(void)fd;
	(void)bytes;
	(void)flags;
	return (ssize_t)len;
}

/* Numbers the messages as answers to what was asked, or most would be ignored. */
static void
number(uint8_t *bytes, size_t len)
{
	struct nlmsghdr h;
	size_t at = 0;

	while (len - at >= sizeof(h)) {
		memcpy(&h, bytes + at, sizeof(h));
		h.nlmsg_seq = nl.seq;
		h.nlmsg_pid = PORT_ID;
		memcpy(bytes + at, &h, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at ||
		    NLMSG_ALIGN(h.nlmsg_len) > len - at)
			break;
		at += NLMSG_ALIGN(h.nlmsg_len);
	}
}

/* The next datagram of the input; at its end, what ends each answer. */
ssize_t
__wrap_recv(int fd, void *bytes, size_t len, int flags)
{
	struct input piece = take_piece(&answers);
	struct {
		struct nlmsghdr h;
		struct nlmsgerr ack;
	} end = { .h = { .nlmsg_len = sizeof(end), .nlmsg_type = NLMSG_ERROR,
		.nlmsg_seq = nl.acked, .nlmsg_pid = PORT_ID } };

	(void)fd;
	(void)flags;
	if (piece.len == 0) {
		end.h.nlmsg_type = nl.has_ack ? NLMSG_ERROR : NLMSG_DONE;
		memcpy(bytes, &end, sizeof(end));
		return sizeof(end);
	}
	if (piece.len > len)
		piece.len = len;
	memcpy(bytes, piece.data, piece.len);
	number(bytes, piece.len);
	return (ssize_t)piece.len;
}

static int
one_link(const struct link_info *link, void *arg)
{
	(void)arg;
	must(link == NULL || (link->index > 0 && strlen(link->name) <
	    sizeof(link->name) && strlen(link->kind) < sizeof(link->kind) &&
	    strlen(link->alias) < sizeof(link->alias)));
	return 0;
}

static void
ask(uint8_t what)
{
	struct subnet_scan scan = { .wanted = { 0xac100001, 24 },
		.own_index = 3 };
	struct ipv4_net net = { 0xac100001, 24 };
	struct uplinks uplinks = { .count = 0 };
	struct forward_state forward = { .count = 0 };
	struct link_info link;
	struct link_stats stats;

	switch (what % 8) {
	case 0:
		if (link_get(&nl, "br-fc", &link) == 0)
			(void)one_link(&link, NULL);
		break;
	case 1:
		(void)link_list(&nl, 0, one_link, NULL);
		break;
	case 2:
		if (bridge_ensure(&nl, "br-fc", &net, false) == 0)
			must(net.prefix <= 32);
		break;
	case 3:
		if (subnet_scan(&nl, &scan) == 0)
			(void)subnet_choose(&scan, false, &net);
		break;
	case 4:
		(void)tap_stats(&nl, "fc-0123456789ab", "br-fc", &stats);
		break;
	case 5:
		(void)forward_enable(&nl, "br-fc", &forward, &uplinks);
		must(uplinks.count <= FORWARD_MAX &&
		    forward.count <= FORWARD_MAX);
		break;
	case 6:
		uplinks.count = 1;
		uplinks.index[0] = 2;
		strcpy(uplinks.name[0], "eth0");
		(void)nft_foreign_set(&nl, "br-fc", &uplinks);
		break;
	default:
		(void)tap_delete(&nl, "fc-0123456789ab", "br-fc");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	log_init("fuzz", LOG_ERROR);
	answers = (struct input){ data, len };
	memset(&nl, 0, offsetof(struct netlink, tx));
	nl.portid = PORT_ID;
	nl.fd = -1;
	ask(take_u8(&answers));
	return 0;
}
