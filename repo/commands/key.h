/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the key commands share. */
#ifndef AMBERFS_COMMANDS_KEY_H
#define AMBERFS_COMMANDS_KEY_H

#include "command.h"
#include "repo/repository/keys.h"
#include "repo/session/exclusive.h"
#include "repo/session/session.h"

int key_add_main(int argc, char **argv);
int key_remove_main(int argc, char **argv);

/* In *OUT, to be freed. */
int key_load_slots(struct repository *repo, struct key_slots **out);

/* A new reference. OPENED: digits of the slot that opened the repository. */
json_t *key_slot_to_json(const struct key_slot *slot, const char *opened);

/* A change of the slots, with exclusive access to them. */
struct key_change {
	struct repository *repo;
	struct session *session;
	struct exclusive *work;
	struct key_slots *slots; /* loaded with exclusive access */
};

/* -EINVAL with a text if REPO is not encrypted. */
int key_check_encrypted(const struct repository *repo);

/* Only CHANGE's repository is set. ACTIVITY: escaped. key_change_end follows
 * whatever it returns, and closes all. */
int key_change_begin(struct key_change *change, const char *activity);
void key_change_end(struct key_change *change);

#endif
