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

/* In order; "rule" keeps it, "rule*" keeps it as the oldest. */
struct row {
	const char *time, *kept_by;
};

static void describe(char out[256], const struct keep_verdict *verdict)
{
	size_t n = 0;
	out[0] = '\0';
	for (enum keep_rule r = 0; r < KEEP_RULES; r++)
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
	int64_t times[SNAPSHOTS_MAX];
	struct keep_verdict v[SNAPSHOTS_MAX];
	char got[256];
	setenv("TZ", zone, 1);
	assert_true(count <= SNAPSHOTS_MAX);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(utc_parse(&times[i], rows[i].time), 0);
	keep_policy_apply(policy, times, count, v);
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
		{ "20261101T120000Z", "" },
		{ "20261110T000000Z", "" },
		{ "20261110T235959Z", "daily" },
		{ "20261111T000000Z", "daily" },
		{ "20261120T010000Z", "" },
		{ "20261120T230000Z", "daily" },
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
		{ "20251101T120000Z", "" },
		{ "20251101T130000Z", "daily yearly" },
		{ "20261102T120000Z", "daily" },
		{ "20261103T120000Z", "daily yearly" },
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
		{ "20261023T115959Z", "" },
		{ "20261023T120000Z", "within" },
		{ "20261025T130000Z", "within" },
		{ "20261106T120000Z", "within" },
	}, alone[] = {
		{ "20010101T000000Z", "within" },
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
