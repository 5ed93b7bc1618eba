/*
 * The checksum that a stored image is verified by: CRC-64 (ECMA-182, as xz has
 * it) over every block of 4 KiB that is not all zeros, each behind its number.
 * Holes, wherever the host's file system has them, make no difference.
 *
 * It finds what disks, memory and power failures do. Whoever may write to the
 * store may write to the row beside the image as well, so that a cryptographic
 * digest there would prove nothing more, at a tenth of the speed.
 */
#ifndef BANGER_IMAGE_CHECKSUM_H
#define BANGER_IMAGE_CHECKSUM_H

#include <stdint.h>

#include "image/source.h"

/*
 * Of all that the regular file FD holds, whose file offset moves. PROGRESS, which
 * may be NULL, is told the bytes that were passed. 0 and *OUT, -ENOMEM, or -errno
 * of read(2).
 */
int	 checksum_file(int fd, source_progress *progress, void *arg,
	    uint64_t *out);

#endif
