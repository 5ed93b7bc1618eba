/*
 * LZO, as `lzop` packs a kernel. Written from the description of the stream in
 * the kernel's Documentation/staging/lzo.rst; bytes are a stranger's.
 */
#ifndef BANGER_IMAGE_LZO_H
#define BANGER_IMAGE_LZO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest block that a kernel unpacks, and that lzop makes. */
#define LZO_BLOCK_BYTES	(256U << 10)

/*
 * Decodes one LZO1X stream of LEN bytes to OUT, which has room for SIZE bytes.
 * 0 and their number in *WRITTEN; -EBADMSG when it is no such stream, does not
 * end with BUF, or has more in it than fits.
 */
int	 lzo1x_decode(const uint8_t *buf, size_t len, uint8_t *out, size_t size,
	    size_t *written);

/* The blocks of an lzop file that are still to come. */
struct lzop {
	const uint8_t	*buf;
	size_t		 len;
	bool		 adler32;	/* a block's checksum; else CRC-32 */
};

/*
 * Reads an lzop file's header. 0 and *OUT, which borrows BUF; -EBADMSG when it
 * is none.
 */
int	 lzop_open(const uint8_t *buf, size_t len, struct lzop *out);

/*
 * Decodes the next block to OUT (LZO_BLOCK_BYTES), with its length in *LEN, 0
 * at the end. 0; -EBADMSG for a damaged block or one cut short.
 */
int	 lzop_block(struct lzop *lzop, uint8_t *out, size_t *len);

#endif
