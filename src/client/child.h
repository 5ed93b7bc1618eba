/*
 * What the client's children have in common.
 */
#ifndef BANGER_CLIENT_CHILD_H
#define BANGER_CLIENT_CHILD_H

#include <limits.h>

/*
 * Finds the program NAME in PATH (environ(7)). A directory that is not absolute is
 * passed over: what is in it depends on where the user stands. 0 and its path in
 * PATH, or -ENOENT.
 */
int	 child_program(const char *name, char path[PATH_MAX]);

/* Gives the calling process the signals of a new one: default, and none blocked. */
void	 child_signals(void);

#endif
