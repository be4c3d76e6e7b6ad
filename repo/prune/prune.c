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
 *	6 what is new is marked; then each doomed pack	it is gone
 *	  that nobody holds is deleted, and then its
 *	  condemned object
 *
 * An interruption behind any of them leaves a repository in which everything
 * needed can be read; the next run takes up what is condemned. If disk or
 * memory allowed only a part, there is another round.
 *
 * On a full disk the reserve is given back to the filesystem for as long as
 * this takes.
 */
#include "prune.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/session/condemned.h"
#include "repo/session/exclusive.h"
#include "repo/session/marking.h"
#include "repo/repository/min_age.h"
#include "acknowledge.h"
#include "plan.h"
#include "rewrite.h"

#define RESERVE_SIZE ((uint64_t)80 << 20)
/* What copying leaves of a disk's space to records, index and others. */
#define SPACE_MARGIN ((uint64_t)24 << 20)
#define ROUNDS_MAX 100u
#define INDEX_SLACK 100000u
/* Whose packs none are: of a dry run that can't have a session. */
#define NOBODY "00000000000000000000000000000000"

struct prune {
	struct repository *repo;
	const struct prune_options *options;
	struct prune_result *result;
	struct session *session;	/* NULL: a dry run that can't write */
	struct exclusive *claim;
	const char *own_id;
	bool tight;		/* the disk was full: the reserve is in use */
	uint64_t rewritten;	/* bytes, in earlier rounds */
	uint64_t chunks_left;	/* stored, behind the last round */
	/* Of a round: */
	struct stored stored;
	struct mark mark;
	struct rewrite rewrite;
	struct plan plan;
	bool blind;		/* a living session can't be read */
};

/* --- progress --- */

static void mark_progress(void *ctx, struct progress_numbers *now)
{
	const struct prune *p = ctx;
	now->done = p->mark.done;
	now->total = p->mark.total;
	now->fresh = UINT64_MAX;
}

static void rewrite_progress(void *ctx, struct progress_numbers *now)
{
	const struct prune *p = ctx;
	now->done = p->rewrite.done;
	now->total = p->rewrite.total;
	now->fresh = UINT64_MAX;
}

/* --- step 1: who and what is there --- */

static int least_age(struct repository *r, int64_t *seconds)
{
	struct min_age all = { .items = NULL };
	int err = min_age_load(r, &all);
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

static int look_around(struct prune *p)
{
	struct peers peers = { .items = NULL };
	int64_t young = 0;
	int err = least_age(p->repo, &young);
	if (err == 0)
		err = stored_list(&p->stored, p->repo, false);
	/* Only after the packs: a writer that has ended by now has put its
	 * snapshot before, and the mark will see that. */
	if (err == 0)
		err = peers_list_readable(p->repo, p->own_id, p->options->wait,
				&peers);
	if (err < 0)
		return err;
	p->blind = some_unreadable(&peers);
	err = stored_leave_alone(&p->stored, p->repo, &peers, p->own_id, young);
	peers_clear(&peers);
	return err;
}

static struct prune_count count_packs(const struct stored *s)
{
	struct prune_count c = { .packs = 0 };
	for (size_t i = 0; i < s->count; i++) {
		if (s->packs[i].gone || s->packs[i].fresh)
			continue;
		c.packs++;
		c.bytes += s->packs[i].size;
	}
	return c;
}

/* --- steps 2 and 3 --- */

static int mark(struct prune *p)
{
	struct prune_result *res = p->result;
	p->mark = (struct mark){ .repo = p->repo, .own_id = p->own_id,
		.stored = &p->stored, .memory = p->options->memory,
		.wait = p->blind ? 0 : p->options->wait };
	report_progress_begin("looking for what is in use", mark_progress, p);
	int err = mark_live(&p->mark);
	report_progress_end();
	if (p->mark.blind[0] != '\0')
		p->blind = true;
	res->snapshots = p->mark.snapshots;
	res->live_chunks = p->mark.live;
	res->missing_chunks = p->mark.missing;
	res->unreadable_packs = p->mark.unreadable_packs;
	res->slices = p->mark.slices;
	if (p->mark.memory_used > res->memory_bytes)
		res->memory_bytes = p->mark.memory_used;
	return err;
}

/* What may be copied before anything is deleted. On a full disk the first round
 * copies nothing. */
static int spare_space(struct prune *p, uint64_t *bytes)
{
	struct store_space space;
	*bytes = 0;
	if (p->tight && p->result->rounds == 1)
		return 0;
	int err = store_space(p->repo->store, &space);
	if (err == 0 && space.available > SPACE_MARGIN)
		*bytes = space.available - SPACE_MARGIN;
	return err;
}

static int plan(struct prune *p)
{
	const struct prune_options *o = p->options;
	struct plan_limits limits = {
		.pack_size = p->repo->config.pack_size,
		.unused_is_share = o->unused_is_share,
		.unused_share = o->unused_share,
		.unused_bytes = o->unused_bytes,
		.rewrite_bytes = o->max_rewrite == UINT64_MAX
				? UINT64_MAX
				: o->max_rewrite - min_u64(p->rewritten,
								 o->max_rewrite),
		/* Any single pack must be possible. */
		.rewrite_chunks = max_u64(o->memory / REWRITE_CHUNK_COST,
				PACK_CHUNKS_MAX),
	};
	int err = spare_space(p, &limits.space_bytes);
	if (err == 0)
		err = plan_make(&p->stored, &limits, &p->plan);
	p->result->unused_bytes = p->plan.unused_bytes;
	return err;
}

/* --- step 4 --- */

static bool goes(const struct stored_pack *k)
{
	return k->doomed && !k->spared;
}

static int set_aside(struct prune *p)
{
	CLEANUP_FREE struct pack_id *ids = calloc(
			p->plan.doomed_packs + 1, sizeof(*ids));
	size_t n = 0;
	if (ids == NULL)
		return fail_errno(-ENOMEM, "setting packs aside");
	for (size_t i = 0; i < p->stored.count; i++)
		if (p->stored.packs[i].doomed)
			ids[n++] = p->stored.packs[i].id;
	return exclusions_set_aside(p->repo->exclusions, ids, n);
}

static void count_rewritten(struct prune *p)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < p->stored.count; i++) {
		const struct stored_pack *k = &p->stored.packs[i];
		if (!goes(k))
			continue;
		p->result->rewritten_chunks += k->live;
		bytes += stored_live_bytes(k);
	}
	p->rewritten += bytes;
	p->result->rewritten_bytes += bytes;
}

static int rewrite(struct prune *p)
{
	p->rewrite = (struct rewrite){ .repo = p->repo, .mark = &p->mark,
		.own_id = p->own_id, .jobs = p->options->jobs };
	int err = set_aside(p);
	if (err < 0)
		return err;
	report_progress_begin("copying", rewrite_progress, p);
	err = rewrite_doomed(&p->rewrite);
	report_progress_end();
	if (err == -ENOSPC || err == -EDQUOT) {
		/* Others took the room. What needs no copying can still go. */
		report_warning("%s; what can be freed without copying is",
				error_text(err));
		p->plan.cut_short = true;
		err = 0;
	}
	count_rewritten(p);
	/* From here on the new copies are counted on as well. */
	return err < 0 ? err : stored_list(&p->stored, p->repo, true);
}

/* --- step 5 --- */

static int check_claim(struct prune *p)
{
	int err = exclusive_check(p->claim);
	return err < 0 ? err : session_check(p->session);
}

static int condemn_all(struct prune *p)
{
	int err = check_claim(p);
	for (size_t i = 0; err == 0 && i < p->stored.count; i++) {
		struct stored_pack *k = &p->stored.packs[i];
		if (!goes(k) || k->condemned)
			continue;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		err = condemned_add(p->repo, &k->id);
	}
	return err;
}

/* --- step 6 --- */

static bool is_held(const struct peers *peers, const struct pack_id *id)
{
	for (size_t i = 0; i < peers->count; i++)
		if (acknowledge_holds(&peers->items[i], id))
			return true;
	return false;
}

/* Every pack whose chunks were counted on is still there to stay. */
static int check_counted_on(struct prune *p)
{
	struct stored now = { .packs = NULL };
	int err = stored_list(&now, p->repo, false);
	for (size_t i = 0; err == 0 && i < p->stored.count; i++) {
		const struct stored_pack *k = &p->stored.packs[i], *n;
		/* Fresh ones may hold what was just copied. */
		if (goes(k) || k->condemned || (k->live == 0 && !k->fresh))
			continue;
		n = stored_find(&now, &k->id);
		if (n != NULL && !n->gone && !n->condemned)
			continue;
		char hex[2 * PACK_ID_SIZE + 1];
		hex_encode(hex, k->id.b, PACK_ID_SIZE);
		err = fail(-ESTALE, "pack %s was %s by somebody else meanwhile; "
				  "nothing is deleted, run prune again",
				hex, n && n->condemned ? "condemned" : "removed");
	}
	stored_clear(&now);
	return err;
}

static int delete_pack(struct prune *p, struct stored_pack *k)
{
	char name[PACK_NAME_SIZE];
	pack_name(name, &k->id);
	int err = check_claim(p);
	if (err < 0)
		return err;
	/* 1 the pack, 2 its condemned object */
	err = store_delete(p->repo->store, name);
	if (err < 0 && err != -ENOENT)
		return err;
	pack_cache_drop(p->repo->packs, &k->id);
	if (!k->gone) {
		p->result->deleted.packs++;
		p->result->deleted.bytes += k->size;
	}
	k->gone = true;
	return condemned_clear(p->repo, &k->id);
}

/* A condemned object whose pack is gone. What a listing has passed over once
 * was not marked, so it must not be deleted. */
static int clear_left_over(struct prune *p, const struct stored_pack *k)
{
	char name[PACK_NAME_SIZE];
	uint64_t size;
	pack_name(name, &k->id);
	int err = store_size(p->repo->store, name, &size);
	return err == -ENOENT ? condemned_clear(p->repo, &k->id) : err;
}

static int delete_all(struct prune *p, const struct peers *peers)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < p->stored.count; i++) {
		struct stored_pack *k = &p->stored.packs[i];
		bool left_over = k->condemned && k->gone;
		if ((!goes(k) && !left_over) || is_held(peers, &k->id))
			continue;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		err = left_over ? clear_left_over(p, k) : delete_pack(p, k);
	}
	return err;
}

/* No snapshot that appears while it looks may go before it has looked: see
 * marking.h. */
static int mark_what_is_new(struct prune *p)
{
	int err = marking_begin(p->session);
	if (err < 0)
		return err;
	p->mark.blind[0] = '\0';
	report_progress_begin("looking for what is new", mark_progress, p);
	err = rewrite_unseen(&p->rewrite);
	report_progress_end();
	struct error_copy why;
	error_save(&why, err);
	int ended = marking_end(p->session);
	return err < 0 ? error_load(&why) : ended;
}

static int finish(struct prune *p, const struct peers *peers)
{
	/* Chunks that were stored meanwhile need not be copied. */
	int err = index_reconcile(p->repo->index);
	if (err < 0 && err != -EAGAIN)
		report_warning("%s; more may be copied than need be",
				error_text(err));
	err = mark_what_is_new(p);
	p->blind = p->mark.blind[0] != '\0';
	if (err == 0 && p->blind)
		return 0;
	if (err == 0)
		err = check_claim(p);
	if (err == 0)
		err = check_counted_on(p);
	return err < 0 ? err : delete_all(p, peers);
}

/* --- who is waited for --- */

static int add_waiting(struct prune_result *res, struct peer *peer,
		bool answered, struct prune_count count)
{
	struct prune_waiting *more = realloc(res->waiting,
			(res->waiting_count + 1) * sizeof(*more));
	if (more == NULL)
		return fail_errno(-ENOMEM, "listing sessions");
	res->waiting = more;
	res->waiting[res->waiting_count++] = (struct prune_waiting){
		.peer = *peer, .answered = answered, .packs = count.packs,
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
static struct prune_count count_held(const struct prune *p,
		const struct peer *peer)
{
	struct prune_count c = { .packs = 0 };
	for (size_t i = 0; i < p->stored.count; i++) {
		const struct stored_pack *k = &p->stored.packs[i];
		if (!goes(k) || k->gone
				|| (peer && !acknowledge_holds(peer, &k->id)))
			continue;
		c.packs++;
		c.bytes += k->size;
	}
	return c;
}

static int note_waiting(struct prune *p, struct peers *peers, uint64_t epoch)
{
	int err = 0;
	clear_waiting(p->result);
	for (size_t i = 0; err == 0 && i < peers->count; i++) {
		struct peer *k = &peers->items[i];
		bool answered = acknowledge_answered(k, epoch);
		struct prune_count c = count_held(p, answered ? k : NULL);
		if (c.packs != 0)
			err = add_waiting(p->result, k, answered, c);
	}
	return err;
}

/* A session that can't be read may need anything. */
static int wait_for_blind(struct prune *p)
{
	struct peers peers;
	int err = peers_list(p->repo, p->own_id, &peers);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < peers.count; i++)
		if (!peers.items[i].readable)
			err = add_waiting(p->result, &peers.items[i], false,
					count_held(p, NULL));
	peers_clear(&peers);
	return err;
}

/* Steps 5 and 6. */
static int condemn_and_delete(struct prune *p)
{
	struct peers peers = { .items = NULL };
	uint64_t epoch = 0;
	bool all = false;
	int err = condemn_all(p);
	if (err == 0)
		err = acknowledge_announce(p->repo, p->own_id, &epoch);
	if (err == 0)
		err = acknowledge_wait(p->repo, p->own_id, epoch,
				p->options->wait, &peers, &all);
	if (err == 0 && all)
		err = finish(p, &peers);
	if (err == 0)
		err = note_waiting(p, &peers, epoch);
	peers_clear(&peers);
	if (err == 0 && p->blind)
		err = wait_for_blind(p);
	return err;
}

/* --- rounds --- */

static bool something_to_do(const struct prune *p)
{
	for (size_t i = 0; i < p->stored.count; i++)
		if (p->stored.packs[i].doomed
				|| (p->stored.packs[i].gone
						&& p->stored.packs[i].condemned))
			return true;
	return false;
}

/* A dry run says what a real one would come to. */
static void foretell(struct prune *p)
{
	struct prune_result *res = p->result;
	count_rewritten(p);
	res->deleted = (struct prune_count){ .packs = p->plan.doomed_packs,
		.bytes = p->plan.doomed_bytes };
	res->after.packs = res->before.packs - res->deleted.packs;
	res->after.bytes = res->before.bytes - res->deleted.bytes
			+ res->rewritten_bytes;
	for (size_t i = 0; i < p->stored.count; i++) {
		const struct stored_pack *k = &p->stored.packs[i];
		if (!k->condemned || k->doomed || k->gone)
			continue;
		res->condemned.packs++;
		res->condemned.bytes += k->size;
	}
}

/* A repository without snapshots: more likely they are not where they belong
 * than that all of it is waste. */
static int check_not_empty(const struct prune *p)
{
	if (p->mark.snapshots != 0 || p->plan.doomed_packs == 0
			|| p->options->all || p->options->dry_run)
		return 0;
	return fail(-EPERM,
			"%s has no snapshots, so all its packs would be deleted: is "
			"the disk of its folder 'snapshots' not mounted? If "
			"everything is to go, say --all",
			store_path(p->repo->store));
}

/* Steps 1 to 6. *AGAIN: another round may free more. */
static int run_round(struct prune *p, bool *again)
{
	uint64_t before = p->result->deleted.packs;
	int err = look_around(p);
	if (err == 0 && p->result->rounds == 1)
		p->result->before = count_packs(&p->stored);
	if (err == 0)
		err = mark(p);
	if (err == 0)
		err = plan(p);
	if (err == 0)
		err = check_not_empty(p);
	if (err < 0)
		return err;
	if (p->options->dry_run)
		foretell(p);
	if (p->blind)
		return wait_for_blind(p);
	if (p->options->dry_run)
		return 0;
	if (something_to_do(p)) {
		err = rewrite(p);
		if (err == 0)
			err = condemn_and_delete(p);
	}
	*again = p->plan.cut_short
			&& (p->result->deleted.packs != before
					|| (p->tight && p->result->rounds == 1));
	return err;
}

static void end_round(struct prune *p)
{
	p->result->failed_chunks += p->rewrite.failed;
	rewrite_clear(&p->rewrite);
	p->result->written_bytes += p->rewrite.written_bytes;
	p->rewrite = (struct rewrite){ .repo = NULL };
	p->chunks_left = 0;
	for (size_t i = 0; i < p->stored.count; i++)
		if (!p->stored.packs[i].gone)
			p->chunks_left += p->stored.packs[i].chunks;
	mark_clear(&p->mark);
	stored_clear(&p->stored);
}

static int run_rounds(struct prune *p)
{
	bool again = true;
	int err = 0;
	while (err == 0 && again && p->result->rounds < ROUNDS_MAX) {
		again = false;
		p->result->rounds++;
		err = run_round(p, &again);
		end_round(p);
	}
	return err;
}

/* --- afterwards --- */

/* "damaged/<32 digits>.<frame>": of a pack that is gone it says nothing. */
static int drop_damaged(void *ctx, const char *name)
{
	struct repository *r = ctx;
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
	if (store_size(r->store, pack, &size) == -ENOENT)
		store_delete(r->store, name);
	return 0;
}

static int count_after(struct prune *p)
{
	struct prune_result *res = p->result;
	int err = stored_list(&p->stored, p->repo, false);
	res->after = count_packs(&p->stored);
	for (size_t i = 0; err == 0 && i < p->stored.count; i++) {
		const struct stored_pack *k = &p->stored.packs[i];
		if (!k->condemned || k->gone)
			continue;
		res->condemned.packs++;
		res->condemned.bytes += k->size;
	}
	stored_clear(&p->stored);
	return err;
}

/* Entries of deleted packs stay in the index until it is made anew. */
static void tidy_index(struct prune *p)
{
	struct index_stats st = { .chunks = 0 };
	uint64_t bound = p->chunks_left + p->chunks_left / 2
			+ p->result->rewritten_chunks + INDEX_SLACK;
	int err = index_reconcile(p->repo->index);
	if (err == 0)
		err = index_stats(p->repo->index, &st);
	if (err == 0 && st.chunks > bound)
		err = index_rebuild(p->repo->index);
	if (err < 0)
		report_warning("the index: %s", error_text(err));
}

/* The record of something lost makes backups look at all that they take over,
 * and so mend it from their sources. */
static void tell_of_missing(struct prune *p)
{
	if (p->result->missing_chunks != 0)
		exclusions_add_missing(p->repo->exclusions);
	else if (!p->blind)
		exclusions_clear_missing(p->repo->exclusions);
}

static int tidy(struct prune *p)
{
	if (p->result->deleted.packs != 0)
		tidy_index(p);
	tell_of_missing(p);
	int err = store_list(p->repo->store, "damaged/", drop_damaged, p->repo);
	return err < 0 ? err : count_after(p);
}

/* --- beginning and end --- */

static void end_session(struct prune *p)
{
	exclusive_end(take_ptr(p->claim));
	session_end(take_ptr(p->session));
	p->own_id = NOBODY;
}

static int begin_session(struct prune *p)
{
	int err = session_begin(&p->session, p->repo, SESSION_PRUNE, NULL);
	if (err == 0)
		p->own_id = session_id(p->session);
	if (p->options->dry_run && session_unwritable(err)) {
		report_warning("%s; others don't see this dry run",
				error_text(err));
		return 0;
	}
	if (err == 0 && !p->options->dry_run)
		err = exclusive_begin(&p->claim, p->repo, p->own_id, "prune");
	if (err < 0)
		end_session(p);
	return err;
}

/* Step 0. */
static int begin(struct prune *p)
{
	struct store *store = p->repo->store;
	struct store_space space = { .available = 0 };
	int err = begin_session(p);
	if (p->options->dry_run)
		return err;
	if (err == -ENOSPC || err == -EDQUOT) {
		p->tight = true;
		err = store_reserve_release(store);
		if (err == 0)
			err = begin_session(p);
	}
	if (err == 0 && !p->tight)
		err = store_space(store, &space);
	if (err == 0 && !p->tight && space.available < RESERVE_SIZE) {
		p->tight = true;
		err = store_reserve_release(store);
	}
	return err;
}

/* Also where it was missing before: an earlier prune had no room for it. */
static void restore_reserve(struct prune *p)
{
	int err = store_reserve_make(p->repo->store, RESERVE_SIZE);
	if (err < 0)
		report_warning("%s; the next prune tries again",
				error_text(err));
}

int prune_run(struct repository *r, const struct prune_options *o,
		struct prune_result *out)
{
	struct prune p = { .repo = r, .options = o, .result = out,
		.own_id = NOBODY };
	struct error_copy why;
	*out = (struct prune_result){ .rounds = 0 };
	pack_cache_silence_missing(r->packs);
	int err = begin(&p);
	if (err == 0)
		err = run_rounds(&p);
	if (err == 0 && !o->dry_run)
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
