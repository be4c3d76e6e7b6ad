/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command: options, the order of the tables, and the exit status. */
#include <errno.h>
#include <stdio.h>

#include "checks.h"
#include "peers.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

#define PROGRAM "amberfs doctor"

static void run_table(struct doctor *doctor, const struct doctor_check *checks,
		const char **section)
{
	for (; checks != NULL && checks->section != NULL; checks++) {
		size_t first = json_array_size(doctor->findings);
		doctor->check = checks;
		checks->run(doctor);
		if (!doctor->options->report.json)
			doctor_print(doctor, first, section);
	}
}

static void no_libvirt(struct doctor *doctor)
{
	doctor_found(doctor, DOCTOR_OK, "libvirt",
			"this amberfs is without it, so no guests were looked "
			"at");
}

static int print_json(const struct doctor *doctor)
{
	return report_print_json(json_pack("{s:i, s:i, s:i, s:O}", "ok_count",
			(int)doctor->count[DOCTOR_OK], "warning_count",
			(int)doctor->count[DOCTOR_WARNING], "failure_count",
			(int)doctor->count[DOCTOR_FAILURE], "findings",
			doctor->findings));
}

static int finish(const struct doctor *doctor)
{
	int err = 0;
	if (doctor->no_memory)
		err = fail_no_memory("looking");
	else if (doctor->options->report.json)
		err = print_json(doctor);
	else
		doctor_print_summary(doctor);
	if (err < 0) {
		report_error("%s", error_text(err));
		return report_finish(EXIT_FAILED);
	}
	return report_finish(doctor->count[DOCTOR_FAILURE] > 0 ? EXIT_FAILED
							       : EXIT_DONE);
}

static int examine(const struct doctor_options *options,
		const struct doctor_more *more)
{
	static const struct doctor_check without[] = {
		{ "Libvirt", "connection", no_libvirt },
		{ NULL, NULL, NULL },
	};
	const char *section = NULL;
	struct doctor doctor = { .options = options,
		.context = more != NULL ? more->context : NULL,
		.findings = json_array(),
		.images = json_array(),
		.peers = json_array() };
	run_table(&doctor, doctor_host_checks, &section);
	run_table(&doctor, more != NULL ? more->host : without, &section);
	peers_find(&doctor);
	run_table(&doctor, doctor_network_checks, &section);
	if (options->repository_path != NULL)
		run_table(&doctor, doctor_repository_checks, &section);
	if (more != NULL)
		run_table(&doctor, more->guests, &section);
	int status = finish(&doctor);
	json_decref(doctor.findings);
	json_decref(doctor.images);
	json_decref(doctor.peers);
	return status;
}

static const char notes[] =
		"HOST may have a port: nas:2049. Nothing is changed: the commands "
		"that mend\nsomething are for you to run. --quiet leaves out what "
		"is ok.\n"
		"Exit status: 0 ok, also with warnings; 1 a failure was found; 2 "
		"usage.";

int doctor_main(int argc, char **argv, const struct doctor_more *more)
{
	struct doctor_options o = { .repository_path = NULL };
	const char *watch = NULL;
	const struct option options[] = {
		{ "peer", 0, OPTION_LIST, &o.peers, "HOST",
				"also check the way to this host" },
		{ "watch", 0, OPTION_TEXT, &watch, "TIME",
				"count dropped packets for this long, as 10s" },
		{ "connect", 'c', OPTION_TEXT, &o.uri, "URI",
				"libvirt (default: LIBVIRT_DEFAULT_URI, else "
				"qemu:///system)" },
		{ "scratch-dir", 0, OPTION_TEXT, &o.scratch_dir, "DIR",
				"as for backup (default: /var/tmp)" },
		{ 0 },
	};
	const struct option *const tables[] = { options,
		repository_option_table(&o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line line = {
		.program = PROGRAM,
		.operands = "[REPO]",
		.purpose = "Check what this host needs for backups: the host "
			   "itself, libvirt and its guests,\nthe network to "
			   "what is elsewhere, and REPO. Each line is ok, a "
			   "warning or a\nfailure, with the command that mends "
			   "it.",
		.notes = notes,
		.tables = tables,
		.max_operands = 1,
	};
	if (options_parse(&line, argc, argv) == 1)
		o.repository_path = argv[1];
	if (watch != NULL && wait_parse(&o.watch_seconds, watch) < 0)
		options_error(&line, "--watch: %s", error_text(-EINVAL));
	for (int i = 0; i < o.peers.count; i++)
		if (!peers_is_valid(o.peers.items[i]))
			options_error(&line,
					"--peer %s: the port is not a "
					"number from 1 to 65535",
					o.peers.items[i]);
	report_setup(PROGRAM, &o.report);
	return examine(&o, more);
}
