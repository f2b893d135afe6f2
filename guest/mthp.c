// SPDX-License-Identifier: GPL-2.0-only
/*
 * khugepaged collapses small pages into folios that are smaller than a huge page
 * (v7.3).  MADV_COLLAPSE does not, so this takes a process and khugepaged.  Its
 * collapses, and the CPUs that it interrupts, are counted by tracepoints.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#define TRACING		"/sys/kernel/tracing/"
#define COLLAPSED	TRACING "events/huge_memory/mm_collapse_huge_page/"
#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define TABLES		4
#define WALKERS		3
#define FIRST_ORDER	2
#define AREA		((char *)(1UL << 42))	/* far from all else, aligned */

static size_t page_size, hpage_size;

/* ------------------------------------------------------- which are enabled */

static void order_path(char *path, size_t size, unsigned int order, const char *file)
{
	snprintf(path, size, THP "hugepages-%zukB/%s", (page_size << order) / 1024, file);
}

static bool enable(unsigned int order, const char *how)
{
	char path[160];

	order_path(path, sizeof(path), order, "enabled");
	return write_file(path, how);
}

/* Only this order, which may be that of a huge page; 0: none. */
static bool enable_only(unsigned int order)
{
	unsigned int i;

	for (i = FIRST_ORDER; page_size << i <= hpage_size; i++)
		if (i != order)
			enable(i, "never");
	return !order || enable(order, "always");
}

/* How often khugepaged has begun to collapse, or -1: not every collapse succeeds. */
static long tries(unsigned int order)
{
	char path[160];

	order_path(path, sizeof(path), order, "stats/collapse_alloc");
	return number_in(path, "");
}

/* -------------------------------------------------------------- khugepaged */

static int khugepaged(void)
{
	char path[300], name[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	int pid = 0;
	FILE *f;

	while (dir && !pid && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strcmp(name, "khugepaged\n"))
			pid = atoi(entry->d_name);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return pid;
}

static bool count_start(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", khugepaged());
	return write_file(TRACING "buffer_size_kb", "4096") &&
	       write_file(TRACING "options/record-cmd", "0") &&
	       write_file(TRACING "trace", "") &&
	       write_file(TRACING "set_event_pid", pid) &&
	       write_file(TRACING "events/csd/csd_queue_cpu/enable", "1") &&
	       write_file(COLLAPSED "enable", "1") &&
	       write_file(TRACING "tracing_on", "1");
}

/**
 * struct counts - what khugepaged has done since count_start()
 * @collapses: how often it has collapsed
 * @sync: how many CPUs it has interrupted to wait for page-table walkers
 */
struct counts {
	long collapses, sync;
};

static struct counts count(void)
{
	struct counts n = { 0 };
	char line[512];
	FILE *f;

	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f)) {
		n.collapses += strstr(line, "status=succeeded") != NULL;
		n.sync += strstr(line, "func=tlb_remove_table_smp_sync") != NULL;
		if (strstr(line, "LOST"))
			fail("trace events were lost");
	}
	if (f)
		fclose(f);
	return n;
}

static struct counts count_stop(void)
{
	write_file(TRACING "tracing_on", "0");
	write_file(TRACING "events/csd/csd_queue_cpu/enable", "0");
	write_file(COLLAPSED "enable", "0");
	write_file(TRACING "set_event_pid", "");
	return count();
}

/* --------------------------------------------------------- who looks up pages */

/**
 * struct walker - a thread that looks up pages by GUP-fast
 * @thread: the thread
 * @id: its number; it uses every page whose number it is, modulo WALKERS
 * @walks: how often it has looked up a page
 * @wrong: how often that was another page than the one that is mapped
 */
static struct walker {
	pthread_t thread;
	unsigned int id;
	unsigned long walks, wrong;
} walkers[WALKERS];

static bool walkers_stop;

static unsigned long walks_so_far(void)
{
	unsigned long walks = 0;

	for (int i = 0; i < WALKERS; i++)
		walks += __atomic_load_n(&walkers[i].walks, __ATOMIC_RELAXED);
	return walks;
}

/* ------------------------------------------------------------------- cases */

static bool fill(char *mem)
{
	size_t i;

	if (mmap(mem, TABLES * hpage_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != mem ||
	    madvise(mem, TABLES * hpage_size, MADV_NOHUGEPAGE))
		return false;
	for (i = 0; i < TABLES * hpage_size; i += page_size)
		*(size_t *)(mem + i) = i;
	return true;
}

static void check(const char *mem)
{
	size_t i;

	for (i = 0; i < TABLES * hpage_size; i += page_size)
		if (*(const size_t *)(mem + i) != i)
			fail("wrong content at %zu", i);
}

static long folios(unsigned int order)
{
	return TABLES * hpage_size / (page_size << order);
}

/*
 * Lets khugepaged collapse AREA, until all of it is collapsed or until @end.  Returns how
 * often a page was looked up in those moments in which it has begun to collapse.
 */
static unsigned long let_collapse(unsigned int order, double end)
{
	long tried = tries(order), done = count().collapses, last = tried, n = tried;
	unsigned long walked = walks_so_far(), walks, met = 0;

	if (madvise(AREA, TABLES * hpage_size, MADV_HUGEPAGE))
		fail("MADV_HUGEPAGE");
	while (n - tried < folios(order) && now() < end) {
		usleep(20000);
		walks = walks_so_far();
		n = tries(order);
		if (n != last)
			met += walks - walked;
		walked = walks;
		last = n;
	}
	while (count().collapses - done < folios(order) && now() < end)
		usleep(100000);
	return met;
}

static void expect_no_sync(struct counts n)
{
	if (n.sync)
		fail("%ld collapses interrupted CPUs %ld times", n.collapses, n.sync);
}

static void collapse_broadcasts_nothing(unsigned int order)
{
	struct counts n;

	if (!enable_only(0) || !fill(AREA) || !enable_only(order) || !count_start()) {
		fail("cannot set it up");
		return;
	}
	let_collapse(order, now() + case_seconds());
	n = count_stop();
	check(AREA);
	munmap(AREA, TABLES * hpage_size);
	if (n.collapses < folios(order))
		fail("%ld of %ld collapses after %.0f s", n.collapses, folios(order),
		     case_seconds());
	printf("    # mthp: measure: mthp_collapse cpus=%ld ops=%ld sync=%ld order=%u\n",
	       sysconf(_SC_NPROCESSORS_ONLN), n.collapses, n.sync, order);
	expect_no_sync(n);
}

/* Runs a case, while khugepaged scans often and leaves ranges with holes alone. */
static void with_khugepaged(void (*run)(unsigned int order), unsigned int order)
{
	char sleep[16] = "";
	unsigned int i;

	mount("tracing", TRACING, "tracefs", 0, NULL);	/* if it is not there yet */
	page_size = sysconf(_SC_PAGESIZE);
	hpage_size = thp_size();
	if (!hpage_size) {
		skip("no transparent huge pages");
		return;
	}
	if (page_size << order >= hpage_size) {
		skip("a folio of order %u is not smaller than a huge page", order);
		return;
	}
	if (tries(order) < 0) {
		skip("khugepaged does not collapse into folios of order %u", order);
		return;
	}
	snprintf(sleep, sizeof(sleep), "%ld", number_in(THP "khugepaged/scan_sleep_millisecs", ""));
	write_file(THP "khugepaged/scan_sleep_millisecs", "10");
	write_file(THP "khugepaged/max_ptes_none", "0");
	run(order);
	write_file(THP "khugepaged/max_ptes_none", "511");
	write_file(THP "khugepaged/scan_sleep_millisecs", sleep);
	enable_only(0);
	for (i = FIRST_ORDER; page_size << i < hpage_size; i++)
		;
	enable(i, "inherit");
}

static void khugepaged_collapses(unsigned int order)
{
	with_khugepaged(collapse_broadcasts_nothing, order);
}

/* Broken: each collapse into a folio of 4 pages interrupts every CPU. */
static void order_2_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(2);
}

/* Broken: each collapse into a folio of 8 pages interrupts every CPU. */
static void order_3_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(3);
}

/* Broken: each collapse into a folio of 16 pages interrupts every CPU. */
static void order_4_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(4);
}

/* Broken: each collapse into a folio of 32 pages interrupts every CPU. */
static void order_5_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(5);
}

/* Broken: each collapse into a folio of 64 pages interrupts every CPU. */
static void order_6_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(6);
}

/* Broken: each collapse into a folio of 128 pages interrupts every CPU. */
static void order_7_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(7);
}

/* Broken: each collapse into a folio of 256 pages interrupts every CPU. */
static void order_8_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(8);
}

/* --------------------------------------------------------------- GUP-fast */

/*
 * Multi-threaded TCG of powerpc does not wait for a tlbie, so a store may reach the
 * old page of a collapse.
 */
#ifdef __powerpc64__
#define MAY_STORE	false
#else
#define MAY_STORE	true
#endif

/*
 * vmsplice() takes a reference by GUP-fast.  A page with a reference is not collapsed,
 * so what is stored now is what read() finds in that page.
 */
static bool walk_one(const int *fd, size_t *word, size_t next)
{
	struct iovec iov = { word, sizeof(*word) };
	size_t value;

	if (vmsplice(fd[1], &iov, 1, 0) != sizeof(value))
		return false;
	if (MAY_STORE)
		*(volatile size_t *)word = next;
	return read(fd[0], &value, sizeof(value)) == sizeof(value) && value == next;
}

/* What a walker stores to page number @i in round @gen; in round 0 it is that of fill(). */
static size_t content(size_t i, size_t gen)
{
	return i * page_size + (MAY_STORE ? gen % page_size : 0);
}

static void *walk(void *arg)
{
	size_t n = TABLES * hpage_size / page_size, i, gen;
	struct walker *walker = arg;
	int fd[2];

	if (pipe(fd)) {
		fail("pipe");
		return NULL;
	}
	for (gen = 1;; gen++) {
		for (i = walker->id; i < n; i += WALKERS) {
			if (__atomic_load_n(&walkers_stop, __ATOMIC_RELAXED))
				goto out;
			walker->wrong += !walk_one(fd, (size_t *)(AREA + i * page_size),
						   content(i, gen));
			__atomic_add_fetch(&walker->walks, 1, __ATOMIC_RELAXED);
		}
	}
out:
	for (i = walker->id; MAY_STORE && i < n; i += WALKERS)
		*(size_t *)(AREA + i * page_size) = content(i, 0);
	close(fd[0]);
	close(fd[1]);
	return NULL;
}

/* Returns how many there are. */
static unsigned int start_walkers(void)
{
	unsigned int i;

	walkers_stop = false;
	for (i = 0; i < WALKERS; i++) {
		walkers[i] = (struct walker){ .id = i };
		if (pthread_create(&walkers[i].thread, NULL, walk, &walkers[i])) {
			fail("pthread_create");
			break;
		}
	}
	return i;
}

static void stop_walkers(unsigned int n, unsigned long *walks, unsigned long *wrong)
{
	unsigned int i;

	__atomic_store_n(&walkers_stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		pthread_join(walkers[i].thread, NULL);
		*walks += walkers[i].walks;
		*wrong += walkers[i].wrong;
	}
}

/* One order, for a while. */
static void race(unsigned int order, double seconds)
{
	double end = now() + seconds;
	unsigned long walks = 0, wrong = 0, met = 0;
	struct counts total = { 0 };
	unsigned int n;

	if (!count_start())
		fail("cannot count");
	while (!over() && (now() < end || ((!total.collapses || !met) &&
					   now() < end + case_seconds()))) {
		if (!enable_only(0) || !fill(AREA) || !enable_only(order)) {
			fail("cannot set it up");
			break;
		}
		n = start_walkers();
		met += let_collapse(order, now() + 1);
		stop_walkers(n, &walks, &wrong);
		check(AREA);
		munmap(AREA, TABLES * hpage_size);
		total = count();
	}
	total = count_stop();
	printf("    # order %u: %ld collapses, %lu walks, %lu of them beside one\n", order,
	       total.collapses, walks, met);
	if (!total.collapses || !met)
		fail("%ld collapses and %lu walks beside one", total.collapses, met);
	if (wrong)
		fail("%lu of %lu walks found a page that is not mapped", wrong, walks);
	expect_no_sync(total);
}

static void race_of_all_orders(unsigned int first)
{
	unsigned int order, n = 0;

	for (order = first; page_size << order < hpage_size; order++)
		n++;
	for (order = first; page_size << order < hpage_size && !over(); order++)
		race(order, case_seconds() / n);
}

/*
 * Broken: a device stores to a page that khugepaged has replaced, or khugepaged
 * interrupts every CPU, with folios of any size.
 */
static void gup_versus_collapse(void)
{
	with_khugepaged(race_of_all_orders, FIRST_ORDER);
}

static const struct suite_case cases[] = {
	CASE(order_2_collapse_broadcasts_nothing),
	CASE(order_3_collapse_broadcasts_nothing),
	CASE(order_4_collapse_broadcasts_nothing),
	CASE(order_5_collapse_broadcasts_nothing),
	CASE(order_6_collapse_broadcasts_nothing),
	CASE(order_7_collapse_broadcasts_nothing),
	CASE(order_8_collapse_broadcasts_nothing),
	CASE(gup_versus_collapse),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_mthp", .seconds = 30, .cases = cases,
	};

	return run_suite(&suite, argc, argv);
}
