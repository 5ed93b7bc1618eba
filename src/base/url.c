#include "base/url.h"

#include <errno.h>
#include <string.h>

#include "privsep/util.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789"

int
url_parse(const char *text, struct url *out)
{
	static const char secure[] = "https://", plain[] = "http://";
	const char *host;
	size_t len;

	if (strncmp(text, secure, sizeof(secure) - 1) == 0)
		host = text + sizeof(secure) - 1;
	else if (strncmp(text, plain, sizeof(plain) - 1) == 0)
		host = text + sizeof(plain) - 1;
	else
		return -EINVAL;
	len = strspn(host, ALPHANUMERIC ".-:[]");
	if (len == 0 || strchr(".-:]", host[0]) != NULL || host[len] != '/')
		return -EINVAL;
	if (strlen(text) >= URL_BYTES || host[len +
	    strspn(host + len, ALPHANUMERIC "/.-_~%+,;=:@!$&'()*?")] != '\0')
		return -EINVAL;
	out->plain = host == text + sizeof(plain) - 1;
	return format(out->host, sizeof(out->host), "%.*s", (int)len, host) < 0 ?
	    -EINVAL : 0;
}
