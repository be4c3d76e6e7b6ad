/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: paths are found wherever a definition names them, and a
 * chain is cut off at the right disks and nowhere else. */
#include "ingest/libvirt/domain_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK(target, own, below)                                               \
	"<disk type='file'><driver type='qcow2'/><source file='" own "'/>"     \
	"<backingStore type='file'><format type='raw'/><source file='" below   \
	"'/><backingStore/></backingStore><target dev='" target "'/></disk>"

static const char xml[] =
		"<domain type='qemu'><name>x</name>"
		"<os><kernel>/place/kernel</kernel><nvram>/other/nvram</"
		"nvram></os>"
		"<devices>" DISK("vda", "/place/vda.qcow2",
				"/place/mnt/s/1/vda.raw") DISK("vdb",
				"/srv/b.qcow2",
				"/srv/base.raw") DISK("vdc", "/srv/top.qcow2",
				"/place/mnt/s/1/vdc.raw") "<disk "
							  "type='file'><source "
							  "file='/place/mnt/s/"
							  "1/vdd.raw'/>"
							  "<target "
							  "dev='vdd'/></disk></"
							  "devices></domain>";

static void test_below(void **state)
{
	(void)state;
	assert_int_equal(domain_paths_below(xml, "/place"), 1);
	assert_int_equal(domain_paths_below(xml, "/place/mnt"), 1);
	assert_int_equal(domain_paths_below(xml, "/other"), 1);
	/* Not by the beginning of a name. */
	assert_int_equal(domain_paths_below(xml, "/pla"), 0);
	assert_int_equal(domain_paths_below(xml, "/place/m"), 0);
	assert_int_equal(domain_paths_below(xml, "/srv/base.raw"), 0);
	assert_true(domain_paths_below("<domain", "/place") < 0);
	assert_true(domain_paths_below("<!DOCTYPE d [<!ENTITY e '/place/x'>]>"
				       "<domain/>",
				    "/place")
			< 0);
}

static void test_name(void **state)
{
	(void)state;
	assert_int_equal(domain_paths_name(xml, "/place/kernel"), 1);
	assert_int_equal(domain_paths_name(xml, "/srv/base.raw"), 1);
	assert_int_equal(domain_paths_name(xml, "/srv/base"), 0);
}

static void test_backed(void **state)
{
	char **targets = NULL;
	(void)state;
	assert_int_equal(domain_paths_backed(xml, "/place/mnt", &targets), 0);
	assert_string_equal(targets[0], "vda");
	assert_string_equal(targets[1], "vdc");
	assert_null(targets[2]);
	domain_paths_free(targets);
}

static void test_unback(void **state)
{
	char *out = NULL;
	(void)state;
	assert_int_equal(domain_paths_unback(xml, "/place/mnt", &out), 0);
	assert_int_equal(domain_paths_name(out, "/place/mnt/s/1/vda.raw"), 0);
	assert_int_equal(domain_paths_name(out, "/place/mnt/s/1/vdc.raw"), 0);
	/* A disk's own image is never taken away, nor another's chain. */
	assert_int_equal(domain_paths_name(out, "/place/mnt/s/1/vdd.raw"), 1);
	assert_int_equal(domain_paths_name(out, "/place/vda.qcow2"), 1);
	assert_int_equal(domain_paths_name(out, "/srv/base.raw"), 1);
	assert_non_null(strstr(out, "<backingStore/><target dev=\"vda\"/>"));
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_backed),
		cmocka_unit_test(test_unback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
