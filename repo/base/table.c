/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "error.h"

#define NARROW 60 /* columns of a terminal */

struct table {
	struct libscols_table *lines;
	unsigned count;
	const struct table_column *columns;
	bool used[TABLE_COLUMNS_MAX]; /* some row has a text there */
	bool failed;
};

static int flags_of(unsigned style)
{
	return ((style & TABLE_RIGHT) != 0 ? SCOLS_FL_RIGHT : 0)
			| ((style & TABLE_CUT) != 0 ? SCOLS_FL_TRUNC : 0)
			| ((style & TABLE_WRAP) != 0 ? SCOLS_FL_WRAP : 0);
}

struct table *table_new(const struct table_column *columns, unsigned count)
{
	struct table *table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	table->count = count;
	table->columns = columns;
	table->lines = scols_new_table();
	table->failed = table->lines == NULL
			|| scols_table_set_column_separator(table->lines, "  ")
					!= 0;
	for (unsigned i = 0; !table->failed && i < count; i++)
		table->failed = scols_table_new_column(table->lines,
						columns[i].title, 0,
						flags_of(columns[i].style))
				== NULL;
	return table;
}

void table_add(struct table *table, const char *const *cells)
{
	struct libscols_line *line = table != NULL && !table->failed
			? scols_table_new_line(table->lines, NULL)
			: NULL;
	if (table == NULL)
		return;
	table->failed = line == NULL;
	for (unsigned i = 0; !table->failed && i < table->count; i++) {
		if (cells[i] == NULL || cells[i][0] == '\0')
			continue;
		table->used[i] = true;
		table->failed = scols_line_set_data(line, i, cells[i]) != 0;
	}
}

static bool is_narrow(const struct table *table)
{
	return isatty(STDOUT_FILENO)
			&& scols_table_get_termwidth(table->lines) < NARROW;
}

static void hide_unused(const struct table *table)
{
	bool narrow = is_narrow(table);
	for (unsigned i = 0; i < table->count; i++) {
		struct libscols_column *column =
				scols_table_get_column(table->lines, i);
		if (!table->used[i]
				|| (narrow
						&& (table->columns[i].style
								   & TABLE_SPARE)
								!= 0))
			scols_column_set_flags(column,
					scols_column_get_flags(column)
							| SCOLS_FL_HIDDEN);
	}
}

/* libsmartcols measures and checks text by the locale, and cron has none. */
static bool print(struct table *table)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
	hide_unused(table);
	bool done = scols_print_table(table->lines) == 0;
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	return done;
}

int table_print(struct table *table)
{
	bool done = table != NULL && !table->failed && print(table);
	if (table != NULL)
		scols_unref_table(table->lines);
	free(table);
	return done ? 0 : fail_no_memory("printing a table");
}
