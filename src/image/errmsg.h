/*
 * How the room says what was wrong: one line, made where the cause is known,
 * carried to the user unchanged. Strangers' bytes can end up in it (a module's
 * name), so it is printable ASCII whatever went in.
 */
#ifndef BANGER_IMAGE_ERRMSG_H
#define BANGER_IMAGE_ERRMSG_H

#include <stddef.h>

#include "privsep/util.h"

/*
 * Formats a message into ERR (ERR_SIZE bytes, always terminated, cut when too
 * long; bytes outside printable ASCII become '?'). ERR may be NULL with size
 * 0. Returns RC, so that a caller can `return errmsg(…, -EINVAL, …)`.
 */
int	 errmsg(char *err, size_t err_size, int rc, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
