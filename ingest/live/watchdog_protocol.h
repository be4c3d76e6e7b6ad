/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The messages on a watchdog's socket (SOCK_SEQPACKET): one byte each, except
 * the first, which is JSON, and WATCHDOG_BROKEN, which is followed by a
 * text. */
#ifndef AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H
#define AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H

#define WATCHDOG_FD 3
#define WATCHDOG_MESSAGE_MAX 16384

enum watchdog_message {
	/* to the watchdog */
	WATCHDOG_FREEZING = 'f',
	WATCHDOG_BEGINNING = 'b',
	WATCHDOG_THAWED = 't', /* answered by one of the next two */
	WATCHDOG_RUNNING = 'r',
	WATCHDOG_STOPPED = 's',
	WATCHDOG_DISMISSED = 'd',
	/* from it */
	WATCHDOG_IN_TIME = 'i',
	WATCHDOG_LATE = 'l',
	WATCHDOG_READY = 'y',
	WATCHDOG_BROKEN = 'e',
	WATCHDOG_FULL = 'n', /* at any time */
};

#endif
