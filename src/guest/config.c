/*
 * A parameter is looked at by exactly one function; a bad one costs the guest
 * that setting, not its boot.
 */
#include "guest/config.h"

#include <arpa/inet.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "privsep/log.h"

static bool
is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-';
}

/* RFC 1123 labels, joined by dots. */
static int
parse_host(const char *value, struct guest_config *out)
{
	size_t label = 0, i;

	if (strlen(value) >= sizeof(out->host))
		return -EINVAL;
	for (i = 0; value[i] != '\0'; i++) {
		bool edge = label == 0 || value[i + 1] == '.' ||
		    value[i + 1] == '\0';

		if (value[i] == '.' && label > 0)
			label = 0;
		else if (is_label_char(value[i]) && label < 63 &&
		    !(value[i] == '-' && edge))
			label++;
		else
			return -EINVAL;
	}
	if (label == 0)
		return -EINVAL;
	return format(out->host, sizeof(out->host), "%s", value);
}

static int
parse_address(const char *value, struct in_addr *out)
{
	return inet_pton(AF_INET, value, out) == 1 ? 0 : -EINVAL;
}

static int
parse_ip(const char *value, struct guest_config *out)
{
	const char *slash = strchr(value, '/');
	char address[INET_ADDRSTRLEN];
	uint64_t prefix;

	if (slash == NULL || format(address, sizeof(address), "%.*s",
	    (int)(slash - value), value) < 0 ||
	    parse_u64(slash + 1, 32, &prefix) < 0 || prefix == 0 ||
	    parse_address(address, &out->ip) < 0)
		return -EINVAL;
	out->prefix = (unsigned int)prefix;
	out->has_ip = true;
	return 0;
}

static int
parse_gateway(const char *value, struct guest_config *out)
{
	if (parse_address(value, &out->gateway) < 0)
		return -EINVAL;
	out->has_gateway = true;
	return 0;
}

static int
parse_dns(const char *value, struct guest_config *out)
{
	char address[INET_ADDRSTRLEN];
	struct in_addr found[GUEST_DNS_MAX];
	unsigned int n = 0;
	size_t len;

	do {
		len = strcspn(value, ",");
		if (n == GUEST_DNS_MAX || format(address, sizeof(address),
		    "%.*s", (int)len, value) < 0 ||
		    parse_address(address, &found[n]) < 0)
			return -EINVAL;
		n++;
		value += len;
	} while (*value++ == ',');
	memcpy(out->dns, found, sizeof(found));
	out->dns_count = n;
	return 0;
}

static int
parse_init(const char *value, struct guest_config *out)
{
	if (strcmp(value, "none") != 0 && strcmp(value, "image") != 0)
		return -EINVAL;
	out->init_none = value[0] == 'n';
	return 0;
}

static int
parse_link(const char *value, struct guest_config *out)
{
	if (strcmp(value, "vsock") != 0 && strcmp(value, "serial") != 0)
		return -EINVAL;
	out->vsock = value[0] == 'v';
	return 0;
}

static const struct parameter {
	const char *name;
	int (*parse)(const char *value, struct guest_config *out);
} parameters[] = {
	{ "banger.host=", parse_host },
	{ "banger.ip=", parse_ip },
	{ "banger.gw=", parse_gateway },
	{ "banger.dns=", parse_dns },
	{ "banger.init=", parse_init },
	{ "banger.link=", parse_link },
};

static int
parse_word(const char *word, struct guest_config *out)
{
	size_t i;

	if (strncmp(word, "banger.", 7) != 0)
		return 0;
	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		size_t len = strlen(parameters[i].name);

		if (strncmp(word, parameters[i].name, len) == 0)
			return parameters[i].parse(word + len, out);
	}
	return -EINVAL;
}

int
guest_config_parse(const char *cmdline, struct guest_config *out, char *bad,
    size_t bad_size)
{
	char word[256];
	int wrong = 0;

	memset(out, 0, sizeof(*out));
	for (;;) {
		size_t len;

		cmdline += strspn(cmdline, " \t\n");
		len = strcspn(cmdline, " \t\n");
		if (len == 0)
			return wrong;
		/* One of ours is never that long; a foreign one may be. */
		snprintf(word, sizeof(word), "%.*s",
		    (int)(len < sizeof(word) ? len : sizeof(word) - 1), cmdline);
		cmdline += len;
		if ((len >= sizeof(word) && strncmp(word, "banger.", 7) == 0) ||
		    parse_word(word, out) < 0) {
			if (wrong++ == 0 && bad != NULL)
				snprintf(bad, bad_size, "%s", word);
		}
	}
}

int
guest_config_load(struct guest_config *out)
{
	_cleanup_close_ int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	char text[4096], bad[128];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (guest_config_parse(text, out, bad, sizeof(bad)) > 0)
		log_warn("kernel command line: cannot use %s", bad);
	return 0;
}
