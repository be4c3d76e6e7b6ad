/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz_X FILE|DIRECTORY…: runs a fuzz entry on the files, in builds without
 * libFuzzer. Prints how many there were; an entry that finds something aborts,
 * after the file's name was told.
 *
 * No input may make a decoder allocate more than 64 MiB: so much address space
 * is left to the process (but not with a sanitizer, whose own use is larger).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "repo/base/bytes.h"

#define ROOM ((rlim_t)64 << 20)
#define INPUT_MAX ((off_t)32 << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static const char *current = "none";

static void die(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(2);
}

/* abort() raises SIGABRT, a crash SIGSEGV, SIGBUS …: say which file did it. */
static void told(int signal)
{
	static const char text[] = "this input breaks the decoder: ";
	(void)!write(2, text, sizeof(text) - 1);
	(void)!write(2, current, strlen(current));
	(void)!write(2, "\n", 1);
	(void)signal; /* SA_RESETHAND: returning ends the process */
}

static void tell_on_crash(void)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE,
		SIGILL };
	struct sigaction action = { .sa_handler = told,
		.sa_flags = (int)SA_RESETHAND };
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

static void bound_memory(void)
{
#ifndef SANITIZED
	char line[128];
	FILE *f = fopen("/proc/self/statm", "re");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		die("/proc/self/statm");
	fclose(f);
	unsigned long pages = strtoul(line, NULL, 10);
	rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + ROOM;
	struct rlimit limit = { most, most };
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		die("setrlimit");
#endif
}

static uint8_t *load(const char *path, off_t size)
{
	/* Exactly as long as the input: reads beyond it are seen by ASan. */
	uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (data == NULL || fd < 0 || read(fd, data, (size_t)size) != size)
		die(path);
	close(fd);
	return data;
}

static unsigned run_path(const char *path);

static unsigned run_directory(const char *path)
{
	struct dirent **list;
	unsigned count = 0;
	int n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		char *below;
		if (list[i]->d_name[0] != '.') {
			if (asprintf(&below, "%s/%s", path, list[i]->d_name)
					< 0)
				die(path);
			count += run_path(below);
			free(below);
		}
		free(list[i]);
	}
	free(list);
	return count;
}

static unsigned run_path(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		die(path);
	if (S_ISDIR(st.st_mode))
		return run_directory(path);
	if (st.st_size > INPUT_MAX) {
		errno = EFBIG;
		die(path);
	}
	uint8_t *data = load(path, st.st_size);
	current = path;
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
		return 2;
	}
	fuzz_seal(false);
	fuzz_seal(true);
	tell_on_crash();
	bound_memory();
	for (int i = 1; i < argc; i++)
		count += run_path(argv[i]);
	printf("%u inputs\n", count);
	return count > 0 ? 0 : 1;
}
