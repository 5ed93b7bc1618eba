/*
 * The client's half of `kernel import`: finds a kernel and the modules that a
 * guest needs on the user's machine, with the user's rights, and streams them
 * as a tar that kernel_import_archive() reads (image/kernel_import.h).
 */
#ifndef BANGER_CLIENT_KERNEL_PACK_H
#define BANGER_CLIENT_KERNEL_PACK_H

#include <stddef.h>

/*
 * Writes an uncompressed ustar stream to OUT_FD (borrowed, may be a pipe or a
 * socket; SIGPIPE must be ignored). VMLINUZ_PATH is a bzImage or an ELF
 * vmlinux; MODULES_DIR its /lib/modules/RELEASE directory, or NULL for a
 * kernel with everything built in. Its configuration is sent along if it is in
 * MODULES_DIR or beside the kernel. The kernel is the last member, so that a
 * stream cut short never passes for a whole one.
 * 0, or -errno with a sentence for the user in ERR: -ENOENT when a file or a
 * module that a guest needs is not there, and what module_set_add() and
 * module_set_order() return (image/modules.h).
 */
int	 kernel_pack(const char *vmlinuz_path, const char *modules_dir,
    int out_fd, char *err, size_t err_size);

#endif
