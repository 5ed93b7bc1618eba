/*
 * What is given to an import, as one fd for the worker: a user's file as it is,
 * or a pipe out of a child that packs several into a tar. The worker reads the
 * pipe while it is being filled, and a client that dies takes the child with it.
 */
#ifndef BANGER_CLIENT_SOURCE_FD_H
#define BANGER_CLIENT_SOURCE_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "client/api.h"

struct source_fd {
	int fd;				/* to be sent */
	pid_t packer;			/* 0: none */
};

#define SOURCE_FD_NONE { .fd = -1 }

/*
 * Starts a child that runs PACK, which writes to OUT and returns 0, or -errno
 * with a line in ERR. When this is back it has found everything and begun to
 * send: 0, or -errno with its line in ERR.
 */
int	 source_fd_pack(struct source_fd *source,
	    int (*pack)(const void *arg, int out, char *err, size_t err_size),
	    const void *arg, char err[API_TEXT_MAX]);

/* Closes the fd and ends the packer. */
void	 source_fd_close(struct source_fd *source);

#define _cleanup_source_ __attribute__((cleanup(source_fd_close)))

#endif
