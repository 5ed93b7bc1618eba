/*
 * Which processor a kernel or a module is for, told by its first bytes, so that
 * one for another can be refused by name.
 */
#ifndef BANGER_IMAGE_KERNEL_ARCH_H
#define BANGER_IMAGE_KERNEL_ARCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * The architecture, as Linux distributions call it ("x86_64", "i386", "arm64"),
 * of an ELF file, an x86 bzImage, an arm64 or RISC-V Image, or a kernel that is
 * an EFI program. A static string; NULL when the bytes do not tell.
 */
const char *kernel_arch(const uint8_t *buf, size_t len);

/*
 * 0 when BUF is for x86_64 or does not tell; else -EBADMSG, with a sentence in
 * ERR that begins with WHAT ("kernel").
 */
int	 kernel_arch_check(const char *what, const uint8_t *buf, size_t len,
    char *err, size_t err_size);

#endif
