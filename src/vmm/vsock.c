/*
 * One line out, one line in.
 */
#include "vmm/vsock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

#define REPLY_PREFIX "OK "

size_t
vsock_request(char out[VSOCK_REQUEST_MAX], uint32_t port)
{
	return (size_t)snprintf(out, VSOCK_REQUEST_MAX, "CONNECT %u\n", port);
}

/* Whether the LEN bytes of LINE, without its end, are as they should be. */
static bool
well_formed(const char *line, size_t len)
{
	const size_t prefix = strlen(REPLY_PREFIX);
	char digits[VSOCK_REPLY_MAX];
	uint64_t port;

	if (len < prefix || memcmp(line, REPLY_PREFIX, prefix) != 0)
		return false;
	memcpy(digits, line + prefix, len - prefix);
	digits[len - prefix] = '\0';
	return strlen(digits) == len - prefix &&
	    parse_u64(digits, UINT32_MAX, &port) == 0;
}

int
vsock_reply_feed(struct vsock_reply *reply, const void *data, size_t len,
    size_t *used)
{
	const char *bytes = data;
	size_t i;

	for (i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			*used = i + 1;
			return well_formed(reply->line, reply->len) ? 1 :
			    -EPROTO;
		}
		/* With its end it would be longer than it can be. */
		if (reply->len == VSOCK_REPLY_MAX - 1)
			break;
		reply->line[reply->len++] = bytes[i];
	}
	*used = i;
	return i < len ? -EPROTO : 0;
}
