/*
 * A tar as it is sent to an import: what the user's files are packed into.
 */
#ifndef BANGER_CLIENT_TAR_OUT_H
#define BANGER_CLIENT_TAR_OUT_H

#include <stddef.h>

struct tar_out {
	int fd;				/* a pipe; the caller's */
	char *err;			/* for what an errno does not say */
	size_t err_size;
};

/*
 * Each writes a member DIR/NAME, a regular file of root's with mode 0644: LEN
 * bytes of DATA, or all that the regular file FD holds from its beginning.
 * tar_out_end writes what a tar ends with. 0, or -errno (write(2)); -EPIPE when
 * the file has become shorter, -ENAMETOOLONG with a line in ERR.
 */
int	 tar_out_data(const struct tar_out *tar, const char *dir,
	    const char *name, const void *data, size_t len);
int	 tar_out_file(const struct tar_out *tar, const char *dir,
	    const char *name, int fd);
int	 tar_out_end(const struct tar_out *tar);

#endif
