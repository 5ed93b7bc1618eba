/*
 * From an ext4 file system to a tar (POSIX pax): all that a layer of a container
 * image can hold. Sockets and lost+found are not in it.
 */
#ifndef BANGER_IMAGE_EXT4_TAR_H
#define BANGER_IMAGE_EXT4_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "image/ext4_reader.h"

/* Takes the next LEN bytes of the tar. 0, or -errno, which ends it. */
typedef int ext4_tar_write(void *arg, const void *bytes, size_t len);

/* What is in the tar: false for PATH leaves it out, with all that is below it. */
typedef bool ext4_tar_wanted(void *arg, const char *path);

/*
 * Writes FS, a directory's entries in the order of their names, all or as WANTED
 * says unless that is NULL; both functions get ARG. *ENTRIES counts. 0; or with a
 * line in ERR -EBADMSG when FS is damaged, -ENOTSUP when something in it cannot be
 * read (encrypted), -ENOMEM, or what WRITE returned.
 */
int	 ext4_tar(ext2_filsys fs, ext4_tar_write *write,
	    ext4_tar_wanted *wanted, void *arg, uint64_t *entries, char *err,
	    size_t err_size);

#endif
