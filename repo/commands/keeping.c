/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pins and the least age, shown beside snapshots; see keeping.h. */
#include "keeping.h"

#include <time.h>

#include "repo/base/error.h"
#include "repo/base/units.h"

void keeping_load(struct keeping *k, struct repository *r)
{
	*k = (struct keeping){ .now = time(NULL) };
	int e = pins_load(r, &k->pins);
	if (e < 0)
		report_warning("%s", error_text(e));
	e = retention_load(r, &k->retention);
	if (e < 0)
		report_warning("%s", error_text(e));
}

void keeping_clear(struct keeping *k)
{
	pins_clear(&k->pins);
	retention_clear(&k->retention);
}

int64_t keeping_until(const struct keeping *k, const struct snapshot *s)
{
	return retention_protects(&k->retention, s->time, k->now)
			? retention_until(&k->retention, s->time)
			: 0;
}

void keeping_to_json(const struct keeping *k, const struct snapshot *s,
		json_t *json)
{
	char text[UTC_TEXT_MAX];
	int64_t until = keeping_until(k, s);
	if (json == NULL)
		return;
	json_object_set_new(json, "pinned",
			json_boolean(pins_have(&k->pins, s->object)));
	if (until > 0)
		json_object_set_new(json, "protected_until",
				json_string(utc_format(text, until)));
}
