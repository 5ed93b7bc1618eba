/*
 * The confinement of the worker and of its jobs; the lists of system calls
 * stand in sandbox.c, each with its reason.
 */
#ifndef BANGER_WORKER_SANDBOX_H
#define BANGER_WORKER_SANDBOX_H

#include <stdint.h>

/*
 * Confines the worker: files below STORE may be changed, resolv.conf's
 * directories read, nothing else opened. 0 or -errno.
 */
int	 worker_confine(int store);

/*
 * Confines a job, in the child: no path at all, memory and time bounded, and system
 * calls that work on fds it has. FILE_MAX is not 0 for one that makes an image: its
 * files are no larger, and it needs less memory. 0 or -errno.
 */
int	 job_confine(uint64_t file_max);

/*
 * Confines the process that starts those which pull: blobs in directory BLOBS may
 * be changed, resolv.conf's directories read, and what follows is a filter for
 * its children. 0 or -errno.
 */
int	 fetcher_confine(int blobs);

/* Confines one that pulls, its child: no process, memory and time bounded. */
int	 pull_confine(void);

/*
 * Confines the process that serves names: no path, and nothing but datagrams on
 * the sockets that it has. 0 or -errno.
 */
int	 names_confine(void);

#endif
