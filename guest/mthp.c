// SPDX-License-Identifier: GPL-2.0-only
/*
 * khugepaged collapses small pages into folios that are smaller than a huge page
 * (v7.3).  MADV_COLLAPSE does not, so this takes a process and khugepaged, and the
 * calls of khugepaged are counted by a tracepoint.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#define TRACING		"/sys/kernel/tracing/"
#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define TABLES		4
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

	for (i = 2; page_size << i <= hpage_size; i++)
		if (i != order)
			enable(i, "never");
	return !order || enable(order, "always");
}

static long collapses(unsigned int order)
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
	       write_file(TRACING "trace", "") &&
	       write_file(TRACING "set_event_pid", pid) &&
	       write_file(TRACING "events/csd/csd_queue_cpu/enable", "1") &&
	       write_file(TRACING "tracing_on", "1");
}

/* How many CPUs khugepaged has interrupted to wait for page-table walkers. */
static long count_stop(void)
{
	char line[512];
	long n = 0;
	FILE *f;

	write_file(TRACING "tracing_on", "0");
	write_file(TRACING "events/csd/csd_queue_cpu/enable", "0");
	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f)) {
		n += strstr(line, "func=tlb_remove_table_smp_sync") != NULL;
		if (strstr(line, "LOST"))
			fail("trace events were lost");
	}
	if (f)
		fclose(f);
	write_file(TRACING "set_event_pid", "");
	return n;
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

static void collapse_broadcasts_nothing(unsigned int order)
{
	long want = TABLES * hpage_size / (page_size << order), before, done = 0, sync;
	double end;

	if (collapses(order) < 0) {
		skip("khugepaged does not collapse into folios of order %u", order);
		return;
	}
	if (!enable_only(0) || !fill(AREA) || !enable_only(order) || !count_start()) {
		fail("cannot set it up");
		return;
	}
	before = collapses(order);
	if (madvise(AREA, TABLES * hpage_size, MADV_HUGEPAGE))
		fail("MADV_HUGEPAGE");
	end = now() + case_seconds();
	while (done < want && now() < end) {
		usleep(20000);
		done = collapses(order) - before;
	}
	usleep(100000);		/* the last one may still run */
	sync = count_stop();
	done = collapses(order) - before;
	printf("    # mthp: measure: mthp_collapse cpus=%ld ops=%ld sync=%ld order=%u\n",
	       sysconf(_SC_NPROCESSORS_ONLN), done, sync, order);
	check(AREA);
	munmap(AREA, TABLES * hpage_size);
	if (done < want)
		fail("%ld of %ld collapses after %.0f s", done, want, case_seconds());
	if (sync)
		fail("%ld collapses interrupted CPUs %ld times", done, sync);
}

static void khugepaged_collapses(unsigned int order)
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
	snprintf(sleep, sizeof(sleep), "%ld", number_in(THP "khugepaged/scan_sleep_millisecs", ""));
	write_file(THP "khugepaged/scan_sleep_millisecs", "10");
	write_file(THP "khugepaged/max_ptes_none", "0");
	collapse_broadcasts_nothing(order);
	write_file(THP "khugepaged/max_ptes_none", "511");
	write_file(THP "khugepaged/scan_sleep_millisecs", sleep);
	enable_only(0);
	for (i = 2; page_size << i < hpage_size; i++)
		;
	enable(i, "inherit");
}

/* Broken: each collapse into a folio of 4 pages interrupts every CPU. */
static void order_2_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(2);
}

/* Broken: each collapse into a folio of 16 pages interrupts every CPU. */
static void order_4_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(4);
}

/* Broken: each collapse into a folio of 128 pages interrupts every CPU. */
static void order_7_collapse_broadcasts_nothing(void)
{
	khugepaged_collapses(7);
}

static const struct suite_case cases[] = {
	CASE(order_2_collapse_broadcasts_nothing),
	CASE(order_4_collapse_broadcasts_nothing),
	CASE(order_7_collapse_broadcasts_nothing),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_mthp", .seconds = 30, .cases = cases,
	};

	return run_suite(&suite, argc, argv);
}
