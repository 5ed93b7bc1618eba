/*
 * The kernel and the modules that are installed in an ext4 file system, as what a
 * kernel import takes.
 */
#ifndef BANGER_CLIENT_KERNEL_EXT4_H
#define BANGER_CLIENT_KERNEL_EXT4_H

#include "client/source_fd.h"

/*
 * Whether FD, a regular file or a pipe, is a file that holds one, by its magic
 * number; nothing is read from a pipe, which is none.
 */
bool	 kernel_ext4_is(int fd);

/*
 * Starts a child that packs what is in the file IMAGE_FD, which stays the
 * caller's, into *SOURCE. 0, or -errno with a line in ERR, -ENOENT when there is no
 * kernel in its /boot; source_fd_close in every case.
 */
int	 kernel_ext4_open(struct source_fd *source, int image_fd,
	    char err[API_TEXT_MAX]);

#endif
