// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes a process of its own: it is limited by a memory cgroup, or killed,
 * or never comes back from a system call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "file.h"
#include "mm.h"
#include "suite.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	4U
#endif

#define GIGABYTE	(1UL << 30)
#define BASE		((char *)(1UL << 42))	/* far from the heap, at a 1 GB boundary */
#define HANG_SECONDS	10

static size_t page_size;

/* Exit status of a child. */
enum { OK, WRONG, NO_MEMORY, REFUSED, BUSY, CANNOT };

static char *map_at(char *addr, size_t len, int flags, int fd, off_t offset)
{
	char *p = mmap(addr, len, PROT_READ | PROT_WRITE,
		       flags | MAP_FIXED | MAP_NORESERVE, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

/* ------------------------------------------------------ mremap() of hugetlb */

#define NR_HUGE	4

static size_t huge_size;

static bool words_are_there(char *mem)
{
	for (int i = 0; i < NR_HUGE; i++)
		if (*(uint64_t *)(mem + i * huge_size) != i + 1UL)
			return false;
	return true;
}

/* Moves 1 GB of @fd to a 1 GB boundary, while @other may have a table to share. */
static int move_huge(int fd, char *from, char *other)
{
	char *mem = map_at(from, GIGABYTE, MAP_SHARED, fd, 0), *to = BASE + 4 * GIGABYTE;

	if (!mem)
		return CANNOT;
	for (int i = 0; i < NR_HUGE; i++)
		*(uint64_t *)(mem + i * huge_size) = i + 1;
	if (other && (!map_at(other, GIGABYTE, MAP_SHARED, fd, 0) || !words_are_there(other)))
		return CANNOT;
	if (mremap(mem, GIGABYTE, GIGABYTE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		return REFUSED;
	if (!words_are_there(to) || (other && !words_are_there(other)))
		return WRONG;
	return OK;
}

/* Moves 4 GB of private memory.  This length becomes 0 if it is stored in an int. */
static int move_4_gigabytes(int fd, char *from, char *other)
{
	size_t len = 4 * GIGABYTE;
	char *mem = map_at(from, len, MAP_PRIVATE, fd, 0), *to = from + len;

	(void)other;
	if (!mem)
		return CANNOT;
	for (int i = 0; i < NR_HUGE; i++)
		*(uint64_t *)(mem + i * huge_size) = i + 1;
	if (mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
		return words_are_there(to) ? OK : WRONG;
	return words_are_there(mem) ? REFUSED : WRONG;
}

/* Runs @move, which moves a hugetlb mapping, in a child with NR_HUGE huge pages. */
static void mremap_hugetlb(int (*move)(int fd, char *from, char *other), size_t file_size,
			   char *from, char *other)
{
	int fd = memfd_create("ptwalk", MFD_CLOEXEC | MFD_HUGETLB), status;
	char number[32];
	long before;
	pid_t child;

	huge_size = number_in("/proc/meminfo", "Hugepagesize") * 1024;
	if (fd < 0 || (long)huge_size < 0 || ftruncate(fd, file_size)) {
		skip("hugetlb: %m");
		return;
	}
	before = number_in("/proc/meminfo", "HugePages_Total");
	snprintf(number, sizeof(number), "%ld", before + NR_HUGE);
	write_file("/proc/sys/vm/nr_hugepages", number);
	child = fork();
	if (!child)
		_exit(move(fd, from, other));
	status = child_status(child, HANG_SECONDS);
	close(fd);
	if (status < 0) {
		/* It was reported; khungtaskd need not do it again. */
		write_file("/proc/sys/kernel/hung_task_timeout_secs", "0");
		fail("mremap() did not return within %d s", HANG_SECONDS);
		return;
	}
	if (status == CANNOT)
		skip("no %d huge pages of %zu kB", NR_HUGE, huge_size / 1024);
	else if (status == WRONG)
		fail("memory is not what was written");
	else if (status)
		fail("mremap: status %d", status);
	else if (number_in("/proc/meminfo", "HugePages_Free") !=
		 number_in("/proc/meminfo", "HugePages_Total"))
		fail("a huge page is not free again");
	snprintf(number, sizeof(number), "%ld", before);
	write_file("/proc/sys/vm/nr_hugepages", number);
}

/* Broken: mremap() of 4 GB of hugetlb memory fails, and what was in it is lost. */
static void mremap_of_4_gigabytes_keeps_its_pages(void)
{
	mremap_hugetlb(move_4_gigabytes, 4 * GIGABYTE, BASE, NULL);
}

/*
 * Broken: mremap() hangs, and so does every reader of the process's /proc
 * files.
 */
static void mremap_of_hugetlb_returns(void)
{
	mremap_hugetlb(move_huge, GIGABYTE, BASE, NULL);
}

/*
 * Broken: as above; or a page is mapped twice in a shared table and is never
 * freed.
 */
static void mremap_leaves_tables_of_others_alone(void)
{
	/* Not at a 1 GB boundary: the two mappings share no table. */
	mremap_hugetlb(move_huge, GIGABYTE, BASE + huge_size, BASE + 2 * GIGABYTE);
}

/* --------------------------------------------------------- memory cgroups */

static bool set_limit(long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	return write_file(GROUP "/memory.max", bytes < 0 ? "max" : text);
}

static long oom_kills(void)
{
	return number_in(GROUP "/memory.events", "oom_kill");
}

#define NR_PROCESSES	24
#define TABLE_SPAN	(2UL << 20)
#define TABLES_SPAN	(8 * GIGABYTE)

/* Most of what it uses is page tables. */
static int touch_sparsely(void)
{
	char *mem;

	if (!join_group())
		return CANNOT;
	mem = map_at(BASE, TABLES_SPAN, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!mem)
		return NO_MEMORY;
	madvise(mem, TABLES_SPAN, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TABLES_SPAN; i += TABLE_SPAN)
		mem[i] = 1;
	return OK;
}

/*
 * Broken: a process is OOM-killed because of page tables of processes that have
 * exited.
 */
static void exits_leave_room_in_a_memcg(void)
{
	int killed = 0, status;
	pid_t child;

	if (page_size != 4096) {
		skip("a page table is less than a page here");
		return;
	}
	if (!make_group())
		return;
	if (!set_limit(64 << 20))
		fail("memory.max: %m");
	for (int i = 0; i < NR_PROCESSES && !over(); i++) {
		child = fork();
		if (!child)
			_exit(touch_sparsely());
		status = child_status(child, HANG_SECONDS);
		if (status == 128 + SIGKILL)
			killed++;
		else if (status)
			fail("child: status %d", status);
	}
	printf("    # exits_leave_room_in_a_memcg: %d of %d processes killed, %ld kB at most\n",
	       killed, NR_PROCESSES, number_in(GROUP "/memory.peak", "") / 1024);
	if (killed)
		fail("%d of %d processes were killed", killed, NR_PROCESSES);
	remove_group();
}

/* ---------------------------------------------------------------- collapse */

/* Says that it is ready, waits for its limit, and collapses. */
static int collapse_in_group(int ready, int go)
{
	size_t len = thp_size();
	char *mem, byte = 0;
	int tries = 100, ret;

	if (!join_group())
		return CANNOT;
	mem = map_at(BASE, len, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!mem)
		return NO_MEMORY;
	madvise(mem, len, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < len; i += page_size)
		*(size_t *)(mem + i) = i;
	madvise(mem, len, MADV_HUGEPAGE);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return CANNOT;
	do
		ret = madvise(mem, len, MADV_COLLAPSE) ? errno : 0;
	while (ret == EAGAIN && --tries);
	for (size_t i = 0; i < len; i += page_size)
		if (*(size_t *)(mem + i) != i)
			return WRONG;
	return !ret ? OK : ret == EBUSY ? BUSY : ret == ENOMEM ? NO_MEMORY : REFUSED;
}

/*
 * The bytes in use, when no CPU keeps pages for later that are charged already.
 * A memory.high below the usage takes these back; without swap nothing else goes.
 */
static long exact_usage(void)
{
	long bytes = number_in(GROUP "/memory.current", "");
	char text[32];

	write_file(GROUP "/memory.swap.max", "0");
	snprintf(text, sizeof(text), "%ld", bytes - page_size);
	if (!write_file(GROUP "/memory.high", text) ||
	    !write_file(GROUP "/memory.high", "max"))
		fail("memory.high: %m");
	do {
		bytes = number_in(GROUP "/memory.current", "");
		usleep(10000);	/* other CPUs do it by a work item */
	} while (number_in(GROUP "/memory.current", "") != bytes && !over());
	return bytes;
}

/* One collapse in a group that has room for so many bytes. */
static int collapse_with_room(long room)
{
	int ready[2], go[2], status = CANNOT;
	char byte = 0;
	pid_t child;

	if (!set_limit(-1) || pipe(ready) || pipe(go))
		return CANNOT;
	child = fork();
	if (!child) {
		close(ready[0]);
		close(go[1]);
		_exit(collapse_in_group(ready[1], go[0]));
	}
	close(ready[1]);
	close(go[0]);
	if (read(ready[0], &byte, 1) == 1 &&
	    set_limit(exact_usage() + room) &&
	    write(go[1], &byte, 1) != 1)
		fail("write: %m");
	close(ready[0]);
	close(go[1]);
	if (child > 0)
		status = child_status(child, HANG_SECONDS);
	return status;
}

/* Broken: the OOM killer kills a process of a full memcg for a collapse. */
static void collapse_in_a_full_memcg_kills_nobody(void)
{
	/* With room for as many pages there is none for the table. */
	long pages = thp_size() / page_size, refused = 0, done = 0, room;
	int status;

	if (!thp_size()) {
		skip("no huge pages");
		return;
	}
	if (!make_group())
		return;
	for (room = pages - 4; room < pages + 72 && done < 4 && !over(); room++) {
		status = collapse_with_room(room * page_size);
		if (status == OK)
			done++;
		else if (status == BUSY)
			refused++;
		else if (status == 128 + SIGKILL)
			fail("killed, with room for %ld pages of %ld", room, pages);
		else
			fail("status %d, with room for %ld pages of %ld", status, room,
			     pages);
	}
	printf("    # collapse_in_a_full_memcg_kills_nobody: %ld refused, %ld done, %ld OOM kills\n",
	       refused, done, oom_kills());
	if (oom_kills())
		fail("%ld processes were killed", oom_kills());
	if (!refused || !done)
		fail("%ld were refused, %ld done", refused, done);
	remove_group();
}

#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"
#define VICTIM		"/tmp/victim"
#define NR_VICTIM_HUGE	16

/* The program that is killed: gives khugepaged small pages to collapse. */
static int be_a_victim(void)
{
	size_t len = NR_VICTIM_HUGE * thp_size();
	char *mem = map_at(BASE, len, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!mem)
		return NO_MEMORY;
	madvise(mem, len, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < len; i += page_size)
		mem[i] = 1;
	madvise(mem, len, MADV_HUGEPAGE);
	for (;;)
		pause();
}

static bool copy_program(const char *to)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	struct stat st;
	off_t done = 0;
	bool ok = in >= 0 && out >= 0 && !fstat(in, &st);

	while (ok && done < st.st_size)
		ok = sendfile(out, in, &done, st.st_size - done) > 0;
	close(in);
	close(out);
	return ok;
}

/* Waits until khugepaged has made @nr huge pages of @pid. */
static bool wait_for_khugepaged(pid_t pid, int nr)
{
	double end = now() + 10;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	while (number_in(path, "AnonHugePages") < (long)(nr * thp_size() / 1024)) {
		if (now() > end)
			return false;
		usleep(500);
	}
	return true;
}

static void kill_victims(double end)
{
	unsigned long kills = 0, busy = 0;
	int fd;

	while (now() < end && !over()) {
		pid_t child = fork();

		if (!child) {
			execl(VICTIM, VICTIM, "victim", NULL);
			_exit(CANNOT);
		}
		if (!wait_for_khugepaged(child, 1 + kills % (NR_VICTIM_HUGE / 2)))
			fail("khugepaged does not collapse");
		usleep(kills % 7 * 100);
		kill(child, SIGKILL);
		child_status(child, HANG_SECONDS);
		fd = open(VICTIM, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		else if (errno == ETXTBSY)
			busy++;
		else
			fail("open " VICTIM ": %m");
		for (int i = 0; fd < 0 && i < 1000; i++) {	/* until it is let go */
			usleep(1000);
			fd = open(VICTIM, O_WRONLY | O_CLOEXEC);
			if (fd >= 0)
				close(fd);
		}
		kills++;
	}
	printf("    # killed_process_lets_go_of_its_program: %lu kills, %lu times busy\n",
	       kills, busy);
	if (busy)
		fail("of %lu killed processes %lu still ran their program", kills, busy);
}

/*
 * Broken: a parent cannot write to the program file of a killed child because
 * khugepaged keeps its address space.
 */
static void killed_process_lets_go_of_its_program(void)
{
	static const struct {
		const char *path, *value;
	} setting[] = {
		{ KHUGEPAGED "alloc_sleep_millisecs", "10" },
		{ KHUGEPAGED "pages_to_scan", "4096" },
		{ KHUGEPAGED "scan_sleep_millisecs", "0" },	/* wakes it */
	};
	long before[3];
	char text[32];

	if (!thp_size()) {
		skip("no huge pages");
		return;
	}
	if (!copy_program(VICTIM)) {
		fail("copy to " VICTIM ": %m");
		return;
	}
	for (int i = 0; i < 3; i++) {
		before[i] = number_in(setting[i].path, "");
		write_file(setting[i].path, setting[i].value);
	}
	kill_victims(now() + case_seconds());
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%ld", before[i]);
		write_file(setting[i].path, text);
	}
	unlink(VICTIM);
}

static const struct suite_case cases[] = {
	CASE(exits_leave_room_in_a_memcg),
	CASE(collapse_in_a_full_memcg_kills_nobody),
	CASE(killed_process_lets_go_of_its_program),
	CASE(mremap_of_4_gigabytes_keeps_its_pages),
	/* Where they fail there is a process that cannot be killed. */
	CASE(mremap_of_hugetlb_returns),
	CASE(mremap_leaves_tables_of_others_alone),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_process", .seconds = 5, .cases = cases,
	};

	page_size = sysconf(_SC_PAGESIZE);
	if (argc > 1 && !strcmp(argv[1], "victim"))
		return be_a_victim();
	return run_suite(&suite, argc, argv);
}
