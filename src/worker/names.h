/*
 * Names for VMs that were not given one.
 */
#ifndef BANGER_WORKER_NAMES_H
#define BANGER_WORKER_NAMES_H

#include "privsep/proto.h"

/*
 * A name such as quick-otter-3f: an RFC 1123 label made of BITS, of which 18
 * count. Whether it is free is the caller's business.
 */
void	 generate_name(uint32_t bits, char out[NAME_BYTES]);

#endif
