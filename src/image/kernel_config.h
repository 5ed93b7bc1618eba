/*
 * What a kernel was built with, where its configuration is known: as a file of
 * its package (boot/config-VERSION), or inside the vmlinux (CONFIG_IKCONFIG).
 */
#ifndef BANGER_IMAGE_KERNEL_CONFIG_H
#define BANGER_IMAGE_KERNEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/codec.h"

#define KERNEL_CONFIG_MAX	(4U << 20)	/* ten times a distribution's */

/*
 * Whether the LEN bytes at TEXT are a whole configuration, as the kernel's build
 * writes it. Only in such a one what is not mentioned is not built.
 */
bool	 kernel_config_whole(const uint8_t *text, size_t len);

/*
 * Unpacks the configuration inside a vmlinux into OUT (empty; the caller's to
 * free). False when there is none, or none that is whole.
 */
bool	 kernel_config_extract(const uint8_t *vmlinux, size_t len,
    struct codec_buf *out);

enum kernel_option { OPTION_NO, OPTION_MODULE, OPTION_YES };

/* What a whole configuration says of NAME ("CONFIG_EXT4_FS"). */
enum kernel_option kernel_config_option(const uint8_t *text, size_t len,
    const char *name);

/*
 * Checks a whole configuration for what every guest needs and no module can
 * bring. 0, and whether ACPI, by which QEMU's guest finds its devices, is there;
 * or -ENOENT with a sentence in ERR that names the option. VERSION is the
 * kernel's.
 */
int	 kernel_config_check(const uint8_t *text, size_t len,
    const char *version, bool *acpi, char *err, size_t err_size);

#endif
