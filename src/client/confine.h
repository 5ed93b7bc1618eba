/*
 * The client while it carries a guest's bytes, and its child that reads a guest's
 * file system.
 */
#ifndef BANGER_CLIENT_CONFINE_H
#define BANGER_CLIENT_CONFINE_H

/*
 * From now on this process can use what it has open and nothing else: no file,
 * no socket, no program (seccomp(2), landlock(7)). What it has open is the
 * stream, the standard streams and the API connection. 0 or -errno.
 */
int	 client_confine(void);

/*
 * Likewise for files alone: no socket, no terminal, no signal, and
 * with so much memory as a file system that is whole needs. 0 or -errno.
 */
int	 client_confine_reader(void);

#endif
