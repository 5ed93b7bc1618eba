/*
 * The old ioctls of netdevice(7): five calls are all an address takes, and every
 * kernel has them.
 */
#include "guest/net.h"

#include <net/if.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

#define GUEST_INTERFACE "eth0"

static void
set_address(struct sockaddr *sa, in_addr_t address)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = address,
	};

	memcpy(sa, &sin, sizeof(sin));
}

static struct ifreq
request_for(const char *interface)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	return ifr;
}

static int
set_up(int fd, const char *interface)
{
	struct ifreq ifr = request_for(interface);

	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int
set_ip(int fd, const struct guest_config *config)
{
	struct ifreq ifr = request_for(GUEST_INTERFACE);
	uint32_t mask = 0xffffffffu << (32 - config->prefix);

	set_address(&ifr.ifr_addr, config->ip.s_addr);
	if (ioctl(fd, SIOCSIFADDR, &ifr) < 0)
		return -errno;
	set_address(&ifr.ifr_netmask, htonl(mask));
	return ioctl(fd, SIOCSIFNETMASK, &ifr) < 0 ? -errno : 0;
}

static int
add_default_route(int fd, struct in_addr gateway)
{
	struct rtentry route = { 0 };
	char device[] = GUEST_INTERFACE;

	set_address(&route.rt_dst, INADDR_ANY);
	set_address(&route.rt_genmask, INADDR_ANY);
	set_address(&route.rt_gateway, gateway.s_addr);
	route.rt_flags = RTF_UP | RTF_GATEWAY;
	route.rt_dev = device;
	if (ioctl(fd, SIOCADDRT, &route) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int
net_setup(const struct guest_config *config)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_up(fd, "lo");
	if (!config->has_ip)
		return r;
	if (r == 0)
		r = set_ip(fd, config);
	if (r == 0)
		r = set_up(fd, GUEST_INTERFACE);
	if (r == 0 && config->has_gateway)
		r = add_default_route(fd, config->gateway);
	return r;
}
