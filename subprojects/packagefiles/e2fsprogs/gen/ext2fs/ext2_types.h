/* The kernel's own fixed-width types, in place of configure's guesses. */
#ifndef _EXT2_TYPES_H
#define _EXT2_TYPES_H

#include <linux/types.h>

/* A mark for sparse, which does not come this way. */
#ifndef __force
#define __force
#endif

#endif
