/*
 * Text that comes from elsewhere (a guest's console, an image's name, a
 * daemon's message) on its way to a user's terminal: none of it may steer
 * that terminal.
 */
#ifndef BANGER_CLIENT_TEXT_H
#define BANGER_CLIENT_TEXT_H

#include <stddef.h>

#include "privsep/util.h"

/* State of text_filter between two pieces of one stream; start with {0}. */
struct text_filter {
	enum { TEXT_PLAIN, TEXT_ESCAPE, TEXT_CSI, TEXT_STRING } state;
};

/*
 * Copies S into OUT (SIZE bytes, always terminated) as printable ASCII: every
 * other byte becomes '?'. Cut when OUT is too small. Returns OUT.
 */
char	*text_clean(const char *s, char *out, size_t size);

/*
 * Rewrites LEN bytes of console output in place for a terminal: escape
 * sequences (ECMA-48 control sequences and strings) and control bytes but
 * newline and tab go, bytes above 0x7f become '?'. Returns the new length.
 */
size_t	 text_filter(struct text_filter *filter, char *buf, size_t len);

/*
 * How many single-character edits (insert, delete, replace, swap of two
 * neighbours) lie between A and B; longer words than 32 bytes count as far.
 */
unsigned int text_distance(const char *a, const char *b);

/*
 * The entry of the NULL-terminated WORDS nearest to WORD when it is near
 * enough to be a slip of the keyboard, else NULL.
 */
const char *text_nearest(const char *word, const char *const *words);

/*
 * Writes "banger: " and one line to standard error, control bytes replaced.
 */
void	 complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
