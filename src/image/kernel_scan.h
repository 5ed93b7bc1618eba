/*
 * One pass over an archive that carries a kernel: the kernel goes to an fd,
 * the modules a guest may need into memory, everything else by.
 */
#ifndef BANGER_IMAGE_KERNEL_SCAN_H
#define BANGER_IMAGE_KERNEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/codec.h"
#include "image/modules.h"

#define KERNEL_RELEASE_MAX	128

/*
 * The caller fills the first group and zeroes the rest; a second scan of the
 * same archive goes on with what the first one found.
 */
struct kernel_scan {
	int		 in_fd;		/* read at its offset; may be a pipe */
	int		 kernel_fd;	/* empty; gets the vmlinuz or vmlinux */
	struct module_set *set;
	void		(*progress)(void *arg, uint64_t bytes_read);
	void		*arg;

	bool		 is_deb;
	bool		 have_kernel;
	bool		 again;		/* a second scan: the kernel is here */
	uint64_t	 kernel_bytes;
	uint64_t	 bytes_read;
	/* RELEASE of lib/modules/RELEASE; "" when the archive has none */
	char		 release[KERNEL_RELEASE_MAX];
	/* what follows boot/vmlinu?-; "" when nothing does */
	char		 name[KERNEL_RELEASE_MAX];
	/* the kernel's configuration, if any, to be freed; and whose it is */
	struct codec_buf config;
	char		 config_name[KERNEL_RELEASE_MAX];
};

/*
 * Reads to its end: a Debian package (ar with data.tar{,.gz,.xz,.zst,.lzma}), an
 * RPM package (cpio, compressed likewise), a package of Arch or Alpine (tar, of
 * several gzip members), a tar stream or cpio archive (plain, gzip, xz, lzma,
 * zstd), or a tar of such packages as packages/NAME. Looked for are
 * boot/vmlinu[xz][-NAME] and boot/config-RELEASE, and below
 * [usr/]lib/modules/RELEASE: vmlinuz, config, modules.builtin and module files.
 * 0; -EBADMSG for bytes that are no such archive, cut short, or with more than
 * one kernel or RELEASE in them; -EFBIG; -ENOMEM; -errno of read(2) and
 * write(2); or module_set_add()'s. ERR gets a sentence.
 */
int	 kernel_scan(struct kernel_scan *, char *err, size_t err_size);

#endif
