// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-table reclaim: MADV_DONTNEED frees the tables that it has emptied, and
 * no memory is lost with them.
 *
 * A table is freed if MADV_DONTNEED has covered all that it maps and the table
 * is empty.  The lock of the table is dropped in between: half of these cases
 * are about other threads that use the table then.
 */
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/percpu_counter.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/timex.h>
#include <linux/userfaultfd.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

#define NR_TABLES	8
#define TABLE_BYTES	(PTRS_PER_PTE * sizeof(pte_t))

/*
 * The published case: 50 GB, 2 MB or what a table maps at a time, whichever is
 * more.  A tenth of that where each page is unmapped when it is freed, which
 * takes minutes.
 */
#define GIVE_BACK_SIZE	((debug_pagealloc_enabled() ? 5UL : 50UL) * SZ_1G)
#define GIVE_BACK_STEP	max_t(unsigned long, SZ_2M, PMD_SIZE)

/* Pages are filled with tables from here. */
#define FULL_BASE	(PTWALK_BASE + PUD_SIZE)

static int keeps_tables = PTWALK_KEEPS_TABLES;
module_param(keeps_tables, int, 0444);
MODULE_PARM_DESC(keeps_tables, "skip what needs MADV_DONTNEED to free page tables (default: 1 if the kernel has the series without CONFIG_PT_RECLAIM, or an architecture where the series does not free them, else 0)");

/* How many empty tables were freed since boot; negative if this kernel does not say. */
static long tables_freed(void)
{
	return keeps_tables ? -1 : ptwalk_vm_event("pgtable_free_empty");
}

/* Whether a race that should have ended goes on: no table was freed since @before. */
static bool waits_for_table(unsigned long end, long before)
{
	return before >= 0 && time_after_eq(jiffies, end) && tables_freed() == before;
}

/* Without it a race had no table to lose. */
static void expect_tables_freed(struct kunit *test, long before)
{
	if (before >= 0)
		KUNIT_EXPECT_GT_MSG(test, tables_freed() - before, 0,
				    "no table was freed");
}

static void needs_reclaim(struct kunit *test)
{
	if (keeps_tables)
		kunit_skip(test, "needs CONFIG_PT_RECLAIM");
}

static unsigned long table_addr(int i)
{
	return PTWALK_BASE + i * PMD_SIZE;
}

static unsigned long last_page(unsigned long table)
{
	return table + PMD_SIZE - PAGE_SIZE;
}

static bool has_table(unsigned long addr)
{
	return ptwalk_table(current->mm, addr);
}

/* The first and the last page that each table maps. */
static void touch_tables(struct kunit *test, int nr, u32 gen)
{
	int i;

	for (i = 0; i < nr; i++) {
		ptwalk_fill(test, table_addr(i), PAGE_SIZE, gen);
		ptwalk_fill(test, last_page(table_addr(i)), PAGE_SIZE, gen);
	}
}

/* One table more than @nr, so that the PMD table stays in use. */
static struct mm_struct *enter_with_tables(struct kunit *test, int nr)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	ptwalk_map_small(test, PTWALK_BASE, (nr + 1) * PMD_SIZE);
	touch_tables(test, nr + 1, 1);
	return mm;
}

/* Broken: MADV_DONTNEED leaves empty page tables behind. */
static void emptied_table_is_freed(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 1);
	unsigned long before = mm_pgtables_bytes(mm);

	needs_reclaim(test);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, before - TABLE_BYTES, mm_pgtables_bytes(mm));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(1)));
	touch_tables(test, 1, 2);
	KUNIT_EXPECT_EQ(test, before, mm_pgtables_bytes(mm));
}

/* Broken: MADV_DONTNEED keeps the last table of a range. */
static void each_emptied_table_is_freed(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, NR_TABLES);
	unsigned long before = mm_pgtables_bytes(mm);

	needs_reclaim(test);
	/* From the last page of the first table, which therefore stays. */
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(PTWALK_BASE),
					    (NR_TABLES - 1) * PMD_SIZE +
					    PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, before - (NR_TABLES - 1) * TABLE_BYTES,
			mm_pgtables_bytes(mm));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(NR_TABLES)));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, PAGE_SIZE, 1));
}

/*
 * Broken: the page tables of a process grow although it gives back all memory.
 */
static void tables_do_not_pile_up(struct kunit *test)
{
	unsigned long addr, before, kb, end = PTWALK_BASE + GIVE_BACK_SIZE;
	struct mm_struct *mm = ptwalk_mm_enter(test);

	needs_reclaim(test);
	ptwalk_map_small(test, PTWALK_BASE, GIVE_BACK_SIZE);
	before = mm_pgtables_bytes(mm) / SZ_1K;
	for (addr = PTWALK_BASE; addr < end; addr += GIVE_BACK_STEP) {
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
		KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, GIVE_BACK_STEP));
	}
	kb = mm_pgtables_bytes(mm) / SZ_1K - before;
	kunit_info(test, "measure: vmpte gb=%lu step_mb=%lu kb=%lu\n",
		   GIVE_BACK_SIZE / SZ_1G, GIVE_BACK_STEP / SZ_1M, kb);
	/* Only tables of the upper levels are left. */
	KUNIT_EXPECT_LT(test, kb, 512);
}

/* Broken: MADV_DONTNEED of a part of a table frees the table. */
static void partial_range_keeps_table(struct kunit *test)
{
	enter_with_tables(test, 1);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE - PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(last_page(PTWALK_BASE),
						    PAGE_SIZE, 1));
	/* It is empty now, and this thread may use it again. */
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(PTWALK_BASE), PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	/* A part of each of two tables. */
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE + PAGE_SIZE, PMD_SIZE));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(1)));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(last_page(table_addr(1)),
						    PAGE_SIZE, 1));
}

/* Two calls, neither of which covers all that the table maps */
static void zap_in_two(struct kunit *test, unsigned long addr)
{
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(addr, PMD_SIZE - PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(addr), PAGE_SIZE));
}

/* Broken: memory given back piece by piece leaves its page tables behind. */
static void table_emptied_by_parts_is_freed(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 2);
	unsigned long before = mm_pgtables_bytes(mm), addr;

	needs_reclaim(test);
	for (addr = PTWALK_BASE; addr < table_addr(1); addr += PMD_SIZE / 8)
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(addr, PMD_SIZE / 8));
	/* This thread may use it again until it has emptied another one. */
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	zap_in_two(test, table_addr(1));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, before - TABLE_BYTES, mm_pgtables_bytes(mm));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(2)));
	touch_tables(test, 2, 2);
	KUNIT_EXPECT_EQ(test, before, mm_pgtables_bytes(mm));
}

/* Broken: the first of two tables stays that one call empties the rest of. */
static void rests_of_two_tables_are_freed(struct kunit *test)
{
	enter_with_tables(test, 3);
	needs_reclaim(test);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(table_addr(1)), PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(PTWALK_BASE), 2 * PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(1)));
	zap_in_two(test, table_addr(2));
	KUNIT_EXPECT_FALSE(test, has_table(table_addr(1)));
}

/* Broken: a long range leaves the table of its first, shorter part behind. */
static void first_part_of_a_long_range_is_freed(struct kunit *test)
{
	/* More than two gathers hold: twice the zap leaves a table midway. */
	const int nr = 61;

	if (PAGE_SIZE != SZ_4K)
		kunit_skip(test, "with pages larger than 4 kB it needs gigabytes of memory");
	enter_with_tables(test, nr + 1);
	needs_reclaim(test);
	ptwalk_fill(test, PTWALK_BASE, nr * PMD_SIZE, 1);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE + PAGE_SIZE,
					    nr * PMD_SIZE - PAGE_SIZE));
	zap_in_two(test, table_addr(nr));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
}

/* Broken: memory that is used again is lost when another table is emptied. */
static void table_in_use_again_is_kept(struct kunit *test)
{
	unsigned long page = PTWALK_BASE + PMD_SIZE / 2;

	enter_with_tables(test, 2);
	zap_in_two(test, PTWALK_BASE);
	ptwalk_fill(test, page, PAGE_SIZE, 2);
	zap_in_two(test, table_addr(1));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_NOT_NULL(test, ptwalk_page(page));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(page, PAGE_SIZE, 2));
}

#ifdef CONFIG_MMU_NOTIFIER
/**
 * struct told - what an MMU notifier hears of a table that is freed
 * @mn: the notifier
 * @addr: what the table maps, from here on
 * @open: invalidations that have begun and not ended
 * @there: it was there when the invalidation of all that it maps began
 * @nested: another invalidation was open then
 * @gone: it was gone when that invalidation ended
 */
struct told {
	struct mmu_notifier mn;
	unsigned long addr;
	int open;
	bool there, nested, gone;
};

static bool covers_table(const struct told *told,
			 const struct mmu_notifier_range *range)
{
	return range->start <= told->addr && range->end >= told->addr + PMD_SIZE;
}

static int told_of_start(struct mmu_notifier *mn,
			 const struct mmu_notifier_range *range)
{
	struct told *told = container_of(mn, struct told, mn);

	if (covers_table(told, range)) {
		told->there = has_table(told->addr);
		told->nested = told->open;
	}
	told->open++;
	return 0;
}

static void told_of_end(struct mmu_notifier *mn,
			const struct mmu_notifier_range *range)
{
	struct told *told = container_of(mn, struct told, mn);

	if (covers_table(told, range))
		told->gone = !has_table(told->addr);
	told->open--;
}

static const struct mmu_notifier_ops told_ops = {
	.invalidate_range_start = told_of_start,
	.invalidate_range_end = told_of_end,
};

/*
 * The thread keeps the table at PTWALK_BASE.  Empties another one by parts, and
 * returns what a notifier heard of the kept one.
 */
static struct told *told_by_next_table(struct kunit *test, struct mm_struct *mm)
{
	struct told *told = ptwalk_zalloc(test, sizeof(*told));

	told->addr = PTWALK_BASE;
	told->mn.ops = &told_ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&told->mn, mm));
	zap_in_two(test, table_addr(1));
	mmu_notifier_unregister(&told->mn, mm);
	return told;
}

/*
 * Broken: KVM of powerpc reads a table that is freed meanwhile: in real mode it
 * stays out of tables by an MMU notifier alone.  Or KVM keeps out of all memory
 * between this table and the piece that was given back: it joins open ranges.
 */
static void table_emptied_by_parts_is_freed_under_a_notifier(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 2);
	struct told *told;

	needs_reclaim(test);
	zap_in_two(test, PTWALK_BASE);
	told = told_by_next_table(test, mm);
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, told->there && told->gone);
	KUNIT_EXPECT_FALSE(test, told->nested);
}

/*
 * Broken: a device stops, because memory is given back that it does not use: a
 * driver may evict all queues of the process when its notifier is called.
 */
static void table_in_use_again_tells_no_notifier(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 2);

	needs_reclaim(test);
	zap_in_two(test, PTWALK_BASE);
	ptwalk_fill(test, PTWALK_BASE + PMD_SIZE / 2, PAGE_SIZE, 2);
	KUNIT_EXPECT_FALSE(test, told_by_next_table(test, mm)->there);
}
#endif

/* Broken: a thread that uses the same memory again and again pays for tables. */
static void same_part_again_keeps_table(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 1);
	void *table = ptwalk_table(mm, PTWALK_BASE);
	int i;

	zap_in_two(test, PTWALK_BASE);
	for (i = 0; i < 100; i++) {
		ptwalk_fill(test, PTWALK_BASE + PAGE_SIZE, PAGE_SIZE, i);
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE + PAGE_SIZE,
						    PAGE_SIZE));
		KUNIT_ASSERT_PTR_EQ(test, table, ptwalk_table(mm, PTWALK_BASE));
	}
}

/*
 * Two mappings that are not merged share the table at PTWALK_BASE.  Returns where
 * the second one begins.
 */
static unsigned long map_two(struct kunit *test, struct mm_struct *mm)
{
	unsigned long second = PTWALK_BASE + PMD_SIZE / 2;

	ptwalk_map_small(test, PTWALK_BASE, PMD_SIZE / 2);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PTWALK_BASE, PMD_SIZE / 2,
					    MADV_DONTFORK));
	ptwalk_map_small(test, second, 3 * PMD_SIZE - PMD_SIZE / 2);
	touch_tables(test, 3, 1);
	return second;
}

/* Broken: a mapping that is given back piece by piece takes its neighbour's table. */
static void parts_of_two_mappings_keep_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	map_two(test, mm);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last_page(PTWALK_BASE), PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	zap_in_two(test, table_addr(1));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
}

/* Broken: the end of a mapping, or of what a table maps, is not seen. */
static void last_part_of_a_mapping_frees_its_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	needs_reclaim(test);
	/* One of which all is mapped, and one of which the last page is not */
	ptwalk_map_small(test, PTWALK_BASE, PMD_SIZE);
	ptwalk_map_small(test, table_addr(2), PMD_SIZE - PAGE_SIZE);
	ptwalk_map_small(test, table_addr(4), 2 * PMD_SIZE);
	ptwalk_fill(test, PTWALK_BASE, PMD_SIZE, 1);
	ptwalk_fill(test, table_addr(2), PMD_SIZE - PAGE_SIZE, 1);
	ptwalk_fill(test, table_addr(4), 2 * PMD_SIZE, 1);
	zap_in_two(test, PTWALK_BASE);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(table_addr(2), PMD_SIZE / 2));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(table_addr(2) + PMD_SIZE / 2,
					    PMD_SIZE / 2 - PAGE_SIZE));
	zap_in_two(test, table_addr(4));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(2)));
	/* A mapping that is gone is no place to look. */
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(table_addr(4), PMD_SIZE));
	zap_in_two(test, table_addr(5));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(5)));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE, 6 * PMD_SIZE));
	KUNIT_EXPECT_EQ(test, 0, percpu_counter_sum(&mm->rss_stat[MM_ANONPAGES]));
}

/* Broken: a write to protected memory, far from what was given back, is missed. */
static void marker_far_off_keeps_table(struct kunit *test)
{
#ifdef CONFIG_PTE_MARKER_UFFD_WP
	pte_t marker = make_pte_marker(PTE_MARKER_UFFD_WP);
	pte_t *table;

	enter_with_tables(test, 2);
	table = ptwalk_table(current->mm, PTWALK_BASE);
	zap_in_two(test, PTWALK_BASE);
	/* Nothing else uses this address space: no lock is needed. */
	set_pte(table + PTRS_PER_PTE / 2, marker);
	zap_in_two(test, table_addr(1));
	KUNIT_ASSERT_PTR_EQ(test, (void *)table,
			    ptwalk_table(current->mm, PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, pte_same(ptep_get(table + PTRS_PER_PTE / 2), marker));
	pte_clear(current->mm, PTWALK_BASE + PMD_SIZE / 2, table + PTRS_PER_PTE / 2);
#else
	kunit_skip(test, "this architecture has no uffd-wp markers");
#endif
}

/* Broken: the table at address 0 stays, or what is behind the last address is read. */
static void tables_at_both_ends_are_freed(struct kunit *test)
{
	unsigned long end = DEFAULT_MAP_WINDOW;
	unsigned long last = ALIGN_DOWN(end, PMD_SIZE) - PMD_SIZE;

	ptwalk_mm_enter(test);
	needs_reclaim(test);
	ptwalk_map_small(test, 0, PMD_SIZE);
	ptwalk_map_small(test, PTWALK_BASE, PMD_SIZE);
	ptwalk_map_small(test, last, end - last);
	ptwalk_fill(test, 0, PMD_SIZE, 1);
	ptwalk_fill(test, last, end - last, 1);
	zap_in_two(test, 0);
	KUNIT_EXPECT_TRUE(test, has_table(0));
	/* On x86 the last page of the address space is not for users. */
	if (end > last + PMD_SIZE) {
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last + PMD_SIZE, PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(last + PMD_SIZE + PAGE_SIZE,
						    end - last - PMD_SIZE - PAGE_SIZE));
		KUNIT_EXPECT_TRUE(test, has_table(last + PMD_SIZE));
	}
	zap_in_two(test, last);
	KUNIT_EXPECT_FALSE(test, has_table(0));
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 1);
	zap_in_two(test, PTWALK_BASE);
	KUNIT_EXPECT_FALSE(test, has_table(last));
}

/* Broken: a heap of which little is in use comes back as huge pages. */
static void parts_of_huge_memory_keep_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	ptwalk_map(test, PTWALK_BASE, 3 * PMD_SIZE);
	ptwalk_fill_small(test, PTWALK_BASE, 2 * PMD_SIZE, 1);
	zap_in_two(test, PTWALK_BASE);
	zap_in_two(test, table_addr(1));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 2);
	KUNIT_EXPECT_FALSE(test, ptwalk_is_huge(mm, PTWALK_BASE));
}

#define PARTS_GB	8UL

/* What is left of PARTS_GB that were given back in pieces of @step, in kB */
static unsigned long left_by_steps(struct kunit *test, unsigned long step)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long addr, before, kb, end = PTWALK_BASE + PARTS_GB * SZ_1G;

	ptwalk_map_small(test, PTWALK_BASE, PARTS_GB * SZ_1G);
	before = mm_pgtables_bytes(mm) / SZ_1K;
	for (addr = PTWALK_BASE; addr < end; addr += step) {
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
		KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, step));
	}
	kb = mm_pgtables_bytes(mm) / SZ_1K - before;
	kunit_info(test, "measure: vmparts gb=%lu step_kb=%lu kb=%lu\n", PARTS_GB,
		   step / SZ_1K, kb);
	ptwalk_mm_leave(test);
	return kb;
}

/* Broken: an allocator that gives back small pieces grows all the same. */
static void tables_do_not_pile_up_by_parts(struct kunit *test)
{
	needs_reclaim(test);
	KUNIT_EXPECT_LE(test, left_by_steps(test, SZ_64K), 200);
	KUNIT_EXPECT_LE(test, left_by_steps(test, SZ_256K), 200);
	KUNIT_EXPECT_LE(test, left_by_steps(test, SZ_1M), 200);
}

/* Broken: as above, where blocks are not freed in the order of their addresses. */
static void heap_in_another_order_leaves_no_tables(struct kunit *test)
{
	const unsigned long len = SZ_512M, end = PTWALK_BASE + len;
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long addr, before, touched, left;
	int odd;

	needs_reclaim(test);
	ptwalk_map_small(test, PTWALK_BASE, len);
	before = mm_pgtables_bytes(mm) / SZ_1K;
	for (addr = PTWALK_BASE; addr < end; addr += SZ_64K)
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
	touched = mm_pgtables_bytes(mm) / SZ_1K - before;
	for (odd = 0; odd < 2; odd++)
		for (addr = PTWALK_BASE + odd * SZ_64K; addr < end; addr += SZ_128K)
			KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, SZ_64K));
	left = mm_pgtables_bytes(mm) / SZ_1K - before;
	kunit_info(test, "of %lu kB of page tables %lu are left\n", touched, left);
	/* The upper levels, and the last table */
	KUNIT_EXPECT_LE(test, left, 32);
}

/* Broken: MADV_DONTNEED of one mapping frees the table of its neighbour. */
static void table_of_two_mappings_stays(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	/* Only one of them is inherited, so that they are not merged. */
	ptwalk_map(test, PTWALK_BASE, PMD_SIZE / 2);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PTWALK_BASE, PMD_SIZE / 2,
					    MADV_DONTFORK));
	ptwalk_map(test, PTWALK_BASE + PMD_SIZE / 2, PMD_SIZE / 2);
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
}

/*
 * Fills a page with tables, empties all but the last, and holds a walker in
 * that.
 */
static struct ptwalk_hold *hold_in_full_page(struct kunit *test,
					     struct ptwalk_full_page *full,
					     enum ptwalk_hold_mode mode)
{
	int i;

	*full = ptwalk_fill_page(test, FULL_BASE, PMD_SIZE, PTWALK_FULL_TABLES);
	for (i = 0; i < full->nr - 1; i++)
		KUNIT_ASSERT_EQ(test, 0,
				ptwalk_zap(full->addr + i * PMD_SIZE, PMD_SIZE));
	return ptwalk_hold(test, current->mm,
			   full->addr + (full->nr - 1) * PMD_SIZE, mode);
}

/*
 * Expects that the page that is watched is freed after @hold has left, not
 * before.
 */
static void expect_freed_after(struct kunit *test, struct ptwalk_hold *hold)
{
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_expect_untouched(test, hold),
			      "the walker was waited for");
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_watch_wait(1, 3000),
			      "not freed after the walker left");
}

static void expect_outlives(struct kunit *test, enum ptwalk_hold_mode mode,
			    bool no_batch)
{
	struct ptwalk_full_page full;
	struct ptwalk_hold *hold;
	long singles;

	needs_reclaim(test);
	ptwalk_mm_enter(test);
	if (no_batch)
		ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	hold = hold_in_full_page(test, &full, mode);
	singles = ptwalk_singles();
	if (no_batch)
		ptwalk_fail_arm();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(full.addr + (full.nr - 1) * PMD_SIZE,
					    PMD_SIZE));
	ptwalk_fail_disarm();
	ptwalk_expect_singles(test, singles, no_batch);
	expect_freed_after(test, hold);
	if (no_batch)
		ptwalk_fail_restore(test);
}

/* Broken: GUP-fast reads page-table entries from a page that was freed. */
static void emptied_table_outlives_walker(struct kunit *test)
{
	expect_outlives(test, PTWALK_HOLD_IRQS_OFF, false);
}

/* Broken: pte_offset_map() returns a table that was freed. */
static void emptied_table_outlives_rcu_reader(struct kunit *test)
{
	expect_outlives(test, PTWALK_HOLD_RCU, false);
}

/* Broken: as above, when memory is short; or it sleeps with a lock held. */
static void emptied_table_without_batch_outlives_walker(struct kunit *test)
{
	expect_outlives(test, PTWALK_HOLD_IRQS_OFF, true);
}

/*
 * Broken: an rmap walk takes the lock of a table that was freed when the
 * process exited.
 */
static void emptied_table_outlives_rcu_reader_and_mm(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct ptwalk_hold *hold;
	void *table;

	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	/* The only table in use: powerpc cuts several out of a page. */
	rcu_barrier();
	ptwalk_map_small(test, PTWALK_BASE, PMD_SIZE);
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 1);
	table = ptwalk_table(mm, PTWALK_BASE);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_watch_page(virt_to_page(table)));
	hold = ptwalk_hold(test, mm, PTWALK_BASE, PTWALK_HOLD_RCU);
	ptwalk_fail_arm();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	ptwalk_fail_disarm();
	ptwalk_mm_leave(test);
	expect_freed_after(test, hold);
	ptwalk_fail_restore(test);
}

/* Broken: MADV_DONTNEED interrupts every CPU to wait for walkers. */
static void giving_tables_back_broadcasts_nothing(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, NR_TABLES);
	int i;

	ptwalk_spread(test, mm, table_addr(NR_TABLES));
	ptwalk_ipi_start();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, NR_TABLES * PMD_SIZE));
	ptwalk_ipi_stop();
	ptwalk_measure(test, "dontneed_table", NR_TABLES);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST) +
				 ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE));
	/* Nothing was measured if the tables are still there. */
	if (PTWALK_SERIES && !keeps_tables)
		for (i = 0; i < NR_TABLES; i++)
			KUNIT_EXPECT_FALSE(test, has_table(table_addr(i)));
}

static void give_tables_back(struct kunit *test)
{
	int i;

	enter_with_tables(test, NR_TABLES);
	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE,
						    NR_TABLES * PMD_SIZE));
		touch_tables(test, NR_TABLES, i);
	}
	ptwalk_mm_leave(test);
}

/* Broken: each MADV_DONTNEED leaks memory or page tables. */
static void nothing_is_leaked(struct kunit *test)
{
	ptwalk_expect_no_leak(test, give_tables_back, 10 * NR_TABLES);
}

static void map_shmem(struct kunit *test, unsigned long len)
{
	struct file *file;

	file = ptwalk_own_file(test, ptwalk_shmem_file(len));
	ptwalk_map_file(test, file, PTWALK_BASE, len);
	ptwalk_no_huge(test, PTWALK_BASE, len);
}

/* Broken: MADV_DONTNEED of a file loses its contents, or keeps its tables. */
static void emptied_file_table_is_freed(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long before;

	needs_reclaim(test);
	map_shmem(test, 2 * PMD_SIZE);
	touch_tables(test, 2, 1);
	before = mm_pgtables_bytes(mm);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, before - TABLE_BYTES, mm_pgtables_bytes(mm));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, PAGE_SIZE, 1));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(last_page(PTWALK_BASE),
						    PAGE_SIZE, 1));
}

/**
 * struct vanish - a table that is freed while a task is about to use it
 * @go: the task has found the table
 * @gone: the table is freed
 * @thefts: how often it was
 * @late: whether it was not freed in time
 */
static struct vanish {
	struct completion go, gone;
	unsigned int thefts;
	bool late;
} vanish;

/* The table stays while its user waits, and is freed by this. */
static void take_table(void *arg, unsigned int id)
{
	bool had;

	if (!try_wait_for_completion(&vanish.go))
		return;
	had = has_table(PTWALK_BASE);
	ptwalk_zap(PTWALK_BASE, PMD_SIZE);
	vanish.thefts += had && !has_table(PTWALK_BASE);
	complete(&vanish.gone);
}

static void expect_in_time(struct kunit *test)
{
	KUNIT_ASSERT_FALSE_MSG(test, vanish.late,
			       "the other CPU was too slow, or the host");
}

static struct ptwalk_crew *start_thief(struct kunit *test)
{
	vanish.thefts = 0;
	vanish.late = false;
	init_completion(&vanish.go);
	init_completion(&vanish.gone);
	return ptwalk_crew(test, current->mm, cpumask_of(ptwalk_other_cpu()),
			   take_table, NULL);
}

/**
 * struct lost_fault - a fault whose table is freed when it has its page
 * @ops: of the file that is mapped
 * @faults: how often ->fault() was called
 * @armed: whether the next fault loses its table
 */
static struct lost_fault {
	const struct vm_operations_struct *ops;
	unsigned int faults;
	bool armed;
} lost_fault;

static vm_fault_t fault_and_wait(struct vm_fault *vmf)
{
	vm_fault_t ret = lost_fault.ops->fault(vmf);

	lost_fault.faults++;
	if (lost_fault.armed) {
		lost_fault.armed = false;
		complete(&vanish.go);
		vanish.late = !wait_for_completion_timeout(&vanish.gone, 10 * HZ);
	}
	return ret;
}

/*
 * Broken: a fault that holds a page locked waits for reclaim, which waits for
 * that lock.
 */
static void vanished_table_needs_another_fault(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	static struct vm_operations_struct ops;
	struct vm_area_struct *vma;
	struct ptwalk_crew *crew;

	needs_reclaim(test);
	map_shmem(test, 2 * PMD_SIZE);
	touch_tables(test, 2, 1);
	mmap_write_lock(mm);
	vma = find_vma(mm, PTWALK_BASE);
	lost_fault = (struct lost_fault){ .ops = vma->vm_ops, .armed = true };
	ops = *vma->vm_ops;
	ops.fault = fault_and_wait;
	ops.map_pages = NULL;
	vma->vm_ops = &ops;
	mmap_write_unlock(mm);
	crew = start_thief(test);
	ptwalk_fill(test, PTWALK_BASE + PAGE_SIZE, PAGE_SIZE, 1);
	ptwalk_crew_stop(crew);
	expect_in_time(test);
	KUNIT_EXPECT_EQ_MSG(test, 1, vanish.thefts, "the table stayed");
	/* The first fault had the page locked and must not have mapped it. */
	KUNIT_EXPECT_EQ(test, 2, lost_fault.faults);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, 2 * PAGE_SIZE, 1));
}

/* A task that loses more pages than this would go on for ever. */
#define MAX_PAGES	8

/**
 * struct slow_page - a task whose table is freed while it allocates a page
 * @task: the task
 * @pages: number of pages that it has allocated
 */
struct slow_page {
	struct task_struct *task;
	unsigned int pages;
};

/* Only the page of the process: page tables are not movable. */
static void steal_on_alloc(void *data, struct page *page, unsigned int order,
			   gfp_t gfp, int migratetype)
{
	struct slow_page *slow = data;
	u64 end;

	if (current != READ_ONCE(slow->task) || !in_task() ||
	    !(gfp & __GFP_MOVABLE) || vanish.late || slow->pages == MAX_PAGES)
		return;
	slow->pages++;
	complete(&vanish.go);
	end = ktime_get_mono_fast_ns() + 5 * NSEC_PER_SEC;
	while (!try_wait_for_completion(&vanish.gone) && !vanish.late) {
		vanish.late = ktime_get_mono_fast_ns() >= end;
		cpu_relax();
	}
}

/* @use fills in the page at PTWALK_BASE, for which there is no table yet. */
static void expect_one_page(struct kunit *test,
			    void (*use)(struct kunit *test, void *arg), void *arg)
{
	struct slow_page *slow;
	struct ptwalk_crew *crew;

	slow = ptwalk_zalloc(test, sizeof(*slow));
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_page_alloc",
					     steal_on_alloc, slow));
	crew = start_thief(test);
	WRITE_ONCE(slow->task, current);
	use(test, arg);
	WRITE_ONCE(slow->task, NULL);
	ptwalk_crew_stop(crew);
	expect_in_time(test);
	KUNIT_EXPECT_EQ_MSG(test, slow->pages, vanish.thefts, "the table stayed");
	KUNIT_EXPECT_EQ(test, 1, slow->pages);
	/*
	 * Through the tables: no one would handle another fault for
	 * userfaultfd.
	 */
	KUNIT_ASSERT_NOT_NULL(test, ptwalk_page(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, PAGE_SIZE, 2));
}

static void use_by_fault(struct kunit *test, void *unused)
{
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 2);
}

/* Broken: a fault never ends while another thread calls MADV_DONTNEED. */
static void vanished_table_does_not_cost_the_page(struct kunit *test)
{
	enter_with_tables(test, 1);
	needs_reclaim(test);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	expect_one_page(test, use_by_fault, NULL);
}

/* What is copied, and arguments, in memory that the second table maps. */
#define UFFD_SRC	last_page(table_addr(1))
#define UFFD_ARG	(table_addr(1) + PAGE_SIZE)

static void uffd_ioctl(struct kunit *test, struct file *uffd, unsigned int cmd,
		       const void *arg)
{
	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)UFFD_ARG, arg,
					      _IOC_SIZE(cmd)));
	KUNIT_ASSERT_EQ(test, 0, uffd->f_op->unlocked_ioctl(uffd, cmd, UFFD_ARG));
}

static struct file *uffd_for_base(struct kunit *test)
{
	const struct uffdio_api api = { .api = UFFD_API };
	const struct uffdio_register reg = {
		.range = { PTWALK_BASE, PMD_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct file *dev, *uffd;
	long fd;

	if (!IS_ENABLED(CONFIG_USERFAULTFD))
		kunit_skip(test, "needs CONFIG_USERFAULTFD");
	dev = ptwalk_open("/dev/userfaultfd", O_RDWR);
	if (IS_ERR(dev))
		kunit_skip(test, "no /dev/userfaultfd: %ld", PTR_ERR(dev));
	fd = dev->f_op->unlocked_ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	filp_close(dev, NULL);
	KUNIT_ASSERT_GE(test, fd, 0);
	uffd = ptwalk_own_file(test, fget(fd));
	close_fd(fd);
	uffd_ioctl(test, uffd, UFFDIO_API, &api);
	uffd_ioctl(test, uffd, UFFDIO_REGISTER, &reg);
	return uffd;
}

static void use_by_uffd(struct kunit *test, void *uffd)
{
	const struct uffdio_copy copy = {
		.dst = PTWALK_BASE, .src = UFFD_SRC, .len = PAGE_SIZE,
	};

	uffd_ioctl(test, uffd, UFFDIO_COPY, &copy);
}

static void expect_one_copied_page(struct kunit *test)
{
	u64 tag = ptwalk_tag(PTWALK_BASE, 2);
	u64 __user *src = (u64 __user *)UFFD_SRC;
	struct file *uffd;

	KUNIT_ASSERT_EQ(test, 0, put_user(tag, src));
	KUNIT_ASSERT_EQ(test, 0, put_user(tag, src + PAGE_SIZE / sizeof(*src) - 1));
	uffd = uffd_for_base(test);
	expect_one_page(test, use_by_uffd, uffd);
}

/* Broken: UFFDIO_COPY never ends while another thread calls MADV_DONTNEED. */
static void vanished_table_does_not_cost_the_copy(struct kunit *test)
{
	enter_with_tables(test, 1);
	needs_reclaim(test);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	expect_one_copied_page(test);
}

/* Broken: as above, for shmem. */
static void vanished_table_does_not_cost_the_shmem_copy(struct kunit *test)
{
	ptwalk_mm_enter(test);
	needs_reclaim(test);
	map_shmem(test, 2 * PMD_SIZE);
	expect_one_copied_page(test);
}

/* Broken: userfaultfd does not report a write to protected file memory. */
static void uffd_wp_marker_stays(struct kunit *test)
{
#ifdef CONFIG_PTE_MARKER_UFFD_WP
	pte_t marker = make_pte_marker(PTE_MARKER_UFFD_WP);
	pte_t *table;

	ptwalk_mm_enter(test);
	map_shmem(test, 2 * PMD_SIZE);
	touch_tables(test, 2, 1);
	/* Nothing else uses this address space: no lock is needed. */
	table = ptwalk_table(current->mm, PTWALK_BASE);
	set_pte(table + 1, marker);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_ASSERT_PTR_EQ(test, (void *)table,
			    ptwalk_table(current->mm, PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, pte_same(ptep_get(table + 1), marker));
	KUNIT_EXPECT_TRUE(test, pte_none(ptep_get(table)));
	pte_clear(current->mm, PTWALK_BASE + PAGE_SIZE, table + 1);
#else
	kunit_skip(test, "this architecture has no uffd-wp markers");
#endif
}

/**
 * struct refill - a thread that stores while the lock of the table is dropped
 * @task: the task that calls MADV_DONTNEED; NULL before and after
 * @page: its first page, which is freed when the entry is clear
 * @go: the lock was dropped
 * @done: the thread has stored
 * @ret: what the store returned
 */
struct refill {
	struct task_struct *task;
	struct page *page;
	bool go, done;
	int ret;
};

static bool refill_was_done(struct refill *refill)
{
	/* Pairs with the release in store_when_told(). */
	return smp_load_acquire(&refill->done);
}

static void store_when_told(void *arg, unsigned int id)
{
	struct refill *refill = arg;

	if (!READ_ONCE(refill->go) || refill->done)
		return;
	refill->ret = put_user(ptwalk_tag(PTWALK_BASE, 7),
			       (u64 __user *)PTWALK_BASE);
	/* Pairs with the acquire in refill_was_done(). */
	smp_store_release(&refill->done, true);
}

/*
 * Without a page for a batch the zap stops after a few pages.  It drops the
 * lock of the table and frees the pages: here.  Other pages may be freed
 * earlier, such as those of slabs in KASAN's quarantine.
 */
static void refill_on_free(void *data, struct page *page, unsigned int order)
{
	struct refill *refill = data;
	u64 end;

	if (current != READ_ONCE(refill->task) || page != refill->page)
		return;
	WRITE_ONCE(refill->task, NULL);
	WRITE_ONCE(refill->go, true);
	end = ktime_get_mono_fast_ns() + 2 * NSEC_PER_SEC;
	while (!refill_was_done(refill) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
}

/* Broken: a page that is stored to during MADV_DONTNEED is lost and leaked. */
static void table_refilled_meanwhile_is_kept(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct refill *refill;
	int ret;

	refill = ptwalk_zalloc(test, sizeof(*refill));
	ptwalk_map_small(test, PTWALK_BASE, 2 * PMD_SIZE);
	ptwalk_fill(test, PTWALK_BASE, 32 * PAGE_SIZE, 1);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_page_free",
					     refill_on_free, refill));
	refill->page = ptwalk_page(PTWALK_BASE);
	ptwalk_crew(test, mm, cpumask_of(ptwalk_other_cpu()), store_when_told,
		    refill);
	WRITE_ONCE(refill->task, current);
	ptwalk_fail_arm();
	ret = ptwalk_zap(PTWALK_BASE, PMD_SIZE);
	ptwalk_fail_disarm();
	WRITE_ONCE(refill->task, NULL);
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_EQ(test, 0, ret);
	KUNIT_ASSERT_TRUE_MSG(test, refill_was_done(refill),
			      "the lock was not dropped, or the store failed to end");
	KUNIT_EXPECT_EQ(test, 0, refill->ret);
	KUNIT_EXPECT_TRUE(test, has_table(PTWALK_BASE));
	/* Through the tables, not the TLB. */
	KUNIT_EXPECT_NOT_NULL(test, ptwalk_page(PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, 1,
			percpu_counter_sum(&mm->rss_stat[MM_ANONPAGES]));
}

#if PTWALK_V7
/* How long a zap is held.  On a kernel that is right, it is held that long. */
#define HELD_NS		(2 * NSEC_PER_SEC)

/**
 * struct held_zap - a zap that has cleared entries, and is held before it flushes the TLB
 * @task: the task that zaps; NULL before and after
 * @folio: what is mapped at PTWALK_BASE
 * @mapping: its file
 * @stored: a thread has stored to it, and has its TLB entry
 * @go: the entries are clear
 * @cleaned: another thread has handled the folio, by its rmap
 * @done: nothing more happens before the flush
 * @mapped: the folio was mapped after it was unmapped
 * @ret: what the last store returned
 */
struct held_zap {
	struct task_struct *task;
	struct folio *folio;
	struct address_space *mapping;
	bool stored, go, cleaned, done, mapped;
	int ret;
};

static bool held_is(const bool *what)
{
	/* Pairs with the release in held_now(). */
	return smp_load_acquire(what);
}

static void held_now(bool *what)
{
	/* Pairs with the acquire in held_is(). */
	smp_store_release(what, true);
}

static bool spin_until(const bool *what, u64 ns)
{
	u64 end = ktime_get_mono_fast_ns() + ns;

	while (!held_is(what) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	return held_is(what);
}

/* The zap adjusts the counter of pages with the lock of the table held. */
static void hold_zap(void *data, struct mm_struct *mm, int member)
{
	struct held_zap *held = data;

	if (current != READ_ONCE(held->task))
		return;
	WRITE_ONCE(held->task, NULL);
	held_now(&held->go);
	spin_until(&held->done, HELD_NS);
}

static struct held_zap *enter_held_zap(struct kunit *test)
{
	struct held_zap *held = ptwalk_zalloc(test, sizeof(*held));
	struct file *file;

	if (num_online_cpus() < 3)
		kunit_skip(test, "needs three CPUs");
	ptwalk_mm_enter(test);
	file = ptwalk_own_file(test, ptwalk_shmem_file(2 * PMD_SIZE));
	ptwalk_map_file(test, file, PTWALK_BASE, 2 * PMD_SIZE);
	ptwalk_no_huge(test, PTWALK_BASE, 2 * PMD_SIZE);
	touch_tables(test, 2, 1);
	held->folio = page_folio(ptwalk_page(PTWALK_BASE));
	held->mapping = file->f_mapping;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "rss_stat", hold_zap, held));
	return held;
}

static void zap_held(struct kunit *test, struct held_zap *held,
		     struct ptwalk_crew *crew)
{
	int ret;

	WRITE_ONCE(held->task, current);
	ret = ptwalk_zap(PTWALK_BASE, PMD_SIZE);
	WRITE_ONCE(held->task, NULL);
	ptwalk_crew_stop(crew);
	KUNIT_EXPECT_EQ(test, 0, ret);
	KUNIT_ASSERT_TRUE_MSG(test, held->go, "the zap was not held");
}

/* As writeback does before it writes the folio */
static void clean_folio(struct held_zap *held)
{
	folio_lock(held->folio);
	if (folio_mkclean(held->folio))
		folio_mark_dirty(held->folio);
	folio_test_clear_dirty(held->folio);
	folio_unlock(held->folio);
	held_now(&held->cleaned);
}

/*
 * Stores while the TLB has the page, then once more after it was cleaned.  Without
 * preemption, so that nothing else uses the TLB of this CPU, and without faults.
 */
static void store_by_stale_entry(struct held_zap *held)
{
	u64 end = ktime_get_mono_fast_ns() + 10 * NSEC_PER_SEC, value = 0;
	u64 __user *ptr = (u64 __user *)PTWALK_BASE;
	bool cleaned = false;

	held->ret = put_user(value, ptr);
	preempt_disable();
	do {
		cleaned = held_is(&held->cleaned);
		value++;
		held->ret = copy_to_user_nofault(ptr, &value, sizeof(value));
		held_now(&held->stored);
	} while (!cleaned && !held->ret && ktime_get_mono_fast_ns() < end);
	preempt_enable();
	if (held->ret || !cleaned) {
		while (!held_is(&held->cleaned) && ktime_get_mono_fast_ns() < end)
			cond_resched();
		held->ret = put_user(value, ptr);
	}
	held_now(&held->done);
}

static void clean_and_store(void *arg, unsigned int id)
{
	struct held_zap *held = arg;

	if (id && !held->stored)
		store_by_stale_entry(held);
	else if (!id && held_is(&held->go) && !held->cleaned)
		clean_folio(held);
}

/*
 * Broken: a store to a file never reaches the disk: it comes by a stale TLB entry after
 * writeback has cleaned the page.
 */
static void no_store_is_lost_in_writeback(struct kunit *test)
{
	struct held_zap *held;
	struct ptwalk_crew *crew;
	struct cpumask two;

	if (IS_ENABLED(CONFIG_PPC64))
		kunit_skip(test, "QEMU does not wait for a tlbie");
	held = enter_held_zap(test);
	ptwalk_next_cpus(&two, 2);
	crew = ptwalk_crew(test, current->mm, &two, clean_and_store, held);
	KUNIT_ASSERT_TRUE(test, spin_until(&held->stored, 10 * NSEC_PER_SEC));
	zap_held(test, held, crew);
	KUNIT_EXPECT_TRUE(test, held->cleaned);
	KUNIT_EXPECT_EQ(test, 0, held->ret);
	folio_lock(held->folio);
	KUNIT_EXPECT_TRUE_MSG(test, folio_test_dirty(held->folio) ||
				    folio_mkclean(held->folio),
			      "the page is clean after a store");
	folio_mark_dirty(held->folio);
	folio_unlock(held->folio);
}

static void unmap_file(void *arg, unsigned int id)
{
	struct held_zap *held = arg;

	if (!held_is(&held->go) || held->done)
		return;
	unmap_mapping_range(held->mapping, 0, PAGE_SIZE, 1);
	held->mapped = folio_mapped(held->folio);
	held_now(&held->done);
}

/* Broken: truncation of a file removes a page that is still mapped. */
static void unmapped_file_page_is_not_mapped(struct kunit *test)
{
	struct held_zap *held = enter_held_zap(test);
	struct ptwalk_crew *crew;

	crew = ptwalk_crew(test, NULL, cpumask_of(ptwalk_other_cpu()), unmap_file,
			   held);
	zap_held(test, held, crew);
	KUNIT_EXPECT_TRUE(test, held->done);
	KUNIT_EXPECT_FALSE(test, held->mapped);
}

#endif /* PTWALK_V7 */

/*
 * Not with memory cgroups, whose address spaces have an owner.  On x86 the exception
 * comes after the load.
 */
#if PTWALK_V7 && defined(CONFIG_X86_64) && defined(CONFIG_LRU_GEN_WALKS_MMU) && \
	!defined(CONFIG_MEMCG)
#define HAS_AGING

/**
 * struct aging - the aging walk of MGLRU, held when it has loaded the entry of a table
 * @task: the kthread that walks; NULL before the walk, and from when it is held
 * @inside: it is held
 * @go: it may go on
 * @late: it went on by itself
 * @left: it has ended
 * @ret: what the request to walk returned
 */
struct aging {
	struct task_struct *task;
	bool inside, go, late, left;
	int ret;
};

/* Debug exception, by a load of the entry */
static void hold_aging(struct perf_event *bp, struct perf_sample_data *data,
		       struct pt_regs *regs)
{
	struct aging *aging = bp->overflow_handler_context;

	if (current != READ_ONCE(aging->task))
		return;
	WRITE_ONCE(aging->task, NULL);
	held_now(&aging->inside);
	aging->late = !spin_until(&aging->go, ptwalk_hold_ms * NSEC_PER_MSEC);
}

static void age(void *arg, unsigned int id)
{
	struct aging *aging = arg;

	WRITE_ONCE(aging->task, current);
	aging->ret = ptwalk_file_write("/sys/kernel/debug/lru_gen", "+ 0 0 0 200 1");
	WRITE_ONCE(aging->task, NULL);
	held_now(&aging->left);
	ptwalk_wait_for_stop();
}

/* Adds @mm to the list that the aging walk follows, next to the mm of init. */
static void list_for_aging(struct kunit *test, struct mm_struct *mm)
{
	struct pid *pid = find_get_pid(1);
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);
	struct mm_struct *init;

	put_pid(pid);
	KUNIT_ASSERT_NOT_NULL(test, task);
	init = get_task_mm(task);
	put_task_struct(task);
	KUNIT_ASSERT_NOT_NULL(test, init);
	/* Nothing else forks or ends now, so the lock of the list is not needed. */
	list_add(&mm->lru_gen.list, &init->lru_gen.list);
	mmput(init);
}

static struct aging *start_aging(struct kunit *test, struct mm_struct *mm)
{
	struct aging *aging = ptwalk_zalloc(test, sizeof(*aging));
	int cpu = ptwalk_other_cpu();

	list_for_aging(test, mm);
	ptwalk_watchpoint(test, cpu, ptwalk_pmd_offset(mm, PTWALK_BASE), hold_aging, aging);
	ptwalk_crew(test, NULL, cpumask_of(cpu), age, aging);
	while (!held_is(&aging->inside) && !held_is(&aging->left))
		cpu_relax();
	KUNIT_ASSERT_TRUE_MSG(test, aging->inside, "the table was not walked (%d)",
			      aging->ret);
	return aging;
}

/* Broken: the aging walk of MGLRU clears bits in a page that was a page table once. */
static void aging_leaves_vanished_table_alone(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 2);
	pte_t *table = ptwalk_table(mm, PTWALK_BASE);
	pte_t *other = ptwalk_table(mm, table_addr(1));
	struct aging *aging;
	bool young;

	/* So many that the first ones are on the list of their generation */
	ptwalk_fill(test, table_addr(1), 64 * PAGE_SIZE, 1);
	aging = start_aging(test, mm);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	/*
	 * Keeps the table until it is looked at.  The entry stands for what its page may
	 * hold after a grace period.
	 */
	rcu_read_lock();
	set_pte(table, pte_mkyoung(ptep_get(other)));
	held_now(&aging->go);
	spin_until(&aging->left, 10 * NSEC_PER_SEC);
	young = pte_young(ptep_get(table));
	set_pte(table, __pte(0));
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(test, aging->left);
	KUNIT_EXPECT_FALSE(test, aging->late);
	KUNIT_EXPECT_EQ(test, 0, aging->ret);
	KUNIT_EXPECT_TRUE_MSG(test, young, "the walk has written to a detached table");
}
#endif

/* How many pages of each table the threads of a race use. */
#define NR_PAGES	4
/* More threads would only keep MADV_DONTNEED from taking its locks. */
#define NR_THREADS	3

/**
 * struct race - what threads that store and MADV_DONTNEED share
 * @mm: the address space
 * @base: first address
 * @nr: how many tables or huge pages
 * @by_parts: no MADV_DONTNEED covers all that a table maps
 * @begun: how many MADV_DONTNEED have begun
 * @ended: how many have ended
 * @lost: stores that the tables do not lead to
 * @failed: calls that failed
 * @met: stores while MADV_DONTNEED ran
 * @quiet: stores while it did not: only these are checked
 * @collapser: the thread that collapses, while MADV_DONTNEED waits for it
 * @collapsed: tables that it has replaced by a huge page
 * @attempts: how often it had a huge page for that
 * @stores: how often each thread has stored
 * @huge: how many huge pages were found
 */
struct race {
	struct mm_struct *mm;
	unsigned long base;
	unsigned int nr;
	bool by_parts;
	atomic_t begun, ended, lost, failed, met, quiet, collapsed;
	struct task_struct *collapser;
	unsigned long stores[NR_CPUS];
	unsigned long huge, attempts;
};

static unsigned long race_addr(const struct race *race, unsigned int i)
{
	unsigned long page = i % NR_PAGES * (PTRS_PER_PTE / NR_PAGES);

	return race->base + i / NR_PAGES * PMD_SIZE + page * PAGE_SIZE;
}

/* Whether the page tables, not the TLB, lead to @value. */
static bool is_stored(unsigned long addr, u64 value)
{
	struct page *page;
	bool stored;
	u64 *word;

	if (get_user_pages_fast_only(addr, 1, 0, &page) != 1)
		return false;
	word = kmap_local_page(page) + offset_in_page(addr);
	stored = READ_ONCE(*word) == value;
	kunmap_local(word);
	put_page(page);
	return stored;
}

/* The same while no collapse has the table detached. */
static bool is_stored_locked(struct mm_struct *mm, unsigned long addr, u64 value)
{
	bool stored;

	mmap_read_lock(mm);
	stored = is_stored(addr, value);
	mmap_read_unlock(mm);
	return stored;
}

/*
 * Lost is a store that began when no MADV_DONTNEED was going on, and ended before
 * another one began.  An emulator may flush TLBs late, see settle.c.  The reference
 * keeps the page that the store may still go to.
 */
static void store_one(struct race *race, unsigned long addr, u64 value)
{
	struct page *page;
	int ended;

	/* Pairs with the release in give_back_all(). */
	ended = atomic_read_acquire(&race->ended);
	if (get_user_pages_fast(addr, 1, FOLL_WRITE, &page) != 1) {
		atomic_inc(&race->failed);
		return;
	}
	if (put_user(value, (u64 __user *)addr)) {
		atomic_inc(&race->failed);
	} else if (!is_stored(addr, value) &&
		   !is_stored_locked(race->mm, addr, value)) {
		/* Pairs with the barrier of atomic_inc_return() there. */
		smp_mb();
		if (atomic_read(&race->begun) == ended)
			atomic_inc(&race->lost);
	}
	/* The same: now the store and the look at it have ended. */
	smp_mb();
	atomic_inc(atomic_read(&race->begun) == ended ? &race->quiet : &race->met);
	put_page(page);
}

static void store_and_look_up(void *arg, unsigned int id)
{
	struct race *race = arg;
	unsigned int i;

	for (i = 0; i < race->nr * NR_PAGES; i++)
		store_one(race, race_addr(race, i) + id * sizeof(u64),
			  ++race->stores[id]);
}

static void give_back(struct race *race, unsigned int nr)
{
	unsigned long step = race->by_parts ? PMD_SIZE / 2 : nr * PMD_SIZE, done;

	while (READ_ONCE(race->collapser))
		cond_resched();
	atomic_inc_return(&race->begun);
	for (done = 0; done < nr * PMD_SIZE; done += step)
		if (ptwalk_zap(race->base + done, step))
			atomic_inc(&race->failed);
	ptwalk_settle();
	/* Pairs with the acquire in store_one(). */
	smp_mb__before_atomic();
	atomic_inc(&race->ended);
}

/* Also gives a part back: its runs end elsewhere. */
static void give_back_too(void *arg, unsigned int id)
{
	struct race *race = arg;

	give_back(race, race->nr);
	give_back(race, race->nr / 2 + 1);
	/* Let stores be counted. */
	msleep(1);
}

/* Of all, so that it stays one VMA, and one MADV_DONTNEED has runs as long as can be. */
static void let_faults_make_huge(struct race *race, bool huge)
{
	if (do_madvise(race->mm, race->base, (race->nr + 1) * PMD_SIZE,
		       huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		atomic_inc(&race->failed);
}

/*
 * The collapse has its huge page, and will detach the table next.  MADV_DONTNEED
 * goes on now, or in every second collapse only after it.
 */
static void mm_page_alloc(void *data, struct page *page, unsigned int order,
			  gfp_t gfp_flags, int migratetype)
{
	struct race *race = data;

	if (order != HPAGE_PMD_ORDER || current != READ_ONCE(race->collapser))
		return;
	if (++race->attempts % 2)
		WRITE_ONCE(race->collapser, NULL);
}

static void mm_collapse_huge_page(void *data, struct mm_struct *mm, int succeeded)
{
	struct race *race = data;

	if (mm == race->mm && succeeded)
		atomic_inc(&race->collapsed);
}

/* If there is a table, it is collapsed unless threads use its pages. */
static void collapse_one(struct race *race, unsigned long addr)
{
	if (put_user(1, (u64 __user *)(addr + PAGE_SIZE)))
		atomic_inc(&race->failed);
	WRITE_ONCE(race->collapser, current);
	let_faults_make_huge(race, true);
	do_madvise(race->mm, addr, PMD_SIZE, MADV_COLLAPSE);
	WRITE_ONCE(race->collapser, NULL);
}

static void collapse_each(void *arg, unsigned int id)
{
	struct race *race = arg;
	unsigned int i;

	for (i = 0; i < race->nr; i++) {
		collapse_one(race, race->base + i * PMD_SIZE);
		msleep(20);
	}
}

static void count_huge(struct race *race)
{
	unsigned int i;

	for (i = 0; i < race->nr; i++)
		race->huge += ptwalk_is_huge(current->mm,
					     race->base + i * PMD_SIZE);
}

/* Whether this kernel frees tables that several calls have emptied.  Empties two. */
static bool parts_free_tables(struct kunit *test)
{
	long before = tables_freed();

	zap_in_two(test, PTWALK_BASE);
	zap_in_two(test, table_addr(1));
	return tables_freed() > before;
}

/*
 * Threads store while the case gives back what they have stored.  With @all another
 * thread gives it back as well, and a third one collapses it.
 */
static struct race *race_with_stores(struct kunit *test, unsigned long base,
				     unsigned int nr, bool all, bool by_parts)
{
	struct mm_struct *mm = current->mm;
	int i, cpu = ptwalk_nth_cpu(NR_THREADS + 1);
	struct ptwalk_crew *crew, *second = NULL, *third = NULL;
	unsigned long end, stores = 0, rounds = 0;
	long freed = by_parts && !parts_free_tables(test) ? -1 : tables_freed();
	struct cpumask few;
	struct race *race;

	race = ptwalk_zalloc(test, sizeof(*race));
	race->mm = mm;
	race->base = base;
	race->nr = nr;
	race->by_parts = by_parts;
	/* By parts it takes its locks more often. */
	ptwalk_next_cpus(&few, by_parts ? 1 : NR_THREADS);
	crew = ptwalk_crew(test, mm, &few, store_and_look_up, race);
	if (all) {
		KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_page_alloc",
						     mm_page_alloc, race));
		KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_collapse_huge_page",
						     mm_collapse_huge_page, race));
		ptwalk_settle_collapses(test);
		/* Both sleep, so one CPU is enough for them. */
		second = ptwalk_crew(test, mm, cpumask_of(cpu), give_back_too, race);
		third = ptwalk_crew(test, mm, cpumask_of(cpu), collapse_each, race);
	}
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, atomic_read(&race->quiet) &&
				 (!all || (race->huge && atomic_read(&race->collapsed))) &&
				 !waits_for_table(end, freed)) &&
	       !atomic_read(&race->failed); rounds++) {
		count_huge(race);
		give_back(race, nr);
		if (all && rounds % 2 == 0)
			let_faults_make_huge(race, rounds % 4 == 0);
		/* In every second round let stores be counted. */
		if (rounds % 2)
			usleep_range(100, 200);
		cond_resched();
	}
	if (all) {
		ptwalk_crew_stop(third);
		ptwalk_crew_stop(second);
	}
	ptwalk_crew_stop(crew);
	for (i = 0; i < crew->nr; i++)
		stores += race->stores[i];
	kunit_info(test, "rounds=%lu stores=%lu huge=%lu attempts=%lu collapsed=%d met=%d quiet=%d lost=%d\n",
		   rounds, stores, race->huge, race->attempts,
		   atomic_read(&race->collapsed), atomic_read(&race->met),
		   atomic_read(&race->quiet), atomic_read(&race->lost));
	KUNIT_EXPECT_EQ(test, atomic_read(&race->failed), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&race->lost), 0);
	KUNIT_EXPECT_GT(test, stores, 0);
	KUNIT_EXPECT_GT(test, atomic_read(&race->met), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&race->quiet), 0);
	expect_tables_freed(test, freed);
	/* A page that got into a detached table is mapped nowhere, for ever. */
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(base, (nr + 1) * PMD_SIZE));
	KUNIT_EXPECT_EQ(test, 0,
			percpu_counter_sum(&mm->rss_stat[MM_ANONPAGES]));
	return race;
}

/* Broken: a thread stores to a page that is no longer mapped. */
static void no_store_is_lost(struct kunit *test)
{
	enter_with_tables(test, NR_TABLES);
	race_with_stores(test, PTWALK_BASE, NR_TABLES, false, false);
}

/* Broken: as above, where a table is freed that was empty some time before. */
static void no_store_is_lost_by_parts(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_PPC64))
		kunit_skip(test, "QEMU does not wait for a tlbie");
	enter_with_tables(test, NR_TABLES);
	race_with_stores(test, PTWALK_BASE, NR_TABLES, false, true);
}

/* More than a run of tables, and in two PMD tables */
#define NR_RUN		20
#define RUN_BASE	(PTWALK_BASE + PUD_SIZE - NR_RUN / 2 * PMD_SIZE)

/*
 * Broken: as above, while tables and huge pages replace each other, two threads
 * give them back, and another one collapses.
 */
static void no_store_is_lost_in_a_run(struct kunit *test)
{
	struct race *race;

	ptwalk_mm_enter(test);
	ptwalk_need_thp(test);
	if (num_online_cpus() < NR_THREADS + 2)
		kunit_skip(test, "needs %d CPUs", NR_THREADS + 2);
	ptwalk_map(test, RUN_BASE, (NR_RUN + 1) * PMD_SIZE);
	race = race_with_stores(test, RUN_BASE, NR_RUN, true, false);
	KUNIT_EXPECT_GT(test, race->huge, 0);
	KUNIT_EXPECT_GT(test, atomic_read(&race->collapsed), 0);
}

/**
 * struct contend - a thread that holds the lock of a PMD for a while
 * @pml: the lock
 * @held: it holds the lock
 * @go: MADV_DONTNEED begins
 * @done: it has held it
 */
struct contend {
	spinlock_t *pml;
	bool held, go, done;
};

static void hold_lock(void *arg, unsigned int id)
{
	struct contend *contend = arg;

	if (contend->done)
		return;
	spin_lock(contend->pml);
	WRITE_ONCE(contend->held, true);
	while (!READ_ONCE(contend->go))
		cpu_relax();
	mdelay(50);
	spin_unlock(contend->pml);
	WRITE_ONCE(contend->done, true);
}

/* Broken: a table is kept if another thread holds the lock of its PMD. */
static void table_behind_a_contended_lock_is_freed(struct kunit *test)
{
	struct mm_struct *mm = enter_with_tables(test, 1);
	struct contend *contend;

	needs_reclaim(test);
	contend = ptwalk_zalloc(test, sizeof(*contend));
	contend->pml = pmd_lockptr(mm, ptwalk_pmd_offset(mm, PTWALK_BASE));
	ptwalk_crew(test, NULL, cpumask_of(ptwalk_other_cpu()), hold_lock, contend);
	while (!READ_ONCE(contend->held))
		cpu_relax();
	WRITE_ONCE(contend->go, true);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	KUNIT_EXPECT_TRUE(test, has_table(table_addr(1)));
}

/**
 * struct mixed - a mapping of page frames, with a table that is given back
 * @pfn: what is mapped
 * @step: odd while the table is given back
 * @failed: faults that found no memory
 * @met: faults meanwhile
 */
static struct mixed {
	unsigned long pfn;
	unsigned int step;
	atomic_t failed, met;
} mixed;

/* As a driver's, or a file system's on persistent memory */
static vm_fault_t insert_mixed(struct vm_fault *vmf)
{
	unsigned int step = READ_ONCE(mixed.step);
	vm_fault_t ret = ptwalk_insert_mixed(vmf, mixed.pfn);

	if (step % 2 || READ_ONCE(mixed.step) != step)
		atomic_inc(&mixed.met);
	if (!(ret & VM_FAULT_OOM))
		return ret;
	atomic_inc(&mixed.failed);
	return VM_FAULT_NOPAGE;
}

static void touch_mixed(void *unused, unsigned int id)
{
	u64 value __maybe_unused;

	/* The first thread attaches the table that the others then find. */
	if (get_user(value, (u64 __user *)(PTWALK_BASE + id * PAGE_SIZE)))
		atomic_inc(&mixed.failed);
}

/*
 * Broken: a process that uses a device is OOM-killed although memory is free.
 */
static void fault_of_a_page_frame_allocates_again(struct kunit *test)
{
	static struct vm_operations_struct ops;
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long end, rounds = 0;
	long freed = tables_freed();
	struct vm_area_struct *vma;
	struct ptwalk_crew *crew;
	struct cpumask few;
	struct page *page;

	map_shmem(test, 2 * PMD_SIZE);
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, page);
	mixed.pfn = page_to_pfn(page);
	atomic_set(&mixed.failed, 0);
	atomic_set(&mixed.met, 0);
	mmap_write_lock(mm);
	vma = find_vma(mm, PTWALK_BASE);
	ops = (struct vm_operations_struct){ .fault = insert_mixed };
	vma->vm_ops = &ops;
	vm_flags_set(vma, VM_MIXEDMAP);
	mmap_write_unlock(mm);
	ptwalk_next_cpus(&few, NR_THREADS);
	crew = ptwalk_crew(test, mm, &few, touch_mixed, NULL);
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, atomic_read(&mixed.met) &&
				 !waits_for_table(end, freed)); rounds++) {
		WRITE_ONCE(mixed.step, mixed.step + 1);
		KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
		WRITE_ONCE(mixed.step, mixed.step + 1);
		cond_resched();
	}
	ptwalk_crew_stop(crew);
	kunit_info(test, "rounds=%lu met=%d failed=%d\n", rounds,
		   atomic_read(&mixed.met), atomic_read(&mixed.failed));
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&mixed.failed));
	KUNIT_EXPECT_GT(test, atomic_read(&mixed.met), 0);
	expect_tables_freed(test, freed);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE, 2 * PMD_SIZE));
	__free_page(page);
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/**
 * struct collapses - what MADV_COLLAPSE returns in a race
 * @done: how often 0
 * @error: an error that it must not return, or 0
 */
struct collapses {
	unsigned long done;
	int error;
};

static void collapse_all(void *arg, unsigned int id)
{
	struct collapses *collapses = arg;
	int ret = do_madvise(current->mm, PTWALK_BASE, NR_TABLES * PMD_SIZE,
			     MADV_COLLAPSE);

	if (!ret)
		collapses->done++;
	/* -EINVAL: MADV_NOHUGEPAGE, or v7.3 found no table.  -EAGAIN: a page is in use. */
	else if (ret != -EINVAL && ret != -EAGAIN)
		collapses->error = ret;
}

/* Maps the memory with small pages again; the threads may collapse it then. */
static int map_small(void)
{
	unsigned long addr;
	int ret;

	ret = do_madvise(current->mm, PTWALK_BASE, NR_TABLES * PMD_SIZE,
			 MADV_NOHUGEPAGE);
	ret = ret ?: ptwalk_zap(PTWALK_BASE, NR_TABLES * PMD_SIZE);
	for (addr = PTWALK_BASE; addr < table_addr(NR_TABLES) && !ret;
	     addr += PMD_SIZE / NR_PAGES)
		ret = fault_in_readable((char __user *)addr, 1) ? -EFAULT : 0;
	return ret ?: do_madvise(current->mm, PTWALK_BASE,
				 NR_TABLES * PMD_SIZE, MADV_HUGEPAGE);
}

/* Broken: collapse frees a table that MADV_DONTNEED has freed, or NULL. */
static void file_collapse_versus_dontneed(struct kunit *test)
{
	unsigned long len = NR_TABLES * PMD_SIZE, rounds = 0;
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long end, before = mm_pgtables_bytes(mm);
	struct collapses collapses = {};
	long freed = tables_freed();
	struct ptwalk_crew *crew;
	int ret = 0;

	ptwalk_need_thp(test);
	map_shmem(test, len);
	ptwalk_fill(test, PTWALK_BASE, len, 1);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PTWALK_BASE, len, MADV_HUGEPAGE));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	crew = ptwalk_crew(test, mm, cpumask_of(ptwalk_other_cpu()), collapse_all,
			   &collapses);
	end = ptwalk_race_end();
	for (; !ret && ptwalk_race_is_on(end, READ_ONCE(collapses.done) &&
					 !waits_for_table(end, freed)); rounds++) {
		ret = map_small();
		ret = ret ?: ptwalk_zap(PTWALK_BASE, len);
		cond_resched();
	}
	ptwalk_crew_stop(crew);
	kunit_info(test, "rounds=%lu collapses=%lu\n", rounds, collapses.done);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, 0, collapses.error);
	KUNIT_EXPECT_GT(test, collapses.done, 0);
	expect_tables_freed(test, freed);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, len, 1));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE, len));
	KUNIT_EXPECT_EQ(test, 0,
			percpu_counter_sum(&mm->rss_stat[MM_SHMEMPAGES]));
	KUNIT_EXPECT_EQ(test, before, mm_pgtables_bytes(mm));
}

/* Broken: MADV_COLLAPSE stops where memory was given back. */
static void collapse_goes_past_what_was_given_back(struct kunit *test)
{
	unsigned long len = 3 * PMD_SIZE;
	struct mm_struct *mm = ptwalk_mm_enter(test);

	ptwalk_map(test, PTWALK_BASE, len);
	ptwalk_fill_small(test, PTWALK_BASE, len, 1);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(table_addr(1), PMD_SIZE));
	/* The error means that not all of it was collapsed. */
	KUNIT_EXPECT_EQ(test, -EINVAL, ptwalk_collapse(PTWALK_BASE, len));
	KUNIT_EXPECT_TRUE(test, ptwalk_is_huge(mm, PTWALK_BASE));
	KUNIT_EXPECT_FALSE(test, ptwalk_is_huge(mm, table_addr(1)));
	KUNIT_EXPECT_TRUE(test, ptwalk_is_huge(mm, table_addr(2)));
}
#endif

#ifdef CONFIG_X86_64
/**
 * struct flushes - TLB flushes of a task
 * @task: the task
 * @pml: the lock of a PMD table
 * @locked: number of flushes with @pml held
 * @all: number of all flushes
 * @steps: the most that one of them covers, in what it steps by
 */
struct flushes {
	struct task_struct *task;
	spinlock_t *pml;
	unsigned int locked, all;
	unsigned long steps;
};

static void on_tlb_flush(void *data, int reason, unsigned long pages)
{
	struct flushes *flushes = data;

	if (current != READ_ONCE(flushes->task) ||
	    reason != TLB_LOCAL_MM_SHOOTDOWN)
		return;
	flushes->all++;
	flushes->locked += spin_is_locked(flushes->pml);
	flushes->steps = max(flushes->steps, pages);
}

/* Broken: a CPU walks speculatively into a freed table, the last of several. */
static void each_empty_table_is_flushed(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct flushes *flushes;
	unsigned int i;

	needs_reclaim(test);
	/* Of a file, so that they stay until one call covers them */
	map_shmem(test, (NR_TABLES + 1) * PMD_SIZE);
	touch_tables(test, NR_TABLES + 1, 1);
	flushes = ptwalk_zalloc(test, sizeof(*flushes));
	flushes->pml = pmd_lockptr(mm, ptwalk_pmd_offset(mm, PTWALK_BASE));
	/* Pages would be flushed, too. */
	for (i = 0; i < NR_TABLES; i++)
		zap_in_two(test, table_addr(i));
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "tlb_flush", on_tlb_flush,
					     flushes));
	WRITE_ONCE(flushes->task, current);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, NR_TABLES * PMD_SIZE));
	WRITE_ONCE(flushes->task, NULL);
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
	/* From the first address of the first table, to one of the last */
	KUNIT_EXPECT_GE(test, flushes->steps, NR_TABLES - 1);
}

/* Flushes of MADV_DONTNEED of code, on a CPU with iTLB multihit or without */
static void give_back_code(struct kunit *test, struct flushes *flushes, bool bug)
{
	const unsigned long len = NR_TABLES * PMD_SIZE;
	unsigned long *caps = (unsigned long *)boot_cpu_data.x86_capability;
	bool had = boot_cpu_has(X86_BUG_ITLB_MULTIHIT);
	int ret;

	touch_tables(test, NR_TABLES + 1, 1);
	flushes->all = 0;
	flushes->locked = 0;
	assign_bit(X86_BUG_ITLB_MULTIHIT, caps, bug);
	WRITE_ONCE(flushes->task, current);
	ret = ptwalk_zap(PTWALK_BASE, len);
	WRITE_ONCE(flushes->task, NULL);
	assign_bit(X86_BUG_ITLB_MULTIHIT, caps, had);
	KUNIT_ASSERT_EQ(test, 0, ret);
	kunit_info(test, "flushes: %u, with the lock of the PMD: %u\n",
		   flushes->all, flushes->locked);
}

/* A run that need_resched() has ended is tried again. */
#define CODE_TRIES	8

/*
 * Broken: the TLB has a small page of code where a huge one is mapped, which is
 * a machine check on CPUs with iTLB multihit.
 */
static void executable_memory_is_flushed_first(struct kunit *test)
{
	unsigned long addr, len = (NR_TABLES + 1) * PMD_SIZE;
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct flushes *flushes;
	int try;

	flushes = ptwalk_zalloc(test, sizeof(*flushes));
	addr = vm_mmap(NULL, PTWALK_BASE, len, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, 0);
	KUNIT_ASSERT_EQ(test, addr, PTWALK_BASE);
	ptwalk_no_huge(test, PTWALK_BASE, len);
	touch_tables(test, NR_TABLES + 1, 1);
	flushes->pml = pmd_lockptr(mm, ptwalk_pmd_offset(mm, PTWALK_BASE));
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "tlb_flush", on_tlb_flush,
					     flushes));
	/* need_resched() ends a run, and another one flushes the rest. */
	for (try = 0; try < CODE_TRIES && flushes->all != 1; try++)
		give_back_code(test, flushes, true);
	if (has_table(PTWALK_BASE))
		kunit_skip(test, "the tables stay");
	/* One for all of them */
	KUNIT_EXPECT_EQ(test, flushes->locked, 1);
	KUNIT_EXPECT_EQ(test, flushes->all, 1);
	give_back_code(test, flushes, false);
	KUNIT_EXPECT_EQ(test, flushes->locked, 0);
	KUNIT_EXPECT_EQ(test, flushes->all, 1);
	KUNIT_EXPECT_FALSE(test, has_table(PTWALK_BASE));
}
#endif

/* Number of measurements.  The first ones fill caches and lists. */
#define COST_ROUNDS	64

enum cost {
	COST_FAULT_FIRST,
	COST_FAULT_NEXT,
	COST_ZAP_PAGE,
	COST_ZAP_PART,
	COST_ZAP_TABLE,
	COST_ZAP_FULL_TABLE,
	COST_ZAP_IN_FULL,
	COST_ZAP_PIECE,
	COST_ZAP_PIECE_FAR,
	COST_ZAP_PIECE_LOOK,
	COST_ROUND,
	COST_ROUND_FAR,
	COST_ROUND_LOOK,
	NR_COSTS
};

static const char * const cost_name[] = {
	[COST_FAULT_FIRST] = "fault_first",
	[COST_FAULT_NEXT] = "fault_next",
	[COST_ZAP_PAGE] = "zap_page",
	[COST_ZAP_PART] = "zap_part",
	[COST_ZAP_TABLE] = "zap_table",
	[COST_ZAP_FULL_TABLE] = "zap_full_table",
	[COST_ZAP_IN_FULL] = "zap_page_in_full",
	[COST_ZAP_PIECE] = "zap_piece",
	[COST_ZAP_PIECE_FAR] = "zap_piece_far",
	[COST_ZAP_PIECE_LOOK] = "zap_piece_look",
	[COST_ROUND] = "round",
	[COST_ROUND_FAR] = "round_far",
	[COST_ROUND_LOOK] = "round_look",
};

static void touch_timed(struct kunit *test, cycles_t *least, unsigned long addr)
{
	cycles_t start = get_cycles(), took;
	int ret = put_user(1, (u64 __user *)addr);

	took = get_cycles() - start;
	KUNIT_ASSERT_EQ(test, 0, ret);
	*least = min(*least, took);
}

static void zap_timed(struct kunit *test, cycles_t *least, unsigned long addr,
		      unsigned long len)
{
	cycles_t start = get_cycles(), took;
	int ret = ptwalk_zap(addr, len);

	took = get_cycles() - start;
	KUNIT_ASSERT_EQ(test, 0, ret);
	*least = min(*least, took);
}

/* What an allocator gives back at a time */
#define PIECE		max_t(unsigned long, SZ_64K, PAGE_SIZE)

/* A piece in the middle of what a table maps is touched and given back. */
static void measure_piece(struct kunit *test, cycles_t *zap, cycles_t *round)
{
	unsigned long addr = PTWALK_BASE + PMD_SIZE / 2, end = addr + PIECE, page;
	cycles_t start = get_cycles(), touched, took;
	int ret = 0;

	for (page = addr; page < end && !ret; page += PAGE_SIZE)
		ret = put_user(1, (u64 __user *)page);
	touched = get_cycles();
	ret = ret ?: ptwalk_zap(addr, PIECE);
	took = get_cycles();
	KUNIT_ASSERT_EQ(test, 0, ret);
	*zap = min(*zap, took - touched);
	*round = min(*round, took - start);
}

/*
 * The least of many measurements, which no interrupt has prolonged.  Exact to
 * the instruction with "-icount shift=0,sleep=off" of QEMU on x86; the time
 * base of powerpc counts 512 for 1000 instructions.
 */
static void measure_costs(struct kunit *test, cycles_t *least, int round)
{
	const unsigned long len = PMD_SIZE;
	const unsigned long far = last_page(PTWALK_BASE) - round % 2 * PAGE_SIZE;

	/* All that a table maps, with two pages in it. */
	touch_timed(test, &least[COST_FAULT_FIRST], PTWALK_BASE);
	touch_timed(test, &least[COST_FAULT_NEXT], PTWALK_BASE + PAGE_SIZE);
	zap_timed(test, &least[COST_ZAP_TABLE], PTWALK_BASE, len);
	/* A part of that, with two pages in it. */
	ptwalk_fill(test, PTWALK_BASE, 2 * PAGE_SIZE, 1);
	zap_timed(test, &least[COST_ZAP_PART], PTWALK_BASE, len - PAGE_SIZE);
	ptwalk_fill(test, PTWALK_BASE, PAGE_SIZE, 1);
	zap_timed(test, &least[COST_ZAP_PAGE], PTWALK_BASE, PAGE_SIZE);
	/* A piece, nothing else in the table, which this thread has just emptied */
	measure_piece(test, &least[COST_ZAP_PIECE], &least[COST_ROUND]);
	/* One page at the far end of another table, not where it was the last time */
	ptwalk_fill(test, table_addr(1), PAGE_SIZE, 1);
	zap_in_two(test, table_addr(1));
	ptwalk_fill(test, far, PAGE_SIZE, 1);
	measure_piece(test, &least[COST_ZAP_PIECE_LOOK], &least[COST_ROUND_LOOK]);
	measure_piece(test, &least[COST_ZAP_PIECE_FAR], &least[COST_ROUND_FAR]);
	/* All of it, full of pages, one of them first */
	ptwalk_fill(test, PTWALK_BASE, len, 1);
	zap_timed(test, &least[COST_ZAP_IN_FULL], PTWALK_BASE + len / 2, PAGE_SIZE);
	ptwalk_fill(test, PTWALK_BASE + len / 2, PAGE_SIZE, 1);
	zap_timed(test, &least[COST_ZAP_FULL_TABLE], PTWALK_BASE, len);
}

/* Broken: never: measures what freeing tables costs. */
static void reclaim_cost(struct kunit *test)
{
	cycles_t least[NR_COSTS];
	int i;

	enter_with_tables(test, 2);
	if (!get_cycles())
		kunit_skip(test, "no cycle counter");
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PMD_SIZE));
	for (i = 0; i < NR_COSTS; i++)
		least[i] = -1;
	for (i = 0; i < COST_ROUNDS; i++)
		measure_costs(test, least, i);
	for (i = 0; i < NR_COSTS; i++)
		kunit_info(test, "measure: giving_back op=%s cycles=%llu\n",
			   cost_name[i], (u64)least[i]);
}

static struct kunit_case reclaim_cases[] = {
	KUNIT_CASE(reclaim_cost),
	KUNIT_CASE(emptied_table_is_freed),
	KUNIT_CASE(each_emptied_table_is_freed),
	KUNIT_CASE_SLOW(tables_do_not_pile_up),
	KUNIT_CASE(partial_range_keeps_table),
	KUNIT_CASE(table_emptied_by_parts_is_freed),
	KUNIT_CASE(rests_of_two_tables_are_freed),
	KUNIT_CASE_SLOW(first_part_of_a_long_range_is_freed),
	KUNIT_CASE(table_in_use_again_is_kept),
#ifdef CONFIG_MMU_NOTIFIER
	KUNIT_CASE(table_emptied_by_parts_is_freed_under_a_notifier),
	KUNIT_CASE(table_in_use_again_tells_no_notifier),
#endif
	KUNIT_CASE(same_part_again_keeps_table),
	KUNIT_CASE(parts_of_two_mappings_keep_table),
	KUNIT_CASE(last_part_of_a_mapping_frees_its_table),
	KUNIT_CASE(marker_far_off_keeps_table),
	KUNIT_CASE(tables_at_both_ends_are_freed),
	KUNIT_CASE(parts_of_huge_memory_keep_table),
	KUNIT_CASE_SLOW(tables_do_not_pile_up_by_parts),
	KUNIT_CASE_SLOW(heap_in_another_order_leaves_no_tables),
	KUNIT_CASE(table_of_two_mappings_stays),
	KUNIT_CASE_SLOW(emptied_table_outlives_walker),
	KUNIT_CASE(emptied_table_outlives_rcu_reader),
	KUNIT_CASE_SLOW(emptied_table_without_batch_outlives_walker),
	KUNIT_CASE(emptied_table_outlives_rcu_reader_and_mm),
	KUNIT_CASE(giving_tables_back_broadcasts_nothing),
	KUNIT_CASE(nothing_is_leaked),
	KUNIT_CASE(emptied_file_table_is_freed),
	KUNIT_CASE(vanished_table_needs_another_fault),
	KUNIT_CASE(vanished_table_does_not_cost_the_page),
	KUNIT_CASE(vanished_table_does_not_cost_the_copy),
	KUNIT_CASE(vanished_table_does_not_cost_the_shmem_copy),
	KUNIT_CASE(uffd_wp_marker_stays),
	KUNIT_CASE(table_refilled_meanwhile_is_kept),
#if PTWALK_V7
	KUNIT_CASE(no_store_is_lost_in_writeback),
	KUNIT_CASE(unmapped_file_page_is_not_mapped),
#endif
#ifdef HAS_AGING
	KUNIT_CASE(aging_leaves_vanished_table_alone),
#endif
	KUNIT_CASE_SLOW(no_store_is_lost),
	KUNIT_CASE_SLOW(no_store_is_lost_by_parts),
	KUNIT_CASE_SLOW(no_store_is_lost_in_a_run),
	KUNIT_CASE(table_behind_a_contended_lock_is_freed),
	KUNIT_CASE_SLOW(fault_of_a_page_frame_allocates_again),
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	KUNIT_CASE_SLOW(file_collapse_versus_dontneed),
	KUNIT_CASE(collapse_goes_past_what_was_given_back),
#endif
#ifdef CONFIG_X86_64
	KUNIT_CASE(each_empty_table_is_flushed),
	KUNIT_CASE(executable_memory_is_flushed_first),
#endif
	{}
};

PTWALK_SUITE(reclaim);
