/*
 * The kernel command line, and other things that concern every VMM.
 *
 * quiet	an emulated serial port costs time for every byte
 * reboot=t	triple fault: the reset that a VMM without a keyboard controller
 *		understands, and its way to end (-no-reboot). Firecracker has
 *		one, for no more than reboot=k and Ctrl-Alt-Del: i8042.*
 * panic=-1	a panic ends the guest at once, its words are on the console
 * pci=off	there is no PCI bus to look for
 * net.ifnames=0, cryptomgr.notests
 *		eth0 stays eth0; 0.3 s of self-tests under emulation
 *
 * An emulated guest's TSC is the host's. On a busy host its kernel fails to
 * measure it against the emulated timer, and then hangs for want of a clock:
 * tsc_early_khz tells it, tsc=reliable keeps it from doubting that later.
 */
#include "vmm/driver.h"

#include <stdio.h>
#include <string.h>

#include "privsep/proto.h"

static void
quad(char out[16], uint32_t ipv4)
{
	snprintf(out, 16, "%u.%u.%u.%u", ipv4 >> 24, ipv4 >> 16 & 255,
	    ipv4 >> 8 & 255, ipv4 & 255);
}

/* Up to VMM_DNS_MAX of them, with commas between. */
static void
quads(char out[16 * VMM_DNS_MAX], const uint32_t *ipv4, uint32_t count)
{
	uint32_t i;

	out[0] = '\0';
	for (i = 0; i < count && i < VMM_DNS_MAX; i++) {
		if (i > 0)
			*out++ = ',';
		quad(out, ipv4[i]);
		out += strlen(out);
	}
}

int
vmm_cmdline(const struct vmm_spec *spec, char out[VMM_CMDLINE_MAX])
{
	const char *reset = spec->vmm == VMM_FIRECRACKER ?
	    "reboot=k i8042.noaux i8042.nomux i8042.dumbkbd" : "reboot=t";
	char ip[16], gateway[16], dns[16 * VMM_DNS_MAX], tsc[48] = "";

	quad(ip, spec->ipv4);
	quad(gateway, spec->gateway);
	quads(dns, spec->dns, spec->dns_count);
	if (!spec->kvm && spec->tsc_khz != 0)
		snprintf(tsc, sizeof(tsc), " tsc_early_khz=%u tsc=reliable",
		    spec->tsc_khz);
	return format(out, VMM_CMDLINE_MAX, "console=ttyS0 quiet %s "
	    "panic=-1 pci=off net.ifnames=0 cryptomgr.notests%s "
	    "banger.host=%s banger.ip=%s/%u banger.gw=%s%s%s "
	    "banger.init=%s%s", reset, tsc, spec->host, ip, spec->prefix, gateway,
	    dns[0] != '\0' ? " banger.dns=" : "", dns,
	    spec->init_none ? "none" : "image",
	    spec->vmm == VMM_FIRECRACKER ? " banger.link=vsock" : "");
}

bool
vmm_line_is_noise(const char *line)
{
	return strstr(line, "info: QEMU waiting for connection on: ") != NULL ||
	    strstr(line, "note: run with `RUST_BACKTRACE=1`") != NULL;
}
