/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: what a snapshot calls the state of a TPM is restored only
 * under names of swtpm's, in the domain's own directory. */
#include "ingest/libvirt/tpm_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define UUID "5f0a1b3c-0000-4000-8000-000000000001"
#define SWTPM "/var/lib/libvirt/swtpm/"

static void test_paths(void **state)
{
	(void)state;
	assert_true(tpm_state_is_path(SWTPM UUID "/tpm2/tpm2-00.permall",
			UUID));
	assert_true(tpm_state_is_path(SWTPM UUID "/tpm1.2/tpm-00.volatilestate",
			UUID));
	assert_false(tpm_state_is_path(SWTPM UUID "/tpm2/ld.so.preload", UUID));
	assert_false(tpm_state_is_path("/etc/ld.so.preload", UUID));
	assert_false(tpm_state_is_path(SWTPM UUID "/x/tpm2-00.permall", UUID));
	assert_false(tpm_state_is_path(SWTPM UUID "/tpm2/../tpm2-00.permall",
			UUID));
	assert_false(tpm_state_is_path(SWTPM UUID "/tpm2/tpm2-00.permall",
			"other"));
	assert_false(tpm_state_is_path(SWTPM UUID "/tpm2/tpm2-00.permall",
			NULL));
	assert_false(tpm_state_is_path(UUID "/tpm2/tpm2-00.permall", UUID));
	assert_false(tpm_state_is_path("tpm2-00.permall", UUID));
	assert_false(tpm_state_is_path("", UUID));
}

static void test_given(void **state)
{
	(void)state;
	assert_true(tpm_state_is_below("/srv/tpm/web", "/srv/tpm/web"));
	assert_true(tpm_state_is_below("/srv/tpm/tpm2-00.permall", "/srv/tpm"));
	assert_false(tpm_state_is_below("/srv/tpm/x", "/srv/tpm"));
	assert_false(tpm_state_is_below("/srv/tpm/../tpm2-00.permall",
			"/srv/tpm"));
	assert_false(tpm_state_is_below("/srv/tpmx", "/srv/tpm"));
	assert_false(tpm_state_is_below("/srv", "/srv/tpm"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
