// SPDX-License-Identifier: GPL-2.0-only
/*
 * Radix MMU of powerpc: the number of TLB invalidations that unmapping huge
 * pages takes.  Each is a broadcast to all CPUs on the interconnect, or a
 * hypercall where the hypervisor does not let the guest broadcast.
 */
#include <asm/hvcall.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

/*
 * The limit for unmapping any amount of memory: the whole PID, or each of a few
 * pages (tlb_munmap_huge_flush_ceiling), freed tables, workarounds of POWER9.
 */
#define ROUNDS_MAX	16

/**
 * struct rounds - TLB invalidations of one task
 * @task: the task
 * @global: tlbie instructions, or H_RPT_INVALIDATE hypercalls
 * @local: tlbiel instructions
 */
static struct rounds {
	struct task_struct *task;
	atomic_t global, local;
} rounds;

static void tlbie(void *data, unsigned long lpid, unsigned long local,
		  unsigned long rb, unsigned long rs, unsigned long ric,
		  unsigned long prs, unsigned long r)
{
	if (current == READ_ONCE(rounds.task))
		atomic_inc(local ? &rounds.local : &rounds.global);
}

static void hcall_entry(void *data, unsigned long opcode, unsigned long *args)
{
	if (opcode == H_RPT_INVALIDATE && current == READ_ONCE(rounds.task))
		atomic_inc(&rounds.global);
}

static void rounds_init(struct kunit *test)
{
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "tlbie", tlbie, NULL));
	if (!mmu_has_feature(MMU_FTR_GTSE))
		KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "hcall_entry",
						     hcall_entry, NULL));
}

static void rounds_start(void)
{
	atomic_set(&rounds.global, 0);
	atomic_set(&rounds.local, 0);
	ptwalk_ipi_start();
	WRITE_ONCE(rounds.task, current);
}

static void rounds_stop(void)
{
	WRITE_ONCE(rounds.task, NULL);
	ptwalk_ipi_stop();
}

static int rounds_global(void)
{
	return atomic_read(&rounds.global);
}

static struct mm_struct *enter(struct kunit *test)
{
	if (!radix_enabled())
		kunit_skip(test, "needs the radix MMU");
	if (debug_pagealloc_enabled())
		kunit_skip(test, "DEBUG_PAGEALLOC flushes for each page that is freed");
	ptwalk_need_thp(test);
	rounds_init(test);
	return ptwalk_mm_enter(test);
}

static unsigned long map_huge(struct kunit *test, int nr)
{
	unsigned long len = nr * HPAGE_PMD_SIZE, addr;

	ptwalk_map(test, PTWALK_BASE, len);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, PTWALK_BASE, len,
					    MADV_HUGEPAGE));
	for (addr = PTWALK_BASE; addr < PTWALK_BASE + len;
	     addr += HPAGE_PMD_SIZE) {
		KUNIT_ASSERT_EQ(test, 0, put_user(1, (u64 __user *)addr));
		if (!ptwalk_is_huge(current->mm, addr))
			kunit_skip(test, "not enough memory for %d huge pages",
				   nr);
	}
	return len;
}

/* Maps @nr tables, with a page in each. */
static unsigned long map_tables(struct kunit *test, int nr)
{
	unsigned long len = nr * PMD_SIZE, addr;

	ptwalk_map_small(test, PTWALK_BASE, len);
	for (addr = PTWALK_BASE; addr < PTWALK_BASE + len; addr += PMD_SIZE)
		KUNIT_ASSERT_EQ(test, 0, put_user(1, (u64 __user *)addr));
	return len;
}

/* The other CPUs use the mm through memory next to it. */
static void spread(struct kunit *test, struct mm_struct *mm)
{
	unsigned long addr = PTWALK_BASE - HPAGE_PMD_SIZE;

	ptwalk_map(test, addr, PAGE_SIZE);
	ptwalk_spread(test, mm, addr);
}

/*
 * Every thousand flushes or so, radix removes lazy CPUs from mm_cpumask(),
 * which may leave this CPU only.
 */
#define TRIES	4

/* Calls @fn for memory that all CPUs use, and counts TLB invalidations. */
static void measure(struct kunit *test, const char *op, int nr,
		    unsigned long (*map)(struct kunit *test, int nr),
		    int (*fn)(unsigned long addr, size_t len))
{
	struct mm_struct *mm = enter(test);
	int try;

	for (try = 0; try < TRIES; try++) {
		unsigned long len = map(test, nr);

		spread(test, mm);
		rounds_start();
		KUNIT_EXPECT_EQ(test, 0, fn(PTWALK_BASE, len));
		rounds_stop();
		if (!atomic_read(&rounds.local))
			break;
	}
	if (try == TRIES)
		kunit_skip(test, "mm_cpumask was trimmed each time, and the TLB flushed locally");
	kunit_info(test, "measure: %s cpus=%u ops=%u sync=%u tlbie=%d tlbiel=0\n",
		   op, num_online_cpus(), nr,
		   ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST) +
		   ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE), rounds_global());
}

/* Both sides of tlb_munmap_huge_flush_ceiling and tlb_single_page_flush_ceiling */
static const int sizes[] = { 8, 9, 33, 64, 256 };

static void size_desc(const int *nr, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%d huge pages", *nr);
}

KUNIT_ARRAY_PARAM(size, sizes, size_desc);

/* Broken: the exit of a large process takes seconds instead of none. */
static void munmap_flushes_once(struct kunit *test)
{
	const int nr = *(const int *)test->param_value;

	measure(test, "munmap_thp", nr, map_huge, vm_munmap);
	KUNIT_EXPECT_GT(test, rounds_global(), 0);
	KUNIT_EXPECT_LE(test, rounds_global(), ROUNDS_MAX);
}

static int map_over(unsigned long addr, size_t len)
{
	return addr != vm_mmap(NULL, addr, len, PROT_READ | PROT_WRITE,
			       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

/* Broken: as above, where memory is mapped over what was there. */
static void map_fixed_flushes_once(struct kunit *test)
{
	measure(test, "map_fixed_thp", 64, map_huge, map_over);
	KUNIT_EXPECT_GT(test, rounds_global(), 0);
	KUNIT_EXPECT_LE(test, rounds_global(), ROUNDS_MAX);
}

static int zap(unsigned long addr, size_t len)
{
	return ptwalk_zap(addr, len);
}

/*
 * Broken: a huge page and a small one translate the same address at a time,
 * which may cause a machine check.
 */
static void dontneed_flushes_each_huge_page(struct kunit *test)
{
	measure(test, "dontneed_thp", 64, map_huge, zap);
	KUNIT_EXPECT_GE(test, rounds_global(), 64);
}

/*
 * Broken: freeing emptied tables takes more than one flush for each of them,
 * which is page by page up to tlb_single_page_flush_ceiling.
 */
static void dontneed_flushes_each_table_once(struct kunit *test)
{
	measure(test, "dontneed_table", 8, map_tables, zap);
	if (PTWALK_SERIES && !PTWALK_KEEPS_TABLES)
		KUNIT_EXPECT_GE(test, rounds_global(), 8);
	KUNIT_EXPECT_LE(test, rounds_global(), 8 * (33 + ROUNDS_MAX));
}

/* Broken: a process that exits flushes the TLB for each huge page it had. */
static void exit_flushes_once(struct kunit *test)
{
	enter(test);
	map_huge(test, 64);
	rounds_start();
	ptwalk_mm_leave(test);
	rounds_stop();
	kunit_info(test, "measure: exit_thp cpus=%u ops=64 sync=0 tlbie=%d tlbiel=%d\n",
		   num_online_cpus(), rounds_global(), atomic_read(&rounds.local));
	KUNIT_EXPECT_LE(test, rounds_global(), ROUNDS_MAX);
	/*
	 * Flushing a PID on one CPU takes one tlbiel for each set of the TLB.
	 */
	KUNIT_EXPECT_LE(test, atomic_read(&rounds.local),
			ROUNDS_MAX + POWER9_TLB_SETS_RADIX);
}

static struct kunit_case radix_cases[] = {
	KUNIT_CASE_PARAM(munmap_flushes_once, size_gen_params),
	KUNIT_CASE(map_fixed_flushes_once),
	KUNIT_CASE(dontneed_flushes_each_huge_page),
	KUNIT_CASE(dontneed_flushes_each_table_once),
	KUNIT_CASE(exit_flushes_once),
	{}
};

PTWALK_SUITE(radix);
