/*
 * The process that starts those which pull images. The worker can make no socket,
 * nor can anything it starts: so this one is forked before the door is closed,
 * as the process that serves names is. For each pull it forks once more, so that
 * what talks to one registry is not there any more for the next.
 */
#ifndef BANGER_WORKER_FETCHER_H
#define BANGER_WORKER_FETCHER_H

/*
 * Forks it; it ends with this process. To be called before anything was opened
 * and before any filter. The fd to it, or -errno.
 */
int	 fetcher_spawn(void);

/* Gives it the directory of blobs, once, before all else. 0 or -errno. */
int	 fetcher_open(int sock, int blobs);

/*
 * Has it start one that pulls what is asked for in REQUEST (a file with the JSON
 * of fetch/pull.h), with the authorities in CA; it writes its records to PIPE,
 * and is killed when PIPE has no reader any more. 0 or -errno; all fds stay the
 * caller's.
 */
int	 fetcher_pull(int sock, int pipe, int request, int ca);

#endif
