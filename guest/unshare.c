// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two processes map a hugetlb file and share its PMD tables; one of them leaves
 * the tables by a system call, the other one puts pages of another file there.
 * A suite of its own, as a module cannot call them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB	(21U << 26)
#endif

#define TABLE		(1UL << 30)	/* what a PMD table maps */
#define HALF		(TABLE / 2)
#define NR_TABLES	16
#define LEN		(NR_TABLES * TABLE)
#define BASE		((char *)(1UL << 42))	/* far from the heap */
#define MOVED		(BASE + 2 * LEN)
/* A page in each table for both files, and one to spare. */
#define POOL		(2 * NR_TABLES + 2)
#define POOL_FILE	"/proc/sys/vm/nr_hugepages"
#define MIN_ROUNDS	9	/* so that a leak stands out from noise */
#define SLOW_SECONDS	60	/* more, on a machine that is too slow for them */

#define SHARED		0x736861726564ULL
#define FOREIGN		0x666f726569676eULL

static int shared_fd, foreign_fd, ask[2], answer[2];

/* Of a case: what shows that tables were shared, and used again while GUP-fast walked */
static struct {
	unsigned long shared;	/* tables that the two processes shared */
	unsigned int children;	/* that touched the file */
	unsigned int sharing;	/* of these, how many shared a table */
	unsigned long walks;	/* of GUP-fast while the tables were in use again */
} met;

static long meminfo(const char *name)
{
	/* Each CPU keeps a part of the count for a while. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	return number_in("/proc/meminfo", name);
}

static int huge_file(void)
{
	int fd = syscall(SYS_memfd_create, "ptwalk", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);

	return fd >= 0 && ftruncate(fd, LEN) ? -1 : fd;
}

/* The word of each table that is looked at, in the half that is reused. */
static volatile uint64_t *word(char *base, int table)
{
	return (uint64_t *)(base + table * TABLE + HALF);
}

static bool map_shared(void)
{
	return mmap(BASE, LEN, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_NORESERVE, shared_fd, 0) == BASE;
}

/* ---------------------------------------------------------- the last owner */

static bool reuse_tables(void)
{
	for (int i = 0; i < NR_TABLES; i++) {
		char *half = BASE + i * TABLE + HALF;

		if (mmap(half, HALF, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, foreign_fd,
			 i * TABLE + HALF) != half)
			return false;
		*word(BASE, i) = FOREIGN;
	}
	return true;
}

static bool fill_tables(void)
{
	if (!map_shared())
		return false;
	for (int i = 0; i < NR_TABLES; i++)
		*word(BASE, i) = SHARED;
	return true;
}

/* Maps the file, reuses its tables, unmaps, each when it is asked to. */
static void last_owner(void)
{
	char what;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ask[1]);
	while (read(ask[0], &what, 1) == 1) {
		bool done = what == 'm' ? fill_tables() :
			    what == 'r' ? reuse_tables() : !munmap(BASE, LEN);

		if (!done || write(answer[1], &what, 1) != 1)
			break;
	}
	_exit(0);
}

static bool tell(char what)
{
	char got;

	if (write(ask[1], &what, 1) == 1 && read(answer[0], &got, 1) == 1)
		return true;
	fail("the other process died");
	return false;
}

/* --------------------------------------------------------------- GUP-fast */

static struct {
	pthread_t thread;
	bool stop;
	unsigned long walks, seen, foreign;
} walker;

/* vmsplice() takes a reference by GUP-fast; read() shows what the page has. */
static void *walk(void *unused)
{
	uint64_t value;
	int fd[2];

	if (pipe(fd))
		return unused;
	for (unsigned int i = 0; !__atomic_load_n(&walker.stop, __ATOMIC_RELAXED); i++) {
		struct iovec iov = { (void *)word(BASE, i % NR_TABLES), sizeof(value) };

		__atomic_add_fetch(&walker.walks, 1, __ATOMIC_RELAXED);
		if (vmsplice(fd[1], &iov, 1, 0) != sizeof(value) ||
		    read(fd[0], &value, sizeof(value)) != sizeof(value))
			continue;
		walker.foreign += value == FOREIGN;
		__atomic_add_fetch(&walker.seen, value == SHARED, __ATOMIC_RELAXED);
	}
	close(fd[0]);
	close(fd[1]);
	return unused;
}

static bool start_walker(void)
{
	memset(&walker, 0, sizeof(walker));
	if (pthread_create(&walker.thread, NULL, walk, NULL)) {
		fail("pthread_create");
		return false;
	}
	for (double end = now() + 10; now() < end;)
		if (__atomic_load_n(&walker.seen, __ATOMIC_RELAXED) >= NR_TABLES)
			return true;
	fail("GUP-fast found too few pages");
	return true;
}

static unsigned long walks(void)
{
	return __atomic_load_n(&walker.walks, __ATOMIC_RELAXED);
}

/* Lets GUP-fast look at each table, also on a slow machine. */
static void let_walk(void)
{
	double end = now() + 1;
	unsigned long from = walks();

	usleep(2000);
	while (walks() - from <= NR_TABLES && now() < end)
		usleep(100);
	met.walks += walks() - from;
}

static void stop_walker(void)
{
	__atomic_store_n(&walker.stop, true, __ATOMIC_RELAXED);
	pthread_join(walker.thread, NULL);
	if (walker.foreign)
		fail("%lu pages of the last owner", walker.foreign);
}

/* ------------------------------------------------------------------- cases */

/* How many tables are shared: several processes map the page, but it is mapped once. */
static unsigned int shared_tables(void)
{
	unsigned int n = 0;

	for (int i = 0; i < NR_TABLES; i++)
		n += times_mapped(word(BASE, i)) == 1;
	return n;
}

/* Maps the file and takes the tables of the other process. */
static bool share(void)
{
	if (!tell('m'))
		return false;
	if (!map_shared()) {
		fail("mmap: %s", strerror(errno));
		return false;
	}
	for (int i = 0; i < NR_TABLES; i++)
		if (*word(BASE, i) != SHARED)
			fail("a page of the file has %#lx", (long)*word(BASE, i));
	met.shared += shared_tables();
	return true;
}

/*
 * All tables are shared, so mremap() only leaves them.  It moves no entry, which
 * never returns without the series.  One call fails with ENOMEM for 16 GB, as
 * move_hugetlb_page_tables() returns an int.
 */
static int move_away(void)
{
	for (size_t at = 0; at < LEN; at += TABLE)
		if (mremap(BASE + at, TABLE, TABLE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   MOVED + at) != MOVED + at)
			return -1;
	return 0;
}

/* Fills tables of its own. */
static void look_at_moved(void)
{
	for (int i = 0; i < NR_TABLES; i++)
		if (*word(MOVED, i) != SHARED)
			fail("a page that was moved has %#lx", (long)*word(MOVED, i));
	munmap(MOVED, LEN);
}

static void one_round(int (*leave)(void))
{
	bool left;

	if (!share() || !start_walker())
		return;
	left = !leave();
	if (!left)
		fail("%s", strerror(errno));
	if (tell('r'))
		let_walk();
	stop_walker();
	if (left && leave == move_away)
		look_at_moved();
	munmap(BASE, LEN);
	tell('u');
}

/* Tables are freed after a grace period. */
static void expect_back(const char *what, long before, long allowed)
{
	double end = now() + 5;

	while (meminfo(what) > before + allowed && now() < end)
		usleep(50000);
	if (meminfo(what) > before + allowed)
		fail("%s: %ld kB more than before", what, meminfo(what) - before);
}

static bool set_up(void)
{
	char pool[16];

	snprintf(pool, sizeof(pool), "%d", POOL);
	if (!write_file(POOL_FILE, pool) || meminfo("HugePages_Free") < POOL) {
		skip("no %d huge pages", POOL);
		return false;
	}
	shared_fd = huge_file();
	foreign_fd = huge_file();
	if (shared_fd < 0 || foreign_fd < 0 || pipe(ask) || pipe(answer)) {
		skip("hugetlb files: %s", strerror(errno));
		return false;
	}
	if (times_mapped(&shared_fd) < 0) {
		fail("/proc/kpagecount: %s", strerror(errno));
		return false;
	}
	return true;
}

static void expect_met(unsigned int rounds)
{
	printf("    # %u rounds, %lu tables were shared, %lu walks after that\n", rounds,
	       met.shared, met.walks);
	if (over())
		return;
	if (!met.shared)
		fail("the two processes shared no table");
	else if (met.children && !met.sharing)
		fail("no child shared a table");
	else if (!met.walks)
		fail("GUP-fast did not walk while the tables were in use again");
	else if (rounds < MIN_ROUNDS)
		fail("only %u rounds", rounds);
}

static void leave_and_reuse(int (*leave)(void))
{
	unsigned int rounds = 0;
	long tables, pid;
	double end;

	if (!set_up())
		return;
	memset(&met, 0, sizeof(met));
	pid = fork();
	if (!pid)
		last_owner();
	close(ask[0]);
	one_round(leave);
	tables = meminfo("PageTables");
	end = now() + case_seconds();
	for (; !over() && (now() < end ||
			   (rounds < MIN_ROUNDS && now() < end + SLOW_SECONDS)); rounds++)
		one_round(leave);
	expect_met(rounds);
	/* Less than a table for each round. */
	if (rounds >= MIN_ROUNDS)
		expect_back("PageTables", tables, 4 * 8);
	close(ask[1]);
	close(answer[0]);
	close(answer[1]);
	waitpid(pid, NULL, 0);
	close(shared_fd);
	close(foreign_fd);
	if (meminfo("HugePages_Free") != POOL)
		fail("%ld of %d huge pages are free", meminfo("HugePages_Free"), POOL);
	write_file(POOL_FILE, "0");
}

static int unmap_it(void)
{
	return munmap(BASE, LEN);
}

static int protect_middles(void)
{
	for (int i = 0; i < NR_TABLES; i++)
		if (mprotect(BASE + i * TABLE + HALF / 2, HALF, PROT_READ))
			return -1;
	return 0;
}

static int punch_holes(void)
{
	return fallocate(shared_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LEN);
}

#define NOT_SHARED	2	/* status of a child */

/* The child shares the tables as well, and leaves all of them at once. */
static int touch_and_exit(void)
{
	int status, pid = fork();

	if (!pid) {
		for (int i = 0; i < NR_TABLES; i++)
			if (*word(BASE, i) != SHARED)
				_exit(1);
		_exit(shared_tables() ? 0 : NOT_SHARED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	met.children++;
	if (!status)
		met.sharing++;
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_SHARED)
		fail("the child saw other pages");
	return 0;
}

static int fork_and_unmap(void)
{
	return touch_and_exit() ?: munmap(BASE, LEN);
}

/* A process of its own leaves by its end, while the parent has never been there. */
static int exit_alone(void)
{
	return munmap(BASE, LEN) ?: map_shared() ? touch_and_exit() ?: munmap(BASE, LEN) : -1;
}

/* Broken: a device reads memory of another process, or memory is leaked. */
static void munmap_of_shared_tables(void)
{
	leave_and_reuse(unmap_it);
}

/* Broken: the same after mprotect() of a part of a shared file. */
static void mprotect_of_their_middle(void)
{
	leave_and_reuse(protect_middles);
}

/* Broken: the same after mremap(). */
static void mremap_of_shared_tables(void)
{
	leave_and_reuse(move_away);
}

/* Broken: the same after a hole is punched into a shared file. */
static void hole_punch_of_shared_tables(void)
{
	leave_and_reuse(punch_holes);
}

/* Broken: the same after fork(). */
static void fork_with_shared_tables(void)
{
	leave_and_reuse(fork_and_unmap);
}

/* Broken: the same after exit. */
static void exit_of_shared_tables(void)
{
	leave_and_reuse(exit_alone);
}

static const struct suite_case cases[] = {
	CASE(munmap_of_shared_tables),
	CASE(mprotect_of_their_middle),
	CASE(mremap_of_shared_tables),
	CASE(hole_punch_of_shared_tables),
	CASE(fork_with_shared_tables),
	CASE(exit_of_shared_tables),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_unshare_user", .seconds = 3, .cases = cases,
	};

	return run_suite(&suite, argc, argv);
}
