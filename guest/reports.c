// SPDX-License-Identifier: GPL-2.0-only
/*
 * What others have reported of page tables and TLB flushes, one small case for each:
 * system calls that race with MADV_DONTNEED, exit, swap and NUMA hinting, and what
 * they cost other CPUs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "ext4.h"
#include "file.h"
#include "mm.h"
#include "suite.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

#define BASE		((char *)(1UL << 42))	/* far from the heap */
#define SPAN		(16UL << 20)	/* what a table of any MMU maps, or more */
#define MEGABYTE	(1UL << 20)
#define GIGABYTE	(1UL << 30)
#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

#define FULL_SECONDS	60
#define SLOW_SECONDS	30	/* more, on a machine that is too slow to meet a race */

static size_t page_size;

/* What a case is given to do: as in the report if it has that long, otherwise less. */
static long size(long full, long less)
{
	return case_seconds() >= FULL_SECONDS ? full : less;
}

static char *map(size_t len, int advice)
{
	char *p = mmap(BASE, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		       MAP_FIXED | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		fail("mmap: %m");
		return NULL;
	}
	madvise(p, len, advice);
	return p;
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

static bool start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	errno = pthread_create(thread, NULL, fn, arg);
	if (errno)
		fail("pthread_create: %m");
	return !errno;
}

/* --------------------------------------------- fork with shared hugetlb tables */

#define SHARED_GB	16
#define FORKS		64

static volatile char *gigabyte(int i)
{
	return (volatile char *)BASE + i * GIGABYTE;
}

static bool set_hugepages(long nr)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", nr);
	return write_file(NR_HUGEPAGES, text);
}

/* A huge page in each, so that each has a PMD table. */
static bool touch_gigabytes(void)
{
	int fd = memfd_create("ptwalk", MFD_HUGETLB);

	if (fd < 0 || ftruncate(fd, SHARED_GB * GIGABYTE) ||
	    mmap(BASE, SHARED_GB * GIGABYTE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
		fail("hugetlb: %m");
		return false;
	}
	for (int i = 0; i < SHARED_GB; i++) {
		if (fallocate(fd, 0, i * GIGABYTE, 1)) {
			fail("no huge page: %m");
			return false;
		}
		*gigabyte(i) = i;
	}
	close(fd);
	return true;
}

#define NOT_SHARED	2	/* status of a child */

/* A page of the child that one table maps, although the parent maps it, too */
static bool shares_a_table(void)
{
	for (int i = 0; i < SHARED_GB; i++)
		if (times_mapped(gigabyte(i)) == 1)
			return true;
	return false;
}

/* With @look returns whether the child shared a table. */
static bool fork_and_exit(bool look)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		for (int i = 0; i < SHARED_GB; i++)
			if (*gigabyte(i) != i)
				_exit(1);
		_exit(look && !shares_a_table() ? NOT_SHARED : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    (status && (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_SHARED)))
		fail("a child failed (status %#x)", status);
	return !status;
}

#ifdef __x86_64__
static bool flusher_stop;

static void *use_mm(void *unused)
{
	run_on(1);
	while (!__atomic_load_n(&flusher_stop, __ATOMIC_RELAXED))
		;
	return unused;
}

/* Whether the trace shows calls of other CPUs, here TLB flushes */
static bool trace_shows_calls(void)
{
	double end = now() + 20;
	struct calls c = { 0 };
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return true;
	flusher_stop = false;
	if (!start(&thread, use_mm, NULL))
		return false;
	run_on(0);
	while (!c.tlb && now() < end && calls_start(true)) {
		for (int i = 0; i < 50; i++) {
			char *mem = map(page_size, MADV_NOHUGEPAGE);

			if (mem)
				*mem = 1;
			munmap(BASE, page_size);
			usleep(100);
		}
		calls_stop(&c, 0);
	}
	__atomic_store_n(&flusher_stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	run_anywhere();
	return c.tlb > 0;
}
#else
/* TLB flushes are no calls of other CPUs. */
static bool trace_shows_calls(void)
{
	return true;
}
#endif

/*
 * Broken: each exiting process interrupts every CPU, once for each PMD table
 * that it shared.
 */
static void exit_with_shared_tables_waits_for_nobody(void)
{
	long pool = number_in(NR_HUGEPAGES, "");
	bool shared = false;
	struct calls c;

#ifndef SHARES_PMD_TABLES
	return skip("no PMD tables are shared on this architecture");
#endif
	if (!calls_can_be_counted() || !set_hugepages(pool + SHARED_GB) || !touch_gigabytes())
		return fail("cannot be counted: %m");
	if (times_mapped(gigabyte(0)) < 0)
		return fail("/proc/kpagecount: %m");
	for (int i = 0; i < 10 && !shared && !over(); i++)
		shared = fork_and_exit(true);
	if (!shared)
		fail("a child shares no table");
	if (!calls_start(true))
		return fail("tracing: %m");
	for (int i = 0; i < FORKS && !over(); i++)
		fork_and_exit(false);
	if (!calls_stop(&c, 0))
		return fail("tracing: %m");
	printf("    # measure: exit_shared ops=%d sync=%ld tlb=%ld\n", FORKS, c.walkers, c.tlb);
	if (c.walkers)
		fail("%ld CPUs were interrupted to wait for walkers", c.walkers);
	munmap(BASE, SHARED_GB * GIGABYTE);
	set_hugepages(pool);
	if (!over() && !trace_shows_calls())
		fail("the trace shows no TLB flush, so it may lack other calls, too");
}

/* -------------------------------- MADV_DONTNEED against who clears and flushes later */

static struct {
	size_t len;
	uint64_t begun, ended;	/* calls of MADV_DONTNEED */
	uint64_t others;	/* operations that it races with, of the whole machine; so far */
	bool stop;
} racing;

static uint64_t load(uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static bool stopped(void)
{
	return __atomic_load_n(&racing.stop, __ATOMIC_RELAXED);
}

/* Until @end; longer on a machine so slow that the race was not met. */
static bool goes_on(double end)
{
	double time = now();

	return !over() && (time < end || (time < end + SLOW_SECONDS &&
					  (load(&racing.ended) < 3 || !load(&racing.others))));
}

/* Once it was met, the race need not be slowed down any more. */
static void note_others(const char *event, long before)
{
	if (!racing.others || stopped())
		__atomic_store_n(&racing.others, number_in("/proc/vmstat", event) - before,
				 __ATOMIC_SEQ_CST);
}

static void *give_back(void *unused)
{
	run_on(1);
	while (!stopped()) {
		__atomic_add_fetch(&racing.begun, 1, __ATOMIC_SEQ_CST);
		if (madvise(BASE, racing.len, MADV_DONTNEED))
			fail("MADV_DONTNEED: %m");
		__atomic_add_fetch(&racing.ended, 1, __ATOMIC_SEQ_CST);
		usleep(random() % 2000);
	}
	return unused;
}

/*
 * Not by MADV_PAGEOUT: it has an mmu_gather of the mm open, so a zap that runs at the
 * same time flushes the whole mm.
 */
static void *page_out(void *unused)
{
	long before = number_in("/proc/vmstat", "pswpout"), seen = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char text[32];

	/* Not where the thread runs that stores. */
	run_on(2);
	snprintf(text, sizeof(text), "%zu", page_size);
	while (!stopped()) {
		write_file(GROUP "/memory.reclaim", text);
		seen += !!(pagemap_entry(pagemap, BASE) & PM_SWAP);
		note_others("pswpout", before);
	}
	note_others("pswpout", before);
	close(pagemap);
	printf("    # the page was seen swapped out %ld times\n", seen);
	return unused;
}

/*
 * Stores to pages that read as zero, and counts words that are still there although a
 * call of MADV_DONTNEED began after the store and has ended.  Only this thread stores to
 * these words.
 */
static unsigned long count_stale(double end)
{
	static uint64_t begun[512];
	unsigned long stale = 0, n = racing.len / page_size;
	uint64_t ended;
	bool stored;

	n = n > 512 ? 512 : n;
	memset(begun, 0, sizeof(begun));
	while (goes_on(end)) {
		stored = false;
		for (unsigned long i = 0; i < n; i++) {
			volatile uint64_t *word = (uint64_t *)(BASE + i * page_size);

			ended = load(&racing.ended);
			if (*word) {
				stale += ended > begun[i];
				continue;
			}
			*word = 1;
			begun[i] = load(&racing.begun);
			stored = true;
		}
		/* It puts new pages of this CPU on the LRU, where page-out looks. */
		if (stored)
			madvise(BASE + racing.len, page_size, MADV_COLD);
	}
	return stale;
}

/*
 * Maps @len bytes, and lets threads store to, give back and change the first @given of
 * them.
 */
static void race(size_t len, size_t given, void *(*other)(void *), int advice,
		 const char *name)
{
	pthread_t giver, thread;
	unsigned long stale;

	/* Multi-threaded TCG of powerpc: stores would go to pages that were freed. */
	if (cpuinfo_says("machine", "emulated by qemu"))
		return skip("QEMU does not wait for a tlbie");
	memset(&racing, 0, sizeof(racing));
	racing.len = given;
	if (!map(len, advice))
		return;
	/* It keeps the table, which would be flushed with what it mapped. */
	if (given < len)
		BASE[len - 1] = 1;
	run_on(0);
	if (!start(&giver, give_back, NULL))
		return;
	if (!start(&thread, other, NULL)) {
		racing.stop = true;
		pthread_join(giver, NULL);
		return;
	}
	stale = count_stale(now() + case_seconds());
	racing.stop = true;
	pthread_join(giver, NULL);
	pthread_join(thread, NULL);
	run_anywhere();
	printf("    # %s: %llu times given back, %llu the other\n", name,
	       (unsigned long long)racing.ended, (unsigned long long)racing.others);
	if (stale)
		fail("%lu words were read that had been given back", stale);
	else if (racing.ended < 3 || !racing.others)
		fail("the race was not met: given back %llu times, %llu the other",
		     (unsigned long long)racing.ended, (unsigned long long)racing.others);
	munmap(BASE, len);
}

/*
 * Broken: a thread still uses a page after it was swapped out and given back.
 */
static void dontneed_versus_pageout(void)
{
	if (number_in("/proc/meminfo", "SwapTotal") <= 0 && !swap_to("/dev/ram0"))
		return fail("no swap: %m");
	if (!make_group())
		return;
	/* Other pages of the range would be flushed, and this one with them. */
	if (!join_group())
		fail("cgroup.procs: %m");
	else
		race(2 * MEGABYTE, page_size, page_out, MADV_NOHUGEPAGE,
		     "dontneed_versus_pageout");
	leave_group();
	remove_group();
}

/* Moves from node to node, so that its accesses are hints. */
static void *store_from_nodes(void *unused)
{
	long before = number_in("/proc/vmstat", "numa_hint_faults");
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (int i = 0; !stopped(); i++) {
		run_on(i % 2 ? cpus - 1 : 2 % cpus);
		for (size_t at = page_size / 2; at < racing.len; at += page_size)
			((volatile char *)BASE)[at] = i;
		note_others("numa_hint_faults", before);
	}
	note_others("numa_hint_faults", before);
	return unused;
}

/*
 * The report has 64 MB and 60 s; in a few seconds NUMA balancing comes round 8 MB only.
 * Broken: MADV_DONTNEED misses a huge page while NUMA balancing changes it.
 */
static void dontneed_versus_numa_hinting(void)
{
	size_t len = size(64, 8) * MEGABYTE;

	if (number_in("/proc/sys/kernel/numa_balancing", "") <= 0 ||
	    access("/sys/devices/system/node/node1", F_OK))
		return skip("needs NUMA balancing and two nodes");
	write_file("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "1");
	write_file("/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "10");
	write_file("/sys/kernel/debug/sched/numa_balancing/scan_period_max_ms", "20");
	race(len, len, store_from_nodes, MADV_HUGEPAGE, "dontneed_versus_numa_hinting");
}

/* ------------------------------------------------------ tables of sparse memory */

#define KEEPS_TABLES	"/sys/module/ptwalk_kunit/parameters/keeps_tables"

/*
 * The report has 100000 pages, 16 MB apart; the short form 10000.
 * Broken: MADV_DONTNEED of a large sparse range leaves its page tables behind.
 */
static void one_call_frees_all_tables(void)
{
	size_t len = size(100000, 10000) * SPAN;
	long before, touched, left, upper;
	char *mem;

	if (number_in(KEEPS_TABLES, "") > 0)
		return skip("needs CONFIG_PT_RECLAIM");
	mem = map(len, MADV_NOHUGEPAGE);
	if (!mem)
		return;
	before = number_in("/proc/self/status", "VmPTE");
	/* The zero page: memory is for the tables. */
	for (size_t at = 0; at < len; at += SPAN)
		(void)*(volatile char *)(mem + at);
	touched = number_in("/proc/self/status", "VmPTE") - before;
	if (madvise(mem, len, MADV_DONTNEED))
		fail("MADV_DONTNEED: %m");
	left = number_in("/proc/self/status", "VmPTE") - before;
	printf("    # one_call_frees_all_tables: %ld kB of tables, %ld kB left, of the upper levels\n",
	       touched, left);
	/* A table of the next level, of 4 kB, maps a gigabyte. */
	upper = (len / GIGABYTE + 20) * 4;
	if (touched < 2 * upper)
		fail("only %ld kB of tables were made", touched);
	if (left > upper)
		fail("of %ld kB of page tables %ld kB are left", touched, left);
	munmap(mem, len);
}

/* ------------------------------------------------- a CPU that idles in the process */

static int to_sleeper[2];

/* Whether another CPU is interrupted to flush its TLB: not by INVLPGB or a hypervisor */
#ifdef __x86_64__
#define BY_INTERRUPTS	true
#else
#define BY_INTERRUPTS	false
#endif

/* Uses the process each time, and sleeps: its CPU idles, and leaves the process lazily. */
static void *sleep_on(void *arg)
{
	char c;

	run_on(*(int *)arg);
	while (read(to_sleeper[0], &c, 1) == 1)
		(void)*(volatile char *)BASE;
	return NULL;
}

static bool give_tables_back(char *mem, int cpu)
{
	long calls = size(1000, 200);
	struct calls c;
	char byte = 0;

	for (int i = 0; i < calls; i++) {
		if (write(to_sleeper[1], &byte, 1) != 1)
			return false;
		usleep(1000);
		mem[page_size] = 1;
		if (madvise(mem, SPAN, MADV_DONTNEED))
			return false;
	}
	if (!calls_stop(&c, cpu))
		return false;
	printf("    # measure: dontneed_idle ops=%ld sync=%ld tlb=%ld idle_cpu=%ld tlbie=%ld\n",
	       calls, c.walkers, c.tlb, c.one_cpu, c.tlbie);
	/* At the first interrupt it leaves the process.  Others flush, too, but rarely. */
	if (c.one_cpu > calls + calls / 20)
		fail("%ld interrupts in %ld calls", c.one_cpu, calls);
	if (BY_INTERRUPTS && c.one_cpu < calls / 2)
		fail("only %ld interrupts in %ld calls: no table was freed, or the CPU did not idle",
		     c.one_cpu, calls);
	return true;
}

/*
 * The report has 1000 calls of MADV_DONTNEED that frees a table, the short form 200.
 * Broken: each call interrupts a CPU that idles in the process more than once.
 */
static void idle_cpu_is_interrupted_once(void)
{
	int cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pthread_t thread;
	char *mem = map(SPAN, MADV_NOHUGEPAGE);

	if (cpu < 1)
		return skip("needs two CPUs");
	if (BY_INTERRUPTS && number_in(KEEPS_TABLES, "") > 0)
		return skip("needs CONFIG_PT_RECLAIM");
	if (!mem || pipe(to_sleeper))
		return fail("pipe: %m");
	run_on(0);
	if (!start(&thread, sleep_on, &cpu))
		return;
	if (!calls_can_be_counted() || !calls_start(false) || !give_tables_back(mem, cpu))
		fail("counting, pipe or MADV_DONTNEED: %m");
	close(to_sleeper[1]);
	pthread_join(thread, NULL);
	close(to_sleeper[0]);
	run_anywhere();
	munmap(mem, SPAN);
}

/* ----------------------------------- faults while memory that is full is written back */

#define DISK		"/dev/ram0"
#define MOUNT		"/tmp/ext4"
#define WRITEBACK	"/proc/sys/vm/dirty_writeback_centisecs"
#define FULL_LIMIT	"32M"
#define FULL_SIZE	(64 * MEGABYTE)
#define NR_WRITERS	4
#define PART		(2 * MEGABYTE)
#define HANG_SECONDS	20

static struct {
	int fd;
	bool by_call;	/* see dirty_page() */
	unsigned long stores;
} full;

/* Faults, and leaves the page dirty. */
static void dirty_page(size_t page, char value)
{
	volatile char *mem = BASE + page * page_size;

	/* Multi-threaded TCG of powerpc: stores would go to pages that were freed. */
	if (!full.by_call)
		*mem = value;
	else if (pwrite(full.fd, &value, 1, page * page_size) == 1)
		(void)*mem;
	else
		fail("pwrite: %m");
}

static void *write_pages(void *number)
{
	unsigned int random = *(int *)number;
	unsigned long n = 0;

	while (!stopped()) {
		dirty_page(rand_r(&random) % (FULL_SIZE / page_size), n);
		n++;
	}
	__atomic_add_fetch(&full.stores, n, __ATOMIC_RELAXED);
	return NULL;
}

/* In the group: all threads of this process allocate from what it leaves. */
static int write_and_give_back(void)
{
	int numbers[NR_WRITERS] = { 1, 2, 3, 4 };
	pthread_t writers[NR_WRITERS];
	unsigned long parts = 0;
	double end;

	full.fd = open(MOUNT "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	full.by_call = cpuinfo_says("machine", "emulated by qemu");
	if (!join_group() || full.fd < 0 || ftruncate(full.fd, FULL_SIZE) ||
	    mmap(BASE, FULL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, full.fd,
		 0) == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < FULL_SIZE / page_size; i++)
		dirty_page(i, 1);
	for (int i = 0; i < NR_WRITERS; i++)
		if (!start(&writers[i], write_pages, &numbers[i]))
			return 1;
	for (end = now() + case_seconds(); now() < end; parts++) {
		if (madvise(BASE + parts * PART % FULL_SIZE, PART, MADV_DONTNEED))
			return 1;
		usleep(500);
	}
	racing.stop = true;
	for (int i = 0; i < NR_WRITERS; i++)
		pthread_join(writers[i], NULL);
	printf("    # fault_versus_writeback: %lu stores, %lu parts given back\n", full.stores,
	       parts);
	return !full.stores || over();
}

static void fill_group(void)
{
	long before = number_in("/proc/vmstat", "nr_written"), hit, written;
	int status;
	pid_t child;

	if (!write_file(GROUP "/memory.limit_in_bytes", FULL_LIMIT))
		return fail("memory.limit_in_bytes: %m");
	racing.stop = false;
	child = fork();
	if (!child)
		_exit(write_and_give_back());
	status = child < 0 ? 1 : child_status(child, case_seconds() + HANG_SECONDS);
	hit = number_in(GROUP "/memory.failcnt", "");
	written = number_in("/proc/vmstat", "nr_written") - before;
	printf("    # fault_versus_writeback: %ld times at the limit, %ld pages written back\n",
	       hit, written);
	if (status < 0) {
		/* It was reported; khungtaskd need not do it again. */
		write_file("/proc/sys/kernel/hung_task_timeout_secs", "0");
		fail("faults did not return within %d s", HANG_SECONDS);
	} else if (status) {
		fail("child: status %d", status);
	} else if (hit <= 0 || written <= 0) {
		fail("the limit was not met, or nothing was written back");
	}
}

/*
 * The report has 120 s.  If a fault allocates a page table with its page locked, reclaim may
 * wait for the writeback of another page, which waits for this one.  Only reclaim of cgroup
 * v1 waits for writeback.
 * Broken: threads that store to a mapped file hang.
 */
static void fault_versus_writeback(void)
{
	long interval = number_in(WRITEBACK, "");
	char text[32];

	if (!make_group_v1())
		return;
	swapoff(DISK);
	mkdir(MOUNT, 0700);
	if (!make_ext4(DISK)) {
		if (errno == ENOSPC)
			skip("needs a RAM disk of %lu MB", EXT4_SIZE / MEGABYTE);
		else
			fail(DISK ": %m");
	} else if (mount(DISK, MOUNT, "ext4", 0, NULL)) {
		if (errno == ENODEV)
			skip("needs CONFIG_EXT4_FS");
		else
			fail("mount " DISK ": %m");
	} else {
		write_file(WRITEBACK, "100");	/* each second, and when reclaim asks for it */
		fill_group();
		snprintf(text, sizeof(text), "%ld", interval);
		write_file(WRITEBACK, text);
		umount(MOUNT);
	}
	remove_group();
}

/* --------------------------------------------------- a process that ends, and is reaped */

struct reaper {
	int pidfd;
	unsigned long reaped;
};

static void *reap(void *arg)
{
	struct reaper *r = arg;

	/* It can be reaped from when it is killed until it has no memory. */
	while (syscall(SYS_process_mrelease, r->pidfd, 0)) {
		if (errno == ESRCH)
			return NULL;
		if (errno != EINVAL && errno != EAGAIN && errno != EINTR) {
			fail("process_mrelease: %m");
			return NULL;
		}
	}
	r->reaped++;
	return NULL;
}

static pid_t start_victim(void)
{
	int ready[2];
	pid_t pid;
	char c = 0;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		long tables = size(2000, 500);
		char *mem = map(tables * SPAN, MADV_NOHUGEPAGE);

		for (int i = 0; mem && i < tables; i++)
			(void)*(volatile char *)(mem + i * SPAN);
		if (write(ready[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (pid > 0 && read(ready[0], &c, 1) != 1)
		fail("the victim died");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/*
 * The report has 2000 tables, 500 times; this 2000 or, in the short form, 500, as often as
 * time allows.
 * Broken: the OOM reaper and exit free a page table twice.
 */
static void mrelease_versus_exit(void)
{
	double end = now() + case_seconds();
	unsigned long reaped = 0, rounds = 0;

	/* A slow machine may need more time to meet one. */
	for (; (now() < end || (!reaped && now() < end + 30)) && !over(); rounds++) {
		pid_t pid = start_victim();
		int pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
		struct reaper reaper[2] = { { pidfd, 0 }, { pidfd, 0 } };
		pthread_t thread[2];

		if (pidfd < 0)
			return fail("fork or pidfd_open: %m");
		for (int i = 0; i < 2; i++)
			if (!start(&thread[i], reap, &reaper[i])) {
				kill(pid, SIGKILL);
				return;
			}
		kill(pid, SIGKILL);
		for (int i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		reaped += reaper[0].reaped + reaper[1].reaped;
		waitpid(pid, NULL, 0);
		close(pidfd);
	}
	printf("    # mrelease_versus_exit: %lu processes, %lu times reaped\n", rounds, reaped);
	if (!reaped)
		fail("no process was reaped");
}

static const struct suite_case cases[] = {
	CASE(exit_with_shared_tables_waits_for_nobody),
	CASE(dontneed_versus_pageout),
	CASE(dontneed_versus_numa_hinting),
	CASE(one_call_frees_all_tables),
	CASE(idle_cpu_is_interrupted_once),
	CASE(mrelease_versus_exit),
	/* Takes the RAM disk from swap, and the memory controller from cgroup v2. */
	CASE(fault_versus_writeback),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_reports", .seconds = 3, .cases = cases,
	};

	page_size = sysconf(_SC_PAGESIZE);
	return run_suite(&suite, argc, argv);
}
