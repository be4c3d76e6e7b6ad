/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tables for people, by libsmartcols: on a terminal they fit its width, as some
 * columns are cut or wrapped; anywhere else no text is. Text is UTF-8 whatever the
 * locale.
 */
#ifndef AMBERFS_BASE_TABLE_H
#define AMBERFS_BASE_TABLE_H

enum table_style {
	TABLE_LEFT = 0,
	TABLE_RIGHT = 1, /* numbers */
	TABLE_CUT = 2,	 /* may be cut where there is no room */
	TABLE_WRAP = 4,	 /* goes on in the next line there */
	TABLE_SPARE = 8, /* not shown on a terminal of less than 60 columns */
};

struct table_column {
	const char *title;
	unsigned style; /* of enum table_style */
};

struct table;

/* COLUMNS must stay until table_print. COUNT columns, at most TABLE_COLUMNS_MAX. NULL without memory; the calls below
 * then do nothing. */
#define TABLE_COLUMNS_MAX 16
struct table *table_new(const struct table_column *columns, unsigned count);
/* One row: a text for each column, copied; NULL: empty. */
void table_add(struct table *table, const char *const *cells);
/* To stdout, without columns that are empty in every row; frees TABLE. 0, or
 * -ENOMEM with a text where any call had not enough. */
int table_print(struct table *table);

#endif
