/*
 * Ports are found by the names QEMU gives them, in sysfs; their nodes are
 * devtmpfs's.
 */
#include "guest/ports.h"

#include <sys/socket.h>

#include <linux/netlink.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

#define PORTS_DIR "/sys/class/virtio-ports"

int
ports_events(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1,		/* the kernel's own events */
	};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_KOBJECT_UEVENT);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

void
ports_events_drain(int fd)
{
	char buf[512];

	/* ENOBUFS: some were lost; a scan does not need them. */
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0 ||
	    errno == ENOBUFS)
		;
}

/* The index of a port called NAME, or -1. */
static int
port_index(const char *name)
{
	uint64_t number;
	size_t prefix = strlen(AGENT_STREAM_PORT);

	if (strcmp(name, AGENT_CTL_PORT) == 0)
		return (int)PORTS_CTL;
	if (strncmp(name, AGENT_STREAM_PORT, prefix) != 0 ||
	    parse_u64(name + prefix, AGENT_STREAM_PORTS - 1, &number) < 0)
		return -1;
	return (int)number;
}

static int
port_name(int dir, const char *device, char *name, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t n;

	if (format(path, sizeof(path), "%s/name", device) < 0)
		return -ENAMETOOLONG;
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, name, size - 1);
	if (n < 0)
		return -errno;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return 0;
}

int
ports_scan(struct ports *ports)
{
	DIR *dir = opendir(PORTS_DIR);
	const struct dirent *entry;
	char name[64];
	int i;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || port_name(dirfd(dir),
		    entry->d_name, name, sizeof(name)) < 0)
			continue;
		i = port_index(name);
		if (i >= 0)
			(void)format(ports->device[i],
			    sizeof(ports->device[i]), "%s", entry->d_name);
	}
	closedir(dir);
	return 0;
}

int
ports_open(struct ports *ports, uint32_t index)
{
	char path[64];
	int fd;

	if (ports->device[index][0] == '\0')
		(void)ports_scan(ports);
	if (ports->device[index][0] == '\0')
		return -ENOENT;
	snprintf(path, sizeof(path), "/dev/%s", ports->device[index]);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
ports_open_idle(struct ports *ports, uint32_t index)
{
	struct pollfd pfd = { .fd = ports_open(ports, index) };

	if (pfd.fd < 0)
		return pfd.fd;
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0)
		return pfd.fd;
	close(pfd.fd);
	return -EBUSY;
}
