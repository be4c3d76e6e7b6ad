/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether keys can be kept out of swap. Tried, as limits alone do not tell. */
#include <pwd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checks.h"
#include "repo/base/units.h"

#define NEEDED (256 * KIB) /* keys, passphrases, and what guards them */

static bool can_lock(void)
{
	void *p = mmap(NULL, NEEDED, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	bool done = mlock(p, NEEDED) == 0;
	munmap(p, NEEDED);
	return done;
}

void check_memory_lock(struct doctor *doctor)
{
	char limit[SIZE_TEXT_MAX];
	struct rlimit rlimit = { 0, 0 };
	if (can_lock()) {
		doctor_found(doctor, DOCTOR_OK, "memory lock",
				"keys can be locked into memory, so they are "
				"never written to swap");
		return;
	}
	getrlimit(RLIMIT_MEMLOCK, &rlimit);
	const struct passwd *user = getpwuid(geteuid());
	doctor_found(doctor, DOCTOR_WARNING, "memory lock",
			"this user may lock %s of memory, keys need more",
			size_format(limit, rlimit.rlim_cur));
	doctor_means(doctor,
			"The key may be written to swap, and be found there "
			"later. As root, then log in again:");
	doctor_command(doctor,
			"echo '%s - memlock 8192' "
			">/etc/security/limits.d/amberfs.conf",
			user != NULL ? user->pw_name : "*");
}
