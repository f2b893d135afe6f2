// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out at every allocation of an operation, one after the other: the
 * operation is refused, or finds a way without; nothing is lost, and when there
 * is memory again it is done.
 *
 * /proc/thread-self/fail-nth makes the nth allocation from now on fail: pages,
 * and with CONFIG_FAILSLAB slab objects.  Each attempt is a process of its own,
 * so that the kernel checks its counters as it exits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#define DEBUG		"/sys/kernel/debug/"
#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"
#define BASE		((char *)(1UL << 42))	/* far from the heap */
#define SPAN		(16UL << 20)	/* what a table of any MMU maps, or more */
#define GIGABYTE	(1UL << 30)	/* what a table of huge pages maps */
#define MAX_NTH		2000	/* more allocations than an operation makes */
#define REPEAT		4	/* what is leaked by each attempt adds up ... */
#define LEAK_SLACK	2	/* ... to more table pages than come and go */

/* powerpc cuts tables out of a page, which may have some left. */
#ifdef __powerpc64__
#define TABLES_ALLOCATE	false
#else
#define TABLES_ALLOCATE	true
#endif

/* Exit status of an attempt */
enum outcome {
	DONE,		/* in spite of the failure */
	REFUSED,	/* and done when there was memory again */
	ENDED,		/* done, before that allocation */
	CANNOT,		/* not even begun */
	BAD,
};

static size_t page_size, huge_size, len;
static size_t step = 1;	/* in pages, from one that is used to the next */
static char *mem, *other;
static int uffd = -1;
static char *why;	/* shared with the processes that try */

static enum outcome because(enum outcome outcome, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, page_size, fmt, ap);
	va_end(ap);
	return outcome;
}
#define bad(...)	because(BAD, __VA_ARGS__)

static bool map_at(char **where, char *addr, int flags, int fd)
{
	*where = mmap(addr, len, PROT_READ | PROT_WRITE,
		      flags | MAP_FIXED | MAP_NORESERVE, fd, 0);
	return *where != MAP_FAILED;
}

/* ------------------------------------------------- what an operation works on */

static uint64_t *word(char *addr, size_t page)
{
	return (uint64_t *)(addr + page * page_size);
}

static void fill(char *addr)
{
	for (size_t i = 0; i < len / page_size; i += step)
		*word(addr, i) = i + 1;
}

static bool holds(char *addr, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += step)
		if (*(volatile uint64_t *)word(addr, i) != i + 1)
			return false;
	return true;
}

static bool is_intact(void)
{
	return holds(mem, 0, len / page_size);
}

/* What a table maps, or more. */
static size_t one_table(void)
{
	return huge_size ? huge_size : SPAN;
}

static bool small_pages(void)
{
	len = one_table();
	if (!map_at(&mem, BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return false;
	fill(mem);
	return true;
}

static bool huge_page(void)
{
	return small_pages() && !madvise(mem, len, MADV_COLLAPSE);
}

static bool two_mappings(void)
{
	int fd = memfd_create("ptwalk", 0);

	len = huge_size;
	if (fd < 0 || ftruncate(fd, len) || !map_at(&mem, BASE, MAP_SHARED, fd) ||
	    !map_at(&other, BASE + SPAN, MAP_SHARED, fd))
		return false;
	fill(mem);
	return holds(other, 0, len / page_size);
}

/* In the page cache, and in the other mapping alone; the kernel's 64 KB are a page of powerpc. */
static bool cached(void)
{
	int fd = memfd_create("ptwalk", 0);
	char text[16];

	snprintf(text, sizeof(text), "%zu", 16 * page_size);
	len = 2 * one_table();
	if (fd < 0 || !write_file(DEBUG "fault_around_bytes", text) || ftruncate(fd, len) ||
	    !map_at(&other, BASE + 4 * SPAN, MAP_SHARED, fd))
		return false;
	madvise(other, len, MADV_NOHUGEPAGE);
	fill(other);
	return map_at(&mem, BASE, MAP_SHARED, fd);
}

static bool both_are_intact(void)
{
	return is_intact() && holds(other, 0, len / page_size);
}

static bool tables(void)
{
	len = 2 * SPAN;
	step = 16;	/* of 32 that a table of radix maps, at least */
	if (!map_at(&mem, BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return false;
	madvise(mem, len, MADV_NOHUGEPAGE);
	fill(mem);
	return true;
}

static bool monitored(char *addr, int flags, int fd, uint64_t features, uint64_t mode)
{
	len = SPAN;
	uffd = uffd_open(features);
	if (uffd < 0 || !map_at(&mem, addr, flags, fd))
		return false;
	madvise(mem, len, MADV_NOHUGEPAGE);
	return uffd_register(uffd, mem, len, mode);
}

static bool monitored_anon(void)
{
	return monitored(BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, UFFDIO_REGISTER_MODE_MISSING);
}

static bool monitored_and_source(void)
{
	if (!monitored(BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       UFFD_FEATURE_MOVE | UFFD_FEATURE_SIGBUS, UFFDIO_REGISTER_MODE_MISSING) ||
	    !map_at(&other, BASE + 4 * SPAN, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return false;
	madvise(other, len, MADV_NOHUGEPAGE);
	fill(other);
	return true;
}

/* Half of it in each of two tables of the third level */
static bool monitored_shmem(void)
{
	int fd = memfd_create("ptwalk", 0);

	return fd >= 0 && !ftruncate(fd, SPAN) &&
	       monitored(BASE + GIGABYTE - SPAN / 2, MAP_SHARED, fd,
			 UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
			 UFFDIO_REGISTER_MODE_WP);
}

static bool hugetlb(void)
{
	int fd = memfd_create("ptwalk", MFD_HUGETLB);

	len = GIGABYTE;
	if (number_in(NR_HUGEPAGES, "") < 2 && !write_file(NR_HUGEPAGES, "4"))
		return false;
	if (fd < 0 || ftruncate(fd, len) || !map_at(&mem, BASE, MAP_SHARED, fd))
		return false;
	if (fallocate(fd, 0, 0, 1))	/* no page: not SIGBUS */
		return false;
	*word(mem, 0) = 1;
	return map_at(&other, BASE + GIGABYTE, MAP_SHARED, fd);
}

static bool hugetlb_is_intact(void)
{
	return *word(mem, 0) == 1;
}

/* -------------------------------------------------------------- the operations */

static int collapse(void)
{
	return madvise(mem, len, MADV_COLLAPSE);
}

static int protect_half(void)
{
	return mprotect(mem, len / 2, PROT_READ);
}

static int unmap_half(void)
{
	return munmap(mem + len / 2, len / 2);
}

static bool half_is_intact(void)
{
	return holds(mem, 0, len / page_size / 2);
}

static int unmap(void)
{
	return munmap(mem, len / 2);
}

static bool rest_is_intact(void)
{
	return holds(mem, len / page_size / 2, len / page_size);
}

/* The fault needs a table again. */
static int give_back_and_touch(void)
{
	if (madvise(mem, len / 2, MADV_DONTNEED))
		return -1;
	for (size_t i = 0; i < len / 2; i += len / 8)
		mem[i] = 1;
	return 0;
}

static int move(void)
{
	char *to = BASE + 4 * SPAN + page_size;

	if (mremap(mem, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return -1;
	mem = to;
	return 0;
}

static int fork_and_look(void)
{
	int status = -1;
	pid_t child = fork();

	if (child < 0)
		return -1;
	if (!child)
		_exit(!is_intact());
	waitpid(child, &status, 0);
	if (status)
		bad("the child saw other memory (status %#x)", status);
	return 0;
}

static uint64_t source[(64 << 10) / sizeof(uint64_t)] = { 42 };
static bool filled;

static int fill_in(void)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)mem, .src = (uintptr_t)source, .len = page_size,
	};

	filled = !ioctl(uffd, UFFDIO_COPY, &copy) || errno == EEXIST;
	return filled ? 0 : -1;
}

/* Nobody would answer the fault of a page that is not there. */
static bool copy_is_intact(void)
{
	return !filled || *word(mem, 0) == source[0];
}

static size_t moved;	/* bytes */

static int move_pages(void)
{
	struct uffdio_move range = {
		.dst = (uintptr_t)mem + moved, .src = (uintptr_t)other + moved,
		.len = len - moved,
	};
	int ret = ioctl(uffd, UFFDIO_MOVE, &range);

	if (range.move > 0)
		moved += range.move;
	return ret;
}

/* A page that is nowhere is a SIGBUS. */
static bool each_is_in_one_place(void)
{
	for (size_t i = 0; i < moved / page_size; i++)
		if (*word(other, i))
			return false;
	return holds(mem, 0, moved / page_size) &&
	       holds(other, moved / page_size, len / page_size);
}

/* A fault in each 16 pages maps them all. */
static int touch(void)
{
	for (size_t i = 0; i < len / page_size; i += 16)
		holds(mem, i, i + 1);
	return 0;
}

static bool neighbours_are_mapped(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	bool mapped = true;

	for (size_t i = 0; i < len / page_size; i++)
		mapped &= !!(pagemap_entry(pagemap, mem + i * page_size) & PM_PRESENT);
	close(pagemap);
	return mapped && both_are_intact();
}

static bool said_protected;

static int write_protect(void)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)mem, len }, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	said_protected = !ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
	return said_protected ? 0 : -1;
}

/* The second mapping takes the table of the first one, and leaves it. */
static int share_and_unshare(void)
{
	if (*word(other, 0) != 1)
		bad("the other mapping saw other memory");
	return mprotect(other, len / 2, PROT_READ);
}

static bool is_protected(void)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	bool all = true;

	for (size_t i = 0; said_protected && i < len / page_size; i++)
		all &= !!(pagemap_entry(pagemap, mem + i * page_size) & PM_UFFD_WP);
	close(pagemap);
	for (size_t i = 0; i < len / page_size; i += 16)
		all &= !*word(mem, i);
	return all;
}

static const struct op {
	const char *name;
	bool (*prepare)(void);
	int (*run)(void);
	bool (*is_intact)(void);
	bool huge;	/* needs transparent huge pages */
	bool allocates;	/* so that some of it can fail */
} ops[] = {
	/* Broken: a collapse that runs out of memory loses data, or fails with EINVAL. */
	{ "collapse_anon", small_pages, collapse, is_intact, true, true },
	/* Broken: the same for shmem that is mapped twice. */
	{ "collapse_shmem", two_mappings, collapse, both_are_intact, true, true },
	/*
	 * Broken: mprotect() of half a huge page loses or mixes up pages when
	 * memory is short.
	 */
	{ "split_by_mprotect", huge_page, protect_half, is_intact, true, false },
	/* Broken: the same for munmap() of half a huge page. */
	{ "split_by_munmap", huge_page, unmap_half, half_is_intact, true, false },
	/* Broken: mremap() of a huge page that runs out of memory leaves a part behind. */
	{ "split_by_mremap", huge_page, move, is_intact, true, true },
	/* Broken: munmap() leaks page tables when there is no memory to batch them. */
	{ "munmap_of_tables", tables, unmap, rest_is_intact, false, true },
	/* Broken: mremap() that runs out of memory for page tables loses what it moved. */
	{ "mremap_of_tables", tables, move, is_intact, false, true },
	/* Broken: a process is killed because a fault could not allocate a page table. */
	{ "dontneed_and_fault", tables, give_back_and_touch, rest_is_intact, false, true },
	/* Broken: the same for a fault that also maps neighbouring pages of a file. */
	{ "fault_around", cached, touch, neighbours_are_mapped, false, TABLES_ALLOCATE },
	/*
	 * Broken: a child lacks memory of its parent because a page table was
	 * not allocated.
	 */
	{ "fork", small_pages, fork_and_look, is_intact, false, true },
	/* Broken: UFFDIO_COPY that could not allocate a page table fails when repeated. */
	{ "uffd_copy", monitored_anon, fill_in, copy_is_intact, false, true },
	/* Broken: the same for UFFDIO_MOVE, or it loses pages. */
	{ "uffd_move", monitored_and_source, move_pages, each_is_in_one_place, false,
	  TABLES_ALLOCATE },
	/*
	 * Broken: UFFDIO_WRITEPROTECT succeeds, and memory is not write-protected, as a
	 * page table was not allocated.
	 */
	{ "uffd_wp", monitored_shmem, write_protect, is_protected, false, true },
	/* Broken: a shared hugetlb PMD table is leaked, or a process is killed. */
	{ "hugetlb_share", hugetlb, share_and_unshare, hugetlb_is_intact, false, false },
};

/* ------------------------------------------------------------------- attempts */

static int open_fail_nth(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR);
}

static void set_nth(int fd, unsigned int nth)
{
	char text[16];

	if (pwrite(fd, text, sprintf(text, "%u", nth), 0) < 0)
		bad("fail-nth: %m");
}

/* How many more allocations the operation would have had to make. */
static unsigned int left(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		bad("fail-nth: %m");
	return atoi(text);
}

/* A collapse takes a table that cannot be had while there is memory for a full memcg. */
static bool means_no_memory(int err)
{
	return err == ENOMEM || err == EAGAIN ||
	       (err == EBUSY && number_in("/proc/cgroups", "memory") >= 0);
}

/* In a process of its own: allocation @nth fails, or none if that is 0. */
static enum outcome try(const struct op *op, unsigned int nth)
{
	int fd = open_fail_nth(), err;
	bool reached;

	if (!op->prepare())
		return because(CANNOT, "cannot be prepared: %m");
	set_nth(fd, nth);
	err = op->run() ? errno : 0;
	reached = nth && !left(fd);
	set_nth(fd, 0);
	if (!op->is_intact())
		return bad("memory was lost");
	if (err && (!reached || !means_no_memory(err)))
		return bad("%s", strerror(err));
	if (err && op->run())
		return bad("%s, when there was memory again", strerror(errno));
	if (err && !op->is_intact())
		return bad("memory was lost when it was done again");
	return *why ? BAD : err ? REFUSED : reached ? DONE : ENDED;
}

static enum outcome attempt(const struct op *op, unsigned int nth)
{
	int status = 0;
	pid_t child = fork();

	if (!child)
		_exit(try(op, nth));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return bad("fork: %m");
	return WIFEXITED(status) ? WEXITSTATUS(status) : bad("killed by signal %d",
							     WTERMSIG(status));
}

static long table_pages(void)
{
	write_file("/proc/sys/vm/stat_refresh", "1");
	return number_in("/proc/vmstat", "nr_page_table_pages");
}

/* When those that wait for a grace period have been freed. */
static long settled_table_pages(void)
{
	long last = -1, pages;

	for (int same = 0; same < 5; same = pages == last ? same + 1 : 0, last = pages) {
		usleep(50000);
		pages = table_pages();
	}
	return last;
}

/* By how many pages the tables exceed @before, when those that RCU frees are gone. */
static long more_table_pages(long before)
{
	double end = now() + 5;

	while (table_pages() > before + LEAK_SLACK && now() < end)
		usleep(50000);
	return table_pages() - before;
}

/* Allocations that may sleep fail, too, and of any order; nothing is printed. */
static bool set_up_failures(void)
{
	write_file(DEBUG "failslab/ignore-gfp-wait", "N");
	write_file(DEBUG "failslab/verbose", "0");
	return write_file(DEBUG "fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_file(DEBUG "fail_page_alloc/ignore-gfp-highmem", "N") &&
	       write_file(DEBUG "fail_page_alloc/min-order", "0") &&
	       write_file(DEBUG "fail_page_alloc/verbose", "0");
}

static bool can_run(const struct op *op)
{
	int fd = open_fail_nth();

	if (fd < 0 || !set_up_failures()) {
		skip("needs CONFIG_FAULT_INJECTION_DEBUG_FS and CONFIG_FAIL_PAGE_ALLOC");
		return false;
	}
	close(fd);
	if (op->huge && !huge_size) {
		skip("needs transparent huge pages");
		return false;
	}
	return true;
}

/*
 * Allocation @nth fails, several times: returns the last outcome.  With @watch no
 * table may be left: so few processes use no more than LEAK_SLACK tables for their
 * kernel stacks, which v7.3 counts, too.
 */
static enum outcome try_nth(const struct op *op, unsigned int nth, bool watch)
{
	long before = watch ? settled_table_pages() : 0, more;
	enum outcome outcome = DONE;

	for (int i = 0; i < REPEAT && outcome <= REFUSED; i++)
		outcome = attempt(op, nth);
	if (outcome >= CANNOT)
		fail("allocation %u: %s", nth, why);
	more = watch ? more_table_pages(before) : 0;
	if (more > LEAK_SLACK)
		fail("allocation %u: %ld pages of page tables were leaked", nth, more);
	return outcome;
}

/* Each allocation fails in its turn. */
static void fail_each(const struct op *op, bool watch)
{
	enum outcome outcome;
	unsigned int nth, refused = 0;

	for (nth = 1; nth < MAX_NTH && !over() &&
		      (outcome = try_nth(op, nth, watch)) <= REFUSED; nth++)
		refused += outcome == REFUSED;
	if (nth == MAX_NTH)
		fail("more than %d allocations", MAX_NTH);
	if (op->allocates && nth == 1)
		fail("no allocation could be made to fail");
	printf("    # %s: %u allocations failed one by one, and %u of these times it was refused\n",
	       op->name, nth - 1, refused);
}

static void run_case(unsigned int i)
{
	const struct op *op = &ops[i];
	enum outcome outcome;
	long before, more;

	if (!can_run(op))
		return;
	*why = '\0';
	outcome = attempt(op, 0);
	if (outcome == CANNOT)
		return skip("%s", why);
	if (outcome != ENDED)
		return fail("without a failure: %s", why);
	before = settled_table_pages();
	fail_each(op, false);
	more = more_table_pages(before);
	if (more <= LEAK_SLACK)
		return;
	if (!counts_kernel_tables())
		return fail("%ld pages of page tables were leaked", more);
	fail_each(op, true);
}

static const char *case_name(unsigned int i)
{
	return i < sizeof(ops) / sizeof(ops[0]) ? ops[i].name : NULL;
}

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_failnth", .case_name = case_name, .run = run_case,
	};

	page_size = sysconf(_SC_PAGESIZE);
	huge_size = thp_size();
	why = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED)
		return 1;
	return run_suite(&suite, argc, argv);
}
