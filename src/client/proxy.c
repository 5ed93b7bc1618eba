#include "client/proxy.h"

#include <string.h>
#include <strings.h>

#include "image/errmsg.h"

/* The first of NAMES that is set to something, as *VALUE; its name, or NULL. */
static const char *
first_set(const char *const *names, const char **value)
{
	for (; *names != NULL; names++) {
		*value = getenv(*names);
		if (*value != NULL && (*value)[0] != '\0')
			return *names;
	}
	*value = NULL;
	return NULL;
}

int
proxy_find(bool https, const char **proxy, const char **no_proxy,
    char err[API_TEXT_MAX])
{
	static const char *const https_names[] = { "https_proxy", "HTTPS_PROXY",
		"all_proxy", "ALL_PROXY", NULL };
	/*
	 * Not HTTP_PROXY: a CGI program has the request's header "Proxy:" there
	 * (httpoxy, CVE-2016-5385).
	 */
	static const char *const http_names[] = { "http_proxy", "all_proxy",
		"ALL_PROXY", NULL };
	static const char *const no_names[] = { "no_proxy", "NO_PROXY", NULL };
	const char *value, *name;

	name = first_set(https ? https_names : http_names, &value);
	/* Without a scheme it is http://. */
	if (name != NULL && strstr(value, "://") != NULL &&
	    strncasecmp(value, "http://", 7) != 0 &&
	    strncasecmp(value, "https://", 8) != 0)
		return errmsg(err, API_TEXT_MAX, -EPROTONOSUPPORT, "%s: a proxy "
		    "that is neither http:// nor https://; set it to one that "
		    "is, or to nothing", name);
	*proxy = value;
	(void)first_set(no_names, no_proxy);
	return 0;
}
