/*
 * Ports are known by their numbers, and found in sysfs; the nodes are devtmpfs's.
 */
#include "guest/ports.h"

#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/virtio_ids.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

/* In sysfs. */
#define PORTS_DIR "class/virtio-ports"
#define VIRTIO_DIR "bus/virtio"
#define DEVICES_MAX 32u		/* virtio devices; QEMU's microvm has 24 at most */

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

static int
write_text(int sys, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(sys, path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_full(fd, text, strlen(text));
}

int
ports_probe_all(int sys, bool on)
{
	return write_text(sys, VIRTIO_DIR "/drivers_autoprobe", on ? "1" : "0");
}

/* Whether virtio device NAME is a virtio-serial device without a driver. */
static bool
is_unprobed(int sys, const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[96], id[16] = "";

	snprintf(path, sizeof(path), VIRTIO_DIR "/devices/%s/device", name);
	fd = openat(sys, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, id, sizeof(id) - 1) < 0 ||
	    strtoul(id, NULL, 16) != VIRTIO_ID_CONSOLE)
		return false;
	snprintf(path, sizeof(path), VIRTIO_DIR "/devices/%s/driver", name);
	return faccessat(sys, path, F_OK, 0) < 0;
}

int
ports_probe_next(int sys)
{
	unsigned int i;

	/* Numbered as the VMM has them, from 0 on. */
	for (i = 0; i < DEVICES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "virtio%u", i);
		if (is_unprobed(sys, name))
			return write_text(sys, VIRTIO_DIR
			    "/drivers/virtio_console/bind", name);
	}
	return -ENOENT;
}

/* The device name (vport3p1) of the port with NUMBER. 0 or -ENOENT. */
static int
find_port(int sys, uint32_t number, char *name, size_t size)
{
	int fd = openat(sys, PORTS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t port;
	int r = -ENOENT;

	while (dir != NULL && r < 0 && (entry = readdir(dir)) != NULL) {
		const char *p = strrchr(entry->d_name, 'p');

		if (p != NULL && parse_u64(p + 1, UINT32_MAX, &port) == 0 &&
		    port == number)
			r = format(name, size, "%s", entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return r;
}

int
ports_open(int sys, uint32_t number)
{
	char name[32], path[48];
	int fd, r = find_port(sys, number, name, sizeof(name));

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	/* A node whose port is still being made. */
	return errno == ENXIO ? -ENOENT : -errno;
}

int
ports_open_idle(int sys, uint32_t number)
{
	struct pollfd pfd = { .fd = ports_open(sys, number) };

	if (pfd.fd < 0)
		return pfd.fd;
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0)
		return pfd.fd;
	close(pfd.fd);
	return -EBUSY;
}
