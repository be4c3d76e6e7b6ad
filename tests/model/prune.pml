/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Forget and prune beside backups and mounts (repo/FORMAT.md, sections 11, 12
 * and 15), as a model for spin. tests/scenarios/model.sh checks it.
 *
 * One chunk is enough: the protocol treats each by itself, and others only
 * change which packs prune chooses, which is free here. So a pack is a copy of
 * the chunk, and a snapshot or a root is one that needs it. What does not
 * hold it is left out.
 *
 * Which step is where:
 *   begin            lease and record (section 11). A lease alone counts for
 *                    nothing: prune deletes nothing while it sees one
 *   Backup, Mount    sections 11 and 15; the two threads of a backup are Backup
 *                    and Watcher, which looks for epochs and answers them
 *   Forget           the end of section 12's "Pruning"
 *   Prune            the steps of section 12's "Pruning", as numbered there; 0
 *                    is the exclusive work of section 11
 *   World            crashes, and processes taken for dead that are not. A
 *                    process that stops is one that takes no step for a
 *                    while: that is in every model of this kind
 *
 * Claims, asserted at every step that could break them: no snapshot needs
 * a chunk that is gone, and no open file does; as a formula: what is condemned
 * goes in the end (with -DEVENTUALLY).
 *
 * With leases that are exact (the kernel's locks) both hold without exception.
 * With others (-DFENCES) a process may be taken for dead while it only
 * sleeps. Then they hold but for one double fault: a backup sleeps between its
 * look at its own record and its snapshot's put, is fenced meanwhile, wakes and
 * puts it. Until its second look, forever if it dies before that, this
 * snapshot may need what is gone, and so may what was made of it meanwhile: a
 * file opened, a snapshot based on it. Here such a snapshot is `unsure`,
 * counts for nothing and is nobody's base; all others are held to the claims.
 *
 * Not modelled: the answers of prune's own session (it finds nothing, so it
 * holds nothing), damage, and packs that hold no copy.
 *
 * -DSTRICT holds the unsure to them too, which shows that the exception is real.
 * -DSLOWLY lists snapshots one by one, which a directory does.
 * -DBLIND lets the first mark see nothing: all safety is in the second one.
 *
 * -DSEED=N puts in a mistake, which spin must find:
 *    1 no second mark after the answers     2 answers before it lists anew
 *    3 what is given up is un-condemned     4 roots published after the look
 *    5 roots are not read                   6 snapshots that appeared: neither
 *    7 packs of the living not spared       8 sessions listed before packs
 *    9 held packs deleted all the same     10 condemned copies count
 *   11 epoch before the condemned objects  12 no look at the record after put
 *   13 names forgotten with the object     14 no look before deletion
 *   15 condemned object goes before pack   16 takes on no packs left condemned
 *   17 record after the lists              18 forget doesn't wait for the mark
 *   19 a fenced one's next record counts   20 ignored without being fenced
 */
#ifndef SEED
#define SEED 0
#endif
#define seeded(n) (SEED == n)
/* How many of each; the defaults make a small model. */
#ifndef BACKUPS
#define BACKUPS 1
#endif
#ifndef MOUNTS
#define MOUNTS 0
#endif
#ifndef PRUNES
#define PRUNES 1
#endif
#ifndef FORGETS
#define FORGETS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef FENCES
#define FENCES 0
#endif
#ifndef PACKS			/* there from the start */
#define PACKS 1
#endif
#ifndef SNAPSHOTS		/* there from the start */
#define SNAPSHOTS 1
#endif
#ifndef FINDERS			/* backups that find or store */
#define FINDERS 3
#endif
#ifndef BASED			/* backups that may have a base */
#define BASED 3
#endif

#ifndef WHO			/* may die or be fenced */
#define WHO 255
#endif

#define BIT(n) (1 << (n))
#define IN(mask, n) ((mask) & BIT(n))

/* Who; a mask of processes has these bits. */
#define B0 0
#define B1 1
#define M0 2
#define Q0 3
#define Q1 4

/* Packs: two from the start, one of each backup, two of each prune. */
#define OWN(b) (4 << (b))
#define EARLY(q) (16 << (2 * ((q) - Q0)))
#define LATE(q) (32 << (2 * ((q) - Q0)))
#define PACK_MAX 8

/* --- what all see: the repository --- */

byte packs = PACKS, condemned;
byte snapshots = SNAPSHOTS;	/* bit 0: from the start; 1 + b: of b */
byte epoch;			/* the highest */
byte marking;			/* whose sessions have that object */
byte claim;			/* who holds the highest; 0: nobody */
byte session;			/* lease held and record there */
byte record;			/* as the owner finds it */
byte root, acknowledged[2], held[2]; /* in the record */

#ifdef EVENTUALLY	/* one prune for ever: its epochs go round */
#define NEXT_EPOCH (epoch % 3 + 1)
#define BEHIND(b, n) (acknowledged[b] != (n))
#define MAY_CHOOSE 1
#else
#define NEXT_EPOCH (epoch + 1)
#define BEHIND(b, n) (acknowledged[b] < (n))
#define MAY_CHOOSE 255
#endif

/* --- what only some know --- */

byte excluded[2], found[2];	/* of a backup's two threads */
byte working;			/* its Watcher has something to do */

/* --- what nobody knows: for the claims --- */

byte open, unsure;
#define LOST (packs == 0 && ((snapshots & ~unsure) || open))

#if CRASHES
short up = 2047;
byte pid_of[5];
#define RUNS provided (up & BIT(_pid))
#define BORN pid_of[me] = _pid;
#else
#define RUNS
#define BORN
#endif

inline begin()
{
	session = session | BIT(me);
	record = record | BIT(me)
}

inline no_longer(who)
{
	session = session & ~BIT(who);
	root = root & ~BIT(who);
	open = open & ~BIT(who);
	if
	:: who <= B1 -> acknowledged[who] = 0; held[who] = 0
	:: else
	fi
}

inline end()
{
	no_longer(me);
	record = record & ~BIT(me);
	working = working & ~BIT(me);
	if
	:: me <= B1 -> excluded[me] = 0; found[me] = 0
	:: else
	fi
}

/* The next record is put, the one before deleted: a fenced one sees it. */
inline publish()
{
	if
	:: seeded(19) -> begin()
	:: else
	fi
}

inline stand_on_it()
{
	publish();
	if
	:: IN(session, me) -> root = root | BIT(me)
	:: else
	fi
}

/* --- a session that writes --- */

inline list_condemned()
{
	if
	:: seeded(13) -> excluded[me] = condemned
	:: else -> excluded[me] = excluded[me] | condemned
	fi
}

inline answer()
{
	publish();
	if
	:: IN(session, me) ->
		acknowledged[me] = seen;
		held[me] = excluded[me] & found[me]
	:: else
	fi
}

proctype Watcher(byte me) RUNS
{
	byte seen;
end_watcher:
	do
	:: d_step { IN(working, me) && epoch && BEHIND(me, epoch) &&
			(IN(session, me) || seeded(19)) -> seen = epoch }
#if SEED == 2
		d_step { answer() }
		d_step { list_condemned(); seen = 0 }
#else
		d_step { list_condemned() }
		d_step { answer(); seen = 0 }
#endif
	od
}

/* Finds the chunk in a pack that was listed, though it may be gone since (its
 * trailer is cached), and notes it in one step; or stores it. */
#define FINDS(p) known & ~excluded[me] & p -> found[me] = p
inline find_or_store()
{
	if
	:: FINDS(1)
	:: FINDS(2)
	:: FINDS(4)
	:: FINDS(8)
	:: FINDS(16)
	:: FINDS(32)
	:: FINDS(64)
	:: FINDS(128)
	:: true -> packs = packs | OWN(me)
	fi
}

proctype Backup(byte me) RUNS
{
	byte known, base;
	bool refers;

	BORN
#if SEED == 17
	d_step { list_condemned() }
	d_step { known = packs; working = working | BIT(me) }
	d_step { begin() }
#else
	d_step { begin() }
	d_step { list_condemned() }
	d_step { known = packs; working = working | BIT(me) }
#endif
	atomic {
		if
		:: IN(BASED, me) -> base = 1
		:: IN(BASED, me) -> base = 2
		:: IN(BASED, me) -> base = 4
		:: IN(FINDERS, me) -> base = 0
		fi;
		if
		:: base && !seeded(4) -> stand_on_it()
		:: else
		fi
	}
	if
	:: base ->
		d_step {
			refers = (snapshots & ~unsure & base) != 0;
			base = 0;
			if
			:: !refers -> root = root & ~BIT(me)
			:: else
			fi
		}
#if SEED == 4
		d_step { stand_on_it() }
#endif
	:: else
	fi;
	if
	:: refers
	:: !refers && IN(FINDERS, me) ->
		atomic { find_or_store(); known = 0 }
	:: !refers && !IN(FINDERS, me) -> goto out
	fi;
#if FENCES
	if
	:: !IN(record, me) -> goto out
	:: else
	fi;
#endif
	d_step {
		snapshots = snapshots | BIT(1 + me);
		if
#ifndef STRICT
		:: !IN(record, me) ->
			unsure = unsure | BIT(1 + me)
#endif
		:: else
		fi;
		assert(!LOST)
	}
#if FENCES
	d_step {
		if
		:: !IN(record, me) && !seeded(12) ->
			snapshots = snapshots & ~BIT(1 + me)
		:: else
		fi;
		unsure = unsure & ~BIT(1 + me);
		assert(!LOST)
	}
#endif
out:
	skip;
	d_step { known = 0; refers = 0; end() }
}

proctype Mount(byte me) RUNS
{
	byte file;

	BORN
	atomic {
		if
		:: file = 1
		:: file = 2
		:: file = 4
		fi;
		begin();
		if
		:: !seeded(4) -> stand_on_it()
		:: else
		fi
	}
	d_step {
		if
		:: (snapshots & ~unsure & file) && IN(session, me) ->
			open = open | BIT(me)
		:: else
		fi;
		file = 0;
		assert(!LOST)
	}
#if SEED == 4
	d_step { stand_on_it() }
#endif
	d_step { end() }
}

proctype Forget()
{
	byte count, which;
	do
	:: atomic {
		count < FORGETS && snapshots ->
		count++;
		if
		:: snapshots & 1 -> which = 1
		:: snapshots & 2 -> which = 2
		:: snapshots & 4 -> which = 4
		fi }
#if SEED != 18
		!(marking & session);
#endif
		d_step { snapshots = snapshots & ~which; which = 0 }
	:: break
	od
}

/* --- prune --- */

/* All at once, or (-DSLOWLY) one name after the other, the newest first. */
inline list_snapshots()
{
#ifdef SLOWLY
	d_step { live = live || IN(snapshots, 2) }
	d_step { live = live || IN(snapshots, 1) }
	d_step { live = live || IN(snapshots, 0) }
#else
	d_step { live = live || snapshots }
#endif
}

/* LIVE: snapshots, the sessions' roots, snapshots that appeared. */
inline mark()
{
	live = false;
	list_snapshots();
#if SEED != 5
	d_step { live = live || (session & root) }
#endif
#if SEED != 6
	list_snapshots()
#endif
}

inline spare_the_living()
{
	if
	:: IN(session, B0) && !seeded(7) -> spared = spared | OWN(B0)
	:: else
	fi;
	if
	:: IN(session, B1) && !seeded(7) -> spared = spared | OWN(B1)
	:: else
	fi
}

inline choose()
{
	do
	:: i < PACK_MAX ->
		if
		:: IN(all & ~spared & MAY_CHOOSE, i) -> doomed = doomed | BIT(i)
#ifdef GREEDY
		:: !IN(all & ~spared & MAY_CHOOSE, i)
#else
		:: true
#endif
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	spared = 0;
	relied = (seeded(10) -> all : all & ~doomed);
	all = 0
}

inline copy(new)
{
	if
	:: live && !relied && packs -> packs = packs | new; relied = new
	:: else
	fi
}

/* What is live has other copies: prune has looked at one. */
inline rely_on_one()
{
	do
	:: live && IN(relied, i) -> relied = BIT(i); break
	:: relied & ~(BIT(i + 1) - 1) -> i++
	:: !live || !relied -> relied = 0; break
	od;
	i = 0
}

inline next(mask)
{
	do
	:: !IN(mask, i) -> i++
	:: else -> break
	od
}

inline condemn()
{
	do
	:: d_step { doomed & ~(BIT(i) - 1) ->
		next(doomed);
		condemned = condemned | BIT(i);
		i++ }
	:: atomic { else -> i = 0; break }
	od
}

#define SURVIVES (relied & packs & (seeded(10) -> 255 : ~condemned))

proctype Prune(byte me) RUNS
{
	byte all, spared, doomed, relied, n, hold, i;
	bool live, gave_up;

	BORN
again:
	/* 0 the session, the claim, what is condemned */
	atomic { !claim || !IN(session, claim) -> begin(); claim = me }
#if SEED != 16
	doomed = condemned;
#endif
	/* 1 packs, then sessions */
#if SEED == 8
	d_step { spare_the_living() }
	all = packs & ~condemned;
#else
	all = packs & ~condemned;
	d_step { spare_the_living() }
#endif
	atomic {
		choose();
		if
		:: !doomed -> goto out
		:: else
		fi
	}
	/* 2, 3 */
#ifndef BLIND
	mark();
#endif
	d_step { copy(EARLY(me)) }
	/* 4 */
#if SEED == 11
	n = NEXT_EPOCH;
	epoch = n;
	condemn();
#else
	condemn();
	n = NEXT_EPOCH;
#ifdef EVENTUALLY
	epoch = n;
#else
	if
	:: d_step { epoch < n -> epoch = n }
	:: epoch == n -> goto out
	:: epoch > n
	fi;
#endif
#endif
	/* 5 */
	if
	:: d_step { !IN(session, B0) || !BEHIND(B0, n) }
#ifdef GIVES_UP
	:: atomic { !gave_up -> gave_up = true; goto give_up }
#endif
	fi;
	d_step { !IN(session, B1) || !BEHIND(B1, n) -> n = 0 }
	/* 6 */
#if SEED != 9
	d_step { hold = held[B0] | held[B1] }
#endif
#if SEED != 1
	marking = marking | BIT(me);
	mark();
	marking = marking & ~BIT(me);
#endif
	atomic { copy(LATE(me)); rely_on_one() }
#if SEED != 14
	if
	:: atomic { claim != me || !IN(record, me) || (live && !SURVIVES) ->
		goto out }
	:: d_step { else -> live = 0; relied = 0 }
	fi;
#endif
	do
	:: d_step { doomed & ~hold & ~(BIT(i) - 1) ->
		next(doomed & ~hold);
#if SEED == 15
		condemned = condemned & ~BIT(i) }
		d_step { packs = packs & ~BIT(i); i++; assert(!LOST) }
#else
		packs = packs & ~BIT(i); assert(!LOST) }
		d_step { condemned = condemned & ~BIT(i); i++ }
#endif
	:: else -> break
	od;
	goto out;
#ifdef GIVES_UP
give_up:
	skip;
#if SEED == 3
	d_step { condemned = condemned & ~doomed }
#endif
#endif
out:
	skip;
	d_step {
		all = 0; doomed = 0; relied = 0; n = 0; hold = 0; i = 0;
		live = 0; end()
	}
#ifdef EVENTUALLY
	goto again
#endif
}

#if CRASHES + FENCES
/* At any time, to any session. */
inline one()
{
	if
	:: IN(session & WHO, B0) -> who = B0
	:: IN(session & WHO, B1) -> who = B1
	:: IN(session & WHO, M0) -> who = M0
	:: IN(session & WHO, Q0) -> who = Q0
	:: IN(session & WHO, Q1) -> who = Q1
	fi
}

proctype World()
{
	byte crashes, fences, who;
end_world:
	do
#if CRASHES
	:: atomic { crashes < CRASHES && (session & WHO) ->
		one();
		crashes++;
		no_longer(who);
		up = up & ~BIT(pid_of[who]);
		if
		:: who <= B1 -> up = up & ~BIT(pid_of[who] + 1);
			working = working & ~BIT(who)
		:: else
		fi;
		who = 0 }
#endif
#if FENCES
	:: atomic { fences < FENCES && (session & WHO) ->
		one();
		fences++;
		no_longer(who);
		if
		:: !seeded(20) -> record = record & ~BIT(who)
		:: else
		fi;
		who = 0 }
#endif
	od
}
#endif

init
{
	atomic {
#if BACKUPS > 0
		run Backup(B0);
		run Watcher(B0);
#endif
#if BACKUPS > 1
		run Backup(B1);
		run Watcher(B1);
#endif
#if MOUNTS
		run Mount(M0);
#endif
#if FORGETS
		run Forget();
#endif
		run Prune(Q0);
#if PRUNES > 1
		run Prune(Q1);
#endif
#if CRASHES + FENCES
		run World()
#endif
	}
}

#ifdef EVENTUALLY
ltl eventually { [] ((condemned & 1) -> <> !(packs & 1)) }
#endif
