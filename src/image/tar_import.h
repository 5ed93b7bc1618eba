/*
 * A root file system's tar becomes an ext4 image, in one pass and without a
 * name: tar in, image out, both fds, for a job that may open nothing.
 */
#ifndef BANGER_IMAGE_TAR_IMPORT_H
#define BANGER_IMAGE_TAR_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_import_result {
	uint64_t size_bytes;	/* of the image */
	uint64_t content_bytes;	/* file data in it, holes not counted */
	uint64_t entries;	/* read from the tar */
	bool has_init;		/* /sbin/init or systemd is there */
};

/*
 * Imports the tar (plain or compressed with gzip, xz, zstd) that TAR_FD, a
 * file or a pipe, gives until its end into OUT_FD, an empty regular file open
 * for reading and writing. PROGRESS may be NULL; it is called with the bytes
 * read from TAR_FD so far. Both fds stay the caller's, nothing is synced.
 *
 * A later entry replaces an earlier one of the same name, whatever their
 * types; a directory keeps what is in it if it stays a directory. Extended
 * attributes outside user, trusted, security and POSIX ACLs are left out.
 *
 * 0 and *RESULT; or -errno with one line in ERR (printable ASCII), and OUT_FD
 * then holds garbage: -ENODATA empty, -EBADMSG damaged, cut off or no tar,
 * -EINVAL an entry that cannot be (the line names it), -ENOSPC, -ENOMEM, …
 */
int	 image_import_tar(int tar_fd, int out_fd,
	    void (*progress)(void *arg, uint64_t bytes_read), void *arg,
	    struct image_import_result *result, char *err, size_t err_size);

#endif
