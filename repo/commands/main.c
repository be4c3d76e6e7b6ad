/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The amberfs program: finds the command, runs it here or starts the program
 * that owns it (amberfs-mount, amberfs-ingest).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/standard_descriptors.h"
#include "repo/repository/secret_env.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *program;   /* for those of other programs; with RUN: if it
				  is installed */
	const char *directory; /* of that in the build tree */
	const char *purpose;   /* NULL: listed with another */
};

static const struct command commands[] = {
	{ "init", command_init, NULL, NULL,
			"make a new repository ('index' is a cache of it)" },
	{ "domains", NULL, "amberfs-ingest", "ingest",
			"list libvirt's domains ('checkpoint' tidies them)" },
	{ "backup", NULL, "amberfs-ingest", "ingest",
			"back up domains, image files or devices" },
	{ "checkpoint", NULL, "amberfs-ingest", "ingest", NULL },
	{ "list", command_list, NULL, NULL,
			"list snapshots ('show' describes one in full)" },
	{ "show", command_show, NULL, NULL, NULL },
	{ "mount", NULL, "amberfs-mount", "fs",
			"mount the repository ('umount' ends it)" },
	{ "umount", NULL, "amberfs-mount", "fs", NULL },
	{ "boot", NULL, "amberfs-ingest", "ingest",
			"run a snapshot as a guest right away" },
	{ "restore", command_restore, NULL, NULL,
			"copy a snapshot or one of its files to disk" },
	{ "prove", NULL, "amberfs-ingest", "ingest",
			"boot snapshots to check that they come up" },
	{ "verify", command_verify, NULL, NULL,
			"check that everything stored can be read" },
	{ "doctor", command_doctor, "amberfs-ingest", "ingest",
			"check what this host needs for backups" },
	{ "repair", command_repair, NULL, NULL,
			"list damage, and restore what a copy still has" },
	{ "copy", command_copy, NULL, NULL,
			"copy snapshots into another repository" },
	{ "forget", command_forget, NULL, NULL,
			"remove snapshots, by name or by rules" },
	{ "pin", command_pin, NULL, NULL,
			"protect snapshots from 'forget' until 'unpin'" },
	{ "unpin", command_unpin, NULL, NULL, NULL },
	{ "protect", command_protect, NULL, NULL,
			"set a minimum age for removing snapshots" },
	{ "key", command_key, NULL, NULL, "list, add and remove keys" },
	{ "prune", command_prune, NULL, NULL,
			"free space no snapshot needs ('sessions': who is at "
			"work)" },
	{ "run", command_run, NULL, NULL,
			"do the configured jobs ('config' checks them)" },
	{ "config", command_config, NULL, NULL, NULL },
	{ "sessions", command_sessions, NULL, NULL, NULL },
	{ "index", command_index, NULL, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static const struct command restore_of_domain = { "restore", NULL,
	"amberfs-ingest", "ingest", NULL };

static void print_usage(FILE *to)
{
	fprintf(to,
			"Usage: amberfs COMMAND [OPTION...] [ARGUMENT...]\n"
			"Backups of virtual disks that you can browse.\n\n"
			"Commands:\n");
	for (const struct command *command = commands; command->name != NULL;
			command++)
		if (command->purpose != NULL)
			fprintf(to, "  %-10s %s\n", command->name,
					command->purpose);
	fprintf(to,
			"\n"
			"See also 'amberfs COMMAND --help' and 'amberfs "
			"--version'.\n");
}

static _Noreturn void unknown(const char *name)
{
	const char *words[ARRAY_SIZE(commands)];
	size_t n = 0;
	for (const struct command *command = commands; command->name != NULL;
			command++)
		words[n++] = command->name;
	words[n] = NULL;
	const char *near = options_nearest_word(name, words);
	const struct command_line line = { .program = "amberfs" };
	options_error(&line, "unknown command '%.100s'%s%s%s", name,
			near != NULL ? "; did you mean '" : "",
			near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* Installed: in libexec. In the build tree: in a sibling directory of ours. */
static void find_program(char out[PATH_MAX], const struct command *command)
{
	static const char here[] = "/repo/commands/amberfs";
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t tail = sizeof(here) - 1;
	if (n > (ssize_t)tail) {
		self[n] = '\0';
		char *end = self + n - tail;
		if (strcmp(end, here) == 0) {
			*end = '\0';
			int len = snprintf(out, PATH_MAX, "%.3000s/%s/%s", self,
					command->directory, command->program);
			if (len < PATH_MAX && access(out, X_OK) == 0)
				return;
		}
	}
	snprintf(out, PATH_MAX, "%s/%s", AMBERFS_LIBEXECDIR, command->program);
}

static bool is_installed(const struct command *command)
{
	char path[PATH_MAX];
	find_program(path, command);
	return access(path, X_OK) == 0;
}

/* restore --domain needs libvirt, so amberfs-ingest does it. */
static bool is_restore_of_domain(const char *name, char **argv)
{
	if (strcmp(name, "restore") != 0)
		return false;
	for (char **a = argv + 2; *a != NULL && strcmp(*a, "--") != 0; a++)
		if (strcmp(*a, "--domain") == 0)
			return true;
	return false;
}

static int start_program(const struct command *command, char **argv)
{
	char path[PATH_MAX];
	find_program(path, command);
	execv(path, argv);
	int err = fail(-errno,
			"can't start %s: %s; is the installation complete?",
			path, strerror(errno));
	report_failure(err, path);
	return EXIT_FAILED;
}

/* ARGV[0] is the command's name. */
static int run_command(int argc, char **argv)
{
	const char *name = argv[0];
	for (const struct command *command = commands; command->name != NULL;
			command++) {
		if (strcmp(command->name, name) != 0)
			continue;
		if (command->run == NULL
				|| (command->program != NULL
						&& is_installed(command)))
			return start_program(command, argv - 1);
		if (is_restore_of_domain(name, argv - 1))
			return start_program(&restore_of_domain, argv - 1);
		int err = secret_env_take();
		if (err < 0) {
			report_failure(err, NULL);
			return EXIT_FAILED;
		}
		return interrupt_status(command->run(argc, argv));
	}
	unknown(name);
}

/* "help COMMAND" is "COMMAND --help". */
static int help_on(char *program, char *name)
{
	char *argv[] = { program, name, (char *)"--help", NULL };
	return run_command(2, argv + 1);
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const char *const help[] = { "--help", "-h", "help", NULL },
				 *const version[] = { "--version", "-V",
					 "version", NULL };
	standard_descriptors_take();
	report_json_begin(argv);
	argv = options_take_arguments(argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (is_one_of(argv[1], help)) {
		if (argc > 2)
			return help_on(argv[0], argv[2]);
		print_usage(stdout);
		return report_finish(EXIT_DONE);
	}
	if (is_one_of(argv[1], version)) {
		printf("amberfs %s\n", AMBERFS_VERSION);
		return report_finish(EXIT_DONE);
	}
	return run_command(argc - 1, argv + 1);
}
