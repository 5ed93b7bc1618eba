/*
 * Programs that root executes for others: VMMs and the jailer. A path is used
 * once, to open the file; after that only the fd is.
 */
#ifndef BANGER_PRIVSEP_PROGRAM_H
#define BANGER_PRIVSEP_PROGRAM_H

#include <stddef.h>

enum program {
	PROGRAM_QEMU,
	PROGRAM_FIRECRACKER,
	PROGRAM_JAILER,
	PROGRAMS,
};

/*
 * Opens PROGRAM for reading: CONFIGURED when that is not empty, else the first
 * that is where distributions put it. An ELF file that passes check_exec_fd,
 * not a symlink. The fd, the caller's; or -errno with one line for the user
 * in WHY: what is wrong with which file, and what to do.
 */
int	 program_open(enum program program, const char *configured, char *why,
	    size_t size);

#endif
