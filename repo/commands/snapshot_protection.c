/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pins and the least age, shown beside snapshots; see snapshot_protection.h. */
#include "snapshot_protection.h"

#include <time.h>

#include "repo/base/error.h"
#include "repo/base/units.h"

void snapshot_protection_load(struct snapshot_protection *k, struct repository *r)
{
	*k = (struct snapshot_protection){ .now = time(NULL) };
	int err = pins_load(r, &k->pins);
	if (err < 0)
		report_warning("%s", error_text(err));
	err = min_age_load(r, &k->retention);
	if (err < 0)
		report_warning("%s", error_text(err));
}

void snapshot_protection_clear(struct snapshot_protection *k)
{
	pins_clear(&k->pins);
	min_age_clear(&k->retention);
}

int64_t snapshot_protection_until(const struct snapshot_protection *k, const struct snapshot *s)
{
	return min_age_protects(&k->retention, s->time, k->now)
			? min_age_until(&k->retention, s->time)
			: 0;
}

void snapshot_protection_to_json(const struct snapshot_protection *k, const struct snapshot *s,
		json_t *json)
{
	char text[UTC_TEXT_MAX];
	int64_t until = snapshot_protection_until(k, s);
	if (json == NULL)
		return;
	json_object_set_new(json, "pinned",
			json_boolean(pins_have(&k->pins, s->object)));
	if (until > 0)
		json_object_set_new(json, "protected_until",
				json_string(utc_format(text, until)));
}
