#include "client/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "client/text.h"

enum { BAR = 24, LINES_DEFAULT = 24 };

/*
 * The line of STAGE, a new one if there is none yet. -1: there is no room, for a
 * line that has left the terminal cannot be written again.
 */
static int
line_of(struct progress *p, const char *stage)
{
	struct winsize size;
	unsigned int i, most = LINES_DEFAULT;

	for (i = 0; i < p->count; i++)
		if (strncmp(p->stages[i], stage, PROGRESS_STAGE - 1) == 0)
			return (int)i;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
		most = size.ws_row;
	if (i == PROGRESS_LINES || i >= most)
		return -1;
	snprintf(p->stages[i], PROGRESS_STAGE, "%s", stage);
	if (p->count++ > 0)
		fputc('\n', stderr);
	return (int)i;
}

/* Whole MiB: what is there is never said to be more than it is. */
static void
print_bar(const struct api_step *step)
{
	unsigned long long total = (step->total + (1 << 20) - 1) >> 20;
	unsigned long long done = step->done >= step->total ? total :
	    step->done >> 20;
	char bar[BAR + 1];
	size_t full = (size_t)((double)step->done / (double)step->total * BAR);

	if (full > BAR)
		full = BAR;
	memset(bar, ' ', BAR);
	memset(bar, '=', full);
	bar[BAR] = '\0';
	fprintf(stderr, " [%s] %llu of %llu MiB", bar, done, total);
}

void
progress_show(void *arg, const struct api_step *step)
{
	struct progress *p = arg;
	char text[API_TEXT_MAX];
	unsigned int up, before = p->count;
	int line = line_of(p, step->stage);

	if (line < 0)
		return;
	up = p->count - 1 - (unsigned int)line;
	if (up > 0)
		fprintf(stderr, "\033[%uA", up);
	if (p->count == before)
		fputs("\r\033[K", stderr);
	fprintf(stderr, "banger: %s",
	    text_clean(step->message, text, sizeof(text)));
	if (step->total > 0)
		print_bar(step);
	if (up > 0)
		fprintf(stderr, "\033[%uB", up);
}

void
progress_end(struct progress *p)
{
	if (p->count > 0)
		fputc('\n', stderr);
}
