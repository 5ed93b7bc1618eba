#include "base/reference.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "privsep/util.h"

#define DOCKER_HUB "docker.io"
#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTERS_DIGITS LOWER_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* What docker calls it in different places. */
static const char *const hub_names[] = { "index.docker.io",
	"registry-1.docker.io", "registry.hub.docker.com" };

/* A host name or an address, and maybe a port; or [IPv6] and a port. */
static int
check_host(const char *host)
{
	const char *port = strrchr(host, ':');
	size_t len = strcspn(host, ":"), digits;
	bool bracket = host[0] == '[';

	if (bracket) {
		len = strcspn(host, "]");
		if (host[len] == '\0' ||
		    strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 1)
			return -EINVAL;
		port = host[++len] == ':' ? host + len : NULL;
		if (host[len] != ':' && host[len] != '\0')
			return -EINVAL;
	} else if (len == 0 || strspn(host, LETTERS_DIGITS ".-") != len ||
	    strchr(".-", host[0]) != NULL || strchr(".-", host[len - 1]) !=
	    NULL) {
		return -EINVAL;
	}
	if (port == NULL)
		return host[len] == '\0' ? 0 : -EINVAL;
	digits = strspn(port + 1, "0123456789");
	return port == host + len && digits > 0 && digits <= 5 &&
	    port[1 + digits] == '\0' ? 0 : -EINVAL;
}

/* Lower-case words, with . _ __ or dashes between them, parted by slashes. */
static int
check_path(const char *path)
{
	const char *at = path;

	for (;;) {
		size_t n = strspn(at, LOWER_DIGITS);

		if (n == 0)
			return -EINVAL;
		at += n;
		if (*at == '\0')
			return 0;
		n = *at == '-' ? strspn(at, "-") : 1;
		if (strncmp(at, "__", 2) == 0)
			n = 2;
		if (strchr("/._-", *at) == NULL)
			return -EINVAL;
		at += n;
	}
}

static int
check_tag(const char *tag)
{
	return tag[0] != '\0' && tag[0] != '.' && tag[0] != '-' &&
	    strspn(tag, LETTERS_DIGITS "_.-") == strlen(tag) ? 0 : -EINVAL;
}

/* Parts off the digest and the tag behind the last slash of REST. */
static int
take_tag(char *rest, struct reference *out)
{
	char *at = strchr(rest, '@'), *slash, *colon;
	uint8_t sha256[DIGEST_BYTES];

	if (at != NULL) {
		*at++ = '\0';
		if (digest_parse(at, sha256) < 0)
			return -EINVAL;
		(void)format(out->digest, sizeof(out->digest), "%s", at);
	}
	slash = strrchr(rest, '/');
	colon = strchr(slash != NULL ? slash : rest, ':');
	if (colon != NULL) {
		*colon++ = '\0';
		if (check_tag(colon) < 0)
			return -EINVAL;
	}
	/* A digest says more than a tag. */
	return format(out->tag, sizeof(out->tag), "%s",
	    out->digest[0] != '\0' ? "" : colon != NULL ? colon : "latest") <
	    0 ? -EINVAL : 0;
}

/* Whether the first word of a path names a registry: docker's rule. */
static bool
is_host(const char *word, size_t len)
{
	return memchr(word, '.', len) != NULL ||
	    memchr(word, ':', len) != NULL || word[0] == '[' ||
	    (len == strlen("localhost") && memcmp(word, "localhost", len) == 0);
}

int
reference_parse(const char *text, struct reference *out)
{
	char copy[REFERENCE_BYTES + DIGEST_TEXT];
	const char *host = DOCKER_HUB, *path = copy;
	size_t i;
	char *slash;

	*out = (struct reference){ .host = "" };
	if (format(copy, sizeof(copy), "%s", text) < 0 ||
	    take_tag(copy, out) < 0)
		return -EINVAL;
	slash = strchr(copy, '/');
	if (slash != NULL && is_host(copy, (size_t)(slash - copy))) {
		*slash = '\0';
		host = copy;
		path = slash + 1;
	}
	for (i = 0; i < ARRAY_SIZE(hub_names); i++)
		if (strcmp(host, hub_names[i]) == 0)
			host = DOCKER_HUB;
	if (check_host(host) < 0 || check_path(path) < 0 ||
	    format(out->host, sizeof(out->host), "%s", host) < 0)
		return -EINVAL;
	return format(out->path, sizeof(out->path), "%s%s",
	    strcmp(host, DOCKER_HUB) == 0 && strchr(path, '/') == NULL ?
	    "library/" : "", path) < 0 ? -EINVAL : 0;
}

void
reference_text(const struct reference *ref, char out[REFERENCE_BYTES])
{
	bool by_digest = ref->digest[0] != '\0';

	(void)format(out, REFERENCE_BYTES, "%s/%s%s%s", ref->host, ref->path,
	    by_digest ? "@" : ":", by_digest ? ref->digest : ref->tag);
}

void
reference_name(const struct reference *ref, char *out, size_t size)
{
	const char *slash = strrchr(ref->path, '/');
	const char *base = slash != NULL ? slash + 1 : ref->path;
	char more[32] = "";
	size_t i;

	if (ref->digest[0] != '\0')
		(void)format(more, sizeof(more), "-%.12s", ref->digest + 7);
	else if (strcmp(ref->tag, "latest") != 0)
		(void)format(more, sizeof(more), "-%.30s", ref->tag);
	(void)format(out, size, "%.*s%s", (int)(63 - strlen(more)), base, more);
	for (i = 0; out[i] != '\0'; i++)
		out[i] = (char)tolower((unsigned char)out[i]);
}
