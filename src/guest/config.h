/*
 * What the kernel command line tells the agent (base/agent_proto.h).
 */
#ifndef BANGER_GUEST_CONFIG_H
#define BANGER_GUEST_CONFIG_H

#include <netinet/in.h>

#include <stdbool.h>

#define GUEST_DNS_MAX 3		/* resolv.conf(5), MAXNS */

struct guest_config {
	char host[65];			/* "" when not given */
	bool has_ip, has_gateway;
	struct in_addr ip, gateway;
	unsigned int prefix;		/* 1..32 */
	struct in_addr dns[GUEST_DNS_MAX];
	unsigned int dns_count;
	bool init_none;
	bool vsock;			/* the host comes by vsock */
};

/*
 * Fills OUT from the text of /proc/cmdline. Returns how many of banger's own
 * parameters were malformed or unknown, which are then as if not given; with
 * BAD (may be NULL) set to the first one, copied to BAD_SIZE bytes.
 */
int	 guest_config_parse(const char *cmdline, struct guest_config *out,
	    char *bad, size_t bad_size);

/* Reads and parses /proc/cmdline; complaints go to the log. 0 or -errno. */
int	 guest_config_load(struct guest_config *out);

#endif
