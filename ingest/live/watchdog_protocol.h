/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The messages on a watchdog's socket (SOCK_SEQPACKET): one byte each, which
 * some are followed by what is said below; only the first is JSON. */
#ifndef AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H
#define AMBERFS_INGEST_LIVE_WATCHDOG_PROTOCOL_H

#define WATCHDOG_FD 3
#define WATCHDOG_MESSAGE_MAX 16384

enum watchdog_message {
	/* to the watchdog */
	WATCHDOG_FREEZING = 'f',
	WATCHDOG_BEGINNING = 'b',
	WATCHDOG_THAWED = 't',	   /* answered by one of the next two */
	WATCHDOG_RUNNING = 'r',	   /* an export's name; answered by READY */
	WATCHDOG_CONNECTION = 'c', /* comes with a descriptor */
	WATCHDOG_HOOK = 'h',	   /* a pid_t: its process group, 0: it ended */
	WATCHDOG_STOPPING = 'p',
	WATCHDOG_STOPPED = 's',
	WATCHDOG_DISMISSED = 'd',
	/* from it */
	WATCHDOG_IN_TIME = 'i',
	WATCHDOG_LATE = 'l',
	WATCHDOG_READY = 'y',
	WATCHDOG_BROKEN = 'e',	/* a text */
	WATCHDOG_FULL = 'n',	/* at any time */
	WATCHDOG_STALLED = 'q', /* at any time */
	WATCHDOG_ENDED = 'x',	/* at any time */
};

#endif
