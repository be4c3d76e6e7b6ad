/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which names there are: one listing of the snapshot objects, sorted, becomes
 * a new listing that takes over from the old one what it knew. Only names are
 * compared; that an object was replaced by another of its name is found where
 * somebody looks at it (tree_lookup, tree_check).
 */
#include "tree_internal.h"

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#include <string.h>

/* --- the names in the repository --- */

struct found {
	char *component;
	const char *time_text;	/* in the same allocation */
	int64_t time;
};

struct found_list {
	const char *only;	/* taken; NULL: all */
	struct found *items;
	size_t count, room;
};

static void found_clear(struct found_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].component);
	free(l->items);
}

/* Names of another form are not ours to show. */
static bool name_split(char *text, struct found *out)
{
	char *slash = strchr(text, '/');
	if (slash == NULL || slash == text ||
			slash - text > NAME_COMPONENT_MAX)
		return false;
	*slash = '\0';
	out->component = text;
	out->time_text = slash + 1;
	return utc_parse(&out->time, out->time_text) == 0;
}

static int found_add(void *ctx, const char *name)
{
	static const char kind[] = "snapshots/";
	struct found_list *l = ctx;
	struct found f;
	if (strncmp(name, kind, sizeof(kind) - 1) != 0 ||
			(l->only != NULL &&
			strcmp(name + sizeof(kind) - 1, l->only) != 0))
		return 0;
	if (l->count == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		struct found *items = reallocarray(l->items, room,
				sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		l->items = items;
		l->room = room;
	}
	char *text = strdup(name + sizeof(kind) - 1);
	if (text == NULL)
		return -ENOMEM;
	if (name_split(text, &f))
		l->items[l->count++] = f;
	else
		free(text);
	return 0;
}

static int found_compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int c = strcmp(x->component, y->component);
	return c != 0 ? c : strcmp(x->time_text, y->time_text);
}

/* --- building the new listing; all with tree->mutex --- */

void tree_refresh_clear_listing(struct tree *t, struct tree_listing *l)
{
	for (size_t i = 0; i < l->entry_count; i++)
		tree_entry_put(t, l->entries[i]);
	for (size_t i = 0; i < l->source_count; i++)
		tree_entry_put_source(t, l->sources[i]);
	free(l->entries);
	free(l->sources);
	*l = (struct tree_listing){ 0 };
}

static int entry_compare(const struct tree_entry *e, const struct found *f)
{
	int c = strcmp(e->source->component, f->component);
	return c != 0 ? c : strcmp(e->time_text, f->time_text);
}

/* The source of F: the one last added, or one more. */
static struct tree_source *add_source(struct tree *t, struct tree_listing *l,
		const struct found *f)
{
	struct tree_source *last =
			l->source_count == 0 ? NULL
					     : l->sources[l->source_count - 1];
	if (last != NULL && strcmp(last->component, f->component) == 0)
		return last;
	struct tree_source *s = tree_entry_get_source(t, f->component);
	if (s != NULL)
		l->sources[l->source_count++] = s;
	return s;
}

static int add_entry(struct tree *t, struct tree_listing *l,
		const struct found *f, struct tree_entry *known)
{
	struct tree_source *s = add_source(t, l, f);
	if (s == NULL)
		return -ENOMEM;
	struct tree_entry *e = known;
	if (e == NULL)
		e = tree_entry_new(s, f->time_text, f->time);
	else
		e->refs++;
	if (e == NULL)
		return -ENOMEM;
	l->entries[l->entry_count++] = e;
	return 0;
}

static int build(struct tree *t, const struct found_list *found,
		struct tree_listing *l)
{
	const struct tree_listing *old = &t->names;
	size_t at = 0;
	/* One more, because nothing is not asked for. */
	l->entries = calloc(found->count + 1, sizeof(struct tree_entry *));
	l->sources = calloc(found->count + 1, sizeof(struct tree_source *));
	if (l->entries == NULL || l->sources == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < found->count; i++) {
		const struct found *f = &found->items[i];
		while (at < old->entry_count &&
				entry_compare(old->entries[at], f) < 0)
			at++;
		bool known = at < old->entry_count &&
			     entry_compare(old->entries[at], f) == 0;
		int err = add_entry(t, l, f, known ? old->entries[at] : NULL);
		if (err != 0)
			return err;
	}
	return 0;
}

static void place_sources(struct tree_listing *l)
{
	size_t at = 0;
	for (size_t i = 0; i < l->source_count; i++) {
		struct tree_source *s = l->sources[i];
		s->first = at;
		while (at < l->entry_count && l->entries[at]->source == s)
			at++;
		s->count = at - s->first;
	}
}

/* --- what changed --- */

struct change {
	uint64_t parent;
	char *name;
};

struct changes {
	struct change *items;
	size_t count;
};

static void changes_clear(struct changes *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].name);
	free(c->items);
}

/* A change that isn't told for want of memory shows a second later. */
static void changes_add(struct changes *c, uint64_t parent, const char *name)
{
	char *copy = strdup(name);
	if (copy != NULL)
		c->items[c->count++] = (struct change){ parent, copy };
}

static int entry_order(const struct tree_entry *x, const struct tree_entry *y)
{
	int c = strcmp(x->source->component, y->source->component);
	return c != 0 ? c : strcmp(x->time_text, y->time_text);
}

static void tell_entry(struct changes *c, const struct tree_entry *e)
{
	changes_add(c, e->source->directory.inode.number, e->time_text);
}

static void compare_entries(struct changes *c, const struct tree_listing *a,
		const struct tree_listing *b)
{
	size_t i = 0, j = 0;
	while (i < a->entry_count && j < b->entry_count) {
		int d = entry_order(a->entries[i], b->entries[j]);
		if (d < 0)
			tell_entry(c, a->entries[i]);
		else if (d > 0)
			tell_entry(c, b->entries[j]);
		i += d <= 0;
		j += d >= 0;
	}
	while (i < a->entry_count)
		tell_entry(c, a->entries[i++]);
	while (j < b->entry_count)
		tell_entry(c, b->entries[j++]);
}

static void tell_source(struct changes *c, const struct tree_source *s)
{
	changes_add(c, INODE_ROOT, s->component);
}

static void compare_sources(struct changes *c, const struct tree_listing *a,
		const struct tree_listing *b)
{
	size_t i = 0, j = 0;
	while (i < a->source_count && j < b->source_count) {
		int d = strcmp(a->sources[i]->component,
				b->sources[j]->component);
		if (d < 0)
			tell_source(c, a->sources[i]);
		else if (d > 0)
			tell_source(c, b->sources[j]);
		i += d <= 0;
		j += d >= 0;
	}
	while (i < a->source_count)
		tell_source(c, a->sources[i++]);
	while (j < b->source_count)
		tell_source(c, b->sources[j++]);
}

/* Before the old listing goes. */
static void compare(struct changes *c, const struct tree_listing *a,
		const struct tree_listing *b)
{
	c->items = calloc(a->entry_count + b->entry_count + a->source_count +
					b->source_count + 1,
			sizeof(*c->items));
	if (c->items == NULL)
		return;
	compare_entries(c, a, b);
	compare_sources(c, a, b);
}

static int take_over(struct tree *t, const struct found_list *found,
		struct changes *changes)
{
	struct tree_listing l = { 0 };
	LOCK_SCOPE(&t->mutex);
	int err = build(t, found, &l);
	if (err != 0) {
		tree_refresh_clear_listing(t, &l);
		return fail_errno(err, "listing the snapshots");
	}
	compare(changes, &t->names, &l);
	struct tree_listing old = t->names;
	t->names = l;
	place_sources(&t->names);
	tree_refresh_clear_listing(t, &old);
	return 0;
}

int tree_refresh(struct tree *t, tree_change_fn *fn, void *ctx)
{
	struct found_list found = { .only = t->only };
	struct changes changes = { 0 };
	int err = store_list(t->repo->store, "snapshots/", found_add, &found);
	if (err == 0) {
		if (found.count > 0)
			qsort(found.items, found.count, sizeof(*found.items),
					found_compare);
		err = take_over(t, &found, &changes);
	}
	found_clear(&found);
	for (size_t i = 0; i < changes.count; i++)
		fn(ctx, changes.items[i].parent, changes.items[i].name);
	changes_clear(&changes);
	return err;
}
