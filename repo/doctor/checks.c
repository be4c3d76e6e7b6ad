/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "checks.h"

const struct doctor_check doctor_host_checks[] = {
	{ "Host", "fuse", check_fuse },
	{ "Host", "allow-other", check_allow_other },
	{ "Host", "clock", check_clock },
	{ "Host", "memory-lock", check_memory_lock },
	{ "Host", "lvm", check_lvm },
	{ NULL, NULL, NULL },
};

const struct doctor_check doctor_network_checks[] = {
	{ "Network", "filter", check_filter },
	{ "Network", "peer", check_peers },
	{ "Network", "drops", check_drops },
	{ NULL, NULL, NULL },
};

const struct doctor_check doctor_repository_checks[] = {
	{ "Repository", "open", check_open },
	{ "Repository", "key-file", check_key_file },
	{ "Repository", "key-slots", check_key_slots },
	{ "Repository", "place", check_place },
	{ "Repository", "space", check_space },
	{ "Repository", "index", check_index },
	{ NULL, NULL, NULL },
};
