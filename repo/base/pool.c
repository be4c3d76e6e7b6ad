/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Worker threads over a ring of jobs. Jobs start in the order in which they
 * were queued. A job must not submit to its own pool when that may be full
 * (pool_submit would wait for itself); pool_try is safe there.
 *
 * All signals but those of faults are blocked in the workers, so a program's
 * handlers run in its main thread.
 */
#include "pool.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

struct queued {
	pool_job *job;
	void *arg;
};

struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t work; /* something was queued, or the end came */
	pthread_cond_t room; /* a place in the ring became free */
	pthread_cond_t idle; /* nothing queued or running */
	struct queued *ring GUARDED_BY(mutex);
	unsigned size GUARDED_BY(mutex);
	unsigned first GUARDED_BY(mutex);
	unsigned count GUARDED_BY(mutex);
	unsigned running GUARDED_BY(mutex);
	bool ending GUARDED_BY(mutex);
	/* set up once */
	pthread_t *threads;
	unsigned thread_count;
};

static void *worker(void *arg)
{
	struct pool *pool = arg;
	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		while (pool->count == 0 && !pool->ending)
			pthread_cond_wait(&pool->work, &pool->mutex);
		if (pool->count == 0)
			break;
		struct queued q = pool->ring[pool->first];
		pool->first = (pool->first + 1) % pool->size;
		pool->count--;
		pool->running++;
		pthread_cond_signal(&pool->room);
		pthread_mutex_unlock(&pool->mutex);
		q.job(q.arg);
		pthread_mutex_lock(&pool->mutex);
		if (--pool->running == 0 && pool->count == 0)
			pthread_cond_broadcast(&pool->idle);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

static bool start_threads(struct pool *pool, unsigned threads)
{
	sigset_t blocked, before;
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	while (pool->thread_count < threads
			&& pthread_create(&pool->threads[pool->thread_count],
					   NULL, worker, pool)
					== 0)
		pool->thread_count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool->thread_count == threads;
}

struct pool *pool_new(unsigned threads, unsigned queue_max)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->room, NULL);
	pthread_cond_init(&pool->idle, NULL);
	if (threads == 0)
		threads = 1;
	pool->size = queue_max == 0 ? 1 : queue_max;
	pool->ring = calloc(pool->size, sizeof(*pool->ring));
	pool->threads = calloc(threads, sizeof(*pool->threads));
	if (pool->ring == NULL || pool->threads == NULL
			|| !start_threads(pool, threads)) {
		pool_free(pool);
		return NULL;
	}
	return pool;
}

void pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	not_shared(&pool->mutex);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->room);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->mutex);
	free(pool->threads);
	free(pool->ring);
	free(pool);
}

/* There is room. */
static void enqueue(struct pool *pool, pool_job *job, void *arg)
		REQUIRES(pool->mutex)
{
	pool->ring[(pool->first + pool->count) % pool->size] =
			(struct queued){ job, arg };
	pool->count++;
	pthread_cond_signal(&pool->work);
}

bool pool_try(struct pool *pool, pool_job *job, void *arg)
{
	LOCK_SCOPE(&pool->mutex);
	if (pool->count == pool->size)
		return false;
	enqueue(pool, job, arg);
	return true;
}

void pool_submit(struct pool *pool, pool_job *job, void *arg)
{
	LOCK_SCOPE(&pool->mutex);
	while (pool->count == pool->size)
		pthread_cond_wait(&pool->room, &pool->mutex);
	enqueue(pool, job, arg);
}

void pool_drain(struct pool *pool)
{
	LOCK_SCOPE(&pool->mutex);
	while (pool->count > 0 || pool->running > 0)
		pthread_cond_wait(&pool->idle, &pool->mutex);
}

/* --- processors --- */

static unsigned processors_affine(void)
{
	/* The kernel rejects a set smaller than its own: grow until it fits. */
	for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		size_t size = CPU_ALLOC_SIZE((size_t)cpus);
		if (set == NULL)
			break;
		int err = sched_getaffinity(0, size, set);
		int n = err == 0 ? CPU_COUNT_S(size, set) : 0;
		CPU_FREE(set);
		if (n > 0)
			return (unsigned)n;
	}
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	bool ok = fgets(line, (int)size, f) != NULL;
	fclose(f);
	return ok;
}

/* Whole processors of a quota, rounded up; 0: none. */
static unsigned quota_processors(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	long long n = quota / period + (quota % period != 0);
	return n > 1 << 20 ? 0 : (unsigned)n;
}

/* The number that a file starts with, and after it perhaps a second one;
 * false for anything else ("max 100000" in version 2). */
static bool read_numbers(const char *directory, const char *file,
		long long *first, long long *second)
{
	char path[4352], line[128], *end;
	snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (!read_line(path, line, sizeof(line)))
		return false;
	*first = strtoll(line, &end, 10);
	if (end == line)
		return false;
	if (second != NULL)
		*second = strtoll(end, NULL, 10);
	return true;
}

static unsigned quota_at(const char *directory, bool v2)
{
	long long quota = -1, period = -1;
	bool found = v2 ? read_numbers(directory, "cpu.max", &quota, &period)
			: read_numbers(directory, "cpu.cfs_quota_us", &quota,
					  NULL)
					&& read_numbers(directory,
							"cpu.cfs_period_us",
							&period, NULL);
	return found ? quota_processors(quota, period) : 0;
}

/* The lowest quota of GROUP and its parents, 0 without any. In a container
 * GROUP may name a directory that only the host sees; the walk upwards then
 * still ends at the container's own. */
static unsigned quota_of_group(const char *root, const char *group, bool v2)
{
	char directory[4224];
	unsigned least = 0;
	int len = snprintf(directory, sizeof(directory), "%s%s", root, group);
	if (len < 0 || (size_t)len >= sizeof(directory))
		return 0;
	for (;;) {
		unsigned n = quota_at(directory, v2);
		if (n > 0 && (least == 0 || n < least))
			least = n;
		char *slash = strrchr(directory, '/');
		if (slash == NULL || slash < directory + strlen(root))
			return least;
		*slash = '\0';
	}
}

/* True if the comma-separated LIST has "cpu". */
static bool has_cpu(char *list)
{
	char *rest = NULL;
	for (char *w = strtok_r(list, ",", &rest); w != NULL;
			w = strtok_r(NULL, ",", &rest))
		if (strcmp(w, "cpu") == 0)
			return true;
	return false;
}

/* LINE is "0::/group" (version 2) or "4:cpu,cpuacct:/group" (version 1). */
static unsigned quota_of_line(char *line)
{
	char *list = strchr(line, ':');
	char *group = list == NULL ? NULL : strchr(list + 1, ':');
	if (group == NULL)
		return 0;
	*list++ = '\0';
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (list[0] == '\0' && strcmp(line, "0") == 0)
		return quota_of_group("/sys/fs/cgroup", group, true);
	return has_cpu(list)
			? quota_of_group("/sys/fs/cgroup/cpu", group, false)
			: 0;
}

static unsigned processors_quota(void)
{
	char line[4200];
	unsigned least = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned n = quota_of_line(line);
		if (n > 0 && (least == 0 || n < least))
			least = n;
	}
	fclose(f);
	return least;
}

unsigned pool_processors(void)
{
	unsigned n = processors_affine();
	unsigned quota = processors_quota();
	return quota > 0 && quota < n ? quota : n;
}
