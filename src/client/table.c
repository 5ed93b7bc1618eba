/*
 * Cells are kept in one flat list; widths are counted as they come in, so
 * printing is one pass.
 */
#include "client/table.h"

#include <string.h>

#include "client/text.h"
#include "privsep/util.h"

static int
table_grow(struct table *table)
{
	size_t room = table->room == 0 ? 64 : table->room * 2;
	char **cells;

	if (table->count < table->room)
		return 0;
	if ((cells = reallocarray(table->cells, room, sizeof(*cells))) == NULL)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

void
table_cell(struct table *table, const char *text)
{
	size_t column = table->count % table->columns, len;
	char *cell;

	if (text == NULL || *text == '\0')
		text = "-";
	len = strlen(text);
	if (table_grow(table) < 0 || (cell = malloc(len + 1)) == NULL) {
		table->error = -ENOMEM;
		return;
	}
	text_clean(text, cell, len + 1);
	table->cells[table->count++] = cell;
	if (len > table->width[column])
		table->width[column] = len;
}

int
table_print(struct table *table, FILE *out)
{
	size_t i, column;
	int r = table->error;

	for (i = 0; r == 0 && i < table->count; i++) {
		column = i % table->columns;
		if (column == table->columns - 1 || i == table->count - 1)
			fprintf(out, "%s\n", table->cells[i]);
		else
			fprintf(out, "%-*s  ", (int)table->width[column],
			    table->cells[i]);
	}
	if (r == 0 && (fflush(out) != 0 || ferror(out)))
		r = -EIO;
	table_free(table);
	return r;
}

void
table_free(struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){ .columns = table->columns };
}
