/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forgeries that need no packs, for the table in forgeries.c. */
#ifndef AMBERFS_TESTS_DAMAGE_FORGERIES_H
#define AMBERFS_TESTS_DAMAGE_FORGERIES_H

#include "forge.h"

enum json_lie {
	LIE_DEEP,
	LIE_OBJECTS,
	LIE_NUMBERS,
	LIE_MEMBERS,
	LIE_TOO_MANY,
	LIE_STRING,
	LIE_DIGITS,
	LIE_EMPTY,
	LIE_ARRAY,
	LIE_NUL,
	LIE_DUPLICATE,
	LIE_UTF8,
	LIE_REAL,
	LIE_NEGATIVE,
	LIE_SIZE,
	LIE_SLASH,
	LIE_DOTS,
	LIE_SAME,
	LIE_RESERVED,
	LIE_SOURCE,
	LIE_NO_FILES,
	LIE_KIND,
};
void forge_json(struct forge *f, uint64_t lie);
/* So many files of no bytes. */
void forge_files(struct forge *f, uint64_t count);
/* A disk, and a file that has the name of the disk as qcow2. */
void forge_taken(struct forge *f, uint64_t number);
/* So many identities of one file. */
void forge_identities(struct forge *f, uint64_t count);

enum small_lie {
	SMALL_RETENTION_GAP,
	SMALL_RETENTION_BEYOND,
	SMALL_RETENTION_LARGE,
	SMALL_PIN_LARGE,
	SMALL_EPOCH,
	SMALL_SESSION,
	SMALL_CLAIM,
};
void forge_small(struct forge *f, uint64_t lie);

enum config_lie {
	CONFIG_EXTREMES,
	CONFIG_SMALLEST,
	CONFIG_FEATURE,
	CONFIG_VERSION,
	CONFIG_OTHER_ID,
	CONFIG_FRAME,
	CONFIG_CHUNKS,
	CONFIG_OPTIONAL,
};
void forge_config(struct forge *f, uint64_t lie);

#define FORGERIES_SMALL                                                        \
	{ "name-taken", "whole", forge_taken, 0 },                             \
			{ "json-deep", "refused", forge_json, LIE_DEEP },      \
			{ "json-objects", "any", forge_json, LIE_OBJECTS },    \
			{ "json-numbers", "any", forge_json, LIE_NUMBERS },    \
			{ "json-members", "any", forge_json, LIE_MEMBERS },    \
			{ "json-too-many", "refused", forge_json,              \
				LIE_TOO_MANY },                                \
			{ "json-string", "any", forge_json, LIE_STRING },      \
			{ "json-digits", "refused", forge_json, LIE_DIGITS },  \
			{ "json-empty", "refused", forge_json, LIE_EMPTY },    \
			{ "json-array", "refused", forge_json, LIE_ARRAY },    \
			{ "json-nul", "refused", forge_json, LIE_NUL },        \
			{ "json-duplicate", "refused", forge_json,             \
				LIE_DUPLICATE },                               \
			{ "json-utf8", "refused", forge_json, LIE_UTF8 },      \
			{ "json-real", "refused", forge_json, LIE_REAL },      \
			{ "json-negative", "refused", forge_json,              \
				LIE_NEGATIVE },                                \
			{ "json-size", "refused", forge_json, LIE_SIZE },      \
			{ "json-slash", "refused", forge_json, LIE_SLASH },    \
			{ "json-dots", "refused", forge_json, LIE_DOTS },      \
			{ "json-same", "refused", forge_json, LIE_SAME },      \
			{ "json-reserved", "refused", forge_json,              \
				LIE_RESERVED },                                \
			{ "json-source", "refused", forge_json, LIE_SOURCE },  \
			{ "json-no-files", "refused", forge_json,              \
				LIE_NO_FILES },                                \
			{ "json-kind", "refused", forge_json, LIE_KIND },      \
			{ "files-many", "any", forge_files, 1000 },            \
			{ "files-most", "any", forge_files, 8192 },            \
			{ "files-more", "refused", forge_files, 8193 },        \
			{ "identities-most", "any", forge_identities, 1024 },  \
			{ "identities-more", "refused", forge_identities,      \
				1025 },                                        \
			{ "retention-gap", "refused", forge_small,             \
				SMALL_RETENTION_GAP },                         \
			{ "retention-beyond", "refused", forge_small,          \
				SMALL_RETENTION_BEYOND },                      \
			{ "retention-large", "refused", forge_small,           \
				SMALL_RETENTION_LARGE },                       \
			{ "pin-large", "any", forge_small, SMALL_PIN_LARGE },  \
			{ "epoch-largest", "any", forge_small, SMALL_EPOCH },  \
			{ "session-large", "any", forge_small,                 \
				SMALL_SESSION },                               \
			{ "claim-largest", "any", forge_small, SMALL_CLAIM },  \
			{ "config-extremes", "any", forge_config,              \
				CONFIG_EXTREMES },                             \
			{ "config-smallest", "any", forge_config,              \
				CONFIG_SMALLEST },                             \
			{ "config-optional", "any", forge_config,              \
				CONFIG_OPTIONAL },                             \
			{ "config-feature", "closed", forge_config,            \
				CONFIG_FEATURE },                              \
			{ "config-version", "closed", forge_config,            \
				CONFIG_VERSION },                              \
			{ "config-other-id", "refused", forge_config,          \
				CONFIG_OTHER_ID },                             \
			{ "config-frame", "closed", forge_config,              \
				CONFIG_FRAME },                                \
			{ "config-chunks", "closed", forge_config,             \
				CONFIG_CHUNKS },

#endif
