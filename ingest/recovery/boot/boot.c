/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot: options, and what its actions share. */
#include "boot.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/repository/repository_name.h"

struct boot_command {
	struct boot_options o;
	const char *finish, *resume, *discard;
	bool list;
};

/* --- one place --- */

int boot_setup(struct boot *boot, const struct boot_options *options)
{
	*boot = (struct boot){ .options = options, .lock = -1 };
	return boot_root_find(options->overlay_dir, &boot->dir);
}

static int no_place(const struct boot *boot, const char *name)
{
	char shown[256];
	return fail(-ENOENT,
			"no booted domain %s below %s (see 'amberfs boot "
			"--list'; was it finished already, or is it in another "
			"--overlay-dir?)",
			printable(shown, sizeof(shown), name), boot->dir);
}

/* Killed right after its directory was made: it has at most the directory for
 * the mount. Anything else is not ours. */
static int open_newborn(struct boot *boot, const char *name)
{
	CLEANUP_FREE char *begun = NULL;
	if (asprintf(&begun, "%s/." BOOT_STATE_NAME ".new",
			    boot->place.directory)
			< 0) {
		begun = NULL;
		return fail_no_memory("booting the snapshot");
	}
	unlink(begun);
	rmdir(boot->place.mount);
	if (rmdir(boot->place.directory) < 0)
		return no_place(boot, name);
	return 0;
}

int boot_open(struct boot *boot, const char *name)
{
	CLEANUP_FREE char *directory = boot_root_directory(boot->dir, name);
	assert(boot->lock < 0 && boot->state.name == NULL);
	if (directory == NULL)
		return fail_no_memory("booting the snapshot");
	if (access(directory, F_OK) < 0)
		return no_place(boot, name);
	int err = boot_directory_open(&boot->place, directory, NULL);
	if (err < 0)
		return err;
	boot->lock = boot_root_lock(directory, false);
	if (boot->lock < 0)
		return boot->lock;
	err = boot_state_load(&boot->state, directory);
	if (err == -ENOENT)
		return open_newborn(boot, name);
	if (err == 0)
		err = connection_open(&boot->connection,
				boot->options->connect != NULL
						? boot->options->connect
						: boot->state.uri,
				CONNECTION_SECRETS);
	if (err == 0) {
		boot_directory_close(&boot->place);
		err = boot_directory_open(&boot->place, directory,
				boot->connection);
	}
	return err;
}

void boot_close(struct boot *boot)
{
	if (boot->lock >= 0)
		close(boot->lock);
	boot_state_clear(&boot->state);
	boot_directory_close(&boot->place);
	connection_close(boot->connection);
	free(boot->dir);
}

/* --- the command --- */

/* The repository is known from when it was booted, so the configuration may
 * know its key. */
static int with_place(struct boot_command *command, struct boot *boot,
		const char *name, int (*verb)(struct boot *boot))
{
	int err = boot_open(boot, name);
	if (err == 0 && boot->state.repository != NULL)
		repository_name_of_place(&command->o.repository,
				boot->state.repository);
	if (err < 0 || boot->state.name != NULL)
		return err < 0 ? err : verb(boot);
	/* There was almost nothing, and that is gone now. */
	return verb == boot_end_discard ? 0 : no_place(boot, name);
}

static int run(struct boot_command *command, struct boot *boot, char **argv)
{
	int err = boot_setup(boot, &command->o);
	if (err < 0)
		return err;
	if (command->list)
		return boot_list(boot);
	if (command->finish != NULL)
		return with_place(command, boot, command->finish, boot_finish);
	if (command->resume != NULL)
		return with_place(command, boot, command->resume,
				boot_end_resume);
	if (command->discard != NULL)
		return with_place(command, boot, command->discard,
				boot_end_discard);
	return boot_begin(boot, argv[1], argv[2]);
}

static void check_usage(const struct command_line *line,
		const struct boot_command *command, int operands)
{
	int verbs = (command->finish != NULL) + (command->resume != NULL)
			+ (command->discard != NULL) + command->list;
	bool begins = command->o.name != NULL || command->o.isolated
			|| command->o.same_identity;
	if (verbs > 1)
		options_error(line,
				"--finish, --resume, --discard and --list "
				"exclude each other");
	if (verbs == 0 && operands != 2)
		options_error(line, "REPO and SNAPSHOT are required");
	if (verbs == 1 && operands != 0)
		options_error(line,
				"REPO and SNAPSHOT are not allowed here: they "
				"are already known");
	if (verbs == 1 && begins)
		options_error(line,
				"--name, --isolated and --same-identity are "
				"only for booting a snapshot");
	if (command->o.force && command->discard == NULL)
		options_error(line, "--force requires --discard");
	if (command->o.start && verbs == 1 && command->resume == NULL)
		options_error(line,
				"--start is only for booting a snapshot and "
				"for --resume");
	if (command->o.name != NULL
			&& (*command->o.name == '\0'
					|| strchr(command->o.name, '/') != NULL
					|| strlen(command->o.name) > 200))
		options_error(line,
				"--name must have 1 to 200 bytes and no '/'");
}

int boot_main(int argc, char **argv)
{
	struct boot_command c = { .o.repository.credentials.keep = true };
	struct boot_options *options = &c.o;
	const struct option own[] = {
		{ "name", 'n', OPTION_TEXT, &options->name, "NEW",
				"name the domain NEW (default: SOURCE-TIME)" },
		{ "connect", 'c', OPTION_TEXT, &options->connect, "URI",
				"connect to URI (default: "
				"LIBVIRT_DEFAULT_URI)" },
		{ "start", 0, OPTION_FLAG, &options->start, NULL,
				"start the domain" },
		{ "overlay-dir", 0, OPTION_TEXT, &options->overlay_dir, "DIR",
				"put it in DIR (default: "
				"/var/lib/amberfs/boot)" },
		{ "isolated", 0, OPTION_FLAG, &options->isolated, NULL,
				"leave out network and host devices" },
		{ "same-identity", 0, OPTION_FLAG, &options->same_identity,
				NULL, "keep name, UUID and MAC addresses" },
		{ "finish", 0, OPTION_TEXT, &c.finish, "NAME",
				"make its disks independent of the backup" },
		{ "resume", 0, OPTION_TEXT, &c.resume, "NAME",
				"mount again after a restart of the host" },
		{ "discard", 0, OPTION_TEXT, &c.discard, "NAME",
				"remove the domain and all that its guest "
				"wrote" },
		{ "force", 0, OPTION_FLAG, &options->force, NULL,
				"with --discard: even if the guest runs" },
		{ "list", 0, OPTION_FLAG, &c.list, NULL,
				"list booted domains that are not finished" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&options->repository),
		report_option_table(&options->report), NULL };
	const struct command_line cl = {
		.program = "amberfs boot",
		.operands = "[REPO SNAPSHOT]",
		.purpose = "Run a snapshot as a domain at once, on overlays "
			   "that take what the guest\n"
			   "writes, and later make its disks complete while it "
			   "runs.",
		.tables = tables,
		.min_operands = 0,
		.max_operands = 2,
	};
	struct boot b = { .lock = -1 };
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &options->report);
	check_usage(&cl, &c, n);
	interrupt_setup();
	int err = run(&c, &b, argv);
	if (err < 0)
		report_failure(err, argv[1]);
	bool partly = b.partly;
	boot_close(&b);
	return report_finish(err < 0		 ? EXIT_FAILED
					: partly ? EXIT_PARTLY
						 : EXIT_DONE);
}
