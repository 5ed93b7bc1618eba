/*
 * Filters for foreign text, the one line an error gets, and the search for
 * what the user may have meant.
 */
#include "client/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 32, LINE_MAX_BYTES = 2048 };

static bool
printable(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

char *
text_clean(const char *s, char *out, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && s[i] != '\0'; i++)
		out[i] = printable((unsigned char)s[i]) ? s[i] : '?';
	if (size > 0)
		out[i] = '\0';
	return out;
}

/*
 * One byte through the filter: 0 when nothing is to be written, else the
 * byte to write. ECMA-48 5.4 (control sequences), 5.6 (control strings).
 */
static char
filter_byte(struct text_filter *filter, unsigned char c)
{
	if (c == 0x1b) {
		filter->state = TEXT_ESCAPE;
		return 0;
	}
	if (c == '\n') {
		/* A lost end of a sequence must not swallow the rest. */
		filter->state = TEXT_PLAIN;
		return '\n';
	}
	switch (filter->state) {
	case TEXT_ESCAPE:
		if (c == '[')
			filter->state = TEXT_CSI;
		else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_')
			filter->state = TEXT_STRING;
		else if (c < 0x20 || c > 0x2f)
			filter->state = TEXT_PLAIN;
		return 0;
	case TEXT_CSI:
		if (c < 0x20 || c > 0x3f)
			filter->state = TEXT_PLAIN;
		return 0;
	case TEXT_STRING:
		if (c == '\a')
			filter->state = TEXT_PLAIN;
		return 0;
	case TEXT_PLAIN:
		break;
	}
	if (c == '\t' || printable(c))
		return (char)c;
	return c >= 0x80 ? '?' : 0;
}

size_t
text_filter(struct text_filter *filter, char *buf, size_t len)
{
	size_t i, used = 0;

	for (i = 0; i < len; i++) {
		char c = filter_byte(filter, (unsigned char)buf[i]);

		if (c != 0)
			buf[used++] = c;
	}
	return used;
}

static unsigned int
least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: three rows of the usual matrix. */
unsigned int
text_distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= lb; j++)
		rows[0][j] = (unsigned int)j;
	for (i = 1; i <= la; i++) {
		unsigned int *row = rows[i % 3], *up = rows[(i - 1) % 3];

		row[0] = (unsigned int)i;
		for (j = 1; j <= lb; j++) {
			unsigned int cost = a[i - 1] != b[j - 1];

			row[j] = least(least(row[j - 1], up[j]) + 1,
			    up[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				row[j] = least(row[j],
				    rows[(i - 2) % 3][j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

const char *
text_nearest(const char *word, const char *const *words)
{
	const char *best = NULL;
	unsigned int least_edits = strlen(word) > 4 ? 3 : 2;

	for (; *words != NULL; words++) {
		unsigned int edits = text_distance(word, *words);

		if (edits < least_edits) {
			least_edits = edits;
			best = *words;
		}
	}
	return best;
}

void
complain(const char *fmt, ...)
{
	char text[LINE_MAX_BYTES] = "banger: ", line[LINE_MAX_BYTES + 1];
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	used = strlen(text_clean(text, line, LINE_MAX_BYTES));
	line[used++] = '\n';
	/* One write: lines of processes that share a terminal do not mix. */
	(void)write_full(STDERR_FILENO, line, used);
}
