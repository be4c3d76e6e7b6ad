/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Booting a snapshot:
 *
 *	1 all that can be checked is checked, and nothing is changed
 *	2 the directory, and in it the state (durable): from here --discard
 *	  removes whatever a kill leaves
 *	3 the snapshot is pinned
 *	4 the repository is mounted
 *	5 overlays, then copies of NVRAM, kernel and initrd (durable)
 *	6 the domain is defined
 *	7 the state says so: complete
 *	8 it is started
 *
 * A failure in 3 to 6 takes all of it down again.
 */
#include "boot_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/format/name.h"
#include "boot_files.h"
#include "boot_tpm.h"

struct begin {
	struct boot *boot;
	struct repository *repo;
	struct snapshot *snap;
	struct boot_files files;
	char *notes;
	bool started;
};

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "booting");
}

/* --- 1: checks --- */

static char *choose_name(const struct begin *g)
{
	const struct boot_options *o = g->boot->options;
	const char *slash = strrchr(g->snap->object, '/');
	char *name = NULL;
	if (o->name != NULL)
		return strdup(o->name);
	CLEANUP_FREE char *raw = name_unescape(g->snap->source, NULL);
	if (raw == NULL || o->same_identity)
		return take_ptr(raw);
	return asprintf(&name, "%s-%s", raw, slash + 1) < 0 ? NULL : name;
}

static int fill_state(struct begin *g, const char *repository)
{
	struct boot_state *s = &g->boot->state;
	char id[2 * ID_SIZE + 1];
	hex_encode(id, g->snap->id.b, ID_SIZE);
	s->name = choose_name(g);
	s->repository = realpath(repository, NULL);
	s->snapshot = strdup(g->snap->object + strlen("snapshots/"));
	s->id = strdup(id);
	s->uri = strdup(connection_uri(g->boot->connection));
	s->since = time(NULL);
	if (!s->name || !s->repository || !s->snapshot || !s->id || !s->uri)
		return no_memory();
	for (uint32_t i = 0; i < g->snap->file_count; i++) {
		const struct snapshot_file *f = &g->snap->files[i];
		if (f->kind == FILE_DISK && f->target
				&& boot_state_add_disk(s, f->target, f->name) < 0)
			return no_memory();
	}
	return 0;
}

static int check_libvirt(struct begin *g)
{
	struct boot *b = g->boot;
	const struct boot_options *o = b->options;
	if (!connection_writable(b->connection))
		return fail(-EPERM, "%s lets this user only look; booting needs "
				"more", connection_uri(b->connection));
	int err = domain_control_absent(b->connection, b->state.name,
			o->same_identity ? g->snap->uuid : NULL);
	return err == -EEXIST ? fail(err, "%s; choose another with --name%s",
					      error_text(err),
					      o->same_identity
						? ", without --same-identity"
						: "")
			    : err;
}

static int open_all(struct begin *g, const char *repository, const char *spec)
{
	struct boot *b = g->boot;
	CLEANUP_FREE char *file = NULL;
	CLEANUP_FREE char *directory = NULL;
	int err = repository_open(&g->repo, repository, &b->options->repository);
	if (err == 0)
		err = repository_attach(g->repo, &b->options->repository);
	if (err == 0)
		err = snapshot_resolve(g->repo, spec, &g->snap, &file);
	if (err == 0)
		err = boot_files_check(g->snap, file);
	if (err == 0)
		err = connection_open(&b->connection, b->options->connect,
				CONNECTION_SECRETS);
	if (err == 0)
		err = fill_state(g, repository);
	if (err == 0)
		err = check_libvirt(g);
	if (err == 0)
		err = boot_root_prepare(b->dir);
	if (err < 0)
		return err;
	directory = boot_root_directory(b->dir, b->state.name);
	err = directory ? boot_directory_open(&b->place, directory, b->connection)
		   : no_memory();
	if (err == 0)
		boot_root_check_way(b->dir, b->place.uid, b->place.gid);
	return err;
}

/* --- 6 and 8: the domain --- */

static int define(struct begin *g, struct domain **out)
{
	CLEANUP_FREE char *xml = NULL;
	int err = boot_files_definition(&g->files, &xml, &g->notes);
	if (err == 0 && interrupt_flag)
		err = fail(-ECANCELED, "interrupted");
	return err < 0 ? err : domain_control_define(g->boot->connection, xml, out);
}

static int make_files(struct begin *g)
{
	const struct boot_options *o = g->boot->options;
	g->files.place = &g->boot->place;
	g->files.snap = g->snap;
	g->files.adapt.name = g->boot->state.name;
	g->files.adapt.same_identity = o->same_identity;
	g->files.adapt.isolated = o->isolated;
	g->files.adapt.tpm_placed = boot_tpm_stored(g->snap);
	return boot_files_make(&g->files);
}

static int take_down(struct begin *g, int err)
{
	struct error_copy why, other;
	error_save(&why, err);
	int e = boot_end_take_down(g->boot);
	if (e < 0) {
		error_save(&other, e);
		report_warning("what was begun can't be removed: %s; amberfs "
			       "boot --discard %s",
				other.text, g->boot->state.name);
	}
	return error_load(&why);
}

static int build(struct begin *g, struct domain **domain)
{
	struct boot *b = g->boot;
	int err = boot_pin(b, g->repo, g->snap->object);
	b->place.only = b->state.snapshot;
	if (err == 0)
		err = boot_mount_start(&b->place, b->state.repository,
				&b->options->repository);
	if (err == 0)
		err = make_files(g);
	if (err == 0)
		err = define(g, domain);
	if (err == 0)
		err = boot_tpm_place(*domain, &b->place, g->snap,
				&g->notes);
	return err;
}

static int create(struct begin *g)
{
	struct boot *b = g->boot;
	int err = boot_directory_create(&b->place);
	if (err < 0)
		return err;
	b->lock = boot_root_lock(b->place.directory, false);
	return b->lock < 0 ? b->lock : boot_state_save(&b->state,
						       b->place.directory);
}

static int start(struct begin *g, struct domain *d)
{
	const struct boot_options *o = g->boot->options;
	if (!o->start)
		return 0;
	int err = domain_control_start(d);
	g->started = err == 0;
	return err == 0 ? 0
		      : fail(err, "%s. It is defined, and may be started with "
				"virsh start, or removed with: amberfs boot "
				"--discard %s",
				     error_text(err), g->boot->state.name);
}

/* --- the report --- */

static void print_notes(const char *notes)
{
	for (const char *at = notes; at && *at != '\0';) {
		size_t len = strcspn(at, "\n");
		printf("  %.*s\n", (int)len, at);
		at += len + (at[len] == '\n');
	}
}

static void print_text(const struct begin *g)
{
	const struct boot_state *s = &g->boot->state;
	const struct boot_options *o = g->boot->options;
	const char *dir = o->overlay_dir;
	char shown[256];
	printable(shown, sizeof(shown), s->name);
	printf("%s is defined%s; its disks are overlays in %s over %s, which is "
	       "pinned and mounted there.\n", shown,
			g->started ? " and runs" : "", g->boot->place.directory,
			s->snapshot);
	print_notes(g->notes);
	if (!g->started)
		printf("Start it:          virsh -c '%s' start %s\n", s->uri,
				shown);
	const char *option = dir ? " --overlay-dir " : "";
	dir = dir ? dir : "";
	printf("Keep it for good:  amberfs boot --finish %s%s%s\n"
	       "Undo all of it:    amberfs boot --discard %s%s%s\n"
	       "After a restart of this host:  amberfs boot --resume %s%s%s\n",
			shown, option, dir, shown, option, dir, shown, option,
			dir);
}

static void report(const struct begin *g)
{
	const struct boot_state *s = &g->boot->state;
	json_t *disks = json_array();
	if (!report_json()) {
		json_decref(disks);
		if (report_wants_text())
			print_text(g);
		return;
	}
	for (unsigned i = 0; i < g->files.adapt.disk_count; i++)
		json_array_append_new(disks, json_pack("{s:s,s:o,s:o}", "target",
				g->files.disks[i].target, "overlay",
				report_json_text(g->files.disks[i].path), "backing",
				report_json_text(g->files.disks[i].backing_path)));
	report_print_json(json_pack("{s:s,s:s,s:o,s:b,s:o,s:s}", "name", s->name,
			"snapshot", s->snapshot, "folder",
			report_json_text(g->boot->place.directory), "started",
			g->started, "disks", disks, "notes",
			g->notes ? g->notes : ""));
}

static void clear(struct begin *g)
{
	boot_files_clear(&g->files);
	free(g->notes);
	snapshot_free(g->snap);
	repository_close(g->repo);
}

int boot_begin(struct boot *b, const char *repository, const char *spec)
{
	struct begin g = { .boot = b };
	struct domain *domain = NULL;
	int err = open_all(&g, repository, spec);
	if (err == 0)
		err = create(&g);
	if (err == 0) {
		err = build(&g, &domain);
		b->state.ready = err == 0;
		if (err == 0)
			err = boot_state_save(&b->state, b->place.directory);
		if (err < 0)
			err = take_down(&g, err);
		if (err == 0)
			err = start(&g, domain);
		if (err == 0)
			report(&g);
	}
	domain_free(domain);
	clear(&g);
	return err;
}
