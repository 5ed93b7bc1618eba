/*
 * In raw mode every key goes to the guest, so that a guest which hangs could not
 * be left by any: one escape stays here.
 */
#include "client/terminal.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

void
terminal_init(struct terminal *t, int fd)
{
	memset(t, 0, sizeof(*t));
	t->fd = isatty(fd) ? fd : -1;
}

int
terminal_raw(struct terminal *t)
{
	struct termios raw;

	if (t->fd < 0 || t->raw)
		return 0;
	if (tcgetattr(t->fd, &t->saved) < 0)
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(t->fd, TCSADRAIN, &raw) < 0)
		return -errno;
	t->raw = true;
	return 0;
}

void
terminal_restore(struct terminal *t)
{
	if (t->raw)
		(void)tcsetattr(t->fd, TCSADRAIN, &t->saved);
	t->raw = false;
}

bool
terminal_size(int fd, struct stream_winsize *out)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_row == 0 || ws.ws_col == 0)
		return false;
	out->rows = ws.ws_row;
	out->cols = ws.ws_col;
	out->width_px = ws.ws_xpixel;
	out->height_px = ws.ws_ypixel;
	return true;
}

size_t
terminal_filter(struct terminal *t, const char *in, size_t len, char *out,
    bool *leave)
{
	size_t used = 0, i;

	for (i = 0; i < len; i++) {
		char c = in[i];

		if (t->escape == ESCAPE_LINE_START && c == '~') {
			t->escape = ESCAPE_TILDE;
			continue;
		}
		if (t->escape == ESCAPE_TILDE) {
			if (c == '.') {
				*leave = true;
				break;
			}
			if (c != '~')
				out[used++] = '~';
		}
		out[used++] = c;
		t->escape = c == '\r' || c == '\n' ? ESCAPE_LINE_START :
		    ESCAPE_OTHER;
	}
	return used;
}
