/*
 * The codes are part of the API: see docs in banger(1).
 */
#include "worker/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[FAIL_CODES] = {
	[FAIL_NONE] = "internal",
	[FAIL_NOT_FOUND] = "not-found",
	[FAIL_EXISTS] = "exists",
	[FAIL_INVALID] = "invalid",
	[FAIL_STATE] = "state",
	[FAIL_BUSY] = "busy",
	[FAIL_NO_SPACE] = "no-space",
	[FAIL_NO_ADDRESS] = "no-address",
	[FAIL_UNAVAILABLE] = "unavailable",
	[FAIL_TIMEOUT] = "timeout",
	[FAIL_DENIED] = "denied",
	[FAIL_INTERNAL] = "internal",
};

const char *
failure_name(enum failure_code code)
{
	return names[code];
}

int
failure_set(struct failure *f, enum failure_code code, const char *fmt, ...)
{
	va_list ap;

	failure_clear(f);
	f->code = code;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -1;
}

enum failure_code
failure_of(int error)
{
	switch (-error) {
	case ENOENT:
		return FAIL_NOT_FOUND;
	case EEXIST:
	case EADDRINUSE:
		return FAIL_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return FAIL_NO_SPACE;
	case EUSERS:
	case ENOTSUP:
	case ENODEV:
		return FAIL_UNAVAILABLE;
	case EBADMSG:
	case EINVAL:
	case ENODATA:
	case EAGAIN:
	case EISDIR:
		return FAIL_INVALID;
	case ETIMEDOUT:
		return FAIL_TIMEOUT;
	default:
		return FAIL_INTERNAL;
	}
}

void
failure_clear(struct failure *f)
{
	free(f->console);
	memset(f, 0, sizeof(*f));
}
