/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the directory of a live backup tells the living from the
 * dead, is removed whole and without following what qemu's user may have put
 * there; and the XML of the job says what it should, whatever the names. */
#include "directory.h"
#include "ingest/libvirt/libvirt_home.h"
#include "ingest/live/job_xml.h"
#include "ingest/live/scratch.h"
#include "repo/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

static char directory[DIRECTORY_MAX];

static int set_up(void **state)
{
	(void)state;
	return directory_make(directory, "s");
}

static int tear_down(void **state)
{
	(void)state;
	return directory_remove(directory);
}

static struct scratch *make(void)
{
	struct scratch *scratch = NULL;
	int err = scratch_make(&scratch, directory, geteuid(), getegid());
	if (err != 0)
		fail_msg("%s", error_text(err));
	return scratch;
}

static void write_state(struct scratch *scratch, enum scratch_phase phase)
{
	struct scratch_state st = { .phase = phase,
		.domain_id = 7,
		.repository = (char *)"ab",
		.uri = (char *)"test:///default",
		.uuid = (char *)"u",
		.name = (char *)"a \"name\"",
		.checkpoint = phase == SCRATCH_FROZEN ? (char *)"point"
						      : NULL };
	assert_int_equal(scratch_write_state(scratch, &st), 0);
}

struct seen {
	int count;
	enum scratch_phase phase;
	bool whole;
};

static void on_dead(void *ctx, struct scratch *scratch,
		const struct scratch_state *state)
{
	struct seen *seen = ctx;
	seen->count++;
	seen->phase = state->phase;
	seen->whole = state->this_boot && state->domain_id == 7
			&& state->uri != NULL
			&& strcmp(state->uri, "test:///default") == 0
			&& state->name != NULL
			&& strcmp(state->name, "a \"name\"") == 0;
	assert_int_equal(scratch_remove(scratch), 0);
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	int fd;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void test_living_and_dead(void **state)
{
	struct scratch *scratch = make();
	struct seen seen = { 0 };
	struct stat st;
	char inner[256];
	(void)state;
	write_state(scratch, SCRATCH_PREPARED);
	snprintf(inner, sizeof(inner), "%s/q", scratch_directory(scratch));
	assert_int_equal(stat(inner, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(scratch_is_inner(scratch_socket(scratch)));
	assert_false(scratch_is_orphan(scratch_socket(scratch), directory));
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 0);
	write_state(scratch, SCRATCH_FROZEN);
	scratch_close(scratch); /* as its death would */
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.phase, SCRATCH_FROZEN);
	assert_true(seen.whole);
	assert_int_equal(rmdir(directory), 0); /* nothing is left */
	assert_int_equal(mkdir(directory, 0700), 0);
}

/* A later, shorter state with the rest of an earlier one behind it, and one
 * that says nothing. */
static void test_states_cut_short(void **state)
{
	struct seen seen = { 0 };
	struct scratch *scratch = make();
	char where[256];
	(void)state;
	snprintf(where, sizeof(where), "%s", scratch_directory(scratch));
	scratch_close(scratch);
	put(where, "state", "{\"phase\": \"frozen\"} \"x\"}");
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.phase, SCRATCH_FROZEN);
	assert_false(seen.whole);
	scratch = make();
	snprintf(where, sizeof(where), "%s", scratch_directory(scratch));
	scratch_close(scratch);
	put(where, "state", "{\"phase\": \"fro");
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.phase, SCRATCH_RUNNING);
}

/* One that is just being made is nobody's leftover; an old one is. */
static void test_without_state(void **state)
{
	struct utimbuf old = { 1000000000, 1000000000 };
	struct seen seen = { 0 };
	char where[256];
	(void)state;
	snprintf(where, sizeof(where), "%s/amberfs-0123456789abcdef",
			directory);
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(utime(where, &old), 0);
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_false(exists(where));
	/* Other names are not looked at. */
	snprintf(where, sizeof(where), "%s/amberfs-0123456789abcdeF",
			directory);
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(utime(where, &old), 0);
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(rmdir(where), 0);
}

/* The other process: a guard that opens the directory, and removes it. */
static void test_guard(void **state)
{
	struct scratch *scratch = make(), *guard = NULL, *again = NULL;
	char where[256];
	(void)state;
	write_state(scratch, SCRATCH_RUNNING);
	snprintf(where, sizeof(where), "%s", scratch_directory(scratch));
	assert_int_equal(scratch_open(&guard, where), 0);
	assert_int_equal(scratch_lock_guard(guard), 0);
	assert_int_equal(scratch_open(&again, where), 0);
	assert_int_equal(scratch_lock_guard(again), -EWOULDBLOCK);
	scratch_close(again);
	assert_string_equal(scratch_socket(guard), scratch_socket(scratch));
	assert_true(scratch_free(guard) > 0);
	assert_int_equal(scratch_remove(guard), 0);
	assert_false(exists(where));
	assert_true(scratch_is_orphan(scratch_socket(scratch), directory));
	assert_false(scratch_is_orphan(scratch_socket(scratch), "/"));
	assert_int_equal(scratch_remove(scratch), 0); /* gone before */
	scratch_close(guard);
	scratch_close(scratch);
	assert_int_equal(scratch_open(&guard, where), -ENOENT);
}

/* A socket in the guest's own directory: known to the guard and to whoever finds
 * the dead, and removed by them; a link in place of that directory is not
 * followed. */
static void test_socket_elsewhere(void **state)
{
	struct scratch *scratch = make(), *guard = NULL;
	struct seen seen = { 0 };
	char guest[160], away[160], name[64], inner[256];
	(void)state;
	snprintf(guest, sizeof(guest), "%s/domain-7-a", directory);
	snprintf(away, sizeof(away), "%s/away", directory);
	assert_int_equal(mkdir(guest, 0700), 0);
	snprintf(inner, sizeof(inner), "%s", scratch_socket(scratch));
	assert_true(scratch_move_socket(scratch, guest));
	assert_false(scratch_move_socket(scratch, NULL));
	assert_string_equal(scratch_socket(scratch), inner);
	assert_true(scratch_move_socket(scratch, guest));
	write_state(scratch, SCRATCH_RUNNING);
	assert_int_equal(scratch_open(&guard, scratch_directory(scratch)), 0);
	assert_string_equal(scratch_socket(guard), scratch_socket(scratch));
	snprintf(name, sizeof(name), "%s",
			strrchr(scratch_socket(scratch), '/') + 1);
	put(guest, name, "");
	assert_int_equal(rename(guest, away), 0);
	assert_int_equal(symlink(away, guest), 0);
	if (geteuid() == 0)
		assert_int_equal(lchown(directory, 65534, 65534), 0);
	assert_int_equal(scratch_remove(guard), 0);
	snprintf(inner, sizeof(inner), "%s/%s", away, name);
	assert_true(exists(inner) || geteuid() != 0);
	if (geteuid() == 0)
		assert_int_equal(lchown(directory, 0, 0), 0);
	assert_int_equal(unlink(guest), 0);
	assert_int_equal(rename(away, guest), 0);
	scratch_close(guard);
	scratch_close(scratch);
	scratch = make();
	assert_true(scratch_move_socket(scratch, guest));
	write_state(scratch, SCRATCH_RUNNING);
	snprintf(inner, sizeof(inner), "%s", scratch_socket(scratch));
	put(guest, strrchr(inner, '/') + 1, "");
	scratch_close(scratch);
	assert_int_equal(scratch_dead(directory, on_dead, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_false(exists(inner));
	assert_int_equal(directory_remove(guest), 0);
}

static void check_guest_directory(const char *name, const char *expect)
{
	static const char uri[] = "qemu:///session?socket=/x";
	char all[160], path[256];
	snprintf(all, sizeof(all), "%s/libvirt/qemu/lib", directory);
	snprintf(path, sizeof(path), "%s/%s", all, expect);
	assert_int_equal(mkdir(path, 0700), 0);
	char *found = libvirt_home_guest(uri, 7, name, geteuid());
	assert_non_null(found);
	assert_string_equal(found, path);
	free(found);
	assert_null(libvirt_home_guest(uri, 8, name, geteuid()));
	assert_null(libvirt_home_guest(uri, 7, name, geteuid() + 1));
	assert_null(libvirt_home_guest("qemu:///embed", 7, name, geteuid()));
	assert_int_equal(rmdir(path), 0);
	assert_null(libvirt_home_guest(uri, 7, name, geteuid()));
}

/* libvirt cuts a name after 20 characters. */
static void test_guest_directory(void **state)
{
	char path[160];
	(void)state;
	assert_int_equal(setenv("XDG_CONFIG_HOME", directory, 1), 0);
	const char *const parts[] = { "libvirt", "libvirt/qemu",
		"libvirt/qemu/lib" };
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, parts[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	check_guest_directory("web", "domain-7-web");
	check_guest_directory("a-name-of-twenty-one-",
			"domain-7-a-name-of-twenty-one");
	assert_null(libvirt_home_guest("qemu:///session", 7, "a b", geteuid()));
}

/* What qemu's user can put there leads nowhere. */
static void test_hostile(void **state)
{
	struct scratch *scratch = make();
	char outside[256], inner[256], link[300];
	(void)state;
	snprintf(outside, sizeof(outside), "%s/outside", directory);
	assert_int_equal(mkdir(outside, 0700), 0);
	put(outside, "keep", "x");
	snprintf(inner, sizeof(inner), "%s/q", scratch_directory(scratch));
	put(inner, "1-1", "scratch");
	snprintf(link, sizeof(link), "%s/nbd", inner);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(scratch_remove(scratch), 0);
	scratch_close(scratch);
	scratch = make();
	snprintf(inner, sizeof(inner), "%s/q", scratch_directory(scratch));
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(symlink(outside, inner), 0);
	assert_int_not_equal(scratch_remove(scratch), 0);
	unlink(inner);
	assert_int_equal(scratch_remove(scratch), 0);
	scratch_close(scratch);
	snprintf(link, sizeof(link), "%s/keep", outside);
	assert_true(exists(link));
	assert_int_equal(directory_remove(outside), 0);
}

static void test_places(void **state)
{
	struct scratch *scratch = NULL;
	char long_dir[256];
	(void)state;
	assert_int_equal(scratch_make(&scratch, "/nowhere/at/all", geteuid(),
					 getegid()),
			-ENOENT);
	snprintf(long_dir, sizeof(long_dir), "%s/%060d%020d", directory, 0, 0);
	assert_int_equal(mkdir(long_dir, 0700), 0);
	assert_int_equal(scratch_make(&scratch, long_dir, geteuid(), getegid()),
			-ENAMETOOLONG);
	assert_non_null(strstr(error_text(-ENAMETOOLONG), "--scratch-dir"));
	assert_int_equal(rmdir(long_dir), 0);
	assert_false(scratch_is_inner("/var/tmp/amberfs-0123456789abcdef/nbd"));
	assert_false(scratch_is_inner("amberfs-0123456789abcdef/q/nbd"));
	assert_false(scratch_is_inner("/amberfs-0123456789abcdef/q/1/2"));
	assert_false(scratch_is_inner("/nbd") || scratch_is_inner("nbd"));
	assert_true(scratch_is_inner("/amberfs-0123456789abcdef/q/nbd"));
	assert_true(scratch_is_inner("/amberfs-0123456789abcdef/q/1-12"));
}

static void test_job_xml(void **state)
{
	struct live_disk disks[] = {
		{ .target = "vd<a>", .since = "old", .track = true },
		{ .target = "v\"d'b" }
	};
	char *files[] = { (char *)"/s/a&b", (char *)"/s/2" };
	char *xml = job_xml_backup("/a \"b\"/nbd", disks, files, 2);
	char *file = NULL;
	(void)state;
	assert_non_null(strstr(xml, "/a &quot;b&quot;/nbd"));
	assert_int_equal(job_xml_scratch(&file, xml), 0);
	assert_string_equal(file, "/s/a&b");
	free(file);
	assert_non_null(strstr(xml, "incremental=\"old\""));
	assert_non_null(strstr(xml, "backupmode=\"full\""));
	assert_non_null(strstr(xml, "&lt;a&gt;"));
	assert_non_null(strstr(xml, "/s/a&amp;b"));
	assert_null(strstr(xml, "v\"d"));
	free(xml);
	xml = job_xml_checkpoint("p<", disks, 2);
	assert_non_null(strstr(xml, "<name>p&lt;</name>"));
	assert_non_null(strstr(xml, "checkpoint=\"bitmap\" name=\"vd&lt;"));
	assert_non_null(strstr(xml, "checkpoint=\"no\" name=\"v&quot;"));
	free(xml);
	assert_int_equal(job_xml_scratch(&file, "<domain/>"), -EBADMSG);
	assert_int_equal(job_xml_scratch(&file,
					 "<domainbackup>"
					 "<server transport='tcp'/><disks>"
					 "<disk name='vda'/></disks>"
					 "</domainbackup>"),
			0);
	assert_null(file);
}

static struct guest_facts facts_of(const char *inside)
{
	struct domain_xml *parsed = NULL;
	struct guest_facts f = { 0 };
	char xml[1024];
	snprintf(xml, sizeof(xml), "<domain><name>x</name>%s</domain>", inside);
	assert_int_equal(domain_xml_parse(&parsed, xml, strlen(xml)), 0);
	job_xml_guest(&f, parsed);
	domain_xml_free(parsed);
	return f;
}

#define CHANNEL(name, state)                                                   \
	"<devices><channel type='unix'><target type='virtio' name='" name      \
	"' " state "/></channel></devices>"
#define LABEL(model, text)                                                     \
	"<seclabel model='" model "'><label>" text "</label></seclabel>"
#define AGENT "org.qemu.guest_agent.0"

static void test_guest_xml(void **state)
{
	struct guest_facts f = facts_of(LABEL("dac", "+64055:+107")
					LABEL("apparmor", "libvirt-1"));
	(void)state;
	assert_true(f.has_owner && f.owner == 64055 && f.group == 107);
	assert_true(f.apparmor && f.agent == AGENT_NONE);
	f = facts_of(LABEL("dac", "root:root"));
	assert_true(f.has_owner && f.owner == 0 && f.group == 0);
	assert_false(facts_of(LABEL("dac", "nobody-has-this:+1")).has_owner);
	assert_false(facts_of(LABEL("dac", "+1")).has_owner);
	assert_false(facts_of(LABEL("dac", "+4294967295:+1")).has_owner);
	assert_false(facts_of(LABEL("selinux", "+1:+1")).has_owner);
	assert_int_equal(facts_of(CHANNEL(AGENT, "")).agent, AGENT_CONNECTED);
	assert_int_equal(facts_of(CHANNEL(AGENT, "state='connected'")).agent,
			AGENT_CONNECTED);
	assert_int_equal(facts_of(CHANNEL(AGENT, "state='disconnected'")).agent,
			AGENT_AWAY);
	assert_int_equal(facts_of(CHANNEL("com.redhat.spice.0", "")).agent,
			AGENT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_living_and_dead),
		cmocka_unit_test(test_states_cut_short),
		cmocka_unit_test(test_without_state),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_socket_elsewhere),
		cmocka_unit_test(test_guest_directory),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_job_xml),
		cmocka_unit_test(test_guest_xml),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
