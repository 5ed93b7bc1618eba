/*
 * A laboratory for the network code: a host in a network namespace of its own,
 * the world in another one behind a veth pair, and guests that are nothing but
 * this program reading and writing Ethernet frames on their taps.
 *
 *	guest --tap-- bridge [host] up0 203.0.113.1 --veth-- 203.0.113.2 [world]
 */
#ifndef BANGER_TESTS_NET_LAB_H
#define BANGER_TESTS_NET_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "privsep/link.h"
#include "privsep/netlink.h"
#include "privsep/nft.h"

#define IP(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

#define BRIDGE "br-fc"
#define HOST_IP IP(203, 0, 113, 1)
#define WORLD_IP IP(203, 0, 113, 2)

enum { FRAME_MAX = 1600, PATIENCE_MS = 150, GUEST_PORT = 12345 };

struct lab {
	struct netlink route;
	struct netlink filter;
	struct ipv4_net net;		/* of the bridge */
	struct forward_state forward;
	int host_ns;
	int world_ns;
	pid_t world;			/* sleeps, and holds its namespace */
};

struct guest {
	int fd;
	struct nft_guest id;
	uint8_t gateway_mac[6];
};

struct frame {
	uint8_t data[FRAME_MAX];
	size_t len;
};

/* Makes the namespaces and sockets; the process moves into the host's. */
void	 lab_open(struct lab *lab);
/* Also ends the world. */
void	 lab_close(struct lab *lab);

/* Runs a formatted shell command, which must succeed, on the host. */
void	 sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Same, in the world. */
void	 world_sh(const struct lab *lab, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* Its output, to be freed. */
char	*output(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Links, addresses, neighbours, rules, forwarding settings; to be freed. */
char	*inventory(void);
/* It is still like BEFORE, which is freed; says what is not. */
bool	 unchanged(char *before);

/* Bridge, tables, and NAT for those who want it. */
void	 lab_up(struct lab *lab);
/* Everything of ours away again. */
void	 lab_down(struct lab *lab);

/* Guest number N (1 to 200): address .N+1, MAC 02:fc:…:N, not yet filtered in. */
void	 guest_plug(struct lab *lab, struct guest *g, unsigned int n);
/* With its elements in the sets. */
void	 guest_start(struct lab *lab, struct guest *g, unsigned int n, bool nat);
void	 guest_stop(struct lab *lab, struct guest *g);

/* Frames, as they are on the wire; nothing is ever dropped by the sender. */
void	 guest_send(const struct guest *g, const struct frame *f);
typedef bool (*frame_fn)(const struct frame *f, const void *arg);
/* Waits for a frame that WANTED likes; false when none came in time. */
bool	 guest_expect(const struct guest *g, frame_fn wanted, const void *arg,
	    struct frame *f);
/* Throws away what has come so far. */
void	 guest_drain(const struct guest *g);

void	 frame_ether(struct frame *f, const uint8_t dst[6],
	    const uint8_t src[6], uint16_t type);
void	 frame_add(struct frame *f, const void *data, size_t len);
void	 frame_ipv4(struct frame *f, uint8_t protocol, uint32_t src,
	    uint32_t dst, const void *payload, size_t len);

/* Does the guest get an answer to this? */
bool	 guest_arps(struct guest *g, uint32_t target);
bool	 guest_pings(const struct guest *g, uint32_t target);

/* A UDP datagram from the guest's GUEST_PORT, by way of the gateway. */
void	 guest_udp(const struct guest *g, uint32_t dst, uint16_t port);

/* A bound UDP socket on the host, or in the world. */
int	 host_udp(uint32_t addr, uint16_t port);
int	 world_udp(const struct lab *lab, uint32_t addr, uint16_t port);
void	 udp_send(int fd, uint32_t addr, uint16_t port);
/* Waits for a datagram; the sender's address, or 0 when none came in time. */
uint32_t udp_heard(int fd);

#endif
