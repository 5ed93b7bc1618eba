/*
 * See notify.h. The address is kept and the socket not connected: a manager
 * that was replaced (systemctl daemon-reexec) is reached all the same.
 */
#include "privsep/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 256 };

int
notify_open(struct notify *notify)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct notify opened = { .addr = { .sun_family = AF_UNIX } };
	size_t len;
	int r;

	if (name == NULL || *name == '\0') {
		unsetenv("NOTIFY_SOCKET");
		return 0;
	}
	/* An abstract name may fill all of sun_path: it has no NUL. */
	len = strlen(name);
	r = (name[0] != '/' && name[0] != '@') || len < 2 ||
	    len + (name[0] == '/') > sizeof(opened.addr.sun_path) ? -EINVAL : 0;
	if (r == 0) {
		memcpy(opened.addr.sun_path, name, len);
		if (name[0] == '@')
			opened.addr.sun_path[0] = '\0';
		opened.len = (socklen_t)(offsetof(struct sockaddr_un,
		    sun_path) + len + (name[0] == '/'));
	}
	unsetenv("NOTIFY_SOCKET");
	if (r < 0)
		return r;
	opened.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (opened.fd < 0)
		return -errno;
	*notify = opened;
	return 0;
}

int
notify_send(const struct notify *notify, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;
	int n;

	if (notify->len == 0)
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -EMSGSIZE;
	/* A manager that does not read must not stall the monitor. */
	return sendto(notify->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&notify->addr, notify->len) < 0 ?
	    -errno : 0;
}
