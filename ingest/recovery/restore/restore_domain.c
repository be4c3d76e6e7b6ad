/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs restore --domain:
 *
 *	1 everything is checked, and nothing is changed
 *	2 each file is written under a temporary name, fsynced, renamed
 *	3 the domain is defined, or its XML is written next to the first disk
 *
 * Where there is a libvirt, 1 includes that it accepts the definition. A run that ends in 2 leaves complete files, and
 * a domain that is unchanged except for its disks: run it again.
 */
#include "restore_domain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/qemu_user.h"
#include "ingest/libvirt/tpm_state.h"
#include "ingest/recovery/boot/boot_tpm.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "repo/snapshot/restore_place.h"
#include "repo/snapshot/snapshot_resolve.h"
#include "restore_plan.h"

#define FRAME_CACHE ((uint64_t)64 << 20)
#define DEFINITION "domain.xml"
#define XML_NAMES_MAX 100

struct command {
	struct report_options report;
	struct repository_options repository;
	struct restore_plan_options wishes;
	const char *connect, *damaged;
	bool domain, no_define;
	struct option_number jobs;
	struct repository *repo;
	struct snapshot *snap;
	struct connection *connection; /* NULL: there is no libvirt */
	struct restore_file restore;
	struct restore_plan plan;
	struct domain_xml *xml; /* as stored */
	char *adapted, *notes;
	char *xml_path; /* where the XML was written; NULL: defined */
	bool partly;
};

/* --- what is restored --- */

static int read_definition(struct command *command)
{
	const struct snapshot_file *file =
			snapshot_find_file(command->snap, DEFINITION);
	struct image *image = NULL;
	char shown[SNAPSHOT_SHOWN_MAX];
	if (file == NULL || command->snap->kind != SNAPSHOT_DOMAIN)
		return fail(-EINVAL,
				"%s is not a snapshot of a domain; leave out "
				"--domain and give a directory",
				snapshot_shown(shown, command->snap->object));
	if (file->size > DOMAIN_DOC_MAX)
		return fail(-EBADMSG, "%s is too large", file->name);
	CLEANUP_FREE char *text = malloc(file->size + 1);
	if (text == NULL)
		return fail_no_memory("restoring the domain");
	int err = image_open(&image, command->restore.reader, &file->root,
			file->size);
	ssize_t n = err < 0 ? err : image_pread(image, text, file->size, 0);
	image_close(image);
	if (n < 0)
		return fail_within((int)n, "reading %s", file->name);
	return domain_xml_parse(&command->xml, text, (size_t)n);
}

/* Without --no-define, warns if there is no libvirt. */
static int connect(struct command *command)
{
	int err = connection_open(&command->connection, command->connect,
			CONNECTION_SECRETS);
	if (err == 0 && !command->no_define
			&& !connection_writable(command->connection)) {
		report_warning("%s allows this user read-only access, so the "
			       "domain is not defined",
				connection_uri(command->connection));
		command->no_define = command->partly = true;
	}
	if (err == 0 || err == -EREMOTE)
		return err;
	command->connection = NULL;
	if (command->no_define)
		return 0;
	report_warning("%s; restoring only the files, without defining the "
		       "domain",
			error_text(err));
	command->no_define = command->partly = true;
	return 0;
}

/* NUMBER 0: NAME.xml, else NAME.NUMBER.xml. */
static int find_xml_path(struct command *command, unsigned number)
{
	char component[NAME_COMPONENT_MAX + 1], suffix[16] = "";
	const struct restore_item *item = command->plan.items;
	CLEANUP_FREE char *escaped = name_escape(command->plan.name,
			strlen(command->plan.name));
	if (escaped == NULL)
		return fail_no_memory("restoring the domain");
	name_component(component, escaped);
	for (unsigned i = 1; i < command->plan.count
			&& item->file->kind != FILE_DISK;
			i++)
		item = &command->plan.items[i];
	if (number != 0)
		snprintf(suffix, sizeof(suffix), ".%u", number);
	free(take_ptr(command->xml_path));
	/* Next to a device there is no good place. */
	const char *slash =
			item->block_device ? NULL : strrchr(item->path, '/');
	int n = asprintf(&command->xml_path, "%.*s%s%s%s.xml",
			slash != NULL ? (int)(slash - item->path) : 0,
			item->path, slash != NULL ? "/" : "", component,
			suffix);
	if (n < 0) {
		command->xml_path = NULL;
		return fail_no_memory("restoring the domain");
	}
	return 0;
}

static int check_xml_path(struct command *command)
{
	int err = find_xml_path(command, 0);
	if (err == 0 && !command->restore.force
			&& access(command->xml_path, F_OK) == 0)
		return restore_place_fail_exists(command->xml_path);
	return err;
}

static const char *uri_of(const struct command *command)
{
	if (command->connection != NULL)
		return connection_uri(command->connection);
	if (command->connect != NULL)
		return command->connect;
	return geteuid() == 0 ? "qemu:///system" : "qemu:///session";
}

static int make_plan(struct command *command)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	int err = read_definition(command);
	if (err == 0)
		err = connect(command);
	if (err == 0)
		command->wishes.uri = uri_of(command);
	if (err == 0)
		err = restore_plan_make(&command->plan, command->snap,
				command->xml, &command->wishes);
	if (err == 0 && restore_file_warn_incomplete(command->snap))
		command->partly = true;
	if (err == 0 && command->plan.count == 0)
		err = fail(-EINVAL,
				"%s has no disk (a backup made with --exact is "
				"restored into a directory)",
				snapshot_shown(shown, command->snap->object));
	if (err == 0)
		err = restore_check_plan(&command->plan, command->connection,
				command->restore.force);
	return err == 0 && command->no_define ? check_xml_path(command) : err;
}

/* --- files --- */

static int set_owner(struct command *command, const struct restore_item *item)
{
	struct restore_file *restore = &command->restore;
	restore->own = geteuid() == 0
			&& (item->exists || command->connection != NULL);
	restore->uid = item->uid;
	restore->gid = item->gid;
	return restore->own && !item->exists ? qemu_user(command->connection,
			       &restore->uid, &restore->gid)
					     : 0;
}

/* The state of a TPM goes where libvirt or the definition puts it, under names
 * of swtpm's; its directories may be missing. */
static int prepare_tpm(const struct command *command, const char *path)
{
	const char *given = command->xml->tpm_path;
	bool below = given != NULL && tpm_state_is_below(path, given);
	if (!below && !tpm_state_is_path(path, command->snap->uuid))
		return fail(-EINVAL,
				"%s is no place for the state of this "
				"domain's TPM",
				path);
	int levels = !below ? 2 : strcmp(path, given) == 0 ? 0 : 1;
	CLEANUP_FD int fd = tpm_state_make_directories(path, levels);
	return fd < 0 ? fd : 0;
}

static int restore_item(struct command *command,
		const struct restore_item *item)
{
	if (item->if_missing && item->exists)
		return 0;
	if (item->optional && item->exists && !command->restore.force) {
		report_warning("keeping the existing %s; --force replaces it",
				item->path);
		return 0;
	}
	int err = item->optional ? prepare_tpm(command, item->path) : 0;
	if (err == 0)
		err = set_owner(command, item);
	if (err == 0)
		err = restore_file_to_path(&command->restore, item->file,
				item->path, item->format);
	if (err < 0 && err != -ECANCELED && item->optional) {
		report_warning("%s is not restored: %s", item->file->name,
				error_text(err));
		command->partly = true;
		return 0;
	}
	return err;
}

/* The domain may have been started while its disk was written. */
static int may_replace(void *ctx, const char *path)
{
	const struct command *command = ctx;
	return restore_check_plan_again(&command->plan, command->connection,
			path);
}

static int restore_items(struct command *command)
{
	int err = 0;
	command->restore.follow_links = true;
	command->restore.may_replace = may_replace;
	command->restore.ctx = command;
	for (unsigned i = 0; i < command->plan.count; i++)
		command->restore.all_total += command->plan.items[i].file->size;
	for (unsigned i = 0; err == 0 && i < command->plan.count; i++)
		err = restore_item(command, &command->plan.items[i]);
	return err;
}

/* --- the definition --- */

static int adapt(const struct command *command, const char *name,
		bool same_identity, char **xml, char **notes)
{
	const struct restore_plan *plan = &command->plan;
	CLEANUP_FREE struct adapt_disk *disks =
			calloc(plan->count + 1u, sizeof(*disks));
	struct adapt_options o = { .name = name,
		.same_identity = same_identity,
		.nvram = plan->nvram,
		.nvram_block = plan->nvram_block,
		.kernel = plan->kernel,
		.initrd = plan->initrd,
		.tpm_placed = same_identity && boot_tpm_stored(command->snap),
		.disks = disks };
	if (disks == NULL)
		return fail_no_memory("restoring the domain");
	for (unsigned i = 0; i < plan->count; i++) {
		const struct restore_item *item = &plan->items[i];
		if (item->file->kind != FILE_DISK)
			continue;
		disks[o.disk_count++] = (struct adapt_disk){
			.target = item->file->target,
			.path = item->path,
			.block_device = item->block_device,
			.format = item->format == RESTORE_RAW ? "raw" : "qcow2"
		};
	}
	return domain_adapt(command->xml->doc, &o, xml, notes);
}

/* Whether libvirt will accept it, before hours are spent on the disks: under
 * a name and identity of its own, so that nothing is replaced. */
static int check_definition(const struct command *command)
{
	CLEANUP_FREE char *xml = NULL;
	CLEANUP_FREE char *notes = NULL;
	char name[40];
	snprintf(name, sizeof(name), "amberfs-check-%ld-%u", (long)getpid(),
			(unsigned)time(NULL));
	if (command->no_define)
		return 0;
	int err = adapt(command, name, false, &xml, &notes);
	if (err == 0)
		err = domain_control_check(command->connection, xml);
	return err < 0 ? fail_within(err,
			       "nothing is restored, as the domain can't be "
			       "defined (--no-define writes its definition "
			       "to a file, to be corrected)")
		       : 0;
}

static int write_definition(struct command *command)
{
	command->restore.own = false;
	return restore_file_text(&command->restore, command->adapted,
			strlen(command->adapted), 0600, command->xml_path);
}

/* libvirt did not take it, after all: what was restored needs it. */
static int keep_definition(struct command *command)
{
	struct error_copy why;
	int err = -EEXIST;
	error_save(&why, -EIO);
	command->restore.force = false;
	for (unsigned i = 0; err == -EEXIST && i < XML_NAMES_MAX; i++) {
		err = find_xml_path(command, i);
		if (err == 0)
			err = write_definition(command);
	}
	if (err < 0)
		return err;
	report_warning("the files are restored, but the domain is not defined: "
		       "%s; its definition is in %s: correct it and define it",
			why.text, command->xml_path);
	command->partly = true;
	return 0;
}

static int define(struct command *command)
{
	int err = adapt(command, command->plan.name,
			command->plan.same_identity, &command->adapted,
			&command->notes);
	if (err < 0)
		return err;
	if (command->no_define)
		return write_definition(command);
	err = domain_control_define(command->connection, command->adapted,
			NULL);
	return err < 0 ? keep_definition(command) : 0;
}

/* --- the command --- */

static int open_all(struct command *command, char **argv,
		struct session **session)
{
	CLEANUP_FREE char *file = NULL;
	const struct image_reader_options reading = { .cache_size = FRAME_CACHE,
		.threads = (unsigned)command->jobs.value };
	int err = repository_open(&command->repo, argv[1],
			&command->repository);
	if (err < 0)
		return err;
	err = repository_attach(command->repo, &command->repository);
	if (err < 0)
		return err;
	err = snapshot_resolve(command->repo, argv[2], &command->snap, &file);
	if (err < 0)
		return err;
	if (file != NULL)
		return fail(-EINVAL,
				"--domain restores a whole snapshot; leave out "
				"the file %s",
				file);
	err = restore_file_add_roots(command->repo, command->snap, "restore",
			session);
	return err < 0 ? err
		       : image_reader_new(&command->restore.reader,
				       command->repo->packs, &reading);
}

static int restore(struct command *command)
{
	int err = make_plan(command);
	if (err < 0)
		return err;
	err = check_definition(command);
	if (err == 0)
		err = restore_items(command);
	return err < 0 ? err : define(command);
}

static int run(struct command *command, char **argv)
{
	struct session *session = NULL;
	command->restore.threads = (unsigned)command->jobs.value;
	command->restore.zero_damaged = command->damaged != NULL;
	int err = open_all(command, argv, &session);
	if (err == 0)
		err = restore(command);
	image_reader_free(command->restore.reader);
	session_end(session);
	return err;
}

static json_t *disks_json(const struct command *command)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < command->plan.count; i++) {
		const struct restore_item *item = &command->plan.items[i];
		if (item->file->kind == FILE_DISK)
			json_array_append_new(list,
					json_pack("{s:s,s:o,s:s}", "target",
							item->file->target,
							"path",
							report_json_text(
									item->path),
							"format",
							item->format == RESTORE_RAW
									? "raw"
									: "qcow2"));
	}
	return list;
}

static void print_json(const struct command *command, double seconds)
{
	json_t *xml = command->xml_path != NULL
			? report_json_text(command->xml_path)
			: json_null();
	char shown[SNAPSHOT_SHOWN_MAX];
	report_print_json(json_pack(
			"{s:s,s:s,s:b,s:o,s:o,s:i,s:I,s:I,s:f,s:o,s:o}",
			"snapshot",
			snapshot_shown(shown, command->snap->object), "domain",
			command->plan.name, "defined",
			command->xml_path == NULL, "xml", xml, "disks",
			disks_json(command), "file_count",
			(int)command->restore.files, "size",
			(json_int_t)command->restore.all_done, "written_bytes",
			(json_int_t)command->restore.written, "seconds",
			seconds, "damaged",
			restore_file_damaged_json(&command->restore), "notes",
			report_json_lines(command->notes)));
}

static void print_text(const struct command *command, double seconds)
{
	char size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX], took[SIZE_TEXT_MAX],
			shown[256], files[COUNT_TEXT_MAX];
	printable(shown, sizeof(shown), command->plan.name);
	printf("Restored %s, %s (%s written, the rest holes), in %s.\n",
			count_format(files, command->restore.files, "file"),
			size_format(size, command->restore.all_done),
			size_format(data, command->restore.written),
			duration_format(took, seconds));
	if (!report_wants_text())
		return;
	for (unsigned i = 0; i < command->plan.count; i++)
		if (command->plan.items[i].file->kind == FILE_DISK)
			printf("  %-8s %s\n",
					command->plan.items[i].file->target,
					command->plan.items[i].path);
	for (const char *at = command->notes; at != NULL && *at != '\0';) {
		size_t len = strcspn(at, "\n");
		printf("  %.*s\n", (int)len, at);
		at += len + (at[len] == '\n');
	}
	if (command->xml_path == NULL)
		printf("Defined domain %s; start it with: virsh -c "
		       "'%s' start %s\n",
				shown, connection_uri(command->connection),
				shown);
}

static void report(const struct command *command, double seconds)
{
	if (report_json())
		print_json(command, seconds);
	else if (report_wants_summary())
		print_text(command, seconds);
	/* Whoever has no domain must learn how to define it, even with
	 * --quiet. */
	if (!report_json() && command->xml_path != NULL
			&& (command->partly || report_wants_text()))
		fprintf(report_wants_text() ? stdout : stderr,
				"Define the domain with: virsh%s%s%s define "
				"%s\n",
				command->connection != NULL ? " -c '" : "",
				command->connection != NULL ? connection_uri(
						command->connection)
							    : "",
				command->connection != NULL ? "'" : "",
				command->xml_path);
	if (command->restore.range_count != 0)
		report_warning("unreadable data was written as zeros; "
			       "'amberfs repair' may recover it");
}

static void check_usage(const struct command_line *line,
		const struct command *command)
{
	const struct restore_plan_options *options = &command->wishes;
	if (!command->domain)
		options_error(line, "--domain is required");
	if (command->damaged != NULL && strcmp(command->damaged, "zero") != 0)
		options_error(line, "--damaged must be zero");
	if (options->format != NULL && strcmp(options->format, "raw") != 0
			&& strcmp(options->format, "qcow2") != 0)
		options_error(line, "--format must be raw or qcow2");
	if (options->name != NULL
			&& (*options->name == '\0'
					|| strchr(options->name, '/') != NULL
					|| strlen(options->name) > 200))
		options_error(line,
				"--name must have 1 to 200 bytes and no '/'");
	if (options->same_identity && options->name == NULL)
		options_error(line,
				"--same-identity requires --name; without that "
				"the identity is kept anyway");
}

int restore_domain_main(int argc, char **argv)
{
	struct command c = {
		.jobs = { .value = pool_processors(), .min = 1, .max = 256 }
	};
	struct restore_plan_options *options = &c.wishes;
	const struct option own[] = {
		{ "domain", 0, OPTION_FLAG, &c.domain, NULL,
				"restore the disks and define the domain" },
		{ "name", 'n', OPTION_TEXT, &options->name, "NEW",
				"new name, with a new UUID and MAC addresses" },
		{ "same-identity", 0, OPTION_FLAG, &options->same_identity,
				NULL,
				"with --name: keep UUID and MAC addresses" },
		{ "disk", 0, OPTION_LIST, &options->disks, "VDA=PATH[,FORMAT]",
				"restore this disk there; repeatable" },
		{ "format", 0, OPTION_TEXT, &options->format, "raw|qcow2",
				"format of the disks (default: as before)" },
		{ "connect", 'c', OPTION_TEXT, &c.connect, "URI",
				"connect to URI (default: "
				"LIBVIRT_DEFAULT_URI)" },
		{ "no-define", 0, OPTION_FLAG, &c.no_define, NULL,
				"write the definition to a file instead" },
		{ "force", 0, OPTION_FLAG, &c.restore.force, NULL,
				"replace files, and the domain if it is shut "
				"off" },
		{ "damaged", 0, OPTION_TEXT, &c.damaged, "zero",
				"write unreadable data as zeros, and list it" },
		{ "jobs", 'j', OPTION_NUMBER, &c.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&c.repository),
		report_option_table(&c.report), NULL };
	const struct command_line cl = {
		.program = "amberfs restore",
		.operands = "REPO SNAPSHOT --domain",
		.purpose = "Restore a domain: its disks to where they were, or "
			   "where --disk says, and its\n"
			   "definition. Without libvirt only the files are "
			   "restored.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = 2,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &c.report);
	check_usage(&cl, &c);
	interrupt_setup();
	double begin = monotonic_now();
	int err = run(&c, argv);
	if (err < 0)
		report_failure(err, argv[1]);
	else
		report(&c, monotonic_now() - begin);
	bool partly = c.partly || c.restore.range_count != 0;
	restore_file_clear(&c.restore);
	restore_plan_clear(&c.plan);
	connection_close(c.connection);
	snapshot_free(c.snap);
	repository_close(c.repo);
	domain_xml_free(c.xml);
	free(c.adapted);
	free(c.notes);
	free(c.xml_path);
	return report_finish(err < 0		 ? EXIT_FAILED
					: partly ? EXIT_PARTLY
						 : EXIT_DONE);
}
