/*
 * What a VMM can say that its guest has taken over: the answer to CONNECT, and
 * Firecracker's metrics. Nothing is read of its answers to HTTP requests.
 */
#include "fuzz.h"

#include "base/json.h"
#include "vmm/driver.h"
#include "vmm/vsock.h"

static void
vsock(struct input *in)
{
	struct vsock_reply reply = { .len = 0 };
	size_t used;
	int r = 0;

	while (r == 0 && in->len > 0) {
		struct input piece = take_bytes(in, (size_t)take_u8(in) + 1);

		r = vsock_reply_feed(&reply, piece.data, piece.len, &used);
		must(used <= piece.len && (r != 0 || used == piece.len) &&
		    reply.len <= sizeof(reply.line));
	}
}

static void
metrics(struct input *in)
{
	struct vmm_metrics sum = { 1, 2, JSON_NUMBER_MAX - 1, 4 }, before = sum;
	char *line = take_string(in);

	if (firecracker_add_metrics(&sum, line, strlen(line)) < 0)
		must(memcmp(&sum, &before, sizeof(sum)) == 0);
	must(sum.disk_read_bytes <= JSON_NUMBER_MAX && sum.disk_write_bytes <=
	    JSON_NUMBER_MAX && sum.disk_flushes <= JSON_NUMBER_MAX &&
	    sum.net_spoofed <= JSON_NUMBER_MAX);
	(void)vmm_line_is_noise(line);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };

	if (take_u8(&in) % 2 == 0)
		vsock(&in);
	else
		metrics(&in);
	return 0;
}
