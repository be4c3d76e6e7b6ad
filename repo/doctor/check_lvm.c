/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether LVM of this host would take the volume groups inside guests' disks
 * for its own as soon as such a disk appears as a device: LVM is asked for its
 * settings (lvmconfig). Its first pattern that matches a device decides.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "repo/base/cleanup.h"

#define SETTINGS_MAX 8192
#define PATTERN_MAX 256

/* LVM's settings as lines KEY=VALUE; false: there is no LVM. */
static bool read_settings(char out[SETTINGS_MAX])
{
	/* A fixed text. NOLINTNEXTLINE(cert-env33-c) */
	FILE *f = popen("PATH=$PATH:/usr/sbin:/sbin; command -v lvmconfig "
			">/dev/null && exec lvmconfig --typeconfig full "
			"devices/use_devicesfile devices/global_filter "
			"devices/filter 2>/dev/null",
			"re");
	if (f == NULL)
		return false;
	size_t n = fread(out, 1, SETTINGS_MAX - 1, f);
	out[n] = '\0';
	return pclose(f) == 0 && n > 0;
}

/* What follows "KEY=" at the start of a line, or "". */
static const char *setting(const char *settings, const char *key)
{
	size_t len = strlen(key);
	for (const char *line = settings; line != NULL;
			line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == '=')
			return line + len + 1;
		if (*line == '\0')
			break;
	}
	return "";
}

/* TEXT: letter, delimiter, pattern, delimiter. */
static bool matches(const char *text, size_t len, const char *device)
{
	char pattern[PATTERN_MAX];
	regex_t regex;
	if (len < 3 || len - 3 >= sizeof(pattern))
		return false;
	memcpy(pattern, text + 2, len - 3);
	pattern[len - 3] = '\0';
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool found = regexec(&regex, device, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

/* VALUE: ["a|…|", "r|…|"], or one such text. */
static bool rejects(const char *value, const char *device)
{
	const char *end = value + strcspn(value, "\n");
	for (;;) {
		const char *open = memchr(value, '"', (size_t)(end - value));
		if (open == NULL)
			return false;
		const char *close =
				memchr(open + 1, '"', (size_t)(end - open - 1));
		if (close == NULL)
			return false;
		size_t len = (size_t)(close - open - 1);
		if (matches(open + 1, len, device))
			return open[1] == 'r';
		value = close + 1;
	}
}

void check_lvm(struct doctor *doctor)
{
	char settings[SETTINGS_MAX];
	if (!read_settings(settings)) {
		doctor_found(doctor, DOCTOR_OK, "LVM",
				"is not installed, so it can't take volume "
				"groups of guests for this host's");
		return;
	}
	const char *filter = setting(settings, "global_filter");
	if (setting(settings, "use_devicesfile")[0] == '1') {
		doctor_found(doctor, DOCTOR_OK, "LVM",
				"looks only at devices of its devices file");
	} else if (rejects(filter, "/dev/loop0")
			&& rejects(filter, "/dev/nbd0")) {
		doctor_found(doctor, DOCTOR_OK, "LVM",
				"its global_filter leaves out /dev/loop and "
				"/dev/nbd");
	} else {
		doctor_found(doctor, DOCTOR_WARNING, "LVM",
				"its global_filter lets it look at /dev/loop "
				"and /dev/nbd");
		doctor_means(doctor,
				"When a backup of a guest with LVM is attached "
				"there, this host may activate the guest's "
				"volume group as its own.");
		doctor_command(doctor,
				"echo 'devices/global_filter = "
				"[ \"r|^/dev/loop|\", \"r|^/dev/nbd|\" ]' "
				">>/etc/lvm/lvm.conf");
	}
}
