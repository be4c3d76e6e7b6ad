/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the doctor takes from texts of others: hosts in tables of mounts and on
 * the command line, and paths that go into commands. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <mntent.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/doctor/doctor.h"
#include "repo/doctor/mounts.h"
#include "repo/doctor/peers.h"

static void server_of_a_mount(void **state)
{
	static const struct {
		const char *type, *source, *options, *server;
	} cases[] = {
		{ "nfs4", "nas:/backup", "rw,addr=10.0.0.9,hard", "10.0.0.9" },
		{ "nfs4", "nas:/backup", "rw,clientaddr=10.0.0.1", "nas" },
		{ "nfs", "[2001:db8::1]:/backup", "rw", "2001:db8::1" },
		{ "cifs", "//nas/share", "rw,addr=10.0.0.9", "10.0.0.9" },
		{ "smb3", "//nas/share", "rw", "nas" },
		{ "ceph", "10.0.0.1:6789,10.0.0.2:6789:/", "rw", "10.0.0.1" },
		{ "fuse.sshfs", "user@nas:/backup", "rw", "nas" },
		{ "ext4", "/dev/sda1", "rw,addr=10.0.0.9", "" },
		{ "tmpfs", "nas:/backup", "rw", "" },
		{ "9p", "share", "trans=virtio", "" },
		{ "nfs4", "", "", "" },
		{ "cifs", "//", "", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char type[32], source[64], options[64];
		char server[MOUNTS_SERVER_MAX];
		strcpy(type, cases[i].type);
		strcpy(source, cases[i].source);
		strcpy(options, cases[i].options);
		const struct mntent entry = { .mnt_fsname = source,
			.mnt_type = type,
			.mnt_opts = options };
		mounts_server(server, &entry);
		assert_string_equal(server, cases[i].server);
	}
}

static void host_and_port(void **state)
{
	static const struct {
		const char *given, *host;
		unsigned port;
	} cases[] = {
		{ "nas", "nas", 22 },
		{ "nas:2049", "nas", 2049 },
		{ "10.0.0.9:445", "10.0.0.9", 445 },
		{ "2001:db8::1", "2001:db8::1", 22 },
		{ "[2001:db8::1]", "2001:db8::1", 22 },
		{ "[2001:db8::1]:2049", "2001:db8::1", 2049 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct doctor doctor = { .peers = json_array() };
		struct peer peer;
		size_t number = 0;
		assert_true(peers_is_valid(cases[i].given));
		peers_add_given(&doctor, cases[i].given, 22, "a test");
		assert_true(peers_next(&doctor, &number, &peer));
		assert_string_equal(peer.host, cases[i].host);
		assert_int_equal(peer.port, cases[i].port);
		json_decref(doctor.peers);
	}
	static const char *const wrong[] = { "", "nas:", "nas:x", "nas:70000",
		"[2001:db8::1]:0" };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(peers_is_valid(wrong[i]));
}

static void words_of_a_shell(void **state)
{
	char out[DOCTOR_QUOTE_MAX], longest[2 * DOCTOR_QUOTE_MAX];
	(void)state;
	assert_string_equal(doctor_quote(out, "/srv/a-b_c.img"),
			"/srv/a-b_c.img");
	assert_string_equal(doctor_quote(out, "/srv/a b"), "'/srv/a b'");
	assert_string_equal(doctor_quote(out, "a'; rm -r /; '"),
			"'a'\\''; rm -r /; '\\'''");
	assert_string_equal(doctor_quote(out, ""), "''");
	memset(longest, '\'', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_true(strlen(doctor_quote(out, longest)) < sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_of_a_mount),
		cmocka_unit_test(host_and_port),
		cmocka_unit_test(words_of_a_shell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
