/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Booting a snapshot:
 *
 *	1 everything that can be checked is checked, and nothing is changed
 *	2 the directory, and in it the state (durable): from here on --discard
 *	  removes whatever a kill leaves
 *	3 the snapshot is pinned
 *	4 the repository is mounted
 *	5 overlays, then copies of NVRAM, kernel and initrd (durable)
 *	6 the domain is defined
 *	7 the state says that it is complete
 *	8 it is started
 *
 * A failure in 3 to 6 undoes all of it.
 */
#include "boot_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boot_files.h"
#include "boot_tpm.h"
#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/format/name.h"
#include "repo/snapshot/restore_file.h"
#include "repo/snapshot/snapshot_resolve.h"

struct begin {
	struct boot *boot;
	struct repository *repo;
	struct snapshot *snap;
	struct boot_files files;
	char *notes;
	bool started;
};

/* --- 1: checks --- */

static char *choose_name(const struct begin *begin)
{
	const struct boot_options *options = begin->boot->options;
	const char *slash = strrchr(begin->snap->object, '/');
	char *name = NULL;
	if (options->name != NULL)
		return strdup(options->name);
	CLEANUP_FREE char *raw = name_unescape(begin->snap->source, NULL);
	if (raw == NULL || options->same_identity)
		return take_ptr(raw);
	return asprintf(&name, "%s-%s", raw, slash + 1) < 0 ? NULL : name;
}

static int fill_state(struct begin *begin, const char *repository)
{
	struct boot_state *state = &begin->boot->state;
	char id[2 * ID_SIZE + 1];
	hex_encode(id, begin->snap->id.b, ID_SIZE);
	state->name = choose_name(begin);
	state->repository = realpath(repository, NULL);
	state->snapshot = strdup(begin->snap->object + strlen("snapshots/"));
	state->id = strdup(id);
	state->uri = strdup(connection_uri(begin->boot->connection));
	state->since = time(NULL);
	if (state->name == NULL || state->repository == NULL
			|| state->snapshot == NULL || state->id == NULL
			|| state->uri == NULL)
		return fail_no_memory("booting the snapshot");
	for (uint32_t i = 0; i < begin->snap->file_count; i++) {
		const struct snapshot_file *file = &begin->snap->files[i];
		if (file->kind == FILE_DISK && file->target != NULL
				&& boot_state_add_disk(state, file->target,
						   file->name)
						< 0)
			return fail_no_memory("booting the snapshot");
	}
	return 0;
}

static int check_libvirt(struct begin *begin)
{
	struct boot *boot = begin->boot;
	const struct boot_options *options = boot->options;
	if (!connection_writable(boot->connection))
		return fail(-EPERM,
				"%s allows this user read-only access; booting "
				"needs write access",
				connection_uri(boot->connection));
	int err = domain_control_absent(boot->connection, boot->state.name,
			options->same_identity ? begin->snap->uuid : NULL);
	return err == -EEXIST ? fail(err, "%s; choose another with --name%s",
			       error_text(err),
			       options->same_identity
					       ? ", without --same-identity"
					       : "")
			      : err;
}

static int open_all(struct begin *begin, const char *repository,
		const char *spec)
{
	struct boot *boot = begin->boot;
	CLEANUP_FREE char *file = NULL;
	CLEANUP_FREE char *directory = NULL;
	int err = repository_open(&begin->repo, repository,
			&boot->options->repository);
	if (err < 0)
		return err;
	err = repository_attach(begin->repo, &boot->options->repository);
	if (err < 0)
		return err;
	err = snapshot_resolve(begin->repo, spec, &begin->snap, &file);
	if (err < 0)
		return err;
	err = boot_files_check(begin->snap, file);
	if (err < 0)
		return err;
	if (restore_file_warn_incomplete(begin->snap))
		boot->partly = true;
	err = connection_open(&boot->connection, boot->options->connect,
			CONNECTION_SECRETS);
	if (err < 0)
		return err;
	err = fill_state(begin, repository);
	if (err < 0)
		return err;
	err = check_libvirt(begin);
	if (err < 0)
		return err;
	err = boot_root_prepare(boot->dir);
	if (err < 0)
		return err;
	directory = boot_root_directory(boot->dir, boot->state.name);
	err = directory != NULL ? boot_directory_open(&boot->place, directory,
			      boot->connection)
				: fail_no_memory("booting the snapshot");
	if (err != 0)
		return err;
	boot_root_check_way(boot->dir, boot->place.uid, boot->place.gid);
	return 0;
}

/* --- 6 and 8: the domain --- */

static int define(struct begin *begin, struct domain **out)
{
	CLEANUP_FREE char *xml = NULL;
	int err = boot_files_definition(&begin->files, &xml, &begin->notes);
	if (err < 0)
		return err;
	if (interrupt_flag)
		err = fail(-ECANCELED, "interrupted");
	return err < 0 ? err
		       : domain_control_define(begin->boot->connection, xml,
				       out);
}

static int make_files(struct begin *begin)
{
	const struct boot_options *options = begin->boot->options;
	begin->files.place = &begin->boot->place;
	begin->files.snap = begin->snap;
	begin->files.adapt.name = begin->boot->state.name;
	begin->files.adapt.same_identity = options->same_identity;
	begin->files.adapt.isolated = options->isolated;
	begin->files.adapt.tpm_placed = boot_tpm_stored(begin->snap);
	return boot_files_make(&begin->files);
}

static int take_down(struct begin *begin, int err)
{
	struct error_copy why, other;
	error_save(&why, err);
	int e = boot_end_take_down(begin->boot);
	if (e < 0) {
		error_save(&other, e);
		report_warning("cannot clean up: %s; run amberfs boot "
			       "--discard %s",
				other.text, begin->boot->state.name);
	}
	return error_load(&why);
}

static int build(struct begin *begin, struct domain **domain)
{
	struct boot *boot = begin->boot;
	int err = boot_pin(boot, begin->repo, begin->snap->object);
	boot->place.only = boot->state.snapshot;
	if (err != 0)
		return err;
	err = boot_mount_start(&boot->place, boot->state.repository,
			&boot->options->repository);
	if (err != 0)
		return err;
	err = make_files(begin);
	if (err != 0)
		return err;
	err = define(begin, domain);
	if (err != 0)
		return err;
	return boot_tpm_place(*domain, &boot->place, begin->snap,
			&begin->notes);
}

static int create(struct begin *begin)
{
	struct boot *boot = begin->boot;
	int err = boot_directory_create(&boot->place);
	if (err < 0)
		return err;
	boot->lock = boot_root_lock(boot->place.directory, false);
	return boot->lock < 0
			? boot->lock
			: boot_state_save(&boot->state, boot->place.directory);
}

static int start(struct begin *begin, struct domain *domain)
{
	const struct boot_options *options = begin->boot->options;
	if (!options->start)
		return 0;
	int err = domain_control_start(domain);
	begin->started = err == 0;
	return err == 0 ? 0
			: fail(err,
					"%s. The domain is defined: start it "
					"with virsh start, or remove it with "
					"amberfs boot --discard %s",
					error_text(err),
					begin->boot->state.name);
}

/* --- the report --- */

static void print_notes(const char *notes)
{
	for (const char *at = notes; at != NULL && *at != '\0';) {
		size_t len = strcspn(at, "\n");
		printf("  %.*s\n", (int)len, at);
		at += len + (at[len] == '\n');
	}
}

static void print_text(const struct begin *begin)
{
	const struct boot_state *state = &begin->boot->state;
	const struct boot_options *options = begin->boot->options;
	const char *dir = options->overlay_dir;
	char shown[256];
	printable(shown, sizeof(shown), state->name);
	printf("Defined domain %s%s. Its disks are overlays in %s on "
	       "snapshot %s, which is pinned and mounted there.\n",
			shown, begin->started ? " and started it" : "",
			begin->boot->place.directory, state->snapshot);
	print_notes(begin->notes);
	if (!begin->started)
		printf("Start it:          virsh -c '%s' start %s\n",
				state->uri, shown);
	const char *option = dir != NULL ? " --overlay-dir " : "";
	dir = dir != NULL ? dir : "";
	printf("Keep it for good:  amberfs boot --finish %s%s%s\n"
	       "Undo all of it:    amberfs boot --discard %s%s%s\n"
	       "After a restart of this host:  amberfs boot --resume %s%s%s\n",
			shown, option, dir, shown, option, dir, shown, option,
			dir);
}

static void report(const struct begin *begin)
{
	const struct boot_state *state = &begin->boot->state;
	json_t *disks = json_array();
	char shown[SNAPSHOT_SHOWN_MAX];
	if (!report_json()) {
		json_decref(disks);
		if (report_wants_text())
			print_text(begin);
		return;
	}
	for (unsigned i = 0; i < begin->files.adapt.disk_count; i++)
		json_array_append_new(disks,
				json_pack("{s:s,s:o,s:o}", "target",
						begin->files.disks[i].target,
						"overlay",
						report_json_text(
								begin->files.disks[i]
										.path),
						"backing",
						report_json_text(
								begin->files.disks[i]
										.backing_path)));
	report_print_json(json_pack("{s:s,s:s,s:o,s:b,s:o,s:o}", "domain",
			state->name, "snapshot",
			snapshot_shown(shown, state->snapshot), "directory",
			report_json_text(begin->boot->place.directory),
			"running", begin->started, "disks", disks, "notes",
			report_json_lines(begin->notes)));
}

static void clear(struct begin *begin)
{
	boot_files_clear(&begin->files);
	free(begin->notes);
	snapshot_free(begin->snap);
	repository_close(begin->repo);
}

int boot_begin(struct boot *boot, const char *repository, const char *spec)
{
	struct begin g = { .boot = boot };
	struct domain *domain = NULL;
	assert(boot->lock < 0 && boot->state.name == NULL);
	int err = open_all(&g, repository, spec);
	if (err == 0)
		err = create(&g);
	if (err == 0) {
		err = build(&g, &domain);
		boot->state.ready = err == 0;
		if (err == 0)
			err = boot_state_save(&boot->state,
					boot->place.directory);
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
