/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs backup: the command. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_H

int backup_main(int argc, char **argv);

#endif
