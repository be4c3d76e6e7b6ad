/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan of a domain's backup, made from what libvirt and the files' headers
 * say. The caller reads and stores.
 */
#include "domain_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

int domain_state_list(struct connection *conn, char ***names, unsigned *count)
{
	struct domain **list;
	unsigned n;
	char **out;
	int err = domain_list(conn, &list, &n);
	if (err != 0)
		return err;
	out = calloc((size_t)n + 1, sizeof(*out));
	for (unsigned i = 0; out != NULL && i < n && err == 0; i++) {
		out[i] = strdup(domain_name(list[i]));
		if (out[i] == NULL)
			err = -ENOMEM;
	}
	domain_list_free(list, n);
	if (out == NULL || err != 0) {
		domain_state_list_free(out, n);
		return -ENOMEM;
	}
	*names = out;
	*count = n;
	return 0;
}

void domain_state_list_free(char **names, unsigned count)
{
	for (unsigned i = 0; names != NULL && i < count; i++)
		free(names[i]);
	free(names);
}

/* The definition with secrets, if it has any and we may see them. */
static int read_secrets(struct domain_state *state, struct connection *conn)
{
	int err;
	state->secrets_hidden = !connection_writable(conn);
	if (state->secrets_hidden)
		return 0;
	err = domain_get_xml(state->domain, DOMAIN_XML_SECURE, &state->secure);
	if (err == -EPERM) {
		state->secrets_hidden = true;
		error_clear();
		return 0;
	}
	if (err == 0
			&& strcmp(state->inactive->text, state->secure->text)
					== 0) {
		domain_xml_free(state->secure);
		state->secure = NULL;
	}
	return err;
}

static int read_definition(struct domain_state *state, struct connection *conn)
{
	char shown[256];
	int err = domain_get_xml(state->domain, DOMAIN_XML_INACTIVE,
			&state->inactive);
	if (err == 0)
		err = read_secrets(state, conn);
	if (err == 0 && state->live)
		err = domain_get_xml(state->domain, DOMAIN_XML_CURRENT,
				&state->running);
	state->current = state->live ? state->running : state->inactive;
	if (err == -EBADMSG) {
		name_display(shown, sizeof(shown), state->facts.name);
		return fail_within(err, "domain %s", shown);
	}
	return err;
}

/* A domain that never ran has a path for its NVRAM but not yet the file. */
static int find_nvram(struct domain_state *state)
{
	const char *path = state->current->nvram;
	if (path == NULL || access(path, F_OK) < 0)
		return 0;
	state->nvram = strdup(path);
	return state->nvram != NULL ? 0 : -ENOMEM;
}

static int plan_disks(struct domain_state *state, struct connection *conn)
{
	const struct domain_xml *xml = state->current;
	int err = 0;
	state->disks = calloc((size_t)xml->disk_count + 1,
			sizeof(*state->disks));
	if (state->disks == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < xml->disk_count && err == 0; i++) {
		err = disk_plan_make(&state->disks[i], &xml->disks[i], conn, 0);
		if (err == 0)
			state->disk_count++;
	}
	return err;
}

static int load(struct domain_state *state, const char *name)
{
	struct connection *conn = state->connection;
	int err = domain_find(&state->domain, conn, name);
	if (err != 0)
		return err;
	err = domain_facts(state->domain, &state->facts);
	if (err != 0)
		return err;
	state->live = !state->facts.shut_off;
	err = read_definition(state, conn);
	if (err != 0)
		return err;
	err = find_nvram(state);
	return err != 0 ? err : plan_disks(state, conn);
}

int domain_state_open(struct domain_state **out, struct connection *conn,
		const char *name)
{
	struct domain_state *state = calloc(1, sizeof(*state));
	if (state == NULL)
		return -ENOMEM;
	state->connection = conn;
	int err = load(state, name);
	if (err != 0) {
		domain_state_close(state);
		return err;
	}
	*out = state;
	return 0;
}

void domain_state_close(struct domain_state *state)
{
	if (state == NULL)
		return;
	for (unsigned i = 0; i < state->disk_count; i++)
		disk_plan_clear(&state->disks[i]);
	free(state->disks);
	free(state->nvram);
	domain_xml_free(state->inactive);
	domain_xml_free(state->secure);
	domain_xml_free(state->running);
	domain_facts_clear(&state->facts);
	domain_free(state->domain);
	free(state);
}

/* Otherwise a header written between our check and the caller's first check of
 * the file would go unnoticed. */
static int recheck_chain(struct domain_state *state,
		const struct disk_plan *plan)
{
	CLEANUP(chain_clear) struct chain chain = { 0 };
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FREE char *after = NULL;
	char shown[256];
	if (plan->why_not_exact != NULL || plan->plain)
		return 0;
	if (chain_resolve(&chain, &plan->disk->source, state->connection,
			    CHAIN_NO_RAW_INFO)
			== 0) {
		before = chain_reading(&plan->chain);
		after = chain_reading(&chain);
		if (before == NULL || after == NULL)
			return -ENOMEM;
		if (strcmp(before, after) == 0)
			return 0;
	}
	name_display(shown, sizeof(shown), plan->target);
	return fail(-EBUSY,
			"the backing chain of disk %s changed while it was "
			"read; back it up again",
			shown);
}

/* Gets the definition again: it must be the same after the disks were read. */
static int recheck_shut_off(struct domain_state *state, const char *shown,
		const struct domain_facts *now)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	int err = 0;
	if (!now->shut_off)
		return fail(-EBUSY,
				"domain %s was started while it was backed up",
				shown);
	err = domain_get_xml(state->domain, DOMAIN_XML_INACTIVE, &xml);
	if (err != 0)
		return err;
	if (strcmp(xml->text, state->inactive->text) != 0)
		return fail(-EBUSY,
				"the definition of domain %s changed while it "
				"was backed up; back it up again",
				shown);
	for (unsigned i = 0; i < state->disk_count && err == 0; i++)
		err = recheck_chain(state, &state->disks[i]);
	return err;
}

static bool same_text(const char *x, const char *y)
{
	return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

static bool is_removable(const struct domain_disk *disk)
{
	return disk->device == DEVICE_CDROM || disk->device == DEVICE_FLOPPY;
}

/* Media come and go, and are not backed up. */
static bool same_disk(const struct domain_disk *x, const struct domain_disk *y)
{
	if (strcmp(x->target, y->target) != 0 || x->device != y->device)
		return false;
	return is_removable(x)
			|| (x->source.type == y->source.type
					&& same_text(x->source.path,
							y->source.path)
					&& same_text(x->source.pool,
							y->source.pool)
					&& same_text(x->source.volume,
							y->source.volume)
					&& same_text(x->source.name,
							y->source.name)
					&& same_text(x->source.format,
							y->source.format));
}

static bool same_disks(const struct domain_xml *x, const struct domain_xml *y)
{
	if (x->disk_count != y->disk_count)
		return false;
	for (unsigned i = 0; i < x->disk_count; i++)
		if (!same_disk(&x->disks[i], &y->disks[i]))
			return false;
	return true;
}

/* Gets the disks again: the job has begun since they were examined. */
static int recheck_live(struct domain_state *state, const char *shown,
		const struct domain_facts *now)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	int err;
	if (now->id != state->facts.id)
		return fail(-EBUSY,
				"domain %s was shut off or restarted while it "
				"was backed up",
				shown);
	err = domain_get_xml(state->domain, DOMAIN_XML_CURRENT, &xml);
	if (err != 0)
		return err;
	return same_disks(state->current, xml)
			? 0
			: fail(-EBUSY,
					"the disks of domain %s were changed "
					"while its backup began; back it up "
					"again",
					shown);
}

int domain_state_recheck(struct domain_state *state)
{
	CLEANUP(domain_facts_clear) struct domain_facts now = { 0 };
	char shown[256];
	int err = domain_facts(state->domain, &now);
	name_display(shown, sizeof(shown), state->facts.name);
	if (err == -ENOENT)
		return fail(-EBUSY,
				"domain %s was undefined while it was backed "
				"up",
				shown);
	if (err != 0)
		return err;
	return state->live ? recheck_live(state, shown, &now)
			   : recheck_shut_off(state, shown, &now);
}

bool domain_state_changed_state(struct domain_state *state)
{
	CLEANUP(domain_facts_clear) struct domain_facts now = { 0 };
	if (domain_facts(state->domain, &now))
		return false;
	return now.id != state->facts.id
			|| now.shut_off != state->facts.shut_off;
}
