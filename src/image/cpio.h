/*
 * A writer of cpio archives in the "newc" format, the one that the kernel
 * unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
 * Deterministic: time 0, owner 0, inode numbers in order of appearance.
 */
#ifndef BANGER_IMAGE_CPIO_H
#define BANGER_IMAGE_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One archive being written to FD (borrowed) at its file offset. */
struct cpio {
	int		fd;
	uint32_t	ino;
	uint64_t	written_bytes;	/* so far, of this archive */
};

/* Starts an archive on FD; nothing is written yet. */
void	 cpio_start(struct cpio *, int fd);

/*
 * The calls below append one member each. NAME is relative ("dev/console"),
 * MODE the permission bits. 0; -ENAMETOOLONG; -EFBIG for 4 GiB and more; or
 * -errno of write(2).
 */
int	 cpio_dir(struct cpio *, const char *name, mode_t mode);
int	 cpio_chardev(struct cpio *, const char *name, mode_t mode,
    unsigned major, unsigned minor);
int	 cpio_file(struct cpio *, const char *name, mode_t mode,
    const void *data, size_t len);

/*
 * A file whose LEN bytes are read with pread(2) from the start of FROM_FD;
 * -EPIPE when it has fewer.
 */
int	 cpio_file_from(struct cpio *, const char *name, mode_t mode,
    int from_fd, uint64_t len);

/*
 * Ends the archive with its trailer, padded to four bytes: another archive
 * may follow at once, the kernel unpacks both.
 */
int	 cpio_finish(struct cpio *);

#endif
