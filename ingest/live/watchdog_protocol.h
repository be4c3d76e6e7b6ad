/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two ends of a guard's socket (SOCK_SEQPACKET) say: one byte each,
 * but the first, which is JSON, and GUARD_BROKEN, which a text follows. */
#ifndef AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H
#define AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H

#define GUARD_FD 3
#define GUARD_MESSAGE_MAX 16384

enum guard_word {
	/* to the guard */
	GUARD_FREEZING = 'f',
	GUARD_BEGINNING = 'b',
	GUARD_THAWED = 't',	/* answered by one of the next two */
	GUARD_RUNNING = 'r',
	GUARD_STOPPED = 's',
	GUARD_DISMISSED = 'd',
	/* from it */
	GUARD_IN_TIME = 'i',
	GUARD_LATE = 'l',
	GUARD_READY = 'y',
	GUARD_BROKEN = 'e',
	GUARD_FULL = 'n',	/* at any time */
};

#endif
