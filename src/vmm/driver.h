/*
 * What a VM needs from a VMM, apart from how the VMM wants to be told. A
 * driver writes the configuration that the monitor copies, unread, into the
 * VM's jail as /vmm.conf.
 */
#ifndef BANGER_VMM_DRIVER_H
#define BANGER_VMM_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { VMM_DNS_MAX = 3, VMM_CMDLINE_MAX = 1024 };

struct vmm_spec {
	uint32_t vmm;			/* enum vmm_kind */
	const char *host;		/* host name, an RFC 1123 label */
	const char *tap;		/* interface, for Firecracker */
	uint32_t vcpus;
	uint32_t mem_mib;
	bool kvm;
	uint32_t tsc_khz;		/* of this host; 0: not known. For TCG */
	bool init_none;
	bool disk_is_block;		/* fd 4 is a block device's */
	bool disposable;		/* its disk need not survive a crash */
	uint8_t mac[6];
	uint32_t ipv4, gateway;		/* host order */
	uint32_t prefix;
	uint32_t dns[VMM_DNS_MAX];	/* host order */
	uint32_t dns_count;
};

/* One look at the time-stamp counter, with the time of it. */
struct tsc_sample {
	uint64_t tsc;
	uint64_t time_ns;		/* CLOCK_MONOTONIC_RAW */
};

/* Both clocks, read one right after the other. */
struct tsc_sample tsc_sample(void);

/*
 * The TSC's frequency in kHz from a look at it some time ago, 5 ms at least:
 * what is missing of that is waited for, busily. 0 when there is no TSC.
 */
uint32_t tsc_khz_since(const struct tsc_sample *then);

/*
 * The kernel command line for SPEC (base/agent_proto.h): 0, or -ENAMETOOLONG
 * when it is too long for OUT.
 */
int	 vmm_cmdline(const struct vmm_spec *spec, char out[VMM_CMDLINE_MAX]);

/*
 * Whether LINE of a VMM's standard error tells nothing: that QEMU waits for us,
 * or how to debug Firecracker's jailer.
 */
bool	 vmm_line_is_noise(const char *line);

/*
 * Appends the file for QEMU's -readconfig to BUF: what the jail of proto.h's
 * vmm_launch holds, nothing else. 0, -EINVAL for a value that cannot be
 * written in such a file, -ENAMETOOLONG, or -ENOBUFS.
 */
int	 qemu_config(const struct vmm_spec *spec, struct buf *buf);

/*
 * Appends Firecracker's --config-file to BUF: as qemu_config, with the errors
 * -ENAMETOOLONG and -ENOBUFS.
 */
int	 firecracker_config(const struct vmm_spec *spec, struct buf *buf);

/*
 * A request to Firecracker's API socket (HTTP/1.1, its src/firecracker/swagger)
 * that presses Ctrl-Alt-Del in the guest. Static, terminated.
 */
const char *firecracker_ctrl_alt_del(void);

/* The same, for a line of metrics at once; there is one each minute anyway. */
const char *firecracker_flush_metrics(void);

/* What Firecracker has counted; 53 bits at most. */
struct vmm_metrics {
	uint64_t disk_read_bytes, disk_write_bytes, disk_flushes;
	uint64_t net_spoofed;		/* frames with another's MAC, dropped */
};

/*
 * Adds a line of LEN bytes of Firecracker's metrics to SUM: each tells what came
 * since the one before (its src/vmm/src/logger/metrics.rs). 0, or -EPROTO and
 * SUM as it was.
 */
int	 firecracker_add_metrics(struct vmm_metrics *sum, const char *line,
	    size_t len);

/*
 * What exit status CODE of Firecracker means (its docs/api_requests and
 * FcExitCode), or NULL for one that it does not use.
 */
const char *firecracker_exit_text(int code);

#endif
