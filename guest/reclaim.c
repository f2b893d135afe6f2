// SPDX-License-Identifier: GPL-2.0-only
/*
 * What system calls do to page tables while another thread gives memory back
 * with MADV_DONTNEED, which frees the tables that it empties: fork, mremap,
 * userfaultfd.  A suite of its own, as a module cannot call them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret	447	/* ENOSYS where there is none */
#endif

#define NR_TABLES	4
#define SPAN		(16UL << 20)	/* what a table of any MMU maps, or more */
#define LEN		(NR_TABLES * SPAN)
#define BASE		((char *)(1UL << 42))	/* far from the heap */
#define OTHER		(BASE + 4 * LEN)
#define SPARE		(BASE + 8 * LEN)
#define SLOW_SECONDS	30	/* more, on a machine that is too slow to meet a race */

static size_t page_size;

/* What the other thread gives back, until it is told to stop. */
static struct {
	char *addr;
	size_t len;
	size_t step;	/* at a time */
	unsigned long seq;	/* odd while in madvise() */
	unsigned long rounds;
	int error;	/* the last errno */
	unsigned long given;	/* calls that found all of it mapped */
	unsigned long met;	/* operations during which it was given back */
	long freed;		/* tables that were freed before; -1: none will be */
	bool has_freed;		/* and more, since then */
	bool stop, started, paused;
	pthread_t thread;
} giver;

static long status_kb(const char *name)
{
	return number_in("/proc/self/status", name);
}

static char *map(char *addr, size_t len, int flags, int fd)
{
	char *p = mmap(addr, len, PROT_READ | PROT_WRITE,
		       flags | MAP_FIXED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED) {
		fail("mmap: %m");
		return NULL;
	}
	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

static char *map_anon(char *addr, size_t len)
{
	return map(addr, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* Tables that were freed, says the kernel; -1 if it does not count them */
static long tables_freed(void)
{
	return number_in("/proc/vmstat", "pgtable_free_empty");
}

/*
 * A thread keeps the last table that it has emptied by parts.  So empty one that
 * nobody else uses, for the kernel to free the one before.
 */
static void empty_another_table(void)
{
	*(volatile char *)SPARE = 1;
	madvise(SPARE, page_size, MADV_DONTNEED);
}

static void *give_back(void *unused)
{
	while (!__atomic_load_n(&giver.stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&giver.paused, __ATOMIC_RELAXED)) {
			sched_yield();
			continue;
		}
		__atomic_add_fetch(&giver.seq, 1, __ATOMIC_SEQ_CST);
		/* Either this sees the pause, or pause_giving() an odd number. */
		if (__atomic_load_n(&giver.paused, __ATOMIC_SEQ_CST)) {
			__atomic_add_fetch(&giver.seq, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		for (size_t i = 0; i < giver.len; i += giver.step) {
			/* ENOMEM says that a part is not mapped; the rest was given back. */
			if (!madvise(giver.addr + i, giver.step, MADV_DONTNEED))
				__atomic_add_fetch(&giver.given, 1, __ATOMIC_SEQ_CST);
			else if (errno != ENOMEM)
				giver.error = errno;
			if (giver.step < giver.len)
				empty_another_table();
		}
		giver.rounds++;
		__atomic_add_fetch(&giver.seq, 1, __ATOMIC_SEQ_CST);
		if (giver.rounds % 64 == 0)
			usleep(1);	/* let others be sure of something */
	}
	return unused;
}

/* Whether this kernel frees a table that is emptied by @step at a time, and counts it */
static bool frees_tables_by(size_t step)
{
	long before = tables_freed();
	char *mem = SPARE + SPAN;

	if (before < 0 || !map_anon(mem, SPAN))
		return false;
	*mem = 1;
	for (size_t i = 0; i < SPAN; i += step)
		madvise(mem + i, step < SPAN ? step : SPAN, MADV_DONTNEED);
	if (step < SPAN)
		empty_another_table();
	munmap(mem, SPAN);
	return tables_freed() > before;
}

static void start_giving_by(char *addr, size_t len, size_t step)
{
	giver.addr = addr;
	giver.len = len;
	giver.step = step;
	giver.rounds = 0;
	giver.given = 0;
	giver.met = 0;
	giver.error = 0;
	giver.stop = false;
	giver.has_freed = false;
	if (step < len)
		map_anon(SPARE, SPAN);
	giver.freed = frees_tables_by(step) ? tables_freed() : -1;
	giver.started = !pthread_create(&giver.thread, NULL, give_back, NULL);
}

static void start_giving(char *addr, size_t len)
{
	start_giving_by(addr, len, len);
}

/* Whether tables were freed since it began, where it frees any */
static bool has_freed_tables(void)
{
	if (!giver.has_freed)
		giver.has_freed = tables_freed() > giver.freed || giver.freed < 0;
	return giver.has_freed;
}

static void stop_giving(void)
{
	__atomic_store_n(&giver.stop, true, __ATOMIC_RELAXED);
	if (giver.started)
		pthread_join(giver.thread, NULL);
	munmap(SPARE, SPAN);
	if (giver.error)
		fail("MADV_DONTNEED: %s", strerror(giver.error));
	else if (!giver.met)
		fail("nothing was given back during an operation");
	else if (!has_freed_tables())
		fail("no page table was freed");
}

/* Until @end; longer on a machine so slow that the race was not met. */
static bool goes_on(double end)
{
	double time = now();

	return !over() && (time < end || (time < end + SLOW_SECONDS &&
					  (!giver.met || !has_freed_tables())));
}

static unsigned long giver_seq(void)
{
	return __atomic_load_n(&giver.seq, __ATOMIC_SEQ_CST);
}

/* Whether nothing was given back since giver_seq() returned @seq. */
static bool quiet_since(unsigned long seq)
{
	return !(seq & 1) && giver_seq() == seq;
}

/* An operation has ended that began when giver_seq() returned @seq. */
static void note_race(unsigned long seq)
{
	giver.met += !quiet_since(seq);
}

/*
 * The same of a range that is not always mapped, and all of which was given back
 * @given times when the operation began: wait for the call that may have met it, and
 * count it only if it found the range.
 */
static void note_race_if_given(unsigned long seq, unsigned long given)
{
	bool quiet = quiet_since(seq);

	seq = giver_seq();
	while (seq & 1 && giver_seq() == seq)
		sched_yield();
	giver.met += !quiet && __atomic_load_n(&giver.given, __ATOMIC_SEQ_CST) != given;
}

/* Nothing may be left of memory that was given back, with nobody using it. */
static void expect_no_memory_left(char *addr, size_t len, long before)
{
	madvise(addr, len, MADV_DONTNEED);
	munmap(addr, len);
	/* Stacks and buffers of this program come and go; the kernel's count is exact. */
	if (status_kb("RssAnon") > before + (page_size < 65536 ? 128 : 512))
		fail("%ld kB of pages are left that nothing maps",
		     status_kb("RssAnon") - before);
}

static uint64_t *word(char *addr, int i)
{
	return (uint64_t *)(addr + i * (SPAN / 4));
}

/*
 * Multi-threaded TCG of powerpc does not wait for a tlbie: what another thread has
 * given back may be seen for a moment more, and what its page was used for next.
 */
#ifdef __powerpc64__
#define FLUSH_MAY_BE_LATE	true
#else
#define FLUSH_MAY_BE_LATE	false
#endif

/* What is there, in the end. */
static uint64_t settled(uint64_t *ptr, uint64_t expected)
{
	uint64_t value = *(volatile uint64_t *)ptr;

	if (FLUSH_MAY_BE_LATE && value && value != expected) {
		usleep(1000);
		value = *(volatile uint64_t *)ptr;
	}
	return value;
}

/* Nothing is given back until go_on_giving(). */
static void hold_giver(void)
{
	__atomic_store_n(&giver.paused, true, __ATOMIC_SEQ_CST);
	while (giver_seq() & 1)
		sched_yield();
}

/*
 * Where a flush may be late, a store to memory that is given back could reach the page's next
 * user.  So give back nothing while the caller stores.
 */
static void pause_giving(void)
{
	if (!FLUSH_MAY_BE_LATE)
		return;
	hold_giver();
	usleep(1000);
}

static void go_on_giving(void)
{
	__atomic_store_n(&giver.paused, false, __ATOMIC_SEQ_CST);
}

/* Less than a table of any MMU maps */
#define PART		(1UL << 20)

static void fork_versus_giver(const char *name, size_t step)
{
	double end = now() + case_seconds();
	char *mem = map_anon(BASE, 2 * LEN);
	unsigned long forks = 0;
	int status = 0;
	unsigned long seq;
	pid_t child;

	if (!mem)
		return;
	/* The second half is not given back. */
	for (int i = 0; i < NR_TABLES * 8; i++)
		*word(mem, i) = i + 1;
	start_giving_by(mem, LEN, step);
	for (; goes_on(end) && !status; forks++) {
		/* In some rounds the child frees nothing, so what is counted is the parent's. */
		bool child_frees = giver.has_freed || forks % 2;

		if (!child_frees && giver.freed >= 0)
			giver.freed = tables_freed();
		pause_giving();
		for (int i = 0; i < NR_TABLES * 4; i++)
			*word(mem, i) = i + 1;
		go_on_giving();
		seq = giver_seq();
		child = fork();
		if (!child) {
			for (int i = 0; i < NR_TABLES * 8; i++) {
				uint64_t value = *word(mem, i);

				if (value != i + 1UL && (value || i >= NR_TABLES * 4))
					_exit(1);
			}
			if (!child_frees)
				_exit(0);
			madvise(mem, LEN, MADV_DONTNEED);
			_exit(*word(mem, 0) != 0);
		}
		note_race(seq);
		if (child < 0 || waitpid(child, &status, 0) < 0) {
			fail("fork: %m");
			break;
		}
		if (!child_frees)
			has_freed_tables();
		else if (!giver.has_freed && giver.freed >= 0)
			giver.freed = tables_freed();
	}
	stop_giving();
	printf("    # %s: %lu forks, %lu times given back\n", name, forks,
	       giver.rounds);
	if (status)
		fail("child saw wrong memory (status %#x)", status);
	munmap(mem, 2 * LEN);
}

/* Broken: fork() gives a child memory that is not its parent's. */
static void fork_versus_dontneed(void)
{
	fork_versus_giver("fork_versus_dontneed", LEN);
}

/* Broken: the same where tables are emptied piece by piece. */
static void fork_versus_parts(void)
{
	if (FLUSH_MAY_BE_LATE)
		return skip("QEMU does not wait for a tlbie");
	fork_versus_giver("fork_versus_parts", PART);
}

static void mremap_versus_giver(const char *name, size_t step)
{
	long before = status_kb("RssAnon");
	double end = now() + case_seconds();
	unsigned long moves = 0, seq, given;
	/* Not by whole tables, and the second half is not given back. */
	char *from = BASE + page_size, *to = OTHER, *mem, *next;

	mem = map_anon(from, 2 * LEN);
	if (!mem)
		return;
	for (int i = 0; i < NR_TABLES * 8; i++)
		*word(mem, i) = i + 1;
	start_giving_by(OTHER, LEN, step);
	while (goes_on(end)) {
		next = mem == from ? to : from;
		seq = giver_seq();
		given = __atomic_load_n(&giver.given, __ATOMIC_SEQ_CST);
		if (mremap(mem, 2 * LEN, 2 * LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
			   next) != next) {
			fail("mremap: %m");
			break;
		}
		note_race_if_given(seq, given);
		mem = next;
		pause_giving();
		for (int i = 0; i < NR_TABLES * 8; i++) {
			uint64_t value = settled(word(mem, i), i + 1);

			if (value != i + 1UL && (value || i >= NR_TABLES * 4))
				fail("word %d is %llu", i, (unsigned long long)value);
			*word(mem, i) = i + 1;
		}
		go_on_giving();
		moves++;
	}
	stop_giving();
	printf("    # %s: %lu moves, %lu times given back\n", name, moves,
	       giver.rounds);
	expect_no_memory_left(mem, 2 * LEN, before);
}

/* Broken: mremap moves pages into a table that is gone. */
static void mremap_versus_dontneed(void)
{
	mremap_versus_giver("mremap_versus_dontneed", LEN);
}

/* Broken: the same where tables are emptied piece by piece. */
static void mremap_versus_parts(void)
{
	if (FLUSH_MAY_BE_LATE)
		return skip("QEMU does not wait for a tlbie");
	mremap_versus_giver("mremap_versus_parts", PART);
}

static int open_uffd(uint64_t features)
{
	int fd = uffd_open(features);

	if (fd < 0)
		skip("userfaultfd with features %#llx: %s",
		     (unsigned long long)features, strerror(errno));
	return fd;
}

static bool register_uffd(int fd, char *addr, size_t len, uint64_t mode)
{
	if (uffd_register(fd, addr, len, mode))
		return true;
	skip("UFFDIO_REGISTER: %s", strerror(errno));
	return false;
}

/* Broken: UFFDIO_MOVE loses a page in a table that was freed. */
static void uffd_move_versus_dontneed(void)
{
	long before = status_kb("RssAnon");
	double end = now() + case_seconds();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	unsigned long moves = 0, again = 0, lost = 0, seq;
	int fd = open_uffd(UFFD_FEATURE_MOVE);
	char *src, *dst;

	if (fd < 0)
		return;
	src = map_anon(OTHER, SPAN);
	dst = map_anon(BASE, SPAN);
	if (!src || !dst || !register_uffd(fd, dst, SPAN, UFFDIO_REGISTER_MODE_MISSING))
		goto out;
	start_giving(dst, SPAN);
	while (goes_on(end)) {
		struct uffdio_move move = {
			.dst = (uintptr_t)dst, .src = (uintptr_t)src, .len = page_size,
		};

		*src = 1;
		seq = giver_seq();
		if (ioctl(fd, UFFDIO_MOVE, &move)) {
			if (errno != EAGAIN && errno != EEXIST && errno != EBUSY)
				fail("UFFDIO_MOVE: %m");
			madvise(src, page_size, MADV_DONTNEED);
			madvise(dst, page_size, MADV_DONTNEED);
			again++;
			continue;
		}
		note_race(seq);
		if (!(pagemap_entry(pagemap, dst) & PM_PRESENT) && quiet_since(seq))
			lost++;
		moves++;
	}
	stop_giving();
	printf("    # uffd_move_versus_dontneed: %lu moves, %lu refused, %lu times given back\n",
	       moves, again, giver.rounds);
	if (!moves)
		fail("no page was moved");
	if (lost)
		fail("%lu pages were moved to nowhere", lost);
	munmap(src, SPAN);
	expect_no_memory_left(dst, SPAN, before);
out:
	close(fd);
	close(pagemap);
}

/* The error, or 0. */
static int uffd_copy(int fd, char *dst, char *src)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)dst, .src = (uintptr_t)src, .len = page_size,
	};

	return ioctl(fd, UFFDIO_COPY, &copy) ? errno : 0;
}

static int uffd_zeropage(int fd, char *dst, char *src)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)dst, page_size } };

	(void)src;
	return ioctl(fd, UFFDIO_ZEROPAGE, &zero) ? errno : 0;
}

static void uffd_fill_versus_dontneed(const char *name,
				      int (*fill)(int fd, char *dst, char *src))
{
	long before = status_kb("RssAnon");
	double end = now() + case_seconds();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	unsigned long pages = 0, found = 0, lost = 0, seq;
	int fd = open_uffd(0), error;
	char *buf, *dst;

	if (fd < 0)
		goto out;
	buf = map_anon(OTHER, SPAN);
	dst = map_anon(BASE, SPAN);
	if (!buf || !dst || !register_uffd(fd, dst, SPAN, UFFDIO_REGISTER_MODE_MISSING))
		goto out;
	memset(buf, 1, page_size);
	start_giving(dst, SPAN);
	for (; goes_on(end); pages++) {
		/* A page that is not there proves something only if it was not given back. */
		bool held = pages % 64 == 0;

		if (held)
			hold_giver();
		madvise(dst, page_size, MADV_DONTNEED);
		seq = giver_seq();
		error = fill(fd, dst, buf);
		if (!held)
			note_race(seq);
		if (error)
			fail("%s: %s, after %lu", name, strerror(error), pages);
		else if (held && pagemap_entry(pagemap, dst) & (PM_PRESENT | PM_SWAP))
			found++;
		else if (held)
			lost++;
		if (held)
			go_on_giving();
	}
	stop_giving();
	printf("    # %s: %lu pages, %lu of them looked at, %lu times given back\n", name,
	       pages, found + lost, giver.rounds);
	if (lost || !found)
		fail("%s succeeds, but of %lu pages %lu are there", name, found + lost, found);
	munmap(buf, SPAN);
	expect_no_memory_left(dst, SPAN, before);
out:
	close(fd);
	close(pagemap);
}

/*
 * Broken: UFFDIO_COPY succeeds without mapping a page, and the fault never
 * ends.
 */
static void uffd_copy_versus_dontneed(void)
{
	uffd_fill_versus_dontneed("UFFDIO_COPY", uffd_copy);
}

/* Broken: the same for UFFDIO_ZEROPAGE. */
static void uffd_zeropage_versus_dontneed(void)
{
	uffd_fill_versus_dontneed("UFFDIO_ZEROPAGE", uffd_zeropage);
}

/* Broken: userfaultfd does not report a write to protected memory. */
static void uffd_wp_versus_dontneed(void)
{
	double end = now() + case_seconds();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int fd = open_uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			   UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	int file = memfd_create("ptwalk", 0);
	unsigned long rounds = 0, open_ = 0, seq;
	struct uffdio_writeprotect wp;
	char *mem;

	if (fd < 0)
		goto out;
	if (ftruncate(file, SPAN)) {
		fail("ftruncate: %m");
		goto out;
	}
	mem = map(BASE, SPAN, MAP_SHARED, file);
	if (!mem || !register_uffd(fd, mem, SPAN, UFFDIO_REGISTER_MODE_WP))
		goto out;
	start_giving(mem, SPAN);
	while (goes_on(end)) {
		wp.range.start = (uintptr_t)mem;
		wp.range.len = page_size;
		wp.mode = UFFDIO_WRITEPROTECT_MODE_WP;
		seq = giver_seq();
		if (ioctl(fd, UFFDIO_WRITEPROTECT, &wp))
			fail("UFFDIO_WRITEPROTECT: %m");
		note_race(seq);
		/* Markers stay, whatever is given back. */
		open_ += !(pagemap_entry(pagemap, mem) & PM_UFFD_WP);
		wp.mode = 0;
		if (ioctl(fd, UFFDIO_WRITEPROTECT, &wp))
			fail("UFFDIO_WRITEPROTECT: %m");
		rounds++;
	}
	stop_giving();
	printf("    # uffd_wp_versus_dontneed: %lu times protected, %lu times given back\n",
	       rounds, giver.rounds);
	if (open_)
		fail("%lu pages were not protected", open_);
	munmap(mem, SPAN);
out:
	close(file);
	close(fd);
	close(pagemap);
}

static bool keeps_tables(void)
{
	if (number_in("/sys/module/ptwalk_kunit/parameters/keeps_tables", "") <= 0)
		return false;
	skip("needs CONFIG_PT_RECLAIM");
	return true;
}

static void expect_tables_freed(char *mem, size_t step, char contents)
{
	long before, touched, left, counted;

	if (keeps_tables())
		return;
	*mem = 1;
	before = status_kb("VmPTE");
	for (int i = 0; i < 64; i++)
		mem[i * SPAN] = 1;
	touched = status_kb("VmPTE") - before;
	counted = tables_freed();
	for (size_t i = 0; i < 64 * SPAN; i += step)
		if (madvise(mem + i, step, MADV_DONTNEED_LOCKED))
			fail("MADV_DONTNEED_LOCKED: %m");
	left = status_kb("VmPTE") - before;
	counted = tables_freed() - counted;
	/* Some of it may be of the upper levels. */
	if (left > touched / 2)
		fail("of %ld kB of page tables %ld kB are left", touched, left);
	else if (tables_freed() >= 0 && counted < 63)
		fail("64 tables were freed, /proc/vmstat has %ld", counted);
	if (mem[SPAN] != contents)
		fail("memory is %d, not %d", mem[SPAN], contents);
}

/*
 * Broken: MADV_DONTNEED_LOCKED of locked memory leaves its page tables behind.
 */
static void locked_tables_are_freed(void)
{
	char *mem = map_anon(BASE, 64 * SPAN);

	if (!mem)
		return;
	if (mlock2(mem, 64 * SPAN, MLOCK_ONFAULT))
		skip("mlock2: %s", strerror(errno));
	else
		expect_tables_freed(mem, 64 * SPAN, 0);
	munmap(mem, 64 * SPAN);
}

/* Broken: memory given back piece by piece, locked or not, leaves its page tables behind. */
static void tables_emptied_by_parts_are_freed(void)
{
	char *mem = map_anon(BASE, 64 * SPAN);

	if (!mem)
		return;
	if (mlock2(mem, 64 * SPAN, MLOCK_ONFAULT))
		skip("mlock2: %s", strerror(errno));
	else
		expect_tables_freed(mem, PART, 0);
	munmap(mem, 64 * SPAN);
}

/* Uses a page and gives it back; returns how many tables were freed so far. */
static void *use_one_page(void *page)
{
	*(char *)page = 1;
	if (madvise(page, page_size, MADV_DONTNEED))
		fail("MADV_DONTNEED: %m");
	return (void *)tables_freed();
}

/* Broken: a new thread frees the table that its creator is about to use again. */
static void new_thread_keeps_table_of_its_creator(void)
{
	char *mem = map_anon(BASE, 2 * SPAN);
	void *before, *after;
	pthread_t thread;

	if (!mem)
		return;
	before = use_one_page(mem);
	if (pthread_create(&thread, NULL, use_one_page, mem + SPAN))
		fail("no thread");
	else if (pthread_join(thread, &after) || after != before)
		fail("the new thread has freed a table");
	munmap(mem, 2 * SPAN);
}

/*
 * Broken: MADV_DONTNEED of secret memory leaves its page tables behind, or
 * loses data.
 */
static void secret_tables_are_freed(void)
{
	int fd = syscall(SYS_memfd_secret, 0);
	char *mem;

	if (fd < 0 || ftruncate(fd, 64 * SPAN)) {
		skip("memfd_secret: %s", strerror(errno));
		return;
	}
	mem = map(BASE, 64 * SPAN, MAP_SHARED, fd);
	if (mem) {
		expect_tables_freed(mem, 64 * SPAN, 1);
		munmap(mem, 64 * SPAN);
	}
	close(fd);
}

/* Of linux/fs.h, from 6.7 on */
struct region {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

#define SCAN		_IOWR('f', 16, struct scan)
#define SCAN_WRITTEN	(1 << 1)
#define SCAN_PRESENT	(1 << 3)

/* Whether PAGEMAP_SCAN finds a page of the category; negative if it fails */
static int scan_for(int pagemap, char *mem, size_t len, uint64_t category)
{
	struct region region;
	struct scan arg = {
		.size = sizeof(arg), .start = (uintptr_t)mem, .end = (uintptr_t)mem + len,
		.vec = (uintptr_t)&region, .vec_len = 1,
		.mask = category, .returned = category,
	};

	return ioctl(pagemap, SCAN, &arg);
}

/* Broken: PAGEMAP_SCAN reports memory that was given back as written to. */
static void scan_passes_over_freed_tables(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	char *mem = map_anon(BASE, SPAN);

	if (mem && !keeps_tables()) {
		*mem = 1;
		if (scan_for(pagemap, mem, SPAN, SCAN_PRESENT) != 1)
			fail("PAGEMAP_SCAN finds no page: %m");
		madvise(mem, SPAN, MADV_DONTNEED);
		if (scan_for(pagemap, mem, SPAN, SCAN_WRITTEN))
			fail("PAGEMAP_SCAN finds memory that was given back");
	}
	munmap(BASE, SPAN);
	close(pagemap);
}

/**
 * struct toucher - a thread that faults while userfaultfd lets its range go
 * @addr: what it reads
 * @turn: how often it may read
 * @done: how often it has read
 */
static struct toucher {
	char *addr;
	unsigned long turn, done;
} toucher;

static void *touch_in_turn(void *unused)
{
	unsigned long turn, last = 0;

	for (;;) {
		turn = __atomic_load_n(&toucher.turn, __ATOMIC_SEQ_CST);
		if (turn == -1UL)
			return unused;
		if (turn == last)
			continue;
		last = turn;
		(void)*(volatile char *)toucher.addr;
		__atomic_store_n(&toucher.done, turn, __ATOMIC_SEQ_CST);
	}
}

static bool touched_before(double end)
{
	while (__atomic_load_n(&toucher.done, __ATOMIC_SEQ_CST) != toucher.turn)
		if (now() > end)
			return false;
	return true;
}

/* Whether a fault waits in the queue; the monitor has not read it. */
static bool has_fault(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, ms) == 1 && poll_fd.revents & POLLIN;
}

/*
 * Registers the page, lets the thread fault, unregisters it: it must go on.  Before that,
 * spins for a moment, or else waits for the fault; returns whether it was seen to wait.
 */
static bool let_go_during_fault(int fd, struct uffdio_range *range, unsigned int spin,
				bool wait)
{
	bool seen = false;

	madvise(toucher.addr, SPAN, MADV_DONTNEED);
	if (!register_uffd(fd, toucher.addr, SPAN, UFFDIO_REGISTER_MODE_MISSING))
		return false;
	__atomic_add_fetch(&toucher.turn, 1, __ATOMIC_SEQ_CST);
	if (wait)
		seen = has_fault(fd, 1000);
	for (unsigned int i = 0; i < spin && !wait; i++)
		asm volatile("" ::: "memory");
	if (ioctl(fd, UFFDIO_UNREGISTER, range))
		fail("UFFDIO_UNREGISTER: %m");
	if (touched_before(now() + 2))
		return seen;
	fail("a fault waits for a range that is not registered");
	ioctl(fd, UFFDIO_WAKE, range);
	touched_before(now() + 10);
	return seen;
}

/*
 * Broken: a thread faults for ever, or the monitor gets a fault at an address
 * that it unregistered.
 */
static void unregister_wakes_faults(void)
{
	/* The window is narrow: on a busy host v6.12 has passed in the usual time. */
	double end = now() + 4 * case_seconds();
	int fd = open_uffd(0);
	struct uffdio_range range = { .start = (uintptr_t)BASE, .len = SPAN };
	unsigned long rounds = 0, seen = 0;
	pthread_t thread;

	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);		/* or poll() fails */
	toucher = (struct toucher){ .addr = map_anon(BASE, SPAN) };
	if (!toucher.addr || pthread_create(&thread, NULL, touch_in_turn, NULL)) {
		fail("no memory or no thread");
		close(fd);
		return;
	}
	/* To wait takes time, and misses the window of the bug: only now and then. */
	for (; !over() && (now() < end || (!seen && now() < end + SLOW_SECONDS)); rounds++)
		seen += let_go_during_fault(fd, &range, rand() % 4096, rounds % 64 == 63);
	__atomic_store_n(&toucher.turn, -1UL, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	printf("    # unregister_wakes_faults: %lu times, %lu faults were seen to wait\n",
	       rounds, seen);
	if (!over() && !seen)
		fail("no fault was seen to wait");
	munmap(BASE, SPAN);
	close(fd);
}

static const struct suite_case cases[] = {
	CASE(fork_versus_dontneed),
	CASE(fork_versus_parts),
	CASE(mremap_versus_dontneed),
	CASE(mremap_versus_parts),
	CASE(uffd_move_versus_dontneed),
	CASE(uffd_copy_versus_dontneed),
	CASE(uffd_zeropage_versus_dontneed),
	CASE(uffd_wp_versus_dontneed),
	CASE(unregister_wakes_faults),
	CASE(locked_tables_are_freed),
	CASE(tables_emptied_by_parts_are_freed),
	CASE(new_thread_keeps_table_of_its_creator),
	CASE(secret_tables_are_freed),
	CASE(scan_passes_over_freed_tables),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_reclaim_user", .seconds = 3, .cases = cases,
	};

	page_size = sysconf(_SC_PAGESIZE);
	return run_suite(&suite, argc, argv);
}
