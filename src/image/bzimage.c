/*
 * A bzImage is (setup_sects + 1) sectors of real-mode code with the setup
 * header in it, then protected-mode code that carries the payload at
 * payload_offset. The payload's last four bytes are the length of what it
 * decompresses to: gzip ends so by itself, the kernel's build appends it to
 * the others (scripts/Makefile.lib, size_append).
 */
#include "image/bzimage.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "image/errmsg.h"

/* Offsets in the file, boot.rst "The Real-Mode Kernel Header". */
#define OFF_SETUP_SECTS		0x1f1
#define OFF_BOOT_FLAG		0x1fe
#define OFF_HEADER		0x202
#define OFF_VERSION		0x206
#define OFF_KERNEL_VERSION	0x20e
#define OFF_PAYLOAD_OFFSET	0x248
#define OFF_PAYLOAD_LENGTH	0x24c
#define HEADER_END		0x250

#define SECTOR_BYTES		512U
#define BOOT_FLAG		0xaa55U
#define PROTOCOL_PAYLOAD	0x0208U	/* first with payload_offset */

static uint32_t
le(const uint8_t *p, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

/*
 * kernel_version points, less 0x200, at a string in the real-mode part:
 * "6.1.0-56-cloud-amd64 (builder) #1 …". Its first word is the release. It is
 * left out when it points elsewhere or is no release name.
 */
static void
read_version(const uint8_t *buf, size_t setup_len, struct bzimage *out)
{
	size_t at = le(buf + OFF_KERNEL_VERSION, 2), n = 0;

	if (at == 0 || at + SECTOR_BYTES >= setup_len)
		return;
	at += SECTOR_BYTES;
	while (at + n < setup_len && buf[at + n] > ' ' && buf[at + n] < 0x7f)
		n++;
	if (at + n == setup_len || n >= sizeof(out->version))
		return;
	memcpy(out->version, buf + at, n);
	out->version[n] = '\0';
}

int
bzimage_parse(const uint8_t *buf, size_t len, struct bzimage *out,
    char *err, size_t err_size)
{
	struct bzimage image = { 0 };
	size_t setup_len, offset;

	if (len < HEADER_END || le(buf + OFF_BOOT_FLAG, 2) != BOOT_FLAG ||
	    memcmp(buf + OFF_HEADER, "HdrS", 4) != 0)
		return errmsg(err, err_size, -EBADMSG,
		    "not an x86 Linux kernel (neither a bzImage nor an ELF vmlinux)");
	image.protocol = (uint16_t)le(buf + OFF_VERSION, 2);
	if (image.protocol < PROTOCOL_PAYLOAD)
		return errmsg(err, err_size, -EBADMSG,
		    "kernel is too old: boot protocol %u.%02u, 2.08 is needed",
		    image.protocol >> 8, image.protocol & 0xffU);
	/* 0 means 4, for the oldest of boot loaders. */
	setup_len = buf[OFF_SETUP_SECTS] == 0 ? 4 : buf[OFF_SETUP_SECTS];
	setup_len = (setup_len + 1) * SECTOR_BYTES;
	offset = le(buf + OFF_PAYLOAD_OFFSET, 4);
	image.payload_len = le(buf + OFF_PAYLOAD_LENGTH, 4);
	if (setup_len > len || offset > len - setup_len ||
	    image.payload_len > len - setup_len - offset)
		return errmsg(err, err_size, -EBADMSG,
		    "kernel is truncated: %zu bytes, its header tells of %zu",
		    len, setup_len + offset + image.payload_len);
	if (offset == 0 || image.payload_len < 8)
		return errmsg(err, err_size, -EBADMSG,
		    "kernel has no payload to extract");
	image.payload = buf + setup_len + offset;
	image.codec = codec_of(image.payload, image.payload_len);
	image.vmlinux_len = le(image.payload + image.payload_len - 4, 4);
	read_version(buf, setup_len, &image);
	*out = image;
	return 0;
}

int
bzimage_extract(const struct bzimage *image, struct codec_sink *sink,
    char *err, size_t err_size)
{
	const char *name = codec_name(image->codec);
	size_t len = image->payload_len;
	int rc;

	if (image->codec == CODEC_NONE)
		return errmsg(err, err_size, -ENOTSUP,
		    "kernel's payload has an unknown compression");
	if (image->vmlinux_len > VMLINUX_BYTES_MAX)
		return errmsg(err, err_size, -EFBIG,
		    "kernel claims to be %u bytes when decompressed, at most %llu are accepted",
		    image->vmlinux_len, VMLINUX_BYTES_MAX);
	if (image->codec != CODEC_GZIP)
		len -= 4;
	sink->limit_bytes = image->vmlinux_len;
	rc = codec_decode(image->codec, image->payload, len, sink);
	if (rc == -EFBIG || (rc == 0 &&
	    sink->written_bytes != image->vmlinux_len))
		rc = -EBADMSG;
	if (rc == -EBADMSG)
		return errmsg(err, err_size, rc,
		    "kernel's payload (%s) is damaged", name);
	if (rc < 0)
		return errmsg(err, err_size, rc,
		    "kernel's payload (%s) cannot be extracted: %s", name,
		    strerror(-rc));
	return 0;
}
