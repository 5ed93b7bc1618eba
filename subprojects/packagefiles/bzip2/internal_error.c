/*
 * What bzip2's library calls where it finds itself in a state that cannot be,
 * once it has no stdio to tell of it.
 */
#include <stdlib.h>

#include "bzlib_private.h"

void
bz_internal_error(int errcode)
{
	(void)errcode;
	abort();
}
