/*
 * errmsg(): see errmsg.h.
 */
#include "image/errmsg.h"

#include <stdarg.h>
#include <stdio.h>

int
errmsg(char *err, size_t err_size, int rc, const char *fmt, ...)
{
	va_list ap;

	if (err_size == 0)
		return rc;
	va_start(ap, fmt);
	if (vsnprintf(err, err_size, fmt, ap) < 0)
		err[0] = '\0';
	va_end(ap);
	for (char *p = err; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	return rc;
}
