/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs-ingest: the commands of amberfs that use libvirt. `amberfs` starts it
 * with the command's name as first argument.
 */
#include <stdio.h>
#include <string.h>

#include "ingest/commands/backup.h"
#include "ingest/commands/checkpoint.h"
#include "ingest/commands/domains.h"
#include "ingest/doctor/doctor_libvirt.h"
#include "ingest/live/watchdog.h"
#include "ingest/recovery/boot/boot.h"
#include "ingest/recovery/prove/prove.h"
#include "ingest/recovery/restore/restore_domain.h"
#include "repo/base/bytes.h"
#include "repo/base/interrupt.h"
#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/base/standard_descriptors.h"
#include "repo/repository/secret_env.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "backup", backup_main },
	{ "boot", boot_main },
	{ "checkpoint", checkpoint_main },
	{ "doctor", doctor_libvirt_main },
	{ "domains", domains_main },
	{ WATCHDOG_COMMAND, watchdog_process_main }, /* internal */
	{ "restore", restore_domain_main },	     /* with --domain */
	{ "prove", prove_main },
};

int main(int argc, char **argv)
{
	standard_descriptors_take();
	report_json_begin(argv);
	argv = options_take_arguments(argc, argv);
	/* Before any child: libvirt and qemu-nbd need no passphrase. */
	int err = secret_env_take();
	if (err < 0) {
		report_failure(err, NULL);
		return EXIT_FAILED;
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return interrupt_status(
					commands[i].main(argc - 1, argv + 1));
	fputs("amberfs-ingest: started by amberfs; run `amberfs --help`\n",
			stderr);
	return EXIT_USAGE;
}
