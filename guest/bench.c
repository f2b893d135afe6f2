// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workloads of "make bench".  Each runs in a process of its own and prints
 *
 *   bench,NAME,X,VALUE,UNIT,REPEAT	one measurement
 *   skip,NAME,REASON			cannot be measured here
 *
 * X is what the workload is measured against: CPUs, huge pages, pages, MB.
 * Times and counts come from different repeats, for the tracepoints that count
 * take time.  A kernel without them still gets its times.
 *
 * Kernel command line: ptwalk.bench=NAME[,NAME...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "file.h"
#include "mm.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	4U
#endif

#define FAULT		"/sys/kernel/debug/fail_page_alloc/"
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum {
	COUNTED		= 3,		/* repeats that count */
	BATCH		= 128,		/* calls of what is too short for one */
	PROCESSES	= 24,		/* of a storm */
	PROCESS_KB	= 512,		/* what each of them touches */
	CALLS		= 1000,		/* of a histogram */
	CALL_PAGES	= 64,		/* most of one such call */
	SETTLE_US	= 2000,		/* for other CPUs to go to sleep */
};

/*
 * Alone in the range of a top-level table, aligned to all huge pages.  The heap
 * may begin at 1 TB (powerpc, hash).
 */
#define AREA		((char *)(1UL << 42))

/**
 * struct workload - what is measured
 * @name: of the workload
 * @setup: once for each process, may skip
 * @prepare: before each repeat
 * @op: what is measured
 * @cleanup: after each repeat
 * @run: instead of all these
 * @sizes: against which it is measured, up to 0; NULL: number of CPUs
 * @calls: how many there are in one @op, 0 for one
 * @repeats: how many are timed
 * @crowd: there are threads on all CPUs
 * @counted: interrupts are counted
 */
struct workload {
	const char *name;
	void (*setup)(void);
	void (*prepare)(void);
	void (*op)(void);
	void (*cleanup)(void);
	void (*run)(void);
	const long *sizes;
	int calls;
	int repeats;
	bool crowd;
	bool counted;
};

static const struct workload *current;
static long nr_cpus, page_size, hpage_size, size;

/* ---------------------------------------------------------------- basics */

/* A line at a time: the kernel's verdict channel is no terminal. */
__attribute__((format(printf, 1, 2)))
static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(1, line, len) != len)
		_exit(1);
}

__attribute__((noreturn))
static void die(const char *what)
{
	say("error: bench %s: %s: %s\n", current ? current->name : "",
	    what, strerror(errno));
	_exit(1);
}

__attribute__((noreturn))
static void skip(const char *reason)
{
	say("skip,%s,%s\n", current->name, reason);
	_exit(0);
}

static void result_of(const char *x, double value, const char *unit, int repeat)
{
	say("bench,%s,%s,%.6g,%s,%d\n", current->name, x, value, unit, repeat);
}

static void result(long x, double value, const char *unit, int repeat)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", x);
	result_of(text, value, unit, repeat);
}

static long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void map(char *addr, size_t len)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != addr)
		die("mmap");
}

static void unmap(char *addr, size_t len)
{
	if (munmap(addr, len))
		die("munmap");
}

static void touch(char *addr, size_t len, size_t step)
{
	for (size_t i = 0; i < len; i += step)
		((volatile char *)addr)[i] = 1;
}

/* ------------------------------------------- threads that use the same mm */

struct thread {
	int cpu;
	sem_t go;
};

static struct thread *crowd;
static sem_t done;

/* Uses the address space, so that its CPU is one to be told of changes. */
static void *thread_fn(void *arg)
{
	struct thread *thread = arg;

	run_on(thread->cpu);
	for (;;) {
		(void)*(volatile long *)&size;
		sem_post(&done);
		while (sem_wait(&thread->go))
			;
	}
	return NULL;
}

static void wait_for_crowd(void)
{
	for (int i = 1; i < nr_cpus; i++)
		while (sem_wait(&done))
			;
	usleep(SETTLE_US);
}

static void start_crowd(void)
{
	pthread_attr_t attr;
	pthread_t id;

	crowd = calloc(nr_cpus, sizeof(*crowd));
	sem_init(&done, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024 + page_size);
	for (int i = 1; i < nr_cpus; i++) {
		crowd[i].cpu = i;
		sem_init(&crowd[i].go, 0, 0);
		errno = pthread_create(&id, &attr, thread_fn, &crowd[i]);
		if (errno)
			die("pthread_create");
	}
	wait_for_crowd();
}

/* An idle CPU leaves the address space after a while. */
static void rouse_crowd(void)
{
	if (!crowd)
		return;
	for (int i = 1; i < nr_cpus; i++)
		sem_post(&crowd[i].go);
	wait_for_crowd();
}

/* ----------------------------------------------------- counting interrupts */

static void count_start(void)
{
	if (!calls_start(false))
		die("trace events");
}

/* @one_cpu is the last CPU. */
static struct calls count_stop(void)
{
	struct calls c;

	if (!calls_stop(&c, nr_cpus - 1))
		die("trace events");
	return c;
}

/* -------------------------------------------------------------- measuring */

static void call(void (*fn)(void))
{
	if (fn)
		fn();
}

static void prepare(const struct workload *w)
{
	call(w->prepare);
	rouse_crowd();
}

static void measure_time(const struct workload *w, long x, int repeat)
{
	long start, took;

	prepare(w);
	start = now();
	w->op();
	took = now() - start;
	call(w->cleanup);
	if (repeat)	/* the first one warms up */
		result(x, (double)took / (w->calls ?: 1), "ns", repeat);
}

static void measure_counts(const struct workload *w, long x, int repeat)
{
	struct calls c;

	prepare(w);
	count_start();
	w->op();
	c = count_stop();
	call(w->cleanup);
	result(x, c.walkers, "walkers", repeat);
	result(x, c.tlb, "shootdown", repeat);
	if (calls_have_tlbie())
		result(x, c.tlbie, "tlbie", repeat);
}

static void measure(const struct workload *w, long x)
{
	int i;

	for (i = 0; i <= w->repeats; i++)
		measure_time(w, x, i);
	for (i = 1; w->counted && calls_can_be_counted() && i <= COUNTED; i++)
		measure_counts(w, x, i);
}

/* --------------------------------------------------------------- collapse */

static void need_thp(void)
{
	if (hpage_size <= 0)
		skip("no transparent huge pages");
}

static void map_small(void)
{
	map(AREA, hpage_size);
	touch(AREA, hpage_size, page_size);
}

static void collapse(void)
{
	if (madvise(AREA, hpage_size, MADV_COLLAPSE))
		die("MADV_COLLAPSE");
}

static void unmap_one(void)
{
	unmap(AREA, hpage_size);
}

/* ------------------------------------- munmap without memory for a batch */

/* The tables above it are in use; so only its own table is freed. */
#define LONE_TABLE	(AREA + 2 * hpage_size)

static void fail_batches(void)
{
	static const char * const setting[][2] = {
		{ "task-filter", "Y" }, { "ignore-gfp-wait", "Y" },
		{ "min-order", "0" }, { "interval", "1" }, { "space", "0" },
		{ "verbose", "0" }, { "times", "-1" }, { "probability", "100" },
	};
	char path[128];

	need_thp();
	for (size_t i = 0; i < ARRAY_SIZE(setting); i++) {
		snprintf(path, sizeof(path), FAULT "%s", setting[i][0]);
		if (!write_file(path, setting[i][1]))
			skip("no fail_page_alloc in this kernel");
	}
	map(AREA, page_size);
	touch(AREA, page_size, page_size);
}

static void make_it_fail(const char *on)
{
	if (!write_file("/proc/self/make-it-fail", on))
		die("make-it-fail");
}

static void map_lone_table(void)
{
	map(LONE_TABLE, page_size);
	touch(LONE_TABLE, page_size, page_size);
	make_it_fail("1");
}

static void unmap_lone_table(void)
{
	unmap(LONE_TABLE, page_size);
}

static void let_succeed(void)
{
	make_it_fail("0");
}

/* --------------------------------------------- hugetlb PMD table unshared */

#define PUD_SIZE	(1UL << 30)

static int huge_fd;

static void map_shared(char *addr)
{
	if (mmap(addr, PUD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED |
		 MAP_NORESERVE | MAP_FIXED_NOREPLACE, huge_fd, 0) != addr)
		die("mmap of hugetlb");
	touch(addr, 1, 1);
}

static void share_first(void)
{
#ifndef SHARES_PMD_TABLES
	skip("no PMD tables are shared on this architecture");
#endif
	write_file("/proc/sys/vm/nr_hugepages", "4");
	huge_fd = memfd_create("bench", MFD_HUGETLB);
	if (huge_fd < 0 || ftruncate(huge_fd, PUD_SIZE))
		die("memfd of hugetlb");
	map_shared(AREA);
}

static void share_second(void)
{
	map_shared(AREA + PUD_SIZE);
}

static void unshare_second(void)
{
	unmap(AREA + PUD_SIZE, PUD_SIZE);
}

/* ------------------------------------ munmap and MADV_DONTNEED by size */

static const long huge_pages[] = { 1, 4, 16, 64, 256, 0 };
static const long small_pages[] = { 1, 8, 64, 512, 0 };

static void fits(size_t len)
{
	long kb = number_in("/proc/meminfo", "MemAvailable");

	if (kb < 0 || len / 1024 > (size_t)kb / 4 * 3)
		skip("not enough memory for the larger sizes");
}

static void map_huge(void)
{
	size_t len = size * hpage_size;

	fits(len);
	map(AREA, len);
	if (madvise(AREA, len, MADV_HUGEPAGE))
		die("MADV_HUGEPAGE");
	touch(AREA, len, hpage_size);
}

static void unmap_huge(void)
{
	unmap(AREA, size * hpage_size);
}

static void dontneed_huge(void)
{
	if (madvise(AREA, size * hpage_size, MADV_DONTNEED))
		die("MADV_DONTNEED");
}

static void map_pages(void)
{
	map(AREA, size * page_size);
	touch(AREA, size * page_size, page_size);
}

static void unmap_pages(void)
{
	unmap(AREA, size * page_size);
}

static void dontneed_pages(void)
{
	if (madvise(AREA, size * page_size, MADV_DONTNEED))
		die("MADV_DONTNEED");
}

/* ------------------------------------- memory that is given back in pieces */

#define HEAP		(256L << 20)
#define BLOCK		(64L << 10)

static const long piece_kb[] = { 64, 256, 1024, 0 };

static void map_heap(void)
{
	map(AREA, HEAP);
	if (madvise(AREA, HEAP, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("MADV_NOHUGEPAGE");
}

static void unmap_heap(void)
{
	unmap(AREA, HEAP);
}

static void give_piece_back(char *addr, size_t len)
{
	if (madvise(addr, len, MADV_DONTNEED))
		die("MADV_DONTNEED");
}

/* The same piece, which has a table of its own */
static void use_again(void)
{
	for (int i = 0; i < CALLS; i++) {
		touch(AREA, BLOCK, page_size);
		give_piece_back(AREA, BLOCK);
	}
}

/* One piece after the other, of which one page was used */
static void use_pieces(void)
{
	char *addr = AREA;

	for (int i = 0; i < BATCH; i++, addr += size << 10) {
		touch(addr, 1, 1);
		give_piece_back(addr, size << 10);
	}
}

static void allow_huge(const char *when)
{
	if (!write_file("/sys/kernel/mm/transparent_hugepage/enabled", when))
		die("enabled");
}

/*
 * What is resident of a heap that was given back, in pieces or as a whole, and is
 * used at one byte in each huge page then.  With "always", all of it, unless tables are
 * in the way.  In two turns: the even pieces, and then the odd ones.
 */
static void come_back(void)
{
	static const struct {
		const char *x, *thp;
		long step, turns;
	} ways[] = {
		{ "64",		"always",  64L << 10,	1 },
		{ "64-odd",	"always",  64L << 10,	2 },
		{ "64-madvise",	"madvise", 64L << 10,	2 },
		{ "1024",	"always",  1L << 20,	1 },
		{ "16384",	"always",  16L << 20,	1 },
	};
	long before;

	need_thp();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		long step = ways[i].step, stride = step * ways[i].turns;

		allow_huge("never");
		map(AREA, HEAP);
		touch(AREA, HEAP, page_size);
		allow_huge(ways[i].thp);
		for (long first = 0; first < stride; first += step)
			for (long done = first; done < HEAP; done += stride)
				give_piece_back(AREA + done, step);
		before = number_in("/proc/self/status", "VmRSS");
		touch(AREA, HEAP, hpage_size);
		result_of(ways[i].x, number_in("/proc/self/status", "VmRSS") - before,
			  "RSS", 1);
		unmap(AREA, HEAP);
	}
	allow_huge("madvise");
}

/* ---------------------------------------- a real allocator's small values */

#define JEMALLOC	"/lib/ptwalk/jemalloc"

/* It prints its results itself. */
static void run_jemalloc(char *words[], bool huge)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		/* At the same addresses in each run */
		if (personality(ADDR_NO_RANDOMIZE) < 0)
			die("personality");
		if (!huge && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
			die("PR_SET_THP_DISABLE");
		execv(words[0], words);
		die(JEMALLOC ", which needs libjemalloc-dev");
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		_exit(1);
}

/* Debian's kernel allows huge pages everywhere; redis-server does not, for itself. */
static void real_allocator(void)
{
	static char *words[] = { JEMALLOC, "400", "all", "few", "none", "void", NULL };
	static char *words_thp[] = { JEMALLOC, "400", "all-thp", "few-thp",
				     "none-thp", "void-thp", NULL };

	need_thp();
	fits(400UL << 20);
	allow_huge("always");
	run_jemalloc(words, false);
	run_jemalloc(words_thp, true);
	allow_huge("madvise");
}

/* -------------------------------------------------------------- histogram */

/* Numerical Recipes' generator: the same sizes in each run. */
static uint32_t state = 1;

static unsigned int random_pages(void)
{
	state = state * 1664525 + 1013904223;
	return 1 + (state >> 16) % CALL_PAGES;
}

static long timed_munmap(void)
{
	size_t len = random_pages() * page_size;
	long start;

	map(AREA, len);
	touch(AREA, len, page_size);
	start = now();
	unmap(AREA, len);
	return now() - start;
}

/* X is the lower end of the bucket, in ns. */
static void munmap_histogram(void)
{
	long bucket[63] = { 0 }, ns;
	int i;

	for (i = 0; i < CALLS; i++) {
		ns = timed_munmap();
		bucket[ns > 0 ? 63 - __builtin_clzl(ns) : 0]++;
	}
	for (i = 0; i < 63; i++)
		if (bucket[i])
			result(1L << i, bucket[i], "calls", 1);
}

/* The same calls, with all that RCU does for them meanwhile. */
static void churn(void)
{
	state = 1;
	for (int i = 0; i < CALLS; i++)
		timed_munmap();
}

/* -------------------------------------------------- fork-exec-exit storm */

static void become_short_process(void)
{
	execl("/proc/self/exe", "bench", "--process", NULL);
	_exit(127);
}

static int short_process(void)
{
	size_t len = PROCESS_KB * 1024;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	touch(p, len, 4096);
	return 0;
}

static void reap(void)
{
	int status;

	if (wait(&status) < 0 || status)
		die("a process of the storm");
}

static void free_affinity(void)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
}

/* As many at a time as there are CPUs, as of "make -j". */
static void storm(void)
{
	int i, running = 0;

	for (i = 0; i < PROCESSES; i++, running++) {
		for (; running >= nr_cpus; running--)
			reap();
		switch (fork()) {
		case -1:
			die("fork");
		case 0:
			become_short_process();
		}
	}
	while (running--)
		reap();
}

/* ------------------------------------------------------- GUP-fast by futex */

static int *shared_word;

static void map_word(void)
{
	shared_word = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared_word == MAP_FAILED)
		die("mmap of shared memory");
	*shared_word = 1;
}

/* The key of a shared futex is its page, found by GUP-fast. */
static void wake_nobody(void)
{
	for (int i = 0; i < BATCH; i++)
		if (syscall(SYS_futex, shared_word, FUTEX_WAKE, 1, NULL, NULL, 0))
			die("FUTEX_WAKE");
}

/* -------------------------------------- a CPU that runs something else */

static void spin_elsewhere(void)
{
	run_on(nr_cpus - 1);
	/* No hint that it waits: QEMU would leave its CPU each time. */
	for (;;)
		asm volatile("" ::: "memory");
}

static void change_tables(void)
{
	collapse();
	unmap_lone_table();
}

/* How often a CPU is interrupted that has no part in the address space. */
static void isolated(void)
{
	struct calls c;
	pid_t pid;
	int i;

	if (nr_cpus < 2 || !calls_can_be_counted())
		skip("needs a second CPU and tracepoints");
	fail_batches();
	unmap(AREA, page_size);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		spin_elsewhere();
	/* Instructions of a CPU that spins take time of all. */
	kill(pid, SIGSTOP);
	for (i = 1; i <= COUNTED; i++) {
		map_small();
		map_lone_table();
		count_start();
		kill(pid, SIGCONT);
		change_tables();
		kill(pid, SIGSTOP);
		c = count_stop();
		let_succeed();
		unmap_one();
		result(nr_cpus, c.one_cpu, "interrupts", i);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ------------------------------------------------------ page-table memory */

/* What a process is left with that gave back all it touched. */
static void table_memory(void)
{
	static const long megabytes[] = { 256, 1024, 4096 };
	size_t chunk = hpage_size, done_bytes = 0, i;

	need_thp();
	map(AREA, megabytes[ARRAY_SIZE(megabytes) - 1] << 20);
	for (i = 0; i < ARRAY_SIZE(megabytes); i++) {
		for (; done_bytes < (size_t)megabytes[i] << 20; done_bytes += chunk) {
			touch(AREA + done_bytes, page_size, page_size);
			if (madvise(AREA + done_bytes, chunk, MADV_DONTNEED))
				die("MADV_DONTNEED");
		}
		result(megabytes[i], number_in("/proc/self/status", "VmPTE"),
		       "kB", 1);
	}
}

/* ------------------------------------------------------------------- main */

static const struct workload workloads[] = {
	{
		.name = "collapse", .repeats = 15, .crowd = true, .counted = true,
		.setup = need_thp, .prepare = map_small, .op = collapse,
		.cleanup = unmap_one,
	}, {
		.name = "fallback", .repeats = 25, .crowd = true, .counted = true,
		.setup = fail_batches, .prepare = map_lone_table,
		.op = unmap_lone_table, .cleanup = let_succeed,
	}, {
		.name = "unshare", .repeats = 25, .crowd = true, .counted = true,
		.setup = share_first, .prepare = share_second,
		.op = unshare_second,
	}, {
		.name = "munmap", .repeats = 7, .crowd = true, .counted = true,
		.setup = need_thp, .prepare = map_huge, .op = unmap_huge,
		.sizes = huge_pages,
	}, {
		.name = "dontneed", .repeats = 7, .crowd = true, .counted = true,
		.setup = need_thp, .prepare = map_huge, .op = dontneed_huge,
		.cleanup = unmap_huge, .sizes = huge_pages,
	}, {
		.name = "munmap_small", .repeats = 25, .crowd = true,
		.counted = true, .prepare = map_pages, .op = unmap_pages,
		.sizes = small_pages,
	}, {
		.name = "dontneed_small", .repeats = 25, .crowd = true,
		.counted = true, .prepare = map_pages, .op = dontneed_pages,
		.cleanup = unmap_pages, .sizes = small_pages,
	}, {
		.name = "again", .repeats = 3, .calls = CALLS,
		.prepare = map_heap, .op = use_again, .cleanup = unmap_heap,
	}, {
		.name = "pieces", .repeats = 7, .calls = BATCH,
		.prepare = map_heap, .op = use_pieces, .cleanup = unmap_heap,
		.sizes = piece_kb,
	}, {
		.name = "churn", .repeats = 7, .calls = CALLS, .op = churn,
	}, {
		.name = "fork", .repeats = 7, .calls = PROCESSES,
		.setup = free_affinity, .op = storm,
	}, {
		.name = "futex", .repeats = 25, .calls = BATCH,
		.setup = map_word, .op = wake_nobody,
	},
	{ .name = "comeback", .run = come_back },
	{ .name = "jemalloc", .run = real_allocator },
	{ .name = "latency", .run = munmap_histogram },
	{ .name = "isolated", .run = isolated },
	{ .name = "tables", .run = table_memory },
};

static void run_here(const struct workload *w)
{
	current = w;
	run_on(0);
	call(w->setup);
	if (w->crowd)
		start_crowd();
	if (w->run)
		return w->run();
	if (!w->sizes)
		return measure(w, nr_cpus);
	for (int i = 0; w->sizes[i]; i++) {
		size = w->sizes[i];
		measure(w, size);
	}
}

static bool run(const char *name)
{
	int status = 0;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		if (strcmp(name, workloads[i].name))
			continue;
		pid = fork();
		if (!pid) {
			run_here(&workloads[i]);
			_exit(0);
		}
		return waitpid(pid, &status, 0) == pid && !status;
	}
	say("error: bench has no workload '%s'\n", name);
	return false;
}

static char *wanted(void)
{
	static char line[4096];
	char *names = NULL, *p;
	FILE *f = fopen("/proc/cmdline", "re");

	if (f && fgets(line, sizeof(line), f))
		for (p = strtok(line, " \n"); p; p = strtok(NULL, " \n"))
			if (!strncmp(p, "ptwalk.bench=", 13))
				names = p + 13;
	if (f)
		fclose(f);
	return names;
}

static bool count_cpus(void)
{
	long all = sysconf(_SC_NPROCESSORS_CONF);

	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_cpus != all)
		say("error: bench: %ld of %ld CPUs are online\n", nr_cpus, all);
	return nr_cpus == all;
}

int main(int argc, char **argv)
{
	char *names, *name;
	int failed = 0;

	if (argc > 1 && !strcmp(argv[1], "--process"))
		return short_process();
	names = wanted();
	if (!names) {
		say("error: bench: no ptwalk.bench=NAME on the kernel command line\n");
		return 2;
	}
	if (!count_cpus())
		return 2;
	page_size = sysconf(_SC_PAGESIZE);
	hpage_size = thp_size();
	for (name = strtok(names, ","); name; name = strtok(NULL, ","))
		failed += !run(name);
	return !!failed;
}
