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
	const char *host;		/* host name, an RFC 1123 label */
	uint32_t vcpus;
	uint32_t mem_mib;
	bool kvm;
	uint32_t tsc_khz;		/* of this host; 0: not known. For TCG */
	bool init_none;
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

/* Whether LINE of QEMU's standard error says only that it waits for us. */
bool	 qemu_is_waiting(const char *line);

/*
 * Appends the file for QEMU's -readconfig to BUF: what the jail of proto.h's
 * vmm_launch holds, nothing else. 0, -EINVAL for a value that cannot be
 * written in such a file, -ENAMETOOLONG, or -ENOBUFS.
 */
int	 qemu_config(const struct vmm_spec *spec, struct buf *buf);

#endif
