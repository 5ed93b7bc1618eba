/*
 * resolv.conf is the administrator's, hence trusted, but may be large, or a
 * link to anything: only its first 16 KiB count.
 */
#include "worker/resolv.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "privsep/util.h"

enum { RESOLV_MAX = 16 * 1024 };

/* A guest's own loopback is not ours, and multicast answers nobody. */
static int
usable(uint32_t ipv4)
{
	return ipv4 >> 24 != 127 && ipv4 >> 24 != 0 && ipv4 >> 24 < 224;
}

uint32_t
resolv_parse(const char *text, uint32_t *out, uint32_t max)
{
	static const char keyword[] = "nameserver";
	uint32_t count = 0;
	const char *line;

	for (line = text; line != NULL && count < max;
	    line = strchr(line, '\n')) {
		struct in_addr addr;
		char word[INET_ADDRSTRLEN];
		size_t len;

		line += line[0] == '\n';
		if (strncmp(line, keyword, strlen(keyword)) != 0)
			continue;
		line += strlen(keyword);
		len = strspn(line, " \t");
		if (len == 0)
			continue;
		line += len;
		len = strcspn(line, " \t\r\n#;");
		if (len >= sizeof(word))
			continue;
		memcpy(word, line, len);
		word[len] = '\0';
		if (inet_pton(AF_INET, word, &addr) == 1 &&
		    usable(ntohl(addr.s_addr)))
			out[count++] = ntohl(addr.s_addr);
	}
	return count;
}

static uint32_t
servers_of(const char *path, uint32_t *out, uint32_t max)
{
	_cleanup_buf_ struct buf text = BUF_INIT(RESOLV_MAX);
	_cleanup_close_ int fd = open(path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = fd < 0 ? -errno : buf_read_all(&text, fd);

	if ((r < 0 && r != -EFBIG) || text.len == 0)
		return 0;
	return resolv_parse(text.data, out, max);
}

uint32_t
resolv_servers(uint32_t fallback, uint32_t *out, uint32_t max)
{
	uint32_t count = servers_of("/etc/resolv.conf", out, max);

	if (count == 0)
		count = servers_of("/run/systemd/resolve/resolv.conf", out,
		    max);
	if (count == 0 && fallback != 0 && max > 0)
		out[count++] = fallback;
	return count;
}
