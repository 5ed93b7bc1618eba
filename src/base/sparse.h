/*
 * Copies of files that are mostly hole: disks and images.
 */
#ifndef BANGER_BASE_SPARSE_H
#define BANGER_BASE_SPARSE_H

#include <stdint.h>

/*
 * Copies the first SIZE bytes of FROM, a regular file, to the same places of TO,
 * in the kernel where it can (copy_file_range(2)). What is hole in FROM is left
 * as it is in TO, whose size is the caller's business. 0 or -errno. PROGRESS, which
 * may be NULL, is told how far it is.
 */
int	 sparse_copy(int from, int to, uint64_t size,
	    void (*progress)(void *arg, uint64_t bytes), void *arg);

/* Likewise all of it to where TO stands, which may be a pipe: holes as zeros. */
int	 plain_copy(int from, int to, uint64_t size,
	    void (*progress)(void *arg, uint64_t bytes), void *arg);

#endif
