/*
 * Importing a kernel: from an archive that a user gave to the files a VMM
 * boots. Runs in a job: it opens nothing, all it works on are the fds it was
 * given.
 *
 * The initrd is two cpio archives, one behind the other. The first has /dev,
 * /proc, /sys, /newroot, /dev/console, the modules as /modules/NAME.ko, and
 * /modules/load: these files (NAME.ko), one a line, in the order to load them.
 * The second archive has /init, banger itself; an upgrade rewrites only that
 * one. Nothing is compressed: an emulated guest decompresses slowly.
 */
#ifndef BANGER_IMAGE_KERNEL_IMPORT_H
#define BANGER_IMAGE_KERNEL_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_import_result {
	char		version[128];	/* `uname -r` of it */
	uint32_t	module_count;
	uint64_t	vmlinux_bytes;
	uint64_t	vmlinuz_bytes;	/* 0 without vmlinuz */
	uint64_t	initrd_bytes;
	uint64_t	initrd_modules_bytes;	/* of the first archive */
	bool		has_vmlinuz;	/* false when a vmlinux was given */
	bool		has_vmlinux;
	bool		pvh;		/* vmlinux has a PVH entry point */
	bool		vsock;		/* has the driver that Firecracker needs */
	bool		acpi;		/* has, as far as is known, what QEMU needs */
};

/*
 * Imports the kernel in IN_FD: a package of Debian, Fedora, Arch or Alpine, or
 * a tar stream (see kernel_scan.h), read from its offset to its end in one pass; only a
 * seekable IN_FD is read again when a module of an unusual name turns out to
 * be needed. AGENT_FD is the executable that becomes /init, read with pread.
 * VMLINUZ_FD, VMLINUX_FD and INITRD_FD are empty regular files open for
 * reading and writing. All fds stay the caller's. PROGRESS (may be NULL) is
 * called with the bytes of IN_FD read so far.
 *
 * A kernel without any lib/modules is accepted only as a vmlinux in a tar:
 * such a kernel has everything built in. One that is certain not to do as a
 * guest's is refused: of another architecture, without an entry point, without
 * a driver or an option; what is not known is let pass. 0 and *RESULT; or -errno with a
 * sentence for the user in ERR, *RESULT untouched, and what the three files
 * then contain is undefined: -EBADMSG bad input, -ENOENT no kernel, or no
 * module or option that a guest needs, -ENOTSUP an unknown compression, -EFBIG
 * beyond a bound, -EAGAIN a pipe that would have to be read again.
 */
int	 kernel_import_archive(int in_fd, int agent_fd, int vmlinuz_fd,
    int vmlinux_fd, int initrd_fd,
    void (*progress)(void *arg, uint64_t bytes_read), void *arg,
    struct kernel_import_result *result, char *err, size_t err_size);

/*
 * Replaces the second archive of INITRD_FD (read-write), which starts at
 * INITRD_MODULES_BYTES, by one with AGENT_FD as /init, and truncates behind
 * it. Not atomic: work on a copy if a VM may be starting from the file.
 * 0 and *INITRD_BYTES, the file's new size; -EBADMSG when no archive begins
 * there; or -errno, after which the file needs another refresh.
 */
int	 kernel_initrd_refresh_agent(int initrd_fd,
    uint64_t initrd_modules_bytes, int agent_fd, uint64_t *initrd_bytes,
    char *err, size_t err_size);

#endif
