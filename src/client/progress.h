/*
 * Progress on the terminal that standard error is: a line for each stage, which
 * what is new within the stage replaces. Stages may go on side by side, as the
 * layers of an image do.
 */
#ifndef BANGER_CLIENT_PROGRESS_H
#define BANGER_CLIENT_PROGRESS_H

#include "client/api.h"

enum { PROGRESS_LINES = 40, PROGRESS_STAGE = 48 };

/* Begins as zeros. */
struct progress {
	unsigned int count;		/* of lines; the cursor is in the last */
	char stages[PROGRESS_LINES][PROGRESS_STAGE];
};

/* An api_progress; ARG is a struct progress. */
void	 progress_show(void *arg, const struct api_step *step);

/* Ends the last line, if there is one. */
void	 progress_end(struct progress *progress);

#endif
