// SPDX-License-Identifier: GPL-2.0-only
/*
 * A heap of small values under Debian's libjemalloc, as redis-server has it.  Prints page
 * tables and memory of the process when the heap is full, and after values were deleted in
 * random order and all that is free was given back.  That is what MEMORY PURGE of redis
 * does; with the defaults of MALLOC_CONF it is MADV_DONTNEED.
 *
 *	jemalloc MB ALL FEW NONE VOID
 *
 * The words are X of the lines for "make bench": all values are there; one of KEPT; none;
 * and none in the cache of the thread either, where jemalloc keeps some that were freed.
 *
 * This is no part of bench.c, for libjemalloc.a would replace malloc() there.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file.h"

/* Of libjemalloc; 4096 is MALLCTL_ARENAS_ALL */
int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t len);

enum {
	LEAST	= 16,		/* bytes of a value */
	MOST	= 512,
	KEPT	= 1000,
};

static char **value;
static size_t count;

static void die(const char *what)
{
	printf("error: bench jemalloc: ");
	fflush(stdout);
	perror(what);
	exit(1);
}

/* random() gives the same in each run. */
static size_t below(size_t limit)
{
	return ((uint64_t)random() << 31 | random()) % limit;
}

static void report(const char *x)
{
	printf("bench,jemalloc,%s,%ld,kB,1\n", x, number_in("/proc/self/status", "VmPTE"));
	printf("bench,jemalloc,%s,%ld,RSS,1\n", x, number_in("/proc/self/status", "VmRSS"));
	fflush(stdout);
}

static void fill(size_t bytes)
{
	size_t len, done;

	value = mmap(NULL, bytes / LEAST * sizeof(*value), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (value == MAP_FAILED)
		die("mmap");
	for (done = 0; done < bytes; done += len) {
		len = LEAST + below(MOST - LEAST + 1);
		value[count] = malloc(len);
		if (!value[count])
			die("malloc");
		memset(value[count++], 1, len);
	}
}

static void shuffle(void)
{
	for (size_t i = count - 1; i; i--) {
		size_t other = below(i + 1);
		char *v = value[i];

		value[i] = value[other];
		value[other] = v;
	}
}

static void command(const char *name)
{
	if (mallctl(name, NULL, NULL, NULL, 0))
		die(name);
}

/* All but so many of them */
static void delete(size_t rest)
{
	while (count > rest)
		free(value[--count]);
	command("arena.4096.purge");
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;
	fill(strtoul(argv[1], NULL, 10) << 20);
	report(argv[2]);
	shuffle();
	delete(count / KEPT);
	report(argv[3]);
	delete(0);
	report(argv[4]);
	command("thread.tcache.flush");
	delete(0);
	report(argv[5]);
	return 0;
}
