/*
 * The user's terminal during a session with a pty in the guest: raw mode, size,
 * and the escape that leaves a guest which answers no more.
 */
#ifndef BANGER_CLIENT_TERMINAL_H
#define BANGER_CLIENT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/stream.h"

struct terminal {
	int fd;			/* -1: the input is no terminal */
	bool raw;
	struct termios saved;
	enum { ESCAPE_LINE_START, ESCAPE_TILDE, ESCAPE_OTHER } escape;
};

/* Takes FD for the terminal if it is one. Nothing is changed yet. */
void	 terminal_init(struct terminal *t, int fd);

/* Sets raw mode (termios(3), cfmakeraw); nothing for no terminal. 0, -errno. */
int	 terminal_raw(struct terminal *t);

/* Sets back what terminal_raw() found. Safe to call at any time. */
void	 terminal_restore(struct terminal *t);

/* The size of the terminal FD: false and *OUT untouched if it has none. */
bool	 terminal_size(int fd, struct stream_winsize *out);

/*
 * Looks for "~." after a line break (as ssh(1)) in LEN typed bytes of IN and
 * writes what goes to the guest to OUT, which has room for LEN + 1 bytes: "~~"
 * gives one tilde. *LEAVE is set when the user wants out. Returns the bytes
 * written.
 */
size_t	 terminal_filter(struct terminal *t, const char *in, size_t len,
	    char *out, bool *leave);

#endif
