/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command `amberfs domains`: lists the domains and whether they can be
 * backed up. */
#ifndef AMBERFS_INGEST_COMMANDS_DOMAINS_H
#define AMBERFS_INGEST_COMMANDS_DOMAINS_H

/* ARGV[0] is the command. Returns the exit status. */
int domains_main(int argc, char **argv);

#endif
