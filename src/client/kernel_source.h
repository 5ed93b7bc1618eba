/*
 * What the user gave to `kernel import`: an archive as it is, several packages
 * in one, a kernel and its modules packed into one.
 */
#ifndef BANGER_CLIENT_KERNEL_SOURCE_H
#define BANGER_CLIENT_KERNEL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/source_fd.h"

/*
 * Opens PATHS (at least one, NULL-terminated): several packages; or one of them, a
 * kernel file, a directory with a kernel, "host" for the running one. MODULES is
 * the modules directory of a kernel file, NULL to look in /lib/modules. When a
 * child packs, it has found everything and begun to send. 0, or -errno with a
 * line in ERR (which object, why, what next).
 */
int	 kernel_source_open(struct source_fd *source, char *const *paths,
	    const char *modules, char err[API_TEXT_MAX]);

/* What the first bytes of a file say it is. For the tests as well. */
enum kernel_file { KERNEL_FILE_ARCHIVE, KERNEL_FILE_BZIMAGE, KERNEL_FILE_ELF };
enum kernel_file kernel_file_kind(const uint8_t *buf, size_t len);

#endif
