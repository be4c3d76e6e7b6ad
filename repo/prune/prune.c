/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order of a prune, and what is durable behind each step:
 *
 *	1 packs are listed, then living sessions	nothing
 *	2 what is live is marked			nothing
 *	3 the doomed are chosen				nothing
 *	4 what is live in them is copied		packs with second copies
 *	5 the doomed are condemned, an epoch is		nobody finds chunks there
 *	  announced, sessions answer			any more
 *	6 what is new is marked; then the doomed packs	they are gone
 *	  that nobody holds are deleted, and when that
 *	  is durable their condemned objects
 *
 * An interruption behind any of them leaves a repository in which everything
 * needed can be read; the next run takes up what is condemned. If disk or
 * memory allowed only a part, there is another round.
 *
 * On a full disk the reserve is given back to the filesystem for as long as
 * this takes.
 */
#include "prune.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acknowledge.h"
#include "plan.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/repository/min_age.h"
#include "repo/session/condemned.h"
#include "repo/session/exclusive.h"
#include "repo/session/marking.h"
#include "rewrite.h"

#define RESERVE_SIZE ((uint64_t)80 << 20)
/* The disk space that copying leaves for records, index and others. */
#define SPACE_MARGIN ((uint64_t)24 << 20)
#define ROUNDS_MAX 100u
#define INDEX_SLACK 100000u
#define SHARDS 256u /* of the packs: by their ids' first byte */
/* Owns no packs: for a dry run that can't have a session. */
#define NOBODY "00000000000000000000000000000000"

struct prune {
	struct repository *repo;
	const struct prune_options *options;
	struct prune_result *result;
	struct session *session; /* NULL: a dry run that can't write */
	struct exclusive *claim;
	const char *own_id;
	bool tight;	      /* the disk was full: the reserve is in use */
	uint64_t rewritten;   /* bytes, in earlier rounds */
	uint64_t chunks_left; /* stored, behind the last round */
	/* Of a round: */
	struct stored stored;
	struct mark mark;
	struct rewrite rewrite;
	struct plan plan;
	bool blind; /* a living session can't be read */
};

/* --- progress --- */

static void mark_progress(void *ctx, struct progress_numbers *now)
{
	const struct prune *prune = ctx;
	now->done = prune->mark.done;
	now->total = prune->mark.total;
	now->fresh = UINT64_MAX;
}

static void rewrite_progress(void *ctx, struct progress_numbers *now)
{
	const struct prune *prune = ctx;
	now->done = prune->rewrite.done;
	now->total = prune->rewrite.total;
	now->fresh = UINT64_MAX;
}

/* --- step 1: who and what is there --- */

static int least_age(struct repository *repo, int64_t *seconds)
{
	struct min_age all = { .items = NULL };
	int err = min_age_load(repo, &all);
	*seconds = err == 0 ? min_age_longest(&all, time(NULL)) : 0;
	min_age_clear(&all);
	return err;
}

static bool some_unreadable(const struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		if (!peers->items[i].readable)
			return true;
	return false;
}

static int look_around(struct prune *prune)
{
	struct peers peers = { .items = NULL };
	int64_t young = 0;
	int err = least_age(prune->repo, &young);
	if (err < 0)
		return err;
	err = stored_list(&prune->stored, prune->repo, false);
	/* Only after the packs: a writer that has ended by now has put its
	 * snapshot before, and the mark will see that. */
	if (err < 0)
		return err;
	err = peers_list_readable(prune->repo, prune->own_id,
			prune->options->wait, &peers);
	if (err < 0)
		return err;
	prune->blind = some_unreadable(&peers);
	err = stored_leave_alone(&prune->stored, prune->repo, &peers,
			prune->own_id, young);
	peers_clear(&peers);
	return err;
}

static struct prune_count count_packs(const struct stored *stored)
{
	struct prune_count c = { .packs = 0 };
	for (size_t i = 0; i < stored->count; i++) {
		if (stored->packs[i].gone || stored->packs[i].fresh)
			continue;
		c.packs++;
		c.bytes += stored->packs[i].size;
	}
	return c;
}

/* --- steps 2 and 3 --- */

static int mark(struct prune *prune)
{
	struct prune_result *res = prune->result;
	prune->mark = (struct mark){ .repo = prune->repo,
		.own_id = prune->own_id,
		.stored = &prune->stored,
		.memory = prune->options->memory,
		.wait = prune->blind ? 0 : prune->options->wait };
	report_progress_begin("finding what is in use", mark_progress, prune);
	int err = mark_live(&prune->mark);
	report_progress_end();
	if (prune->mark.blind[0] != '\0')
		prune->blind = true;
	res->snapshots = prune->mark.snapshots;
	res->live_chunks = prune->mark.live;
	res->missing_chunks = prune->mark.missing;
	res->unreadable_packs = prune->mark.unreadable_packs;
	res->slices = prune->mark.slices;
	if (prune->mark.memory_used > res->memory_bytes)
		res->memory_bytes = prune->mark.memory_used;
	return err;
}

/* What may be copied before anything is deleted. On a full disk the first round
 * copies nothing. */
static int spare_space(struct prune *prune, uint64_t *bytes)
{
	struct store_space space;
	*bytes = 0;
	if (prune->tight && prune->result->rounds == 1)
		return 0;
	int err = store_space(prune->repo->store, &space);
	if (err != 0)
		return err;
	if (space.available > SPACE_MARGIN)
		*bytes = space.available - SPACE_MARGIN;
	return 0;
}

static int plan(struct prune *prune)
{
	const struct prune_options *options = prune->options;
	struct plan_limits limits = {
		.pack_size = prune->repo->config.pack_size,
		.unused_is_share = options->unused_is_share,
		.unused_share = options->unused_share,
		.unused_bytes = options->unused_bytes,
		.rewrite_bytes = options->max_rewrite == UINT64_MAX
				? UINT64_MAX
				: options->max_rewrite
						- min_u64(prune->rewritten,
								options->max_rewrite),
		/* Any single pack must be possible. */
		.rewrite_chunks = max_u64(options->memory / REWRITE_CHUNK_COST,
				PACK_CHUNKS_MAX),
	};
	int err = spare_space(prune, &limits.space_bytes);
	if (err == 0)
		err = plan_make(&prune->stored, &limits, &prune->plan);
	prune->result->unused_bytes = prune->plan.unused_bytes;
	return err;
}

/* --- step 4 --- */

static bool goes(const struct stored_pack *pack)
{
	return pack->doomed && !pack->spared;
}

static int set_aside(struct prune *prune)
{
	CLEANUP_FREE struct pack_id *ids =
			calloc(prune->plan.doomed_packs + 1, sizeof(*ids));
	size_t n = 0;
	if (ids == NULL)
		return fail_no_memory("setting packs aside");
	for (size_t i = 0; i < prune->stored.count; i++)
		if (prune->stored.packs[i].doomed)
			ids[n++] = prune->stored.packs[i].id;
	return exclusions_set_aside(prune->repo->exclusions, ids, n);
}

static void count_rewritten(struct prune *prune)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (!goes(pack))
			continue;
		prune->result->rewritten_chunks += pack->live;
		bytes += stored_live_bytes(pack);
	}
	prune->rewritten += bytes;
	prune->result->rewritten_bytes += bytes;
}

static int rewrite(struct prune *prune)
{
	assert(!prune->options->dry_run);
	prune->rewrite = (struct rewrite){ .repo = prune->repo,
		.mark = &prune->mark,
		.own_id = prune->own_id,
		.jobs = prune->options->jobs };
	int err = set_aside(prune);
	if (err < 0)
		return err;
	report_progress_begin("copying", rewrite_progress, prune);
	err = rewrite_doomed(&prune->rewrite);
	report_progress_end();
	if (err == -ENOSPC || err == -EDQUOT) {
		/* Others took the space. What needs no copying can still be
		 * removed. */
		report_warning("%s; freeing only what needs no copying",
				error_text(err));
		prune->plan.cut_short = true;
		err = 0;
	}
	count_rewritten(prune);
	/* From here on the new copies are counted on as well. */
	return err < 0 ? err : stored_list(&prune->stored, prune->repo, true);
}

/* --- step 5 --- */

static int check_claim(struct prune *prune)
{
	assert(prune->claim != NULL && prune->session != NULL);
	int err = exclusive_check(prune->claim);
	return err < 0 ? err : session_check(prune->session);
}

static int condemn_all(struct prune *prune)
{
	assert(!prune->options->dry_run && !prune->blind);
	CLEANUP_FREE struct pack_id *ids =
			calloc(prune->stored.count + 1, sizeof(*ids));
	size_t n = 0;
	if (ids == NULL)
		return fail_no_memory("condemning packs");
	for (size_t i = 0; i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (goes(pack) && !pack->condemned)
			ids[n++] = pack->id;
	}
	int err = check_claim(prune);
	return err < 0 ? err : condemned_add(prune->repo, ids, n);
}

/* --- step 6 --- */

static bool is_held(const struct peers *peers, const struct pack_id *id)
{
	for (size_t i = 0; i < peers->count; i++)
		if (acknowledge_holds(&peers->items[i], id))
			return true;
	return false;
}

/* Checks that every pack whose chunks were counted on is still there. */
static int check_counted_on(struct prune *prune)
{
	struct stored now = { .packs = NULL };
	int err = stored_list(&now, prune->repo, false);
	for (size_t i = 0; err == 0 && i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i], *n;
		/* Fresh ones may hold what was just copied. */
		if (goes(pack) || pack->condemned
				|| (pack->live == 0 && !pack->fresh))
			continue;
		n = stored_find(&now, &pack->id);
		if (n != NULL && !n->gone && !n->condemned)
			continue;
		char hex[2 * PACK_ID_SIZE + 1];
		hex_encode(hex, pack->id.b, PACK_ID_SIZE);
		err = fail(-ESTALE,
				"pack %s was %s by another process in the "
				"meantime; nothing was deleted, run prune "
				"again",
				hex,
				n != NULL && n->condemned ? "condemned"
							  : "removed");
	}
	stored_clear(&now);
	return err;
}

static int delete_pack(struct prune *prune, struct stored_pack *pack)
{
	char name[PACK_NAME_SIZE];
	assert(goes(pack));
	pack_name(name, &pack->id);
	int err = check_claim(prune);
	if (err < 0)
		return err;
	err = store_delete_unsynced(prune->repo->store, name);
	if (err < 0 && err != -ENOENT)
		return err;
	pack_cache_drop(prune->repo->packs, &pack->id);
	if (!pack->gone) {
		prune->result->deleted.packs++;
		prune->result->deleted.bytes += pack->size;
	}
	pack->gone = true;
	return 0;
}

/* Of a condemned object that a prune before has left over. What a listing has
 * passed over once was not marked, so it must not be deleted. */
static int look_again(struct prune *prune, struct stored_pack *pack)
{
	char name[PACK_NAME_SIZE];
	uint64_t size;
	pack_name(name, &pack->id);
	int err = store_size(prune->repo->store, name, &size);
	pack->gone = err == -ENOENT;
	return pack->gone ? 0 : err;
}

/* Sets touched[n] where packs/n has to be fsynced. */
static int delete_packs(struct prune *prune, const struct peers *peers,
		bool touched[SHARDS])
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < prune->stored.count; i++) {
		struct stored_pack *pack = &prune->stored.packs[i];
		bool left_over = pack->condemned && pack->gone;
		if ((!goes(pack) && !left_over) || is_held(peers, &pack->id))
			continue;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		err = left_over ? look_again(prune, pack)
				: delete_pack(prune, pack);
		touched[pack->id.b[0]] = true;
	}
	return err;
}

static int sync_shards(struct prune *prune, const bool touched[SHARDS])
{
	struct pack_id any = { .b = { 0 } };
	char name[PACK_NAME_SIZE];
	int err = 0;
	for (unsigned shard = 0; err == 0 && shard < SHARDS; shard++) {
		if (!touched[shard])
			continue;
		any.b[0] = (uint8_t)shard;
		pack_name(name, &any);
		err = store_sync(prune->repo->store, name);
	}
	return err;
}

static int clear_condemned(struct prune *prune, const struct peers *peers)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (pack->gone && (goes(pack) || pack->condemned)
				&& !is_held(peers, &pack->id))
			err = condemned_clear(prune->repo, &pack->id);
	}
	return err < 0 ? err : condemned_sync(prune->repo);
}

/* 1 all packs, 2 their directories, 3 their condemned objects: no pack may come
 * back uncondemned after a power failure. */
static int delete_all(struct prune *prune, const struct peers *peers)
{
	bool touched[SHARDS] = { false };
	int err = delete_packs(prune, peers, touched);
	if (err == 0)
		err = sync_shards(prune, touched);
	return err < 0 ? err : clear_condemned(prune, peers);
}

/* No snapshot that appears meanwhile may be removed before it has been marked:
 * see marking.h. */
static int mark_what_is_new(struct prune *prune)
{
	int err = marking_begin(prune->session);
	if (err < 0)
		return err;
	prune->mark.blind[0] = '\0';
	report_progress_begin("finding what is new", mark_progress, prune);
	err = rewrite_unseen(&prune->rewrite);
	report_progress_end();
	struct error_copy why;
	error_save(&why, err);
	int ended = marking_end(prune->session);
	return err < 0 ? error_load(&why) : ended;
}

static int finish(struct prune *prune, const struct peers *peers)
{
	/* Chunks that were stored meanwhile need not be copied. */
	int err = index_reconcile(prune->repo->index);
	if (err < 0 && err != -EAGAIN)
		report_warning("%s; more may be copied than necessary",
				error_text(err));
	err = mark_what_is_new(prune);
	prune->blind = prune->mark.blind[0] != '\0';
	if (err < 0)
		return err;
	if (prune->blind)
		return 0;
	err = check_claim(prune);
	if (err < 0)
		return err;
	err = check_counted_on(prune);
	return err < 0 ? err : delete_all(prune, peers);
}

/* --- who is waited for --- */

static int add_waiting(struct prune_result *res, struct peer *peer,
		bool answered, struct prune_count count)
{
	struct prune_waiting *more = realloc(res->waiting,
			(res->waiting_count + 1) * sizeof(*more));
	if (more == NULL)
		return fail_no_memory("listing sessions");
	res->waiting = more;
	res->waiting[res->waiting_count++] =
			(struct prune_waiting){ .peer = *peer,
				.answered = answered,
				.packs = count.packs,
				.bytes = count.bytes };
	/* The record is the result's now. */
	peer->readable = false;
	memset(&peer->record, 0, sizeof(peer->record));
	return 0;
}

static void clear_waiting(struct prune_result *res)
{
	for (size_t i = 0; i < res->waiting_count; i++)
		session_record_clear(&res->waiting[i].peer.record);
	free(take_ptr(res->waiting));
	res->waiting_count = 0;
}

/* Of the doomed packs those that PEER holds; NULL: all. */
static struct prune_count count_held(const struct prune *prune,
		const struct peer *peer)
{
	struct prune_count c = { .packs = 0 };
	for (size_t i = 0; i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (!goes(pack) || pack->gone
				|| (peer != NULL
						&& !acknowledge_holds(peer,
								&pack->id)))
			continue;
		c.packs++;
		c.bytes += pack->size;
	}
	return c;
}

static int note_waiting(struct prune *prune, struct peers *peers,
		uint64_t epoch)
{
	int err = 0;
	clear_waiting(prune->result);
	for (size_t i = 0; err == 0 && i < peers->count; i++) {
		struct peer *peer = &peers->items[i];
		bool answered = acknowledge_answered(peer, epoch);
		struct prune_count c =
				count_held(prune, answered ? peer : NULL);
		if (c.packs != 0)
			err = add_waiting(prune->result, peer, answered, c);
	}
	return err;
}

/* An unreadable session may need anything. */
static int wait_for_blind(struct prune *prune)
{
	struct peers peers;
	int err = peers_list(prune->repo, prune->own_id, &peers);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < peers.count; i++)
		if (!peers.items[i].readable)
			err = add_waiting(prune->result, &peers.items[i], false,
					count_held(prune, NULL));
	peers_clear(&peers);
	return err;
}

/* Steps 5 and 6. */
static int condemn_and_delete(struct prune *prune)
{
	struct peers peers = { .items = NULL };
	uint64_t epoch = 0;
	bool all = false;
	int err = condemn_all(prune);
	if (err == 0)
		err = acknowledge_announce(prune->repo, prune->own_id, &epoch);
	if (err == 0)
		err = acknowledge_wait(prune->repo, prune->own_id, epoch,
				prune->options->wait, &peers, &all);
	if (err == 0 && all)
		err = finish(prune, &peers);
	if (err == 0)
		err = note_waiting(prune, &peers, epoch);
	peers_clear(&peers);
	if (err == 0 && prune->blind)
		err = wait_for_blind(prune);
	return err;
}

/* --- rounds --- */

static bool something_to_do(const struct prune *prune)
{
	for (size_t i = 0; i < prune->stored.count; i++)
		if (prune->stored.packs[i].doomed
				|| (prune->stored.packs[i].gone
						&& prune->stored.packs[i]
								   .condemned))
			return true;
	return false;
}

/* A dry run reports what a real one would do. */
static void foretell(struct prune *prune)
{
	struct prune_result *res = prune->result;
	count_rewritten(prune);
	res->deleted = (struct prune_count){ .packs = prune->plan.doomed_packs,
		.bytes = prune->plan.doomed_bytes };
	res->after.packs = res->before.packs - res->deleted.packs;
	res->after.bytes = res->before.bytes - res->deleted.bytes
			+ res->rewritten_bytes;
	for (size_t i = 0; i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (!pack->condemned || pack->doomed || pack->gone)
			continue;
		res->condemned.packs++;
		res->condemned.bytes += pack->size;
	}
}

/* A repository without snapshots: it is more likely that they are misplaced
 * than that everything is garbage. */
static int check_not_empty(const struct prune *prune)
{
	if (prune->mark.snapshots != 0 || prune->plan.doomed_packs == 0
			|| prune->options->all || prune->options->dry_run)
		return 0;
	return fail(-EPERM,
			"%s has no snapshots, so all its packs would be "
			"deleted: is the disk of its directory 'snapshots' "
			"not mounted? To delete everything, use --all",
			store_path(prune->repo->store));
}

/* Steps 1 to 6. *AGAIN: another round may free more. */
static int run_round(struct prune *prune, bool *again)
{
	uint64_t before = prune->result->deleted.packs;
	int err = look_around(prune);
	if (err < 0)
		return err;
	if (prune->result->rounds == 1)
		prune->result->before = count_packs(&prune->stored);
	err = mark(prune);
	if (err < 0)
		return err;
	err = plan(prune);
	if (err < 0)
		return err;
	err = check_not_empty(prune);
	if (err < 0)
		return err;
	if (prune->options->dry_run)
		foretell(prune);
	if (prune->blind)
		return wait_for_blind(prune);
	if (prune->options->dry_run)
		return 0;
	if (something_to_do(prune)) {
		err = rewrite(prune);
		if (err == 0)
			err = condemn_and_delete(prune);
	}
	*again = prune->plan.cut_short
			&& (prune->result->deleted.packs != before
					|| (prune->tight
							&& prune->result->rounds
									== 1));
	return err;
}

static void end_round(struct prune *prune)
{
	prune->result->failed_chunks += prune->rewrite.failed;
	rewrite_clear(&prune->rewrite);
	prune->result->written_bytes += prune->rewrite.written_bytes;
	prune->rewrite = (struct rewrite){ .repo = NULL };
	prune->chunks_left = 0;
	for (size_t i = 0; i < prune->stored.count; i++)
		if (!prune->stored.packs[i].gone)
			prune->chunks_left += prune->stored.packs[i].chunks;
	mark_clear(&prune->mark);
	stored_clear(&prune->stored);
}

static int run_rounds(struct prune *prune)
{
	bool again = true;
	int err = 0;
	while (err == 0 && again && prune->result->rounds < ROUNDS_MAX) {
		again = false;
		prune->result->rounds++;
		err = run_round(prune, &again);
		end_round(prune);
	}
	return err;
}

/* --- afterwards --- */

/* "damaged/<32 digits>.<frame>": of a pack that is gone it says nothing. */
static int drop_damaged(void *ctx, const char *name)
{
	struct repository *repo = ctx;
	char hex[2 * PACK_ID_SIZE + 1], pack[PACK_NAME_SIZE];
	static const struct pack_id lost;
	struct pack_id id;
	uint64_t size;
	const char *text = name + strlen("damaged/");
	if (strlen(text) < sizeof(hex) || text[sizeof(hex) - 1] != '.')
		return 0;
	memcpy(hex, text, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	if (hex_decode(id.b, PACK_ID_SIZE, hex) < 0
			|| memcmp(id.b, lost.b, PACK_ID_SIZE) == 0)
		return 0;
	pack_name(pack, &id);
	if (store_size(repo->store, pack, &size) == -ENOENT)
		store_delete(repo->store, name);
	return 0;
}

static int count_after(struct prune *prune)
{
	struct prune_result *res = prune->result;
	int err = stored_list(&prune->stored, prune->repo, false);
	res->after = count_packs(&prune->stored);
	for (size_t i = 0; err == 0 && i < prune->stored.count; i++) {
		const struct stored_pack *pack = &prune->stored.packs[i];
		if (!pack->condemned || pack->gone)
			continue;
		res->condemned.packs++;
		res->condemned.bytes += pack->size;
	}
	stored_clear(&prune->stored);
	return err;
}

/* Entries of deleted packs stay in the index until it is rebuilt. */
static void tidy_index(struct prune *prune)
{
	struct index_stats st = { .chunks = 0 };
	uint64_t bound = prune->chunks_left + prune->chunks_left / 2
			+ prune->result->rewritten_chunks + INDEX_SLACK;
	int err = index_reconcile(prune->repo->index);
	if (err == 0)
		err = index_stats(prune->repo->index, &st);
	if (err == 0 && st.chunks > bound)
		err = index_rebuild(prune->repo->index);
	if (err < 0)
		report_warning("can't update the index: %s", error_text(err));
}

/* The record of lost data makes backups check everything that they take over,
 * and so repair it from their sources. */
static void tell_of_missing(struct prune *prune)
{
	if (prune->result->missing_chunks != 0)
		exclusions_add_missing(prune->repo->exclusions);
	else if (!prune->blind)
		exclusions_clear_missing(prune->repo->exclusions);
}

static int tidy(struct prune *prune)
{
	if (prune->result->deleted.packs != 0)
		tidy_index(prune);
	tell_of_missing(prune);
	int err = store_list(prune->repo->store, "damaged/", drop_damaged,
			prune->repo);
	return err < 0 ? err : count_after(prune);
}

/* --- beginning and end --- */

static void end_session(struct prune *prune)
{
	exclusive_end(take_ptr(prune->claim));
	session_end(take_ptr(prune->session));
	prune->own_id = NOBODY;
}

static int begin_session(struct prune *prune)
{
	int err = session_begin(&prune->session, prune->repo, SESSION_PRUNE,
			NULL);
	if (err == 0)
		prune->own_id = session_id(prune->session);
	if (prune->options->dry_run && session_unwritable(err)) {
		report_warning("%s; this dry run runs without a session",
				error_text(err));
		return 0;
	}
	if (err == 0 && !prune->options->dry_run)
		err = exclusive_begin(&prune->claim, prune->repo, prune->own_id,
				"prune");
	if (err < 0)
		end_session(prune);
	return err;
}

/* Step 0. */
static int begin(struct prune *prune)
{
	struct store *store = prune->repo->store;
	struct store_space space = { .available = 0 };
	int err = begin_session(prune);
	if (prune->options->dry_run)
		return err;
	if (err == -ENOSPC || err == -EDQUOT) {
		prune->tight = true;
		err = store_reserve_release(store);
		if (err == 0)
			err = begin_session(prune);
	}
	if (err != 0)
		return err;
	if (!prune->tight)
		err = store_space(store, &space);
	if (err != 0)
		return err;
	if (!prune->tight && space.available < RESERVE_SIZE) {
		prune->tight = true;
		err = store_reserve_release(store);
	}
	return err;
}

/* Also if it was missing before: an earlier prune had no space for it. */
static void restore_reserve(struct prune *prune)
{
	int err = store_reserve_make(prune->repo->store, RESERVE_SIZE);
	if (err < 0)
		report_warning("%s; the next prune will try again",
				error_text(err));
}

int prune_run(struct repository *repo, const struct prune_options *options,
		struct prune_result *out)
{
	struct prune p = { .repo = repo,
		.options = options,
		.result = out,
		.own_id = NOBODY };
	struct error_copy why;
	assert(repo->packs != NULL && repo->index != NULL);
	*out = (struct prune_result){ .rounds = 0 };
	pack_cache_silence_missing(repo->packs);
	int err = begin(&p);
	if (err == 0)
		err = run_rounds(&p);
	if (err == 0 && !options->dry_run)
		err = tidy(&p);
	error_save(&why, err);
	if (p.claim != NULL || p.tight)
		restore_reserve(&p);
	end_session(&p);
	return err < 0 ? error_load(&why) : 0;
}

void prune_result_clear(struct prune_result *res)
{
	clear_waiting(res);
}
