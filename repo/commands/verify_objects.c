/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Objects that no image refers to, but that are needed: key slots, pins,
 * settings of the minimum age.
 *
 * What this file does not do: session records, condemned and damaged objects
 * take effect by their names alone (FORMAT.md), so their contents are not
 * examined.
 */
#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/keyslot.h"
#include "repo/repository/min_age.h"
#include "repo/snapshot/pins.h"
#include "verify.h"

static int check_slot(void *ctx, const char *name)
{
	struct verify *verify = ctx;
	CLEANUP_FREE void *data = NULL;
	struct keyslot slot;
	size_t len = 0;
	int err = store_get(verify->store, name, &data, &len, KEYSLOT_SIZE);
	if (err == 0)
		err = keyslot_decode(&slot, verify->repo->config.repo_id, data,
				len);
	if (err == -ENOMEM)
		return err;
	if (err < 0 && err != -ENOENT) /* removed meanwhile */
		verify_problem(verify, err, name,
				"key slot %s can't be used: %s", name,
				error_text(err));
	return 0;
}

static int check_pins(struct verify *verify)
{
	struct pins pins;
	int e = pins_load(verify->repo, &pins);
	for (size_t i = 0; e == 0 && i < pins.names.count; i++) {
		char snapshot[OBJECT_NAME_MAX];
		struct pin pin;
		snprintf(snapshot, sizeof(snapshot), "snapshots/%s",
				pins.names.items[i] + strlen("pins/"));
		int r = pins_load_one(verify->repo, snapshot, &pin);
		if (r == -ENOMEM)
			e = r;
		else if (r < 0 && r != -ENOENT)
			verify_problem(verify, r, pins.names.items[i],
					"%s is in effect, but its note "
					"can't be read: %s",
					pins.names.items[i], error_text(r));
		pins_clear_one(&pin);
	}
	pins_clear(&pins);
	return e;
}

static int check_retention(struct verify *verify)
{
	struct min_age retention;
	int err = min_age_load(verify->repo, &retention);
	if (err == -ENOMEM)
		return err;
	if (err < 0)
		verify_problem(verify, err, "min-age", "%s", error_text(err));
	else
		min_age_clear(&retention);
	return 0;
}

int verify_objects(struct verify *verify)
{
	int err = store_list(verify->store, "keys/", check_slot, verify);
	if (err < 0)
		return err;
	err = check_pins(verify);
	return err < 0 ? err : check_retention(verify);
}
