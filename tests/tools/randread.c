/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * randread FILE SECONDS [SEED]: one thread reads 4 KiB at random places within
 * the data of FILE (as SEEK_DATA tells it; or within RANGES, the file whose map
 * is used instead) and prints reads per second. The order depends on SEED
 * alone, so two runs read the same places.
 *
 *	randread [--map RANGES] FILE SECONDS [SEED]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

struct range {
	off_t start, blocks;
};

struct map {
	struct range *ranges;
	size_t count;
	off_t blocks;
};

static void die(const char *what)
{
	fprintf(stderr, "randread: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The whole blocks of each data range. */
static void map_data(struct map *map, const char *path)
{
	int fd = open(path, O_RDONLY);
	off_t at = 0, end;
	if (fd < 0)
		die(path);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			die(path);
		map->ranges = reallocarray(map->ranges, map->count + 1,
				sizeof(*map->ranges));
		if (map->ranges == NULL)
			die("memory");
		map->ranges[map->count].start =
				(at + BLOCK - 1) / BLOCK * BLOCK;
		map->ranges[map->count].blocks =
				(end - map->ranges[map->count].start) / BLOCK;
		if (map->ranges[map->count].blocks > 0)
			map->blocks += map->ranges[map->count++].blocks;
		at = end;
	}
	close(fd);
	if (map->blocks == 0) {
		fprintf(stderr, "randread: %s: no data\n", path);
		exit(1);
	}
}

static off_t map_offset(const struct map *map, off_t block)
{
	for (size_t i = 0; i < map->count; i++) {
		if (block < map->ranges[i].blocks)
			return map->ranges[i].start + block * BLOCK;
		block -= map->ranges[i].blocks;
	}
	return 0;
}

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
	uint64_t z = *s += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

int main(int argc, char **argv)
{
	const char *ranges = NULL;
	struct map m = { 0 };
	uint64_t seed = 1;
	unsigned long reads = 0;
	double start, seconds, limit;
	char buf[BLOCK];
	int fd;
	if (argc > 3 && strcmp(argv[1], "--map") == 0) {
		ranges = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 3 || argc > 4) {
		fprintf(stderr,
				"Usage: randread [--map RANGES] FILE SECONDS "
				"[SEED]\n");
		return 2;
	}
	limit = strtod(argv[2], NULL);
	if (argc == 4)
		seed = strtoull(argv[3], NULL, 10);
	map_data(&m, ranges != NULL ? ranges : argv[1]);
	fd = open(argv[1], O_RDONLY);
	if (fd < 0)
		die(argv[1]);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	start = now();
	do {
		off_t at = map_offset(&m,
				next_random(&seed) % (uint64_t)m.blocks);
		if (pread(fd, buf, BLOCK, at) != BLOCK)
			die(argv[1]);
		reads++;
		seconds = now() - start;
	} while (seconds < limit);
	printf("%.0f\n", reads / seconds);
	close(fd);
	free(m.ranges);
	return 0;
}
