/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a backup of a domain stores: its definition, its NVRAM and a plan per
 * disk. To be used in this order:
 *
 *	connection_open(&c, uri, CONNECTION_SECRETS);
 *	domain_state_list(c, &names, &count)	or names from the command line
 *	domain_state_open(&b, c, name);
 *	… if it is shut off: identities of all files, then their bytes, then
 *	identities again; if it is live: a backup job …
 *	domain_state_recheck(b);
 *	domain_state_close(b);
 */
#ifndef AMBERFS_INGEST_BACKUP_DOMAIN_STATE_H
#define AMBERFS_INGEST_BACKUP_DOMAIN_STATE_H

#include "disk_plan.h"
#include "ingest/libvirt/domain.h"

struct domain_state {
	struct connection *connection; /* borrowed */
	struct domain *domain;
	struct domain_facts facts; /* name, UUID, … when it was opened */
	bool live; /* running or paused: its disks are in use, and the plans
		      are for those of its running definition */
	struct domain_xml *inactive; /* what it starts with, without secrets */
	struct domain_xml *secure;   /* that with secrets; NULL: it has none, or
				      this connection may not see them */
	struct domain_xml *running; /* what it runs with, without; NULL: !live*/
	const struct domain_xml *current; /* running, else inactive */
	bool secrets_hidden;		  /* the connection may not see them */
	char *nvram; /* path of the file if it exists, else NULL */
	unsigned disk_count;
	struct disk_plan *disks; /* in that definition's order */
};

/* The names of all domains, sorted, to be freed with domain_state_list_free.
 * 0 or -errno. */
int domain_state_list(struct connection *conn, char ***names, unsigned *count);
void domain_state_list_free(char **names, unsigned count);

/*
 * NAME is a name or a UUID. CONN must outlive it.
 * 0, -ENOENT (no such domain), -EBADMSG (its XML can't be understood), -EIO,
 * -ENOMEM.
 */
int domain_state_open(struct domain_state **out, struct connection *conn,
		const char *name);
void domain_state_close(struct domain_state *state); /* NULL allowed */

/*
 * 0 if it has not changed since it was opened, else -EBUSY with a text. If shut
 * off, called after reading: it is still shut off and defined as before, and
 * its chains lead to the same files. (It may have run in between: the files'
 * identities tell.) If live, called after the job began: it is the same run,
 * with the same disks.
 */
int domain_state_recheck(struct domain_state *state);

/* True if it was started, shut off or restarted since it was opened: what
 * failed may then succeed after another domain_state_open. (May change the
 * thread's error text.) */
bool domain_state_changed_state(struct domain_state *state);

#endif
