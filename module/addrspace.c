// SPDX-License-Identifier: GPL-2.0-only
/*
 * The address space of a case: mapped, filled, collapsed and looked at.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmzone.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "ptwalk.h"

#define COLLAPSE_TRIES	10

/**
 * struct space - what a case holds of its address space
 * @mm: the address space, NULL once left
 * @task: the kthread of the case
 */
struct space {
	struct mm_struct *mm;
	struct task_struct *task;
};

/*
 * Runs in another kthread.  The one of the case reports its end before it drops
 * its address space, and keeps what kthread_use_mm() took: wait, and drop that,
 * so that the next case starts with no page table of this one.
 */
static void drop_space(void *arg)
{
	struct space *space = arg;

	while (space->task != current && !READ_ONCE(space->task->exit_state))
		msleep(20);
	if (space->mm)
		mmdrop(space->mm);
	put_task_struct(space->task);
}

/**
 * ptwalk_mm_alloc() - a fresh address space
 *
 * khugepaged is told that it knows this address space already, so that it never
 * looks at it.
 *
 * Return: the address space, for mmput(), or NULL.
 */
struct mm_struct *ptwalk_mm_alloc(void)
{
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return NULL;
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	set_bit(MMF_VM_HUGEPAGE, &mm->flags);
	return mm;
}

/**
 * ptwalk_mm_enter() - give current a fresh address space and one CPU
 * @test: the case; skipped where there are not two CPUs
 *
 * Must be called in the kthread of the case, which stays on the first CPU, so
 * that no other CPU gets into mm_cpumask() by migration.
 *
 * Return: the address space; ptwalk_mm_leave() or the end of the case drops it.
 */
struct mm_struct *ptwalk_mm_enter(struct kunit *test)
{
	int first = cpumask_first(cpu_online_mask);
	struct space *space;
	struct mm_struct *mm;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	KUNIT_ASSERT_EQ(test, 0,
			set_cpus_allowed_ptr(current, cpumask_of(first)));
	space = kunit_kzalloc(test, sizeof(*space), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, space);
	mm = ptwalk_mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, mm);
	kthread_use_mm(mm);
	space->mm = mm;
	space->task = get_task_struct(current);
	test->priv = space;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, drop_space,
							   space));
	return mm;
}

/**
 * ptwalk_mm_leave() - drop the address space before the case ends
 * @test: the case, in its own kthread
 */
void ptwalk_mm_leave(struct kunit *test)
{
	struct space *space = test->priv;

	kthread_unuse_mm(space->mm);
	mmput(space->mm);
	space->mm = NULL;
}

static void put_mm(void *mm)
{
	mmput(mm);
}

/**
 * ptwalk_mm_share() - keep an address space for other kthreads
 * @test: the case, whose end drops it
 * @mm: the address space
 *
 * To be called before the kthreads are started, so that they stop first.
 */
void ptwalk_mm_share(struct kunit *test, struct mm_struct *mm)
{
	mmget(mm);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_mm, mm));
}

/**
 * ptwalk_mm_new() - an address space of another process
 * @test: the case, whose end drops it
 *
 * To be called before the kthreads that use it are started.
 *
 * Return: the address space.
 */
struct mm_struct *ptwalk_mm_new(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_mm, mm));
	return mm;
}

/**
 * ptwalk_map_file() - map at a fixed address
 * @test: the case
 * @file: what to map shared, or NULL for private anonymous memory
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_map_file(struct kunit *test, struct file *file, unsigned long addr,
		     unsigned long len)
{
	unsigned long flags = MAP_FIXED;

	flags |= file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	KUNIT_ASSERT_EQ(test, addr, vm_mmap(file, addr, len,
					    PROT_READ | PROT_WRITE, flags, 0));
}

/**
 * ptwalk_map() - map private anonymous memory at a fixed address
 * @test: the case
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_map(struct kunit *test, unsigned long addr, unsigned long len)
{
	ptwalk_map_file(test, NULL, addr, len);
}

/**
 * ptwalk_need_thp() - skip a case that cannot do without huge pages
 * @test: the case
 */
void ptwalk_need_thp(struct kunit *test)
{
	bool has = has_transparent_hugepage();

	/* Where it is a constant, objtool wants this to be __noreturn. */
	OPTIMIZER_HIDE_VAR(has);
	if (!has)
		kunit_skip(test, "needs transparent huge pages, of the kernel and the CPU");
}

/**
 * ptwalk_no_huge() - keep page faults from making huge pages
 * @test: the case
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_no_huge(struct kunit *test, unsigned long addr, unsigned long len)
{
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr, len,
						    MADV_NOHUGEPAGE));
}

static u64 __user *last_word(unsigned long page)
{
	return (u64 __user *)(page + PAGE_SIZE - sizeof(u64));
}

/**
 * ptwalk_fill() - tag the first and the last word of each page
 * @test: the case
 * @addr: address of the first page
 * @len: length in bytes
 * @gen: generation for ptwalk_tag()
 */
void ptwalk_fill(struct kunit *test, unsigned long addr, unsigned long len,
		 u32 gen)
{
	unsigned long page;
	int ret = 0;

	for (page = addr; page < addr + len && !ret; page += PAGE_SIZE) {
		ret = put_user(ptwalk_tag(page, gen), (u64 __user *)page);
		ret = ret ?: put_user(ptwalk_tag(page, gen), last_word(page));
	}
	KUNIT_ASSERT_EQ(test, ret, 0);
}

/**
 * ptwalk_fill_small() - fill memory with small pages and allow huge ones after
 * @test: the case
 * @addr: address, nothing may be there yet
 * @len: length in bytes
 * @gen: generation for ptwalk_tag()
 */
void ptwalk_fill_small(struct kunit *test, unsigned long addr,
		       unsigned long len, u32 gen)
{
	ptwalk_need_thp(test);
	ptwalk_no_huge(test, addr, len);
	ptwalk_fill(test, addr, len, gen);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr, len,
					    MADV_HUGEPAGE));
}

static bool word_is(u64 __user *ptr, u64 expected)
{
	u64 word;

	return !get_user(word, ptr) && word == expected;
}

/**
 * ptwalk_wrong_pages() - how many pages do not hold what was written
 * @addr: address of the first page
 * @len: length in bytes
 * @gen: generation they were filled with
 *
 * Return: number of pages with a wrong first or last word.
 */
unsigned long ptwalk_wrong_pages(unsigned long addr, unsigned long len,
				 u32 gen)
{
	unsigned long page, wrong = 0;

	for (page = addr; page < addr + len; page += PAGE_SIZE) {
		u64 tag = ptwalk_tag(page, gen);

		if (!word_is((u64 __user *)page, tag) ||
		    !word_is(last_word(page), tag))
			wrong++;
	}
	return wrong;
}

/**
 * ptwalk_collapse() - collapse memory of current into huge pages
 * @addr: address, aligned to the huge page
 * @len: length in bytes
 *
 * Tries again while pages are briefly held by someone else.
 *
 * Return: 0 or what madvise() returns.
 */
int ptwalk_collapse(unsigned long addr, unsigned long len)
{
	int i, ret;

	for (i = 0; i < COLLAPSE_TRIES; i++) {
		ret = do_madvise(current->mm, addr, len, MADV_COLLAPSE);
		if (ret != -EAGAIN)
			break;
		msleep(20);
	}
	return ret;
}

/**
 * ptwalk_zap() - give memory of current back with MADV_DONTNEED
 * @addr: address
 * @len: length in bytes; part of a huge page splits its mapping
 *
 * Return: 0 or what madvise() returns.
 */
int ptwalk_zap(unsigned long addr, unsigned long len)
{
	return do_madvise(current->mm, addr, len, MADV_DONTNEED);
}

/**
 * ptwalk_pmd_offset() - walk to the PMD entry without locks
 * @mm: the address space
 * @addr: address
 *
 * The caller holds mmap_lock, has interrupts off, or knows otherwise that the
 * upper tables stay.
 *
 * Return: the entry, or NULL when an upper level is empty.
 */
pmd_t *ptwalk_pmd_offset(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(READ_ONCE(*pud)))
		return NULL;
	return pmd_offset(pud, addr);
}

/**
 * ptwalk_table() - the PTE table that maps an address
 * @mm: the address space
 * @addr: address
 *
 * Same rules as ptwalk_pmd_offset().
 *
 * Return: its kernel address, or NULL when a huge page or nothing is there.
 */
void *ptwalk_table(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmdp = ptwalk_pmd_offset(mm, addr);
	pmd_t pmd;

	if (!pmdp)
		return NULL;
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd) || pmd_trans_huge(pmd))
		return NULL;
	return (void *)pmd_page_vaddr(pmd);
}

/**
 * ptwalk_is_huge() - whether a huge page maps an address
 * @mm: the address space
 * @addr: address
 *
 * Same rules as ptwalk_pmd_offset().
 *
 * Return: whether it does.
 */
bool ptwalk_is_huge(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = ptwalk_pmd_offset(mm, addr);

	return pmd && pmd_trans_huge(pmdp_get_lockless(pmd));
}

/**
 * ptwalk_page() - the page current has mapped at an address
 * @addr: address
 *
 * Return: the page, without a reference, or NULL.
 */
struct page *ptwalk_page(unsigned long addr)
{
	struct page *page;

	if (get_user_pages_fast_only(addr, 1, 0, &page) != 1)
		return NULL;
	put_page(page);
	return page;
}

/* What the CPUs have not yet folded into the global counter is added. */
static long sum_tables(void)
{
	long nr = atomic_long_read(&vm_node_stat[NR_PAGETABLE]);
	int nid, cpu;

	for_each_online_node(nid)
		for_each_online_cpu(cpu)
			nr += per_cpu_ptr(NODE_DATA(nid)->per_cpu_nodestats,
					  cpu)->vm_node_stat_diff[NR_PAGETABLE];
	return nr;
}

/**
 * ptwalk_tables() - number of pages that hold page tables
 *
 * Waits for those that RCU is about to free; twice, as a fragment that was freed
 * by RCU may take its page to RCU again.  May sleep.
 *
 * Return: their number in the whole system.
 */
long ptwalk_tables(void)
{
	long nr, last = -1;
	int i;

	rcu_barrier();
	rcu_barrier();
	/* A CPU may fold its part just now, or another process end. */
	for (i = 0; (nr = sum_tables()) != last && i < 50; i++) {
		last = nr;
		msleep(50);
	}
	return nr;
}

/**
 * ptwalk_expect_tables() - expect that no page table was leaked or freed twice
 * @test: the case, after ptwalk_mm_leave()
 * @before: ptwalk_tables() before ptwalk_mm_enter()
 */
void ptwalk_expect_tables(struct kunit *test, long before)
{
	int i;

	for (i = 0; i < 50 && ptwalk_tables() != before; i++)
		msleep(50);
	KUNIT_EXPECT_EQ_MSG(test, ptwalk_tables(), before,
			    "page tables were leaked or freed twice");
}

static struct page *page_of_table(unsigned long addr, unsigned long step)
{
	if (step == PUD_SIZE)
		return virt_to_page(ptwalk_pmd_offset(current->mm, addr));
	return virt_to_page(ptwalk_table(current->mm, addr));
}

/**
 * ptwalk_fill_page() - fill a page with page tables, and watch it
 * @test: the case
 * @base: address, nothing may be mapped there yet
 * @step: PMD_SIZE for PTE tables, PUD_SIZE for PMD tables
 * @max: how many tables suffice, at most
 *
 * Touches a page in table after table, until a page of tables was begun and
 * used up.  Nothing else has a table in it then, nor is a spare one left.
 *
 * Return: what the tables of that page map.
 */
struct ptwalk_full_page ptwalk_fill_page(struct kunit *test, unsigned long base,
					 unsigned long step, int max)
{
	struct ptwalk_full_page full = { .step = step };
	struct page *page, *last = NULL;
	unsigned long addr = base;
	int i;

	ptwalk_map(test, base, max * step);
	ptwalk_no_huge(test, base, max * step);
	for (i = 0; i < max; i++, addr += step, last = page) {
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
		page = page_of_table(addr, step);
		if (last && page != last && full.nr)
			break;
		if (last && page != last)
			full.addr = addr;
		if (full.addr)
			full.nr++;
	}
	KUNIT_ASSERT_LT_MSG(test, i, max, "no page was filled with tables");
	page = page_of_table(full.addr, step);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_watch_page(page));
	return full;
}

/**
 * ptwalk_use_up_page() - let nothing but tables in use hold a page of tables
 * @test: the case
 * @base: address, nothing may be mapped there yet
 * @page: of the table that the mm allocated last, or of one before it
 *
 * powerpc puts several tables into a page, and frees it with the last of them:
 * takes the rest of @page for tables that are freed again.  Sleeps for a grace
 * period.
 */
void ptwalk_use_up_page(struct kunit *test, unsigned long base,
			struct page *page)
{
	unsigned long len = PTWALK_FULL_TABLES * PMD_SIZE, addr = base;

	ptwalk_map(test, base, len);
	ptwalk_no_huge(test, base, len);
	do {
		KUNIT_ASSERT_LT(test, addr, base + len);
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
		addr += PMD_SIZE;
	} while (page_of_table(addr - PMD_SIZE, PMD_SIZE) == page);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(base, len));
	synchronize_rcu();
	rcu_barrier();
}
