/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pins and the minimum age, shown with snapshots; see snapshot_protection.h. */
#include "snapshot_protection.h"

#include <time.h>

#include "repo/base/error.h"

void snapshot_protection_load(struct snapshot_protection *protection,
		struct repository *repo)
{
	*protection = (struct snapshot_protection){ .now = time(NULL) };
	int err = pins_load(repo, &protection->pins);
	if (err < 0)
		report_warning("%s", error_text(err));
	err = min_age_load(repo, &protection->retention);
	if (err < 0)
		report_warning("%s", error_text(err));
}

void snapshot_protection_clear(struct snapshot_protection *protection)
{
	pins_clear(&protection->pins);
	min_age_clear(&protection->retention);
}

int64_t snapshot_protection_until(const struct snapshot_protection *protection,
		const struct snapshot *snap)
{
	const struct min_age_of of = { snap->time, snap->arrived };
	return min_age_protects(&protection->retention, of, protection->now)
			? min_age_until(&protection->retention, of)
			: 0;
}

void snapshot_protection_to_json(const struct snapshot_protection *protection,
		const struct snapshot *snap, json_t *json)
{
	int64_t until = snapshot_protection_until(protection, snap);
	if (json == NULL)
		return;
	json_object_set_new(json, "pinned",
			json_boolean(pins_have(&protection->pins,
					snap->object)));
	if (until > 0)
		json_object_set_new(json, "protected_until",
				report_json_time(until));
}
