/*
 * Columns of text on standard output.
 */
#ifndef BANGER_CLIENT_TABLE_H
#define BANGER_CLIENT_TABLE_H

#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS = 10 };

/* Cells are copies; start with {0} and the column count. */
struct table {
	size_t columns;
	char **cells;
	size_t count;
	size_t room;
	size_t width[TABLE_COLUMNS];
	int error;			/* -ENOMEM once a cell was lost */
};

/*
 * Adds one cell, row by row; TEXT (NULL: "-") is copied, other than printable
 * ASCII becomes '?'. A failure is remembered for table_print.
 */
void	 table_cell(struct table *table, const char *text);

/*
 * Writes the whole rows to OUT, two blanks between columns, none at a line's
 * end, then empties TABLE. 0; -ENOMEM when a cell was lost, -EIO when OUT
 * failed.
 */
int	 table_print(struct table *table, FILE *out);

/* Frees the cells. */
void	 table_free(struct table *table);

#endif
