/*
 * Firecracker's configuration file and the one request that it gets later.
 *
 * All paths are those of the jail: /kernel and /initrd; the disk is the block
 * device /disk; the tap is found by name; sockets are made in /run. No drive is
 * called the root device: which one that is, is the initrd's business.
 * Checked with 1.12; nothing here changed up to 1.14.
 */
#include "vmm/driver.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "privsep/proto.h"

/* Any from 3 on: every VM has a device of its own. */
enum { GUEST_CID = 3 };

static void
boot_source(struct buf *buf, const char *cmdline)
{
	json_open(buf, "boot-source", '{');
	json_text(buf, "kernel_image_path", "/kernel");
	json_text(buf, "initrd_path", "/initrd");
	json_text(buf, "boot_args", cmdline);
	json_close(buf, '}');
}

/* Writeback keeps the guest's flushes, Unsafe (the default) ignores them. */
static void
drives(struct buf *buf, bool disposable)
{
	json_open(buf, "drives", '[');
	json_open(buf, NULL, '{');
	json_text(buf, "drive_id", "root");
	json_text(buf, "path_on_host", "/disk");
	json_bool(buf, "is_root_device", false);
	json_bool(buf, "is_read_only", false);
	json_text(buf, "cache_type", disposable ? "Unsafe" : "Writeback");
	json_close(buf, '}');
	json_close(buf, ']');
}

static void
machine(struct buf *buf, const struct vmm_spec *spec)
{
	json_open(buf, "machine-config", '{');
	json_number(buf, "vcpu_count", spec->vcpus);
	json_number(buf, "mem_size_mib", spec->mem_mib);
	json_close(buf, '}');
}

static void
network(struct buf *buf, const struct vmm_spec *spec)
{
	const uint8_t *mac = spec->mac;
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
	    mac[1], mac[2], mac[3], mac[4], mac[5]);
	json_open(buf, "network-interfaces", '[');
	json_open(buf, NULL, '{');
	json_text(buf, "iface_id", "eth0");
	json_text(buf, "guest_mac", text);
	json_text(buf, "host_dev_name", spec->tap);
	json_close(buf, '}');
	json_close(buf, ']');
}

static void
link_to_agent(struct buf *buf)
{
	json_open(buf, "vsock", '{');
	json_number(buf, "guest_cid", GUEST_CID);
	json_text(buf, "uds_path", "/run/vsock.sock");
	json_close(buf, '}');
}

int
firecracker_config(const struct vmm_spec *spec, struct buf *buf)
{
	char cmdline[VMM_CMDLINE_MAX];
	size_t before = buf->len;
	int r = vmm_cmdline(spec, cmdline);

	if (r < 0)
		return r;
	json_open(buf, NULL, '{');
	boot_source(buf, cmdline);
	drives(buf, spec->disposable);
	machine(buf, spec);
	network(buf, spec);
	link_to_agent(buf);
	json_open(buf, "entropy", '{');
	json_close(buf, '}');
	json_open(buf, "metrics", '{');
	json_text(buf, "metrics_path", "/run/metrics");
	json_close(buf, '}');
	json_close(buf, '}');
	if (buf->failed) {
		buf->len = before;
		return -ENOBUFS;
	}
	return 0;
}

const char *
firecracker_ctrl_alt_del(void)
{
	return "PUT /actions HTTP/1.1\r\nHost: localhost\r\n"
	    "Content-Type: application/json\r\nContent-Length: 33\r\n\r\n"
	    "{\"action_type\":\"SendCtrlAltDel\"}\n";
}

const char *
firecracker_flush_metrics(void)
{
	return "PUT /actions HTTP/1.1\r\nHost: localhost\r\n"
	    "Content-Type: application/json\r\nContent-Length: 31\r\n\r\n"
	    "{\"action_type\":\"FlushMetrics\"}\n";
}

/* Adds TREE's SECTION.KEY to *SUM. 0, or -EPROTO when it is no such number. */
static int
add_metric(const cJSON *tree, const char *section, const char *key,
    uint64_t *sum)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(tree, section), key);

	if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0 &&
	    number->valuedouble <= (double)(JSON_NUMBER_MAX - *sum)))
		return -EPROTO;
	*sum += (uint64_t)number->valuedouble;
	return 0;
}

int
firecracker_add_metrics(struct vmm_metrics *sum, const char *line, size_t len)
{
	_cleanup_json_ cJSON *tree = json_parse(line, len);
	struct vmm_metrics new = *sum;

	if (add_metric(tree, "block", "read_bytes", &new.disk_read_bytes) < 0 ||
	    add_metric(tree, "block", "write_bytes", &new.disk_write_bytes) < 0 ||
	    add_metric(tree, "block", "flush_count", &new.disk_flushes) < 0 ||
	    add_metric(tree, "net", "tx_spoofed_mac_count", &new.net_spoofed) < 0)
		return -EPROTO;
	*sum = new;
	return 0;
}

const char *
firecracker_exit_text(int code)
{
	static const struct {
		int code;
		const char *text;
	} texts[] = {
		{ 1, "an error of its own" }, { 2, "an unexpected error" },
		{ 148, "a system call that its filter refuses" },
		{ 149, "a bus error" }, { 150, "a segmentation fault" },
		{ 151, "a file that got too large" },
		{ 152, "a bad configuration" }, { 153, "bad arguments" },
		{ 154, "its limit of processor time" },
		{ 155, "a broken pipe" }, { 156, "a hang-up" },
		{ 157, "an illegal instruction" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	return NULL;
}
