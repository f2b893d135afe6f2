// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freeing of page tables: in batches, and one by one when the page for a batch
 * cannot be allocated.  Which CPUs it interrupts, and when the table is freed.
 *
 * powerpc cuts several tables out of a page and frees the page with the last of
 * them.  So these cases free a page full of tables under a walker.
 */

#define PTWALK_GATHER
#include "../kernel.h"
#include "../lib/ptwalk.h"

#define NR_TABLES	8
#define NR_ROUNDS	4
#define NR_UPPER	4

/* Pages are filled with tables from here. */
#define FULL_BASE	(PTWALK_BASE + (NR_TABLES + 1) * PMD_SIZE)
#define FULL_UPPER	34

/* The series frees by RCU if there is no batch, on these architectures. */
#define FALLBACK_BY_RCU	(IS_ENABLED(CONFIG_X86) || \
			 IS_ENABLED(CONFIG_PPC_BOOK3S_64) || \
			 IS_ENABLED(CONFIG_ARM64))
#define NO_FALLBACK	"the fallback of this architecture interrupts all CPUs"

static unsigned long table_addr(int i)
{
	return PTWALK_BASE + i * PMD_SIZE;
}

/* One page in each table; a page behind them keeps the PMD table busy. */
static void fill_tables(struct kunit *test)
{
	int i;

	ptwalk_map_small(test, PTWALK_BASE, (NR_TABLES + 1) * PMD_SIZE);
	for (i = 0; i <= NR_TABLES; i++)
		ptwalk_fill(test, table_addr(i), PAGE_SIZE, 1);
}

/* As free_pte_range(): unhooks the empty table. */
static pgtable_t unhook_table(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = ptwalk_pmd_offset(mm, addr);
	pgtable_t token = pmd_pgtable(*pmd);

	pmd_clear(pmd);
	mm_dec_nr_ptes(mm);
	return token;
}

/**
 * struct freeing - how free_table() frees
 * @no_batch: the page for a batch cannot be allocated
 * @direct: this kernel frees tables without tlb_remove_table(); call it
 * @nvcsw: out: how often freeing slept
 * @batched: out: whether a table went into a batch
 */
struct freeing {
	bool no_batch;
	bool direct;
	unsigned long nvcsw;
	bool batched;
};

static void free_table(unsigned long addr, struct freeing *how)
{
	struct mm_struct *mm = current->mm;
	struct mmu_gather tlb;
	pgtable_t token;

	mmap_write_lock(mm);
	token = unhook_table(mm, addr);
	tlb_gather_mmu(&tlb, mm);
	how->nvcsw = current->nvcsw;
	if (how->no_batch)
		ptwalk_fail_arm();
	ptwalk_remove_table(&tlb, token, addr, how->direct);
	ptwalk_fail_disarm();
	how->batched |= !!tlb.batch;
	how->nvcsw = current->nvcsw - how->nvcsw;
	tlb_finish_mmu(&tlb);
	mmap_write_unlock(mm);
}

/*
 * Empties a table with one page, and keeps it.  A kernel may free tables that one
 * call covers, and tables that are empty where no huge page can come after them.
 */
static void empty_table(struct kunit *test, unsigned long addr)
{
	ptwalk_need_thp(test);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr & PMD_MASK, PMD_SIZE,
					    MADV_HUGEPAGE));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, PAGE_SIZE));
}

static void empty_tables(struct kunit *test)
{
	int i;

	for (i = 0; i < NR_TABLES; i++)
		empty_table(test, table_addr(i));
}

/*
 * Prepares all tables but the last to be freed one by one.  The last one is
 * freed in the usual way and shows whether this kernel uses tlb_remove_table().
 */
static struct mm_struct *prepare_fallback(struct kunit *test,
					  struct freeing *how)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	memset(how, 0, sizeof(*how));
	fill_tables(test);
	empty_tables(test);
	free_table(table_addr(NR_TABLES - 1), how);
	how->direct = !how->batched;
	how->batched = false;
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	how->no_batch = true;
	return mm;
}

static struct ptwalk_full_page fill_pte_page(struct kunit *test)
{
	return ptwalk_fill_page(test, FULL_BASE, PMD_SIZE, PTWALK_FULL_TABLES);
}

/* Broken: under memory pressure each exit and munmap interrupts every CPU. */
static void fallback_broadcasts_nothing(struct kunit *test)
{
	struct freeing how;
	struct mm_struct *mm = prepare_fallback(test, &how);
	int i;

	ptwalk_spread(test, mm, table_addr(NR_TABLES));
	ptwalk_ipi_start();
	for (i = 0; i < NR_TABLES - 1; i++)
		free_table(table_addr(i), &how);
	ptwalk_ipi_stop();
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_FALSE_MSG(test, how.batched, "a batch page was allocated");
	ptwalk_measure(test, "free_fallback", NR_TABLES - 1);
	if (!FALLBACK_BY_RCU)
		kunit_skip(test, "measured only: " NO_FALLBACK);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
}

/* Frees a page full of tables, the last of them under a walker that is in it. */
static struct ptwalk_hold *free_under_walker(struct kunit *test,
					     struct freeing *how,
					     enum ptwalk_hold_mode mode)
{
	struct ptwalk_full_page full = fill_pte_page(test);
	unsigned long last = full.addr + (full.nr - 1) * full.step;
	struct ptwalk_hold *hold;
	unsigned long addr;

	for (addr = full.addr; addr <= last; addr += full.step)
		empty_table(test, addr);
	for (addr = full.addr; addr < last; addr += full.step)
		free_table(addr, how);
	hold = ptwalk_hold(test, current->mm, last, mode);
	free_table(last, how);
	if (how->no_batch)
		KUNIT_EXPECT_FALSE_MSG(test, how->batched, "a batch page was allocated");
	return hold;
}

/* Broken: munmap waits while any CPU has interrupts off. */
static void fallback_does_not_wait_for_walker(struct kunit *test)
{
	struct ptwalk_hold *hold;
	struct freeing how;

	if (!FALLBACK_BY_RCU)
		kunit_skip(test, NO_FALLBACK);
	prepare_fallback(test, &how);
	hold = free_under_walker(test, &how, PTWALK_HOLD_IRQS_OFF);
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_hold_release(hold),
			      "freeing waited until the walker left");
	ptwalk_fail_restore(test);
}

static void expect_fallback_outlived(struct kunit *test, enum ptwalk_hold_mode mode)
{
	struct ptwalk_hold *hold;
	struct freeing how;

	prepare_fallback(test, &how);
	hold = free_under_walker(test, &how, mode);
	ptwalk_fail_restore(test);
	ptwalk_expect_outlived(test, hold);
}

/* Broken: GUP-fast reads page-table entries from a page that was freed. */
static void fallback_table_outlives_walker(struct kunit *test)
{
	expect_fallback_outlived(test, PTWALK_HOLD_IRQS_OFF);
}

/* Broken: pte_offset_map() returns a table that was freed. */
static void fallback_table_outlives_rcu_reader(struct kunit *test)
{
	if (!FALLBACK_BY_RCU)
		kunit_skip(test, NO_FALLBACK);
	expect_fallback_outlived(test, PTWALK_HOLD_RCU);
}

/* Broken: munmap under memory pressure waits for a grace period per table. */
static void fallback_does_not_sleep(struct kunit *test)
{
	unsigned long nvcsw = 0;
	struct freeing how;
	int i;

	prepare_fallback(test, &how);
	for (i = 0; i < NR_TABLES - 1; i++) {
		free_table(table_addr(i), &how);
		nvcsw += how.nvcsw;
	}
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_FALSE_MSG(test, how.batched, "a batch page was allocated");
	KUNIT_EXPECT_EQ(test, nvcsw, 0);
}

static void free_by_fallback(struct kunit *test)
{
	struct freeing how;
	int i, round;

	prepare_fallback(test, &how);
	for (round = 0; round < NR_ROUNDS; round++) {
		fill_tables(test);
		empty_tables(test);
		for (i = 0; i < NR_TABLES; i++)
			free_table(table_addr(i), &how);
	}
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_FALSE_MSG(test, how.batched, "a batch page was allocated");
	ptwalk_mm_leave(test);
}

/* Broken: freeing a table under memory pressure leaks it. */
static void fallback_returns_memory(struct kunit *test)
{
	ptwalk_expect_no_leak(test, free_by_fallback, NR_ROUNDS * NR_TABLES);
}

/* Broken: as fallback_broadcasts_nothing, for munmap(). */
static void munmap_fallback_broadcasts_nothing(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	long singles = ptwalk_singles();
	int ret;

	fill_tables(test);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	ptwalk_spread(test, mm, table_addr(NR_TABLES));
	ptwalk_ipi_start();
	ptwalk_fail_arm();
	ret = vm_munmap(PTWALK_BASE, NR_TABLES * PMD_SIZE);
	ptwalk_fail_disarm();
	ptwalk_ipi_stop();
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_EQ(test, 0, ret);
	ptwalk_expect_singles(test, singles, NR_TABLES);
	ptwalk_measure(test, "munmap_fallback", NR_TABLES);
	if (!FALLBACK_BY_RCU)
		kunit_skip(test, "measured only: " NO_FALLBACK);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
}

static void fill_upper(struct kunit *test)
{
	int i;

	ptwalk_map_small(test, PTWALK_BASE, NR_UPPER * PUD_SIZE);
	for (i = 0; i < NR_UPPER; i++)
		ptwalk_fill(test, PTWALK_BASE + i * PUD_SIZE, PAGE_SIZE, 1);
}

/* Broken: as above, for tables of the upper levels. */
static void munmap_upper_fallback_broadcasts_nothing(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	long singles = ptwalk_singles();
	int ret;

	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	fill_upper(test);
	ptwalk_spread(test, mm, PTWALK_BASE);
	ptwalk_ipi_start();
	ptwalk_fail_arm();
	/*
	 * Nothing else is mapped nearby: PMD tables are freed, and perhaps a
	 * PUD table.
	 */
	ret = vm_munmap(PTWALK_BASE, NR_UPPER * PUD_SIZE);
	ptwalk_fail_disarm();
	ptwalk_ipi_stop();
	ptwalk_fail_restore(test);
	KUNIT_EXPECT_EQ(test, 0, ret);
	ptwalk_expect_singles(test, singles, 2 * NR_UPPER);
	kunit_info(test, "broadcast=%u for %d tables of each level\n",
		   ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST), NR_UPPER);
	if (!FALLBACK_BY_RCU)
		kunit_skip(test, "measured only: " NO_FALLBACK);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
}

/* Unmaps what a page full of tables maps, the last part under a walker. */
static struct ptwalk_hold *munmap_under_walker(struct kunit *test,
					       const struct ptwalk_full_page *full,
					       enum ptwalk_hold_mode mode)
{
	unsigned long len = (full->nr - 1) * full->step;
	struct ptwalk_hold *hold;

	if (len)
		KUNIT_EXPECT_EQ(test, 0, vm_munmap(full->addr, len));
	hold = ptwalk_hold(test, current->mm, full->addr + len, mode);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(full->addr + len, full->step));
	return hold;
}

/* Broken: GUP-fast reads PMD entries from a page that was freed. */
static void munmap_upper_fallback_outlives_rcu_reader(struct kunit *test)
{
	long singles = ptwalk_singles();
	struct ptwalk_hold *hold;
	struct ptwalk_full_page full;

	if (!FALLBACK_BY_RCU)
		kunit_skip(test, NO_FALLBACK);
	ptwalk_mm_enter(test);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	full = ptwalk_fill_page(test, PTWALK_BASE, PUD_SIZE, FULL_UPPER);
	ptwalk_fail_arm();
	hold = munmap_under_walker(test, &full, PTWALK_HOLD_RCU);
	ptwalk_fail_disarm();
	ptwalk_fail_restore(test);
	ptwalk_expect_outlived(test, hold);
	ptwalk_expect_singles(test, singles, 2 * full.nr);
}

static void munmap_upper_by_fallback(struct kunit *test)
{
	long singles = ptwalk_singles();
	int round;

	ptwalk_mm_enter(test);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	for (round = 0; round < NR_ROUNDS; round++) {
		fill_upper(test);
		ptwalk_fail_arm();
		vm_munmap(PTWALK_BASE, NR_UPPER * PUD_SIZE);
		ptwalk_fail_disarm();
	}
	ptwalk_fail_restore(test);
	ptwalk_mm_leave(test);
	ptwalk_expect_singles(test, singles, 2 * NR_ROUNDS * NR_UPPER);
}

/* Broken: munmap under memory pressure leaks tables of the upper levels. */
static void munmap_upper_fallback_returns_memory(struct kunit *test)
{
	ptwalk_expect_no_leak(test, munmap_upper_by_fallback, NR_ROUNDS * NR_UPPER);
}

/* Broken: every munmap interrupts every CPU. */
static void batch_broadcasts_nothing(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);

	fill_tables(test);
	ptwalk_spread(test, mm, table_addr(NR_TABLES));
	ptwalk_ipi_start();
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE,
					   NR_TABLES * PMD_SIZE));
	ptwalk_ipi_stop();
	ptwalk_measure(test, "free_batch", NR_TABLES);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
}

static void expect_munmap_outlived(struct kunit *test,
				   enum ptwalk_hold_mode mode)
{
	struct ptwalk_full_page full;

	ptwalk_mm_enter(test);
	full = fill_pte_page(test);
	ptwalk_expect_outlived(test, munmap_under_walker(test, &full, mode));
}

/* Broken: GUP-fast reads freed tables where a TLB flush interrupts no CPU. */
static void munmap_table_outlives_walker(struct kunit *test)
{
	expect_munmap_outlived(test, PTWALK_HOLD_IRQS_OFF);
}

/* Broken: pte_offset_map() returns a table that was freed. */
static void munmap_table_outlives_rcu_reader(struct kunit *test)
{
	expect_munmap_outlived(test, PTWALK_HOLD_RCU);
}

/**
 * struct freed_lock - the lock of a page table, where it is an object of its own
 * @lock: the lock
 * @freed: whether it was freed
 */
struct freed_lock {
	const void *lock;
	bool freed;
};

static void kmem_cache_free_probe(void *data, unsigned long call_site,
				  const void *object, const struct kmem_cache *s)
{
	struct freed_lock *watch = data;

	if (object == watch->lock)
		WRITE_ONCE(watch->freed, true);
}

/* Broken: pte_offset_map_lock() takes a lock in memory that was freed. */
static void munmap_table_lock_outlives_rcu_reader(struct kunit *test)
{
	struct freed_lock *watch = ptwalk_zalloc(test, sizeof(*watch));
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct ptwalk_full_page full;
	struct ptwalk_hold *hold;
	unsigned long last;

	if (!IS_ENABLED(CONFIG_SPLIT_PTE_PTLOCKS) || !ALLOC_SPLIT_PTLOCKS)
		kunit_skip(test, "the lock is in the struct page: VARIANT=lockdep");
	full = fill_pte_page(test);
	last = full.addr + (full.nr - 1) * full.step;
	/* Modules cannot use pte_lockptr() on powerpc. */
	watch->lock = IS_ENABLED(CONFIG_HIGHPTE) ?
			pte_lockptr(mm, ptwalk_pmd_offset(mm, last)) :
			ptep_lockptr(mm, ptwalk_table(mm, last));
	if (!ptwalk_probe(test, "kmem_cache_free", kmem_cache_free_probe, watch))
		kunit_skip(test, "needs the tracepoint kmem_cache_free");
	hold = munmap_under_walker(test, &full, PTWALK_HOLD_RCU);
	KUNIT_EXPECT_FALSE_MSG(test, READ_ONCE(watch->freed),
			       "freed under the reader");
	ptwalk_expect_outlived(test, hold);
	KUNIT_EXPECT_TRUE_MSG(test, READ_ONCE(watch->freed), "leaked");
}

static void munmap_many(struct kunit *test)
{
	int round;

	ptwalk_mm_enter(test);
	for (round = 0; round < NR_ROUNDS; round++) {
		fill_tables(test);
		KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE, (NR_TABLES + 1) *
						   PMD_SIZE));
	}
	ptwalk_mm_leave(test);
}

/* Broken: each munmap leaks memory. */
static void munmap_leaks_no_table(struct kunit *test)
{
	ptwalk_expect_no_leak(test, munmap_many, NR_ROUNDS * NR_TABLES);
}

/**
 * struct speculation - references on a page that may have become a page table
 * @page: the page, or NULL
 * @one_left: all tables in it are freed but one, which is still in use
 * @taken: how often a reference was taken, and dropped
 * @last: how often it was the last one of a page table, which was freed meanwhile
 * @with_one: how often it was dropped while @one_left
 */
struct speculation {
	struct page *page;
	bool one_left;
	atomic_long_t taken, last, with_one;
};

/* As compaction and GUP-fast do, which find a page by its pfn. */
static void take_and_drop(void *arg, unsigned int id)
{
	struct speculation *s = arg;
	struct page *page = READ_ONCE(s->page);
	struct folio *folio;
	bool freed;

	if (!page || !get_page_unless_zero(page))
		return;
	atomic_long_inc(&s->taken);
	/* As put_page().  Once freed, the page may have become anything. */
	folio = page_folio(page);
	freed = ptwalk_watch_freed();
	if (READ_ONCE(s->one_left))
		atomic_long_inc(&s->with_one);
	if (!folio_put_testzero(folio))
		return;
	if (!freed)
		atomic_long_inc(&s->last);
	__folio_put(folio);
}

/*
 * Frees all tables of the page but one, and lets the references come and go.
 * Returns whether the page was freed.
 */
static bool free_all_but_one(struct kunit *test, struct speculation *s,
			     const struct ptwalk_full_page *full)
{
	unsigned long last = full->addr + (full->nr - 1) * full->step;
	bool freed;

	KUNIT_EXPECT_EQ(test, 0, vm_munmap(FULL_BASE, last - FULL_BASE));
	rcu_barrier();
	WRITE_ONCE(s->one_left, true);
	freed = ptwalk_watch_wait(1, 20);
	WRITE_ONCE(s->one_left, false);
	return freed;
}

/* Whether references were dropped at all times that count; the page had @nr tables. */
static bool has_met(struct speculation *s, int nr)
{
	return atomic_long_read(&s->last) &&
	       (nr == 1 || atomic_long_read(&s->with_one));
}

/*
 * Broken: a page table on which other code briefly held a reference is freed
 * twice, never, or with another table in its page that is still in use.
 */
static void speculative_reference_frees_table_once(struct kunit *test)
{
	unsigned long end, rounds = 0, kept = 0, early = 0;
	struct ptwalk_full_page full = {};
	struct ptwalk_crew *crew;
	struct speculation *s;
	struct cpumask few;

	ptwalk_mm_enter(test);
	s = ptwalk_zalloc(test, sizeof(*s));
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	ptwalk_next_cpus(&few, 2);
	crew = ptwalk_crew(test, NULL, &few, take_and_drop, s);
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, rounds > 2 && has_met(s, full.nr)); rounds++) {
		ptwalk_watch_reset();
		full = fill_pte_page(test);
		WRITE_ONCE(s->page, virt_to_page(ptwalk_table(current->mm, full.addr)));
		/* By a batch, one by one, and one of them later than the others */
		if (rounds % 3 == 1)
			ptwalk_fail_arm();
		else if (rounds % 3 == 2 && full.nr > 1)
			early += free_all_but_one(test, s, &full);
		KUNIT_EXPECT_EQ(test, 0, vm_munmap(FULL_BASE, PTWALK_FULL_TABLES * PMD_SIZE));
		ptwalk_fail_disarm();
		kept += !ptwalk_watch_wait(1, 1000);
		WRITE_ONCE(s->page, NULL);
	}
	ptwalk_crew_stop(crew);
	ptwalk_fail_restore(test);
	kunit_info(test, "rounds=%lu taken=%ld last=%ld with_one=%ld kept=%lu early=%lu\n",
		   rounds, atomic_long_read(&s->taken), atomic_long_read(&s->last),
		   atomic_long_read(&s->with_one), kept, early);
	KUNIT_EXPECT_EQ(test, kept, 0);
	KUNIT_EXPECT_EQ(test, early, 0);
	KUNIT_EXPECT_GT_MSG(test, atomic_long_read(&s->last), 0,
			    "no reference was held while a table was freed");
	if (full.nr > 1)
		KUNIT_EXPECT_GT_MSG(test, atomic_long_read(&s->with_one), 0,
				    "no reference was dropped with one table in use");
}

static struct kunit_case free_cases[] = {
	KUNIT_CASE(fallback_broadcasts_nothing),
	KUNIT_CASE_SLOW(fallback_does_not_wait_for_walker),
	KUNIT_CASE_SLOW(fallback_table_outlives_walker),
	KUNIT_CASE(fallback_table_outlives_rcu_reader),
	KUNIT_CASE(fallback_does_not_sleep),
	KUNIT_CASE(fallback_returns_memory),
	KUNIT_CASE(munmap_fallback_broadcasts_nothing),
	KUNIT_CASE(munmap_upper_fallback_broadcasts_nothing),
	KUNIT_CASE(munmap_upper_fallback_outlives_rcu_reader),
	KUNIT_CASE(munmap_upper_fallback_returns_memory),
	KUNIT_CASE(batch_broadcasts_nothing),
	KUNIT_CASE_SLOW(munmap_table_outlives_walker),
	KUNIT_CASE(munmap_table_outlives_rcu_reader),
	KUNIT_CASE(munmap_table_lock_outlives_rcu_reader),
	KUNIT_CASE(munmap_leaks_no_table),
	KUNIT_CASE_SLOW(speculative_reference_frees_table_once),
	{}
};

PTWALK_SUITE(free);
