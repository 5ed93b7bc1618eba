/*
 * The x86 bzImage: what Linux distributions call vmlinuz. The header is that
 * of Documentation/arch/x86/boot.rst; the payload inside is a compressed
 * vmlinux. Pure functions on bytes in memory, for hostile bytes.
 */
#ifndef BANGER_IMAGE_BZIMAGE_H
#define BANGER_IMAGE_BZIMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "image/codec.h"

/* Larger kernels than any distribution's, smaller than an attack. */
#define BZIMAGE_BYTES_MAX	(256ULL << 20)
#define VMLINUX_BYTES_MAX	(512ULL << 20)

struct bzimage {
	uint16_t	 protocol;	/* boot protocol, 0x020f is 2.15 */
	char		 version[128];	/* `uname -r` of it; "" when not said */
	enum codec	 codec;
	const uint8_t	*payload;	/* borrowed from the buffer */
	size_t		 payload_len;
	uint32_t	 vmlinux_len;	/* decompressed, as the file claims */
};

/*
 * Reads the header of BUF (LEN bytes). 0 and *OUT; -EBADMSG when it is not a
 * whole bzImage of boot protocol 2.08 or later (Linux 2.6.26). ERR gets the
 * sentence why.
 */
int	 bzimage_parse(const uint8_t *buf, size_t len, struct bzimage *out,
    char *err, size_t err_size);

/*
 * Decompresses the payload into SINK, whose limit is set here to the claimed
 * length. What comes out has exactly that length; whether it is an ELF file
 * is vmlinux_check()'s to say (elf64.h). 0; -EBADMSG for a damaged payload;
 * -EFBIG for a claim above VMLINUX_BYTES_MAX; -ENOTSUP for an unknown
 * compression; -ENOMEM; or what the sink returned.
 */
int	 bzimage_extract(const struct bzimage *, struct codec_sink *sink,
    char *err, size_t err_size);

#endif
