/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot_identity.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool snapshot_identity_same(const struct snapshot *a, const struct snapshot *b)
{
	if (a->kind != b->kind)
		return false;
	return a->uuid == NULL || b->uuid == NULL
			|| strcasecmp(a->uuid, b->uuid) == 0;
}

char *snapshot_identity_text(char buf[SNAPSHOT_IDENTITY_TEXT_MAX],
		const struct snapshot *snap)
{
	const char *uuid = snap->uuid != NULL ? snap->uuid : "unknown";
	const char *host = snap->host != NULL ? snap->host : "";
	if (snap->kind == SNAPSHOT_FILES)
		snprintf(buf, SNAPSHOT_IDENTITY_TEXT_MAX, "files (on %.200s)",
				NAME_SHOWN(host));
	else
		snprintf(buf, SNAPSHOT_IDENTITY_TEXT_MAX,
				"domain %.200s (on %.200s)", uuid,
				NAME_SHOWN(host));
	return buf;
}
