/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot: options, and what its verbs share. */
#include "boot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "boot_internal.h"

struct boot_command {
	struct boot_options o;
	const char *finish, *resume, *discard;
	bool list;
};

/* --- one place --- */

int boot_setup(struct boot *b, const struct boot_options *o)
{
	*b = (struct boot){ .options = o, .lock = -1 };
	return boot_root_find(o->overlay_dir, &b->dir);
}

static int no_place(const struct boot *b, const char *name)
{
	char shown[256];
	return fail(-ENOENT, "nothing was booted as %s below %s ('amberfs boot "
			"--list' lists what was; was it finished already, or is "
			"it elsewhere (--overlay-dir)?)",
			printable(shown, sizeof(shown), name), b->dir);
}

/* Killed right after its directory was made: nothing but that, and maybe the
 * directory for the mount, is there. Anything else is not ours. */
static int open_newborn(struct boot *b, const char *name)
{
	CLEANUP_FREE char *begun = NULL;
	if (asprintf(&begun, "%s/." BOOT_STATE_NAME ".new", b->place.directory)
			< 0) {
		begun = NULL;
		return fail_errno(-ENOMEM, "booting");
	}
	unlink(begun);
	rmdir(b->place.mount);
	if (rmdir(b->place.directory) < 0)
		return no_place(b, name);
	return 0;
}

int boot_open(struct boot *b, const char *name)
{
	CLEANUP_FREE char *directory = boot_root_directory(b->dir, name);
	if (directory == NULL)
		return fail_errno(-ENOMEM, "booting");
	if (access(directory, F_OK) < 0)
		return no_place(b, name);
	int err = boot_directory_open(&b->place, directory, NULL);
	if (err < 0)
		return err;
	b->lock = boot_root_lock(directory, false);
	if (b->lock < 0)
		return b->lock;
	err = boot_state_load(&b->state, directory);
	if (err == -ENOENT)
		return open_newborn(b, name);
	if (err == 0)
		err = connection_open(&b->connection,
				b->options->connect ? b->options->connect
						    : b->state.uri,
				CONNECTION_SECRETS);
	if (err == 0) {
		boot_directory_close(&b->place);
		err = boot_directory_open(&b->place, directory, b->connection);
	}
	return err;
}

void boot_close(struct boot *b)
{
	if (b->lock >= 0)
		close(b->lock);
	boot_state_clear(&b->state);
	boot_directory_close(&b->place);
	connection_close(b->connection);
	free(b->dir);
}

/* --- the command --- */

static int with_place(struct boot *b, const char *name,
		int (*verb)(struct boot *b))
{
	int err = boot_open(b, name);
	if (err < 0 || b->state.name != NULL)
		return err < 0 ? err : verb(b);
	/* There was hardly anything, and that is gone now. */
	return verb == boot_end_discard ? 0 : no_place(b, name);
}

static int run(const struct boot_command *c, struct boot *b, char **argv)
{
	int err = boot_setup(b, &c->o);
	if (err < 0)
		return err;
	if (c->list)
		return boot_list(b);
	if (c->finish != NULL)
		return with_place(b, c->finish, boot_finish);
	if (c->resume != NULL)
		return with_place(b, c->resume, boot_end_resume);
	if (c->discard != NULL)
		return with_place(b, c->discard, boot_end_discard);
	return boot_begin(b, argv[1], argv[2]);
}

static void check_usage(const struct command_line *cl,
		const struct boot_command *c, int operands)
{
	int verbs = (c->finish != NULL) + (c->resume != NULL)
			+ (c->discard != NULL) + c->list;
	bool begins = c->o.name || c->o.isolated || c->o.same_identity;
	if (verbs > 1)
		options_error(cl, "--finish, --resume, --discard and --list "
				"exclude each other");
	if (verbs == 0 && operands != 2)
		options_error(cl, "REPO and SNAPSHOT are needed");
	if (verbs == 1 && operands != 0)
		options_error(cl, "REPO and SNAPSHOT are known already: leave them "
				"out");
	if (verbs == 1 && begins)
		options_error(cl, "--name, --isolated and --same-identity are for "
				"booting");
	if (c->o.force && c->discard == NULL)
		options_error(cl, "--force goes with --discard");
	if (c->o.start && verbs == 1 && c->resume == NULL)
		options_error(cl, "--start goes with booting and --resume");
	if (c->o.name != NULL && (*c->o.name == '\0'
					 || strchr(c->o.name, '/') != NULL
					 || strlen(c->o.name) > 200))
		options_error(cl, "--name must have 1 to 200 bytes and no '/'");
}

int boot_main(int argc, char **argv)
{
	struct boot_command c = { .o.repository.credentials.keep = true };
	struct boot_options *o = &c.o;
	const struct option own[] = {
		{ "name", 'n', OPTION_TEXT, &o->name, "NEW",
			"its name (default: SOURCE-TIME)" },
		{ "connect", 'c', OPTION_TEXT, &o->connect, "URI",
			"libvirt to ask (default LIBVIRT_DEFAULT_URI)" },
		{ "start", 0, OPTION_FLAG, &o->start, NULL, "start it, too" },
		{ "overlay-dir", 0, OPTION_TEXT, &o->overlay_dir, "DIR",
			"its folder comes here (/var/lib/amberfs/boot)" },
		{ "isolated", 0, OPTION_FLAG, &o->isolated, NULL,
			"without network and devices of the host" },
		{ "same-identity", 0, OPTION_FLAG, &o->same_identity, NULL,
			"keep name, UUID and MAC addresses" },
		{ "finish", 0, OPTION_TEXT, &c.finish, "NAME",
			"make its disks whole, let go of the backup" },
		{ "resume", 0, OPTION_TEXT, &c.resume, "NAME",
			"mount again, after the host was restarted" },
		{ "discard", 0, OPTION_TEXT, &c.discard, "NAME",
			"remove it, with all that its guest wrote" },
		{ "force", 0, OPTION_FLAG, &o->force, NULL,
			"with --discard: even if the guest runs" },
		{ "list", 0, OPTION_FLAG, &c.list, NULL,
			"list what was booted and not finished" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o->repository),
		report_option_table(&o->report), NULL };
	const struct command_line cl = {
		.program = "amberfs boot",
		.operands = "[REPO SNAPSHOT]",
		.purpose = "Define a domain whose disks are those of a snapshot, "
			   "with overlays for what the\nguest writes; later pull "
			   "the rest over while it runs.",
		.tables = tables,
		.min_operands = 0, .max_operands = 2,
	};
	struct boot b = { .lock = -1 };
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o->report);
	check_usage(&cl, &c, n);
	interrupt_setup();
	int err = run(&c, &b, argv);
	if (err < 0)
		report_error("%s", error_text(err));
	bool partly = b.partly;
	boot_close(&b);
	return report_finish(err < 0 ? EXIT_FAILED
			     : partly ? EXIT_PARTLY : EXIT_DONE);
}
