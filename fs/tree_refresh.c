/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which names there are: one listing of the snapshot objects, sorted, becomes a
 * new listing that takes over what the old one knew. Only names are compared;
 * that an object was replaced by another of its name is found where somebody
 * looks at it (tree_lookup, tree_check).
 */
#include "tree_internal.h"

#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* --- the names in the repository --- */

struct found {
	char *component;
	const char *time_text; /* in the same allocation */
	int64_t time;
};

struct found_list {
	const char *only; /* taken; NULL: all */
	struct found *items;
	size_t count, room;
};

static void found_clear(struct found_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].component);
	free(list->items);
}

/* Names of another form are not shown. */
static bool name_split(char *text, struct found *out)
{
	char *slash = strchr(text, '/');
	if (slash == NULL || slash == text || slash - text > NAME_COMPONENT_MAX)
		return false;
	*slash = '\0';
	out->component = text;
	out->time_text = slash + 1;
	return utc_parse(&out->time, out->time_text) == 0;
}

static int found_add(void *ctx, const char *name)
{
	static const char kind[] = "snapshots/";
	struct found_list *list = ctx;
	struct found f;
	if (strncmp(name, kind, sizeof(kind) - 1) != 0
			|| (list->only != NULL
					&& strcmp(name + sizeof(kind) - 1,
							   list->only)
							!= 0))
		return 0;
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 64 : 2 * list->room;
		struct found *items =
				reallocarray(list->items, room, sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	char *text = strdup(name + sizeof(kind) - 1);
	if (text == NULL)
		return -ENOMEM;
	if (name_split(text, &f))
		list->items[list->count++] = f;
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

void tree_refresh_clear_listing(struct tree *tree, struct tree_listing *listing)
{
	for (size_t i = 0; i < listing->entry_count; i++)
		tree_entry_put(tree, listing->entries[i]);
	for (size_t i = 0; i < listing->source_count; i++)
		tree_entry_put_source(tree, listing->sources[i]);
	free(listing->entries);
	free(listing->sources);
	*listing = (struct tree_listing){ 0 };
}

static int entry_compare(const struct tree_entry *entry,
		const struct found *found)
{
	int c = strcmp(entry->source->component, found->component);
	return c != 0 ? c : strcmp(entry->time_text, found->time_text);
}

/* The source of FOUND: the one last added, or one more. */
static struct tree_source *add_source(struct tree *tree,
		struct tree_listing *listing, const struct found *found)
		REQUIRES(tree->mutex)
{
	struct tree_source *last = listing->source_count == 0
			? NULL
			: listing->sources[listing->source_count - 1];
	if (last != NULL && strcmp(last->component, found->component) == 0)
		return last;
	struct tree_source *source =
			tree_entry_get_source(tree, found->component);
	if (source != NULL)
		listing->sources[listing->source_count++] = source;
	return source;
}

static int add_entry(struct tree *tree, struct tree_listing *listing,
		const struct found *found, struct tree_entry *known)
		REQUIRES(tree->mutex)
{
	struct tree_source *source = add_source(tree, listing, found);
	if (source == NULL)
		return -ENOMEM;
	struct tree_entry *entry = known;
	if (entry == NULL)
		entry = tree_entry_new(source, found->time_text, found->time);
	else
		entry->refs++;
	if (entry == NULL)
		return -ENOMEM;
	listing->entries[listing->entry_count++] = entry;
	return 0;
}

static int build(struct tree *tree, const struct found_list *found,
		struct tree_listing *listing) REQUIRES(tree->mutex)
{
	const struct tree_listing *old = &tree->names;
	size_t at = 0;
	/* One more, to avoid an allocation of size 0. */
	listing->entries =
			calloc(found->count + 1, sizeof(struct tree_entry *));
	listing->sources =
			calloc(found->count + 1, sizeof(struct tree_source *));
	if (listing->entries == NULL || listing->sources == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < found->count; i++) {
		const struct found *f = &found->items[i];
		while (at < old->entry_count
				&& entry_compare(old->entries[at], f) < 0)
			at++;
		bool known = at < old->entry_count
				&& entry_compare(old->entries[at], f) == 0;
		int err = add_entry(tree, listing, f,
				known ? old->entries[at] : NULL);
		if (err != 0)
			return err;
	}
	return 0;
}

/* A source that is no longer listed has no place, but may live on: somebody has
 * a file of it open, or its directory. */
static void place_sources(const struct tree_listing *old,
		struct tree_listing *listing)
{
	size_t at = 0;
	for (size_t i = 0; i < old->source_count; i++)
		old->sources[i]->first = old->sources[i]->count = 0;
	for (size_t i = 0; i < listing->source_count; i++) {
		struct tree_source *source = listing->sources[i];
		source->first = at;
		while (at < listing->entry_count
				&& listing->entries[at]->source == source)
			at++;
		source->count = at - source->first;
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

static void changes_clear(struct changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		free(changes->items[i].name);
	free(changes->items);
}

/* A change that isn't reported for lack of memory shows up a second later. */
static void changes_add(struct changes *changes, uint64_t parent,
		const char *name)
{
	char *copy = strdup(name);
	if (copy != NULL)
		changes->items[changes->count++] =
				(struct change){ parent, copy };
}

static int entry_order(const struct tree_entry *x, const struct tree_entry *y)
{
	int c = strcmp(x->source->component, y->source->component);
	return c != 0 ? c : strcmp(x->time_text, y->time_text);
}

static void tell_entry(struct changes *changes, const struct tree_entry *entry)
{
	changes_add(changes, entry->source->directory.inode.number,
			entry->time_text);
}

static void compare_entries(struct changes *changes,
		const struct tree_listing *a, const struct tree_listing *b)
{
	size_t i = 0, j = 0;
	while (i < a->entry_count && j < b->entry_count) {
		int d = entry_order(a->entries[i], b->entries[j]);
		if (d < 0)
			tell_entry(changes, a->entries[i]);
		else if (d > 0)
			tell_entry(changes, b->entries[j]);
		i += d <= 0;
		j += d >= 0;
	}
	while (i < a->entry_count)
		tell_entry(changes, a->entries[i++]);
	while (j < b->entry_count)
		tell_entry(changes, b->entries[j++]);
}

static void tell_source(struct changes *changes,
		const struct tree_source *source)
{
	char shown[SOURCE_SHOWN_MAX];
	changes_add(changes, INODE_ROOT, source->component);
	if (strcmp(tree_entry_source_shown(shown, source), source->component)
			!= 0)
		changes_add(changes, INODE_ROOT, shown);
}

static void compare_sources(struct changes *changes,
		const struct tree_listing *a, const struct tree_listing *b)
{
	size_t i = 0, j = 0;
	while (i < a->source_count && j < b->source_count) {
		int d = strcmp(a->sources[i]->component,
				b->sources[j]->component);
		if (d < 0)
			tell_source(changes, a->sources[i]);
		else if (d > 0)
			tell_source(changes, b->sources[j]);
		i += d <= 0;
		j += d >= 0;
	}
	while (i < a->source_count)
		tell_source(changes, a->sources[i++]);
	while (j < b->source_count)
		tell_source(changes, b->sources[j++]);
}

/* Before the old listing goes. */
static void compare(struct changes *changes, const struct tree_listing *a,
		const struct tree_listing *b)
{
	changes->items = calloc(a->entry_count + b->entry_count
					+ 2 * (a->source_count + b->source_count)
					+ 1,
			sizeof(*changes->items));
	if (changes->items == NULL)
		return;
	compare_entries(changes, a, b);
	compare_sources(changes, a, b);
}

static int take_over(struct tree *tree, const struct found_list *found,
		struct changes *changes)
{
	struct tree_listing l = { 0 };
	LOCK_SCOPE(&tree->mutex);
	int err = build(tree, found, &l);
	if (err != 0) {
		tree_refresh_clear_listing(tree, &l);
		return fail_errno(err, "listing the snapshots");
	}
	compare(changes, &tree->names, &l);
	struct tree_listing old = tree->names;
	tree->names = l;
	place_sources(&old, &tree->names);
	tree_refresh_clear_listing(tree, &old);
	return 0;
}

int tree_refresh(struct tree *tree, tree_change_fn *fn, void *ctx)
{
	struct found_list found = { .only = tree->only };
	struct changes changes = { 0 };
	int err = store_list(tree->repo->store, "snapshots/", found_add,
			&found);
	if (err == 0) {
		if (found.count > 0)
			qsort(found.items, found.count, sizeof(*found.items),
					found_compare);
		err = take_over(tree, &found, &changes);
	}
	found_clear(&found);
	for (size_t i = 0; i < changes.count; i++)
		fn(ctx, changes.items[i].parent, changes.items[i].name);
	changes_clear(&changes);
	return err;
}
