/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command `amberfs checkpoint`. */
#ifndef AMBERFS_INGEST_COMMANDS_CHECKPOINT_H
#define AMBERFS_INGEST_COMMANDS_CHECKPOINT_H

/* ARGV[0] is the command. Returns the exit status. */
int checkpoint_main(int argc, char **argv);

#endif
