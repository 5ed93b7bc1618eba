/*
 * QEMU's machine "microvm", in the INI form of -readconfig (QEMU manual,
 * system/invocation; checked with 7.2). A value stands between '"' and knows no
 * escape, so none may hold one.
 *
 * All paths are those of the jail: /kernel and /initrd; the disk is fd 4, known
 * to QEMU as fd set 4 (the monitor's argument vector says so); the tap is
 * fd 3; sockets are made in /run. Nothing here decides about confinement: the
 * jail, the uid and QEMU's own sandbox are the monitor's business.
 */
#include "vmm/driver.h"

#include <stdio.h>
#include <string.h>

#include "base/agent_proto.h"
#include "privsep/proto.h"

_Static_assert(AGENT_STREAM_PORTS <= STREAM_PORTS,
    "the monitor connects to every stream port");

static void
section(struct buf *buf, const char *group, const char *id)
{
	if (id == NULL)
		buf_printf(buf, "[%s]\n", group);
	else
		buf_printf(buf, "[%s \"%s\"]\n", group, id);
}

static void
set(struct buf *buf, const char *key, const char *value)
{
	buf_printf(buf, "%s = \"%s\"\n", key, value);
}

static void
set_number(struct buf *buf, const char *key, uint64_t value)
{
	buf_printf(buf, "%s = \"%llu\"\n", key, (unsigned long long)value);
}

static void
machine(struct buf *buf, const struct vmm_spec *spec, const char *cmdline)
{
	section(buf, "machine", NULL);
	set(buf, "type", "microvm");
	/* Distributions' kernels find virtio-mmio devices through ACPI only. */
	set(buf, "acpi", "on");
	set(buf, "auto-kernel-cmdline", "off");
	set(buf, "rtc", "on");
	set(buf, "x-option-roms", "off");
	set(buf, "mem-merge", "off");
	set(buf, "dump-guest-core", "off");
	set(buf, "accel", spec->kvm ? "kvm" : "tcg");
	set(buf, "kernel", "/kernel");
	set(buf, "initrd", "/initrd");
	set(buf, "append", cmdline);
	section(buf, "smp-opts", NULL);
	set_number(buf, "cpus", spec->vcpus);
	section(buf, "memory", NULL);
	buf_printf(buf, "size = \"%uM\"\n", spec->mem_mib);
}

/*
 * For "-cpu max" of the monitor's argument vector. Without erms an emulated
 * guest clears pages by words, not by bytes: a sixth of its boot's CPU time.
 */
static void
processor(struct buf *buf, bool kvm)
{
	if (kvm)
		return;
	section(buf, "global", NULL);
	set(buf, "driver", "max-x86_64-cpu");
	set(buf, "property", "erms");
	set(buf, "value", "off");
}

/* A listening socket in /run; with WAIT, QEMU goes on only with a peer. */
static void
socket_chardev(struct buf *buf, const char *id, const char *name, bool wait)
{
	section(buf, "chardev", id);
	set(buf, "backend", "socket");
	buf_printf(buf, "path = \"/run/%s.sock\"\n", name);
	set(buf, "server", "on");
	set(buf, "wait", wait ? "on" : "off");
}

/*
 * QEMU makes its character devices before it opens disks or runs anything: it
 * waits for the console's reader, so that no byte is lost, and the disk need
 * not be ready before.
 */
static void
console(struct buf *buf)
{
	socket_chardev(buf, "console", "console", true);
	section(buf, "device", "uart");
	set(buf, "driver", "isa-serial");
	set(buf, "chardev", "console");
}

/*
 * auto-read-only would have QEMU open the disk for reading first, which the
 * fd set, holding one descriptor for reading and writing, cannot give.
 * writeback keeps the guest's flushes; unsafe ignores them.
 */
static void
disk(struct buf *buf, bool block, bool disposable)
{
	section(buf, "drive", "root");
	set(buf, "if", "none");
	set(buf, "format", "raw");
	set(buf, "file.driver", block ? "host_device" : "file");
	set(buf, "file.filename", "/dev/fdset/4");
	set(buf, "file.locking", "off");
	set(buf, "auto-read-only", "off");
	set(buf, "cache", disposable ? "unsafe" : "writeback");
	set(buf, "discard", "unmap");
	section(buf, "device", "disk");
	set(buf, "driver", "virtio-blk-device");
	set(buf, "drive", "root");
	/* Not the default, which stops the guest when the host's disk is full. */
	set(buf, "werror", "report");
	set(buf, "rerror", "report");
}

static void
network(struct buf *buf, const uint8_t mac[6])
{
	section(buf, "netdev", "net");
	set(buf, "type", "tap");
	set(buf, "fd", "3");
	section(buf, "device", "nic");
	set(buf, "driver", "virtio-net-device");
	set(buf, "netdev", "net");
	buf_printf(buf, "mac = \"%02x:%02x:%02x:%02x:%02x:%02x\"\n", mac[0],
	    mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* A virtio-serial device for ports with numbers below MAX. */
static void
serial(struct buf *buf, const char *id, uint32_t max)
{
	section(buf, "device", id);
	set(buf, "driver", "virtio-serial-device");
	set_number(buf, "max_ports", max);
}

/*
 * One port: its device's bus, its number, by which the agent knows it, and its
 * socket here. A name would be one more message for each while the guest boots.
 */
static void
port(struct buf *buf, const char *bus, uint32_t number, const char *socket)
{
	char chardev[32], device[32];

	snprintf(chardev, sizeof(chardev), "c%s", socket);
	snprintf(device, sizeof(device), "p%s", socket);
	socket_chardev(buf, chardev, socket, false);
	section(buf, "device", device);
	set(buf, "driver", "virtserialport");
	set(buf, "bus", bus);
	set_number(buf, "nr", number);
	set(buf, "chardev", chardev);
}

/*
 * Linux gives each port half a megabyte of buffers, 10 ms of an emulated guest's
 * boot. So the agent begins with a device that has few, and has the other one
 * probed when it needs more.
 */
static void
ports(struct buf *buf)
{
	uint32_t i;

	serial(buf, "few", AGENT_STREAM_PORT + AGENT_EARLY_STREAMS);
	serial(buf, "more", AGENT_STREAM_PORT + AGENT_STREAM_PORTS);
	port(buf, "few.0", AGENT_CTL_PORT, "ctl");
	for (i = 0; i < AGENT_STREAM_PORTS; i++) {
		char socket[16];

		snprintf(socket, sizeof(socket), "%u", i);
		port(buf, i < AGENT_EARLY_STREAMS ? "few.0" : "more.0",
		    AGENT_STREAM_PORT + i, socket);
	}
}

int
qemu_config(const struct vmm_spec *spec, struct buf *buf)
{
	char cmdline[VMM_CMDLINE_MAX];
	size_t before = buf->len;
	int r = vmm_cmdline(spec, cmdline);

	if (r < 0)
		return r;
	if (strpbrk(cmdline, "\"\n") != NULL)
		return -EINVAL;
	machine(buf, spec, cmdline);
	processor(buf, spec->kvm);
	console(buf);
	disk(buf, spec->disk_is_block, spec->disposable);
	network(buf, spec->mac);
	section(buf, "device", "rng");
	set(buf, "driver", "virtio-rng-device");
	ports(buf);
	if (buf->failed) {
		buf->len = before;
		return -ENOBUFS;
	}
	return 0;
}
