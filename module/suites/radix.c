// SPDX-License-Identifier: GPL-2.0-only
/*
 * Radix MMU of powerpc: the number of TLB invalidations that unmapping huge
 * pages takes.  Each is a broadcast to all CPUs on the interconnect, or a
 * hypercall where the hypervisor does not let the guest broadcast.
 */
#include <asm/hvcall.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/percpu_counter.h>

#define PTWALK_GATHER
#include "../kernel.h"
#include "../lib/ptwalk.h"

/* Pages that are invalidated one by one, at most: tlb_single_page_flush_ceiling */
#define CEILING		33
/* What POWER9 adds to a flush */
#define FIXUPS		2
/* The whole PID: what is taken where the ceiling is exceeded */
#define PID_ROUNDS	(1 + FIXUPS)
/*
 * PMDs that one flush covers, at most: ZAP_HUGE_RUN in mm/huge_memory.c, and RECLAIM_RUN
 * in mm/memory.c
 */
#define HUGE_RUN	64
#define TABLE_RUN	16

/**
 * struct rounds - TLB invalidations of one task
 * @task: the task
 * @pml: locks of two PMD tables
 * @global: tlbie instructions, or H_RPT_INVALIDATE hypercalls
 * @local: tlbiel instructions
 * @locked: those of @global with either lock held
 * @held: those with each lock held
 * @split: the locks are two
 * @folio: a page whose rmap a flush must precede, or NULL
 * @mapped: it was mapped at the first of @global
 * @pending: another flush is pending, so all is flushed at the end, maybe
 *	     locally: the least of @locked that is expected, else 0
 */
static struct rounds {
	struct task_struct *task;
	spinlock_t *pml[2];
	atomic_t global, local, locked, held[2];
	int pending;
	bool split, mapped;
	struct folio *folio;
} rounds;

static void count_global(void)
{
	bool held[2] = { };
	int i;

	if (atomic_inc_return(&rounds.global) == 1 && rounds.folio)
		rounds.mapped = folio_mapped(rounds.folio);
	for (i = 0; i < 2; i++) {
		held[i] = rounds.pml[i] && spin_is_locked(rounds.pml[i]);
		if (held[i])
			atomic_inc(&rounds.held[i]);
	}
	if (held[0] || held[1])
		atomic_inc(&rounds.locked);
}

static void tlbie(void *data, unsigned long lpid, unsigned long local,
		  unsigned long rb, unsigned long rs, unsigned long ric,
		  unsigned long prs, unsigned long r)
{
	if (current != READ_ONCE(rounds.task))
		return;
	if (local)
		atomic_inc(&rounds.local);
	else
		count_global();
}

static void hcall_entry(void *data, unsigned long opcode, unsigned long *args)
{
	if (opcode == H_RPT_INVALIDATE && current == READ_ONCE(rounds.task))
		count_global();
}

static void rounds_init(struct kunit *test)
{
	rounds.pending = 0;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "tlbie", tlbie, NULL));
	if (!mmu_has_feature(MMU_FTR_GTSE))
		KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "hcall_entry",
						     hcall_entry, NULL));
}

static void rounds_start(void)
{
	int i;

	atomic_set(&rounds.global, 0);
	atomic_set(&rounds.local, 0);
	atomic_set(&rounds.locked, 0);
	for (i = 0; i < 2; i++)
		atomic_set(&rounds.held[i], 0);
	rounds.mapped = false;
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

static unsigned long map_huge(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = nr * HPAGE_PMD_SIZE, addr;

	ptwalk_map(test, start, len);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, start, len,
					    MADV_HUGEPAGE));
	for (addr = start; addr < start + len; addr += HPAGE_PMD_SIZE) {
		KUNIT_ASSERT_EQ(test, 0, put_user(1, (u64 __user *)addr));
		if (!ptwalk_is_huge(current->mm, addr))
			kunit_skip(test, "not enough memory for %d huge pages",
				   nr);
	}
	return len;
}

/* Every second one is small pages, one of them in use. */
static unsigned long map_mixed(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = map_huge(test, start, nr), addr;

	ptwalk_no_huge(test, start, len);
	for (addr = start; addr < start + len; addr += 2 * HPAGE_PMD_SIZE) {
		KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, HPAGE_PMD_SIZE));
		KUNIT_ASSERT_EQ(test, 0, put_user(1, (u64 __user *)addr));
	}
	return len;
}

/* Maps @nr tables, with a page in each, not the first one. */
static unsigned long map_tables(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = nr * PMD_SIZE, addr;

	ptwalk_map_small(test, start, len);
	for (addr = start + PMD_SIZE / 2; addr < start + len; addr += PMD_SIZE)
		KUNIT_ASSERT_EQ(test, 0, put_user(1, (u64 __user *)addr));
	return len;
}

/* The same, full of pages. */
static unsigned long map_full(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = nr * PMD_SIZE;

	ptwalk_map_small(test, start, len);
	ptwalk_fill(test, start, len, 1);
	return len;
}

static unsigned long map_shmem(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = nr * HPAGE_PMD_SIZE, addr;
	struct file *file;

	file = ptwalk_own_file(test, ptwalk_shmem_file(len));
	ptwalk_map_file(test, file, start, len);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, start, len,
					    MADV_HUGEPAGE));
	ptwalk_fill(test, start, len, 1);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(start, len));
	for (addr = start; addr < start + len; addr += HPAGE_PMD_SIZE)
		if (!ptwalk_is_huge(current->mm, addr))
			kunit_skip(test, "not enough memory for %d huge pages",
				   nr);
	return len;
}

/* As SysV shared memory is mapped: shmem behind operations of another kind. */
static unsigned long map_sysv(struct kunit *test, unsigned long start, int nr)
{
	static struct vm_operations_struct ops;
	unsigned long len = map_shmem(test, start, nr);
	struct vm_area_struct *vma;

	mmap_write_lock(current->mm);
	vma = find_vma(current->mm, start);
	ops = *vma->vm_ops;
	vma->vm_ops = &ops;
	mmap_write_unlock(current->mm);
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
static void measure_at(struct kunit *test, const char *op, unsigned long addr, int nr,
		       unsigned long (*map)(struct kunit *test, unsigned long addr,
					    int nr),
		       int (*fn)(unsigned long addr, size_t len))
{
	struct mm_struct *mm = current->mm;
	int try;

	for (try = 0; try < TRIES; try++) {
		unsigned long len = map(test, addr, nr);

		rounds.pml[0] = pmd_lockptr(mm, ptwalk_pmd_offset(mm, addr));
		rounds.pml[1] = pmd_lockptr(mm, ptwalk_pmd_offset(mm, addr + len - 1));
		rounds.split = rounds.pml[0] != rounds.pml[1];
		spread(test, mm);
		rounds_start();
		KUNIT_EXPECT_EQ(test, 0, fn(addr, len));
		rounds_stop();
		/* A PMD table that munmap() has freed has no lock. */
		rounds.pml[0] = NULL;
		rounds.pml[1] = NULL;
		if (rounds.pending ? atomic_read(&rounds.locked) >= rounds.pending :
				     !atomic_read(&rounds.local))
			break;
		vm_munmap(addr, len);
	}
	/* With a flush pending, too few of them are the fault that is looked for. */
	if (try == TRIES && !rounds.pending)
		kunit_skip(test, "the other CPUs had left mm_cpumask each time, so no tlbie was needed");
	kunit_info(test, "measure: %s cpus=%u ops=%u sync=%u tlbie=%d tlbiel=0\n",
		   op, num_online_cpus(), nr,
		   ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST) +
		   ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE), rounds_global());
}

static void measure(struct kunit *test, const char *op, int nr,
		    unsigned long (*map)(struct kunit *test, unsigned long addr, int nr),
		    int (*fn)(unsigned long addr, size_t len))
{
	enter(test);
	measure_at(test, op, PTWALK_BASE, nr, map, fn);
}

/* As measure(); again if there were more than @most, as need_resched() ends a run. */
static void measure_runs(struct kunit *test, const char *op, int nr,
			 unsigned long (*map)(struct kunit *test, unsigned long addr,
					      int nr),
			 int (*fn)(unsigned long addr, size_t len), int most)
{
	int try;

	enter(test);
	for (try = 0; try < TRIES; try++) {
		measure_at(test, op, PTWALK_BASE, nr, map, fn);
		if (rounds_global() <= most)
			break;
		vm_munmap(PTWALK_BASE, nr * HPAGE_PMD_SIZE);
	}
	KUNIT_EXPECT_GT(test, rounds_global(), 0);
	KUNIT_EXPECT_LE(test, rounds_global(), most);
}

/* The least number of tlbie or hypercalls that flush @nr pages one by one, if so few are */
static int pages_flushed(int nr)
{
	return mmu_has_feature(MMU_FTR_GTSE) && nr <= CEILING + 1 ? nr : 1;
}

/* Expects a round for @pages: each of them, or the PID, and @more. */
static void expect_round(struct kunit *test, unsigned long pages, int more)
{
	bool pid = pages > CEILING;

	/* One hypercall may do it all, and other CPUs need no workaround. */
	KUNIT_EXPECT_GE(test, rounds_global(),
			!mmu_has_feature(MMU_FTR_GTSE) || pid ? 1 : (int)pages);
	KUNIT_EXPECT_LE(test, rounds_global(),
			pid ? PID_ROUNDS + more : (int)pages + FIXUPS + more);
}

/* Expects @runs at least, with a flush of the whole PID for each. */
static void expect_runs(struct kunit *test, int runs)
{
	int each = 1;

	if (mmu_has_feature(MMU_FTR_GTSE))
		each += cpu_has_feature(CPU_FTR_P9_TLBIE_STQ_BUG) +
			cpu_has_feature(CPU_FTR_P9_TLBIE_ERAT_BUG);
	KUNIT_EXPECT_GE(test, rounds_global(), runs * each);
}

/* Every one of them before the lock of a PMD table is dropped */
static void expect_locked(struct kunit *test)
{
	KUNIT_EXPECT_EQ_MSG(test, rounds_global(), atomic_read(&rounds.locked),
			    "flushed without the lock");
}

/* Both sides of tlb_single_page_flush_ceiling */
static const int sizes[] = { 1, 8, 33, 64, 256 };

static void size_desc(const int *nr, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%d huge pages", *nr);
}

KUNIT_ARRAY_PARAM(size, sizes, size_desc);

/* What tables that are freed add at most: a flush of the page-walk cache */
#define TABLES_MORE	1

/* Broken: munmap of a large process flushes the TLB for each huge page. */
static void munmap_flushes_once(struct kunit *test)
{
	const int nr = *(const int *)test->param_value;

	measure(test, "munmap_thp", nr, map_huge, vm_munmap);
	expect_round(test, nr, nr > CEILING ? 0 : TABLES_MORE);
}

/* Broken: as above, for memory that processes share. */
static void munmap_of_shmem_flushes_once(struct kunit *test)
{
	measure(test, "munmap_shmem_thp", 64, map_shmem, vm_munmap);
	expect_round(test, 64, 0);
	/* Where faults are excluded the lock need not be held that long. */
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&rounds.locked));
}

/* Broken: as above, for a database. */
static void munmap_of_sysv_shm_flushes_once(struct kunit *test)
{
	measure(test, "munmap_sysv_thp", 64, map_sysv, vm_munmap);
	expect_round(test, 64, 0);
	/* Where faults are excluded the lock need not be held that long. */
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&rounds.locked));
}

/*
 * Broken: where huge and small pages alternate, munmap flushes at each change.
 */
static void munmap_of_a_mixture_flushes_once(struct kunit *test)
{
	measure(test, "munmap_mixed", 64, map_mixed, vm_munmap);
	expect_round(test, 64, 0);
}

static int map_over(unsigned long addr, size_t len)
{
	return addr != vm_mmap(NULL, addr, len, PROT_READ | PROT_WRITE,
			       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

/* Broken: as above, for MAP_FIXED over existing memory. */
static void map_fixed_flushes_once(struct kunit *test)
{
	measure(test, "map_fixed_thp", 64, map_huge, map_over);
	expect_round(test, 64, 0);
}

static int zap(unsigned long addr, size_t len)
{
	return ptwalk_zap(addr, len);
}

/*
 * Broken: the TLB has a huge and a small page for one address, which may cause
 * a machine check; or MADV_DONTNEED flushes for each page.
 */
static void dontneed_flushes_huge_pages_at_once(struct kunit *test)
{
	const int nr = *(const int *)test->param_value;

	measure_runs(test, "dontneed_thp", nr, map_huge, zap, 4 * PID_ROUNDS);
	expect_runs(test, DIV_ROUND_UP(nr, HUGE_RUN));
	expect_locked(test);
}

static const int zapped[] = { HUGE_RUN, 2 * HUGE_RUN };

KUNIT_ARRAY_PARAM(zapped, zapped, size_desc);

/* Not shmem, as far as munmap() looks */
static struct address_space_operations other_aops;

static int munmap_other_file(unsigned long addr, size_t len)
{
	const struct address_space_operations *aops;
	struct address_space *mapping;
	int ret;

	mmap_read_lock(current->mm);
	mapping = find_vma(current->mm, addr)->vm_file->f_mapping;
	mmap_read_unlock(current->mm);
	aops = mapping->a_ops;
	other_aops = *aops;
	mapping->a_ops = &other_aops;
	ret = vm_munmap(addr, len);
	mapping->a_ops = aops;
	return ret;
}

static void put_folio(void *unused)
{
	if (rounds.folio)
		folio_put(rounds.folio);
	rounds.folio = NULL;
}

/* The first of the pages: it is in the run that is flushed first. */
static unsigned long map_sysv_and_get(struct kunit *test, unsigned long start, int nr)
{
	unsigned long len = map_sysv(test, start, nr);
	struct page *page;

	put_folio(NULL);
	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast_only(start, 1, 0, &page));
	rounds.folio = page_folio(page);
	return len;
}

/*
 * Broken: a file loses a write because writeback found its page unmapped and
 * clean; or munmap() flushes for each page.
 */
static void munmap_of_a_file_flushes_before_rmap(struct kunit *test)
{
	ptwalk_at_end(test, put_folio, NULL);
	measure_runs(test, "munmap_file_thp", 64, map_sysv_and_get, munmap_other_file,
		     4 * PID_ROUNDS);
	KUNIT_EXPECT_GT_MSG(test, atomic_read(&rounds.locked), 0,
			    "flushed without the lock");
	KUNIT_EXPECT_TRUE_MSG(test, rounds.mapped, "flushed after its rmap was removed");
}

/* The range begins in one PMD table and ends in the next one. */
static unsigned long across(int nr)
{
	return PTWALK_BASE + PUD_SIZE - nr / 2 * PMD_SIZE;
}

/* Broken: the TLB is flushed only after another page has taken the place. */
static void run_of_huge_pages_ends_with_its_table(struct kunit *test)
{
	enter(test);
	measure_at(test, "dontneed_thp_across", across(16), 16, map_huge, zap);
	/* need_resched() may end a run earlier. */
	KUNIT_EXPECT_LE(test, rounds_global(), 16 + 6 * FIXUPS);
	KUNIT_EXPECT_GE(test, rounds_global(), pages_flushed(16));
	KUNIT_EXPECT_GE(test, atomic_read(&rounds.held[0]), 1);
	KUNIT_EXPECT_GE(test, atomic_read(&rounds.held[1]), 1);
	expect_locked(test);
	if (rounds.split)
		KUNIT_EXPECT_EQ(test, rounds_global(),
				atomic_read(&rounds.held[0]) +
				atomic_read(&rounds.held[1]));
}

/* Broken: the kernel writes beyond an array on its stack. */
static void run_without_memory_fits_the_gather(struct kunit *test)
{
	const int nr = 32;
	int i;

	enter(test);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	map_huge(test, PTWALK_BASE, nr);
	rounds_start();
	ptwalk_fail_arm();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, nr * HPAGE_PMD_SIZE));
	ptwalk_fail_disarm();
	rounds_stop();
	KUNIT_EXPECT_GT_MSG(test, ptwalk_failed(), 0, "the gather got its page");
	ptwalk_fail_restore(test);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_FALSE(test, ptwalk_is_huge(current->mm, PTWALK_BASE +
							i * HPAGE_PMD_SIZE));
	KUNIT_EXPECT_EQ(test, 0,
			percpu_counter_sum(&current->mm->rss_stat[MM_ANONPAGES]));
}

/*
 * struct tables - MADV_DONTNEED that frees tables
 * @name: what it is called in the results
 * @nr: how many tables
 * @full: all their entries are in use, not one of each
 */
static const struct tables {
	const char *name;
	int nr;
	bool full;
} tables[] = {
	{ "dontneed_page_in_table", 1, false },
	{ "dontneed_full_table", 1, true },
	{ "dontneed_table", 8, false },
	{ "dontneed_full_tables", 16, true },
	{ "dontneed_more_tables", 40, false },
};

static void tables_desc(const struct tables *t, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%d tables, %s", t->nr,
		 t->full ? "full" : "a page in each");
}

KUNIT_ARRAY_PARAM(tables, tables, tables_desc);

static void need_reclaim(struct kunit *test)
{
	if (PTWALK_SERIES && PTWALK_KEEPS_TABLES)
		kunit_skip(test, "needs CONFIG_PT_RECLAIM");
}

/*
 * Broken: a CPU faults for ever in a replaced table, or the TLB has a small
 * page where a huge one is mapped; or each table takes a flush.
 */
static void dontneed_flushes_tables_at_once(struct kunit *test)
{
	const struct tables *t = test->param_value;
	unsigned long pages = t->nr > 1 ? CEILING + 1 : t->full ? PTRS_PER_PTE : 1;
	int runs = DIV_ROUND_UP(t->nr, TABLE_RUN);

	need_reclaim(test);
	measure(test, t->name, t->nr, t->full ? map_full : map_tables, zap);
	/* One more for the page-walk cache; another run if the CPU is wanted */
	expect_round(test, pages, 1 + runs * PID_ROUNDS);
	if (t->nr == 1)
		expect_round(test, pages, 1);
	else
		expect_runs(test, runs);
	KUNIT_EXPECT_NULL(test, ptwalk_table(current->mm, PTWALK_BASE));
	expect_locked(test);
}

/* Broken: as above, for tables of two PMD tables. */
static void run_of_tables_ends_with_its_table(struct kunit *test)
{
	need_reclaim(test);
	enter(test);
	measure_at(test, "dontneed_table_across", across(8), 8, map_tables, zap);
	KUNIT_EXPECT_GE(test, atomic_read(&rounds.held[0]), 1);
	KUNIT_EXPECT_GE(test, atomic_read(&rounds.held[1]), 1);
	expect_locked(test);
	KUNIT_EXPECT_LE(test, rounds_global(), 4 * PID_ROUNDS);
}

/*
 * Calls zap() while another flush is pending, and expects a round with the PMD lock
 * for @pages, and @more.  The end may be local, and is one more round otherwise.
 */
static void measure_pending(struct kunit *test, const char *op, int nr,
			    unsigned long (*map)(struct kunit *test, unsigned long addr,
						 int nr),
			    int pages, int more)
{
	rounds.pending = pages_flushed(pages);
	measure_at(test, op, PTWALK_BASE, nr, map, zap);
	rounds.pending = 0;
	KUNIT_EXPECT_GE(test, atomic_read(&rounds.locked), pages_flushed(pages));
	expect_round(test, pages, more + PID_ROUNDS);
}

/*
 * Broken: the TLB has small pages, which another thread has unmapped and not
 * flushed, where a huge page is mapped.
 */
static void pending_flush_is_waited_for(struct kunit *test)
{
	struct mmu_gather other;

	need_reclaim(test);
	enter(test);
	tlb_gather_mmu(&other, current->mm);
	/* One more for the page-walk cache */
	measure_pending(test, "dontneed_pending", 1, map_tables, PTRS_PER_PTE, 1);
	tlb_finish_mmu(&other);
}

/*
 * Broken: the TLB has small pages where a huge page is mapped, because their
 * table was flushed by the size of a huge page.
 */
static void tables_are_flushed_by_their_page_size(struct kunit *test)
{
	struct mmu_gather other;

	need_reclaim(test);
	enter(test);
	/* A flush is pending, so all that the tables map is flushed. */
	tlb_gather_mmu(&other, current->mm);
	/* The page that was in use, and the huge page, are a round each. */
	measure_pending(test, "dontneed_mixed", 2, map_mixed, PTRS_PER_PTE + 1,
			2 * PID_ROUNDS);
	tlb_finish_mmu(&other);
}

/* Broken: exit flushes the TLB for each huge page, or not at all. */
static void exit_flushes_once(struct kunit *test)
{
	enter(test);
	map_huge(test, PTWALK_BASE, 64);
	rounds_start();
	ptwalk_mm_leave(test);
	rounds_stop();
	kunit_info(test, "measure: exit_thp cpus=%u ops=64 sync=0 tlbie=%d tlbiel=%d\n",
		   num_online_cpus(), rounds_global(), atomic_read(&rounds.local));
	/* No other CPU has used the mm, so all of it may be local. */
	KUNIT_EXPECT_GE(test, rounds_global() + atomic_read(&rounds.local), 1);
	KUNIT_EXPECT_LE(test, rounds_global(), PID_ROUNDS + TABLES_MORE);
	/*
	 * Flushing a PID on one CPU takes one tlbiel for each set of the TLB.
	 */
	KUNIT_EXPECT_LE(test, atomic_read(&rounds.local),
			PID_ROUNDS + TABLES_MORE + POWER9_TLB_SETS_RADIX);
}

static struct kunit_case radix_cases[] = {
	KUNIT_CASE_PARAM(munmap_flushes_once, size_gen_params),
	KUNIT_CASE(munmap_of_shmem_flushes_once),
	KUNIT_CASE(munmap_of_sysv_shm_flushes_once),
	KUNIT_CASE(munmap_of_a_mixture_flushes_once),
	KUNIT_CASE(munmap_of_a_file_flushes_before_rmap),
	KUNIT_CASE(map_fixed_flushes_once),
	KUNIT_CASE_PARAM(dontneed_flushes_huge_pages_at_once, zapped_gen_params),
	KUNIT_CASE(run_of_huge_pages_ends_with_its_table),
	KUNIT_CASE(run_without_memory_fits_the_gather),
	KUNIT_CASE_PARAM(dontneed_flushes_tables_at_once, tables_gen_params),
	KUNIT_CASE(run_of_tables_ends_with_its_table),
	KUNIT_CASE(pending_flush_is_waited_for),
	KUNIT_CASE(tables_are_flushed_by_their_page_size),
	KUNIT_CASE(exit_flushes_once),
	{}
};

PTWALK_SUITE(radix);
