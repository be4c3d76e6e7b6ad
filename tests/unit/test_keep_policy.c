/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a rotation keeps exactly the snapshots that were worked
 * out by hand, each by the rules worked out, also where clocks change and years
 * end. */
#include "repo/base/bytes.h"
#include "repo/base/units.h"
#include "repo/snapshot/keep_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DAY 86400
/* As rules, so that no package of time zones is needed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define SNAPSHOTS_MAX 64

/* 2027-06-01 */
#define NOW INT64_C(1811808000)

/* In order; "rule" keeps it, "rule*" keeps it as the oldest. A time that begins
 * with a '-' is of an incomplete one. */
struct row {
	const char *time, *kept_by;
};

static void describe(char out[256], const struct keep_verdict *verdict)
{
	size_t n = 0;
	out[0] = '\0';
	for (enum keep_rule r = 0; r < KEEP_REASONS; r++)
		if (verdict->rules >> r & 1)
			n += (size_t)snprintf(out + n, 256 - n, "%s%s%s",
					n == 0 ? "" : " ",
					keep_policy_rule_name(r),
					verdict->oldest >> r & 1 ? "*" : "");
	assert_int_equal(verdict->oldest & ~verdict->rules, 0);
}

static void check(const char *zone, const struct keep_policy *policy,
		const struct row *rows, size_t count)
{
	struct keep_item items[SNAPSHOTS_MAX];
	struct keep_verdict v[SNAPSHOTS_MAX];
	char got[256];
	setenv("TZ", zone, 1);
	assert_true(count <= SNAPSHOTS_MAX);
	for (size_t i = 0; i < count; i++) {
		items[i].complete = strchr(rows[i].time, '-') == NULL;
		items[i].arrived = 0;
		assert_int_equal(
				utc_parse(&items[i].time,
						rows[i].time + !items[i].complete),
				0);
	}
	assert_int_equal(keep_policy_apply(policy, items, count, NOW, v), 0);
	for (size_t i = 0; i < count; i++) {
		describe(got, &v[i]);
		if (strcmp(got, rows[i].kept_by) != 0)
			fail_msg("%s in %s: kept by '%s', not '%s'",
					rows[i].time, zone, got,
					rows[i].kept_by);
	}
}
#define CHECK(zone, policy, rows)                                              \
	check(zone, policy, rows, sizeof(rows) / sizeof((rows)[0]))

static void test_last(void **state)
{
	static const struct row rows[] = {
		{ "20261101T000000Z", "" },
		{ "20261101T000001Z", "last" },
		{ "20261123T040000Z", "last" },
	}, all[] = {
		{ "20261101T000000Z", "last" },
		{ "20261101T000001Z", "last" },
	};
	struct keep_policy p = { .counts[KEEP_LAST] = 2 };
	(void)state;
	CHECK("UTC", &p, rows);
	CHECK("UTC", &p, all);
	p.counts[KEEP_LAST] = KEEP_ALL;
	CHECK("UTC", &p, all);
	check("UTC", &p, NULL, 0);
}

/* The newest of a day, days without snapshots don't count, midnight belongs to
 * the day that begins. */
static void test_daily(void **state)
{
	static const struct row rows[] = {
		{ "20261108T120000Z", "" },
		{ "20261110T000000Z", "" },
		{ "20261110T235959Z", "daily" },
		{ "20261111T000000Z", "daily" },
		{ "20261114T010000Z", "" },
		{ "20261114T230000Z", "daily" },
	};
	const struct keep_policy p = { .counts[KEEP_DAILY] = 3 };
	(void)state;
	CHECK("UTC", &p, rows);
}

/* With fewer periods than asked for, the oldest stays, too. */
static void test_oldest(void **state)
{
	static const struct row rows[] = {
		{ "20261101T120000Z", "daily* yearly*" },
		{ "20261101T130000Z", "daily" },
		{ "20261102T120000Z", "daily yearly" },
	}, one[] = {
		{ "20261101T120000Z", "daily yearly" },
	}, single_days[] = {
		{ "20261101T120000Z", "daily yearly*" },
		{ "20261102T120000Z", "daily yearly" },
	}, enough[] = {
		{ "20261230T120000Z", "" },
		{ "20261230T130000Z", "daily yearly" },
		{ "20270101T120000Z", "daily" },
		{ "20270102T120000Z", "daily yearly" },
	};
	const struct keep_policy p = {
		.counts = { [KEEP_DAILY] = 3, [KEEP_YEARLY] = 2 }
	};
	(void)state;
	CHECK("UTC", &p, rows);
	CHECK("UTC", &p, one);
	CHECK("UTC", &p, single_days);
	CHECK("UTC", &p, enough);
}

/* ISO weeks: Monday to Sunday, and the year that has the Thursday. */
static void test_year_end(void **state)
{
	static const struct row rows[] = {
		{ "20261220T120000Z", "weekly" },	  /* Sunday of W51 */
		{ "20261221T120000Z", "" },		  /* Monday of W52 */
		{ "20261227T120000Z", "weekly" },	  /* Sunday of W52 */
		{ "20261228T120000Z", "" },		  /* Monday of W53 */
		{ "20261231T235959Z", "monthly yearly" }, /* 2026 */
		{ "20270101T000000Z", "" },
		{ "20270103T235959Z", "weekly" }, /* Sunday of W53 */
		{ "20270104T000000Z", "weekly monthly yearly" }, /* W01 */
	};
	const struct keep_policy p = { .counts = { [KEEP_WEEKLY] = 4,
						       [KEEP_MONTHLY] = 2,
						       [KEEP_YEARLY] = 2 } };
	(void)state;
	CHECK("UTC", &p, rows);
}

/* 23:30 UTC of New Year's Eve is next year in Berlin, and this year's morning
 * in New York. */
static void test_zones(void **state)
{
	static const struct row berlin[] = {
		{ "20261231T220000Z", "yearly" },
		{ "20261231T233000Z", "" },
		{ "20270101T040000Z", "yearly" },
	}, york[] = {
		{ "20261231T220000Z", "yearly*" },
		{ "20261231T233000Z", "" },
		{ "20270101T040000Z", "yearly" },
	}, utc[] = {
		{ "20261231T220000Z", "" },
		{ "20261231T233000Z", "yearly" },
		{ "20270101T040000Z", "yearly" },
	};
	struct keep_policy p = { .counts[KEEP_YEARLY] = 2 };
	(void)state;
	CHECK(BERLIN, &p, berlin);
	CHECK(NEW_YORK, &p, york);
	p.utc = true;
	CHECK(BERLIN, &p, utc);
}

/* Berlin, 2026-10-25: 02:00 to 03:00 is shown twice, the day has 25 hours. */
static void test_autumn(void **state)
{
	static const struct row rows[] = {
		{ "20261024T215959Z", "daily" },	/* the 24th, 23:59:59 */
		{ "20261024T220000Z", "hourly" },	/* the 25th, 00:00 */
		{ "20261025T000000Z", "" },		/* 02:00 +0200 */
		{ "20261025T003000Z", "hourly" },	/* 02:30 +0200 */
		{ "20261025T010000Z", "" },		/* 02:00 +0100 */
		{ "20261025T013000Z", "hourly" },	/* 02:30 +0100 */
		{ "20261025T020000Z", "hourly" },	/* 03:00 */
		{ "20261025T225959Z", "hourly daily" }, /* 23:59:59 */
		{ "20261025T230000Z", "hourly daily" }, /* the 26th */
	};
	const struct keep_policy p = {
		.counts = { [KEEP_HOURLY] = 6, [KEEP_DAILY] = 3 }
	};
	(void)state;
	CHECK(BERLIN, &p, rows);
}

/* 2026-03-29: 02:00 to 03:00 is not shown, the day has 23 hours. */
static void test_spring(void **state)
{
	static const struct row rows[] = {
		{ "20260328T225959Z", "hourly daily" }, /* the 28th */
		{ "20260328T230000Z", "hourly" },	/* the 29th, 00:00 */
		{ "20260329T005900Z", "hourly" },	/* 01:59 */
		{ "20260329T010000Z", "" },		/* 03:00 */
		{ "20260329T015900Z", "hourly" },	/* 03:59 */
		{ "20260329T215959Z", "hourly daily" }, /* 23:59:59 */
		{ "20260329T220000Z", "hourly daily" }, /* the 30th */
	};
	const struct keep_policy p = {
		.counts = { [KEEP_HOURLY] = 6, [KEEP_DAILY] = 3 }
	};
	(void)state;
	CHECK(BERLIN, &p, rows);
}

/* From the newest one on, the end included; days of 24 hours, whatever the
 * clock shows. */
static void test_within(void **state)
{
	static const struct row rows[] = {
		{ "20261019T120000Z", "" },
		{ "20261023T115959Z", "" },
		{ "20261023T120000Z", "within" },
		{ "20261027T130000Z", "within" },
		{ "20261031T130000Z", "within" },
		{ "20261103T130000Z", "within" },
		{ "20261106T120000Z", "within" },
	}, alone[] = {
		{ "20210101T000000Z", "within" },
	};
	struct keep_policy p = { .has_within = true, .within = 14 * DAY };
	(void)state;
	CHECK(BERLIN, &p, rows);
	CHECK(BERLIN, &p, alone);
	p.within = 0;
	CHECK(BERLIN, &p, alone);
}

/* Rules don't take snapshots from each other. */
static void test_together(void **state)
{
	static const struct row rows[] = {
		{ "20260115T020000Z", "monthly" },
		{ "20261001T020000Z", "" },
		{ "20261031T020000Z", "monthly" },
		{ "20261120T020000Z", "" },
		{ "20261121T020000Z", "daily" },
		{ "20261122T020000Z", "daily" },
		{ "20261123T010000Z", "within" },
		{ "20261123T020000Z", "last daily monthly within" },
	};
	const struct keep_policy p = { .counts = { [KEEP_LAST] = 1,
						       [KEEP_DAILY] = 3,
						       [KEEP_MONTHLY] = 4 },
		.has_within = true,
		.within = 3600 };
	(void)state;
	CHECK("UTC", &p, rows);
}

static void test_every_period(void **state)
{
	static const struct row rows[] = {
		{ "20200101T020000Z", "monthly*" },
		{ "20200131T020000Z", "monthly" },
		{ "20210101T020000Z", "monthly" },
		{ "20261123T010000Z", "" },
		{ "20261123T020000Z", "monthly" },
	};
	const struct keep_policy p = { .counts[KEEP_MONTHLY] = KEEP_ALL };
	(void)state;
	CHECK("UTC", &p, rows);
}

/* Should two have the same second, the later in the list is the newer. */
static void test_equal_times(void **state)
{
	static const struct row rows[] = {
		{ "20261122T010000Z", "daily" },
		{ "20261123T010000Z", "" },
		{ "20261123T010000Z", "daily" },
	};
	const struct keep_policy p = { .counts[KEEP_DAILY] = 2 };
	(void)state;
	CHECK("UTC", &p, rows);
}

static void test_keeps(void **state)
{
	struct keep_policy p = { .utc = true };
	(void)state;
	assert_false(keep_policy_keeps(&p));
	p.has_within = true;
	assert_true(keep_policy_keeps(&p));
	p.has_within = false;
	p.counts[KEEP_YEARLY] = 1;
	assert_true(keep_policy_keeps(&p));
}

static void test_periods(void **state)
{
	static const struct {
		enum keep_rule rule;
		const char *berlin, *utc;
	} cases[] = {
		{ KEEP_LAST, "", "" },
		{ KEEP_HOURLY, "2027-01-01T00+0100", "2026-12-31T23+0000" },
		{ KEEP_DAILY, "2027-01-01", "2026-12-31" },
		{ KEEP_WEEKLY, "2026-W53", "2026-W53" },
		{ KEEP_MONTHLY, "2027-01", "2026-12" },
		{ KEEP_YEARLY, "2027", "2026" },
		{ KEEP_WITHIN, "", "" },
	};
	char out[KEEP_PERIOD_MAX];
	int64_t time;
	(void)state;
	setenv("TZ", BERLIN, 1);
	tzset();
	assert_int_equal(utc_parse(&time, "20261231T233000Z"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(keep_policy_period(out, cases[i].rule, time,
						    false),
				cases[i].berlin);
		assert_string_equal(keep_policy_period(out, cases[i].rule, time,
						    true),
				cases[i].utc);
	}
}

/* --- incomplete ones, and clocks that are wrong --- */

static void test_incomplete(void **state)
{
	static const struct row rows[] = {
		{ "20261101T120000Z", "" },
		{ "20261102T120000Z", "last daily" },
		{ "-20261103T120000Z", "" },
		{ "20261103T130000Z", "last daily" },
		{ "-20261103T140000Z", "incomplete" },
		{ "-20261104T120000Z", "incomplete" },
	}, none[] = {
		{ "-20261101T120000Z", "" },
		{ "-20261102T120000Z", "last daily" },
		{ "-20261103T120000Z", "last daily" },
	};
	const struct keep_policy p = {
		.counts = { [KEEP_LAST] = 2, [KEEP_DAILY] = 2 }
	};
	(void)state;
	CHECK("UTC", &p, rows);
	CHECK("UTC", &p, none);
}

/* One that is ahead of now, one that is behind those made before it, and a
 * clock that is a little behind. */
static void test_in_doubt(void **state)
{
	static const struct row rows[] = {
		{ "20261031T120000Z", "" },
		{ "20261101T120000Z", "" },
		{ "20310101T120000Z", "time in doubt" },
		{ "20261102T120000Z", "last" },
		{ "19700101T120000Z", "time in doubt" },
		{ "20261102T080000Z", "last daily" },
		{ "20261103T120000Z", "last daily within" },
	};
	const struct keep_policy p = {
		.counts = { [KEEP_LAST] = 3, [KEEP_DAILY] = 2 },
		.has_within = true,
		.within = DAY
	};
	(void)state;
	CHECK("UTC", &p, rows);
}

/* The clock says 2031, and still does: the time between does not count. */
static void test_clock_ahead(void **state)
{
	const struct keep_policy p = { .counts[KEEP_MONTHLY] = 2,
		.has_within = true,
		.within = 3 * DAY };
	static const struct row rows[] = {
		{ "20211201T120000Z", "" },
		{ "20211230T120000Z", "" },
		{ "20211231T120000Z", "monthly" },
		{ "20220101T120000Z", "" },
		{ "20220102T120000Z", "" },
		{ "20220103T120000Z", "within" },
		{ "20220104T120000Z", "monthly within" },
		{ "20270301T120000Z", "within" },
		{ "20270302T120000Z", "monthly within" },
	};
	(void)state;
	CHECK("UTC", &p, rows);
}

/* --- random histories --- */

#define NIGHTS 150

struct made {
	int64_t true_time, clock;
	bool complete;
};

struct rotation {
	struct made items[NIGHTS];
	size_t count;
};

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	random_state = random_state * 6364136223846793005u
			+ 1442695040888963407u;
	return (random_state >> 33) % n;
}

static void remove_unkept(struct rotation *rotation, const bool *keep)
{
	size_t kept = 0;
	for (size_t i = 0; i < rotation->count; i++)
		if (keep[i])
			rotation->items[kept++] = rotation->items[i];
	rotation->count = kept;
}

static void rotate(struct rotation *rotation, const struct keep_policy *policy,
		int64_t now)
{
	struct keep_item items[NIGHTS];
	struct keep_verdict verdicts[NIGHTS];
	bool keep[NIGHTS];
	for (size_t i = 0; i < rotation->count; i++)
		items[i] = (struct keep_item){ rotation->items[i].clock,
			rotation->items[i].complete, 0 };
	if (keep_policy_any_ahead(items, rotation->count, now))
		return;
	assert_int_equal(keep_policy_apply(policy, items, rotation->count, now,
					 verdicts),
			0);
	for (size_t i = 0; i < rotation->count; i++)
		keep[i] = verdicts[i].rules != 0;
	remove_unkept(rotation, keep);
}

/* What a person would keep who knows the true time, of complete ones only. */
static bool person_keeps(const struct rotation *rotation, size_t number,
		const struct keep_policy *policy)
{
	const struct made *made = &rotation->items[number];
	size_t newer = rotation->count - 1 - number;
	const struct made *newest = &rotation->items[rotation->count - 1];
	char own[KEEP_PERIOD_MAX], other[KEEP_PERIOD_MAX];
	if (newer < (size_t)policy->counts[KEEP_LAST]
			|| (policy->has_within
					&& newest->true_time - made->true_time
							<= policy->within))
		return true;
	for (enum keep_rule r = KEEP_HOURLY; r < KEEP_WITHIN; r++) {
		long periods = 0;
		bool first = true;
		keep_policy_period(own, r, made->true_time, true);
		strcpy(other, "");
		for (size_t i = rotation->count; first && i-- > number + 1;) {
			char now[KEEP_PERIOD_MAX];
			keep_policy_period(now, r, rotation->items[i].true_time,
					true);
			first = strcmp(now, own) != 0;
			periods += strcmp(now, other) != 0;
			strcpy(other, now);
		}
		/* One less: a clock that is set may split one in two. */
		if (first && periods < policy->counts[r] - 1)
			return true;
	}
	return false;
}

static void rotate_as_a_person(struct rotation *rotation,
		const struct keep_policy *policy)
{
	bool keep[NIGHTS];
	for (size_t i = 0; i < rotation->count; i++)
		keep[i] = person_keeps(rotation, i, policy);
	remove_unkept(rotation, keep);
}

/* How far off the clock is: right, jumped for one night or for many, forward
 * or back, by hours or from days to years; or it starts anew each night. */
struct clock_model {
	unsigned nights; /* it is still wrong */
	int64_t offset, stuck_at;
	bool stuck;
};

static int64_t read_clock(struct clock_model *clock, int64_t true_time)
{
	if (clock->nights == 0 && random_below(20) == 0) {
		int64_t far = random_below(2)
				? (int64_t)random_below(7200)
				: 5 * DAY + (int64_t)random_below(3000) * DAY;
		clock->nights = random_below(2)
				? 1
				: 2 + (unsigned)random_below(30);
		clock->offset = random_below(2) ? far : -far;
		clock->stuck = random_below(5) == 0;
		clock->stuck_at = (int64_t)random_below(100000000);
	}
	if (clock->nights == 0)
		return true_time;
	clock->nights--;
	return clock->stuck ? clock->stuck_at + (int64_t)random_below(600)
			    : true_time + clock->offset;
}

static void make_policy(struct keep_policy *policy, int64_t *slack)
{
	static const int64_t lengths[KEEP_WITHIN] = {
		[KEEP_LAST] = 0,
		[KEEP_HOURLY] = 3600,
		[KEEP_DAILY] = DAY,
		[KEEP_WEEKLY] = 7 * DAY,
		[KEEP_MONTHLY] = 31 * DAY,
		[KEEP_YEARLY] = 366 * DAY,
	};
	*policy = (struct keep_policy){ .utc = true };
	*slack = 0;
	do {
		for (enum keep_rule r = KEEP_LAST; r < KEEP_WITHIN; r++)
			if (random_below(3) == 0) {
				policy->counts[r] = 1 + (long)random_below(20);
				*slack = lengths[r];
			}
		policy->has_within = random_below(3) == 0;
		policy->within = (int64_t)random_below(60) * DAY;
	} while (!keep_policy_keeps(policy));
	/* Or join two in one; and "within" is right to some intervals. */
	*slack = 2 * *slack + (*slack > 0 ? DAY : 0);
	if (policy->has_within && *slack < 8 * DAY)
		*slack = 8 * DAY;
}

static bool has_near(const struct rotation *rotation, int64_t true_time,
		int64_t slack)
{
	for (size_t i = 0; i < rotation->count; i++)
		if (rotation->items[i].complete
				&& llabs(rotation->items[i].true_time
						   - true_time)
						<= slack)
			return true;
	return false;
}

/* For all that a person would have kept there is something of the same period;
 * and the newest complete one. */
static void compare(const struct rotation *ours, const struct rotation *perfect,
		int64_t newest, int64_t slack, unsigned seed, int night)
{
	if (newest != 0 && !has_near(ours, newest, 0))
		fail_msg("seed %u, night %d: the newest complete one is gone",
				seed, night);
	/* The first weeks don't tell yet what is a pause. */
	if (night < 30)
		return;
	for (size_t i = 0; i < perfect->count; i++)
		if (!has_near(ours, perfect->items[i].true_time, slack))
			fail_msg("seed %u, night %d: nothing is left of "
				 "%lld days before",
					seed, night,
					(long long)(newest
							- perfect->items[i]
									  .true_time)
							/ DAY);
}

static void live_through(unsigned seed)
{
	static struct rotation ours, perfect;
	struct clock_model clock = { 0 };
	struct keep_policy policy;
	int64_t slack, day = 19700, newest = 0;
	ours.count = perfect.count = 0;
	random_state = seed;
	make_policy(&policy, &slack);
	for (int night = 0; night < NIGHTS; night++) {
		day += random_below(60) ? 1 : (int64_t)random_below(60);
		/* At four in the morning, or somewhat later. */
		int64_t now = day * DAY + 4 * 3600
				+ (int64_t)random_below(7200);
		int64_t shown = read_clock(&clock, now);
		struct made made = { now, shown, random_below(5) != 0 };
		if (random_below(10) == 0)
			continue; /* a night that failed */
		ours.items[ours.count++] = made;
		if (made.complete)
			perfect.items[perfect.count++] = made;
		newest = made.complete ? now : newest;
		rotate(&ours, &policy, shown);
		rotate_as_a_person(&perfect, &policy);
		compare(&ours, &perfect, newest, slack, seed, night);
	}
}

static unsigned first_seed(void)
{
	const char *given = getenv("KEEP_SEED");
	return given != NULL ? (unsigned)strtoul(given, NULL, 10)
			     : (unsigned)time(NULL);
}

static void test_wrong_clocks(void **state)
{
	const char *n = getenv("KEEP_CASES");
	unsigned cases = n != NULL ? (unsigned)strtoul(n, NULL, 10) : 300;
	unsigned first = first_seed();
	(void)state;
	setenv("TZ", "UTC", 1);
	printf("KEEP_SEED=%u, %u histories of %d nights\n", first, cases,
			NIGHTS);
	for (unsigned i = 0; i < cases; i++)
		live_through(first + i);
}

/* --- copies --- */

#define FORGED_MAX 60

/* What is copied later, of whatever times until two days before the newest, takes
 * no place of what is there. */
static void forge(unsigned seed)
{
	static struct keep_item items[NIGHTS + FORGED_MAX];
	static struct keep_verdict alone[NIGHTS], beside[NIGHTS + FORGED_MAX];
	static size_t place[NIGHTS];
	struct keep_policy policy;
	int64_t slack, start = 19700 * DAY;
	random_state = seed;
	make_policy(&policy, &slack);
	size_t count = 0, forged = random_below(FORGED_MAX), all = 0;
	/* The first ones were made here, or copied by an older version. */
	int without = (int)random_below(60);
	for (int night = 0; night < NIGHTS; night++) {
		int64_t time = start + night * DAY + 4 * 3600;
		/* All that was there is copied at first, then each night. */
		int64_t arrived = (night < 40 ? start + 40 * DAY : time) + 9000;
		if (random_below(10) != 0)
			items[count++] = (struct keep_item){ time,
				random_below(5) != 0,
				night < without ? 0 : arrived };
	}
	int64_t newest = items[count - 1].time;
	assert_int_equal(keep_policy_apply(&policy, items, count, newest,
					 alone),
			0);
	/* At any place in the order, which whoever makes them gives as well. */
	struct keep_item real[NIGHTS];
	memcpy(real, items, count * sizeof(*real));
	for (size_t i = 0; i < count || forged > 0;) {
		if (forged > 0 && (i == count || random_below(4) == 0)) {
			items[all++] = (struct keep_item){ newest - 2 * DAY
						- (int64_t)random_below(
								NIGHTS * DAY),
				random_below(3) != 0, newest + 2 * DAY };
			forged--;
		} else {
			place[i] = all;
			items[all++] = real[i++];
		}
	}
	assert_int_equal(keep_policy_apply(&policy, items, all,
					 newest + 2 * DAY, beside),
			0);
	for (size_t i = 0; i < count; i++)
		if ((alone[i].rules != 0) != (beside[place[i]].rules != 0))
			fail_msg("seed %u: snapshot %zu of %zu", seed, i,
					count);
}

static void test_late_copies(void **state)
{
	unsigned seed = first_seed();
	(void)state;
	setenv("TZ", "UTC", 1);
	for (unsigned i = 0; i < 300; i++)
		forge(seed + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_daily),
		cmocka_unit_test(test_oldest),
		cmocka_unit_test(test_year_end),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_autumn),
		cmocka_unit_test(test_spring),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_every_period),
		cmocka_unit_test(test_equal_times),
		cmocka_unit_test(test_keeps),
		cmocka_unit_test(test_periods),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_in_doubt),
		cmocka_unit_test(test_clock_ahead),
		cmocka_unit_test(test_wrong_clocks),
		cmocka_unit_test(test_late_copies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
