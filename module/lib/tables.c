// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of a case: how to find, count and fill them.
 */
#include <linux/delay.h>
#include <linux/mmzone.h>
#include <linux/rcupdate.h>
#include <linux/sort.h>

#include "../kernel.h"
#include "ptwalk.h"

/**
 * ptwalk_table() - the PTE table that maps an address
 * @mm: the address space
 * @addr: address
 *
 * Context: as ptwalk_pmd_offset().
 * Return: its kernel address, or NULL if a huge page or nothing is mapped.
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
 * Context: as ptwalk_pmd_offset().
 * Return: whether it does.
 */
bool ptwalk_is_huge(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = ptwalk_pmd_offset(mm, addr);

	return pmd && pmd_trans_huge(pmdp_get_lockless(pmd));
}

/* Adds the counts that CPUs have not yet folded into the global counter. */
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
 * Waits for those that RCU is about to free.  Twice, since a fragment that RCU
 * frees may hand its page to RCU again.
 *
 * Context: may sleep.
 * Return: their number in the whole system.
 */
long ptwalk_tables(void)
{
	long nr, last = -1;
	int i;

	rcu_barrier();
	rcu_barrier();
	/* A CPU may be folding its count, or another process may be exiting. */
	for (i = 0; (nr = sum_tables()) != last && i < 50; i++) {
		last = nr;
		msleep(50);
	}
	return nr;
}

#define LEAK_ROUNDS	5

static int compare_longs(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/**
 * ptwalk_expect_no_leak() - expect that no page table is leaked or freed twice
 * @test: the case
 * @round: operations in an address space that it enters and leaves
 * @tables: what a round would leak, or free twice, at least
 *
 * The number of page tables is that of the whole system, and other processes come
 * and go.  So the round runs several times, and the median of what it adds is judged:
 * half of @tables is too much.  powerpc cuts tables out of a page: where one was
 * leaked, its page stays.
 */
void ptwalk_expect_no_leak(struct kunit *test, void (*round)(struct kunit *test),
			   int tables)
{
	long step[LEAK_ROUNDS], last, now;
	int i;

	/* Allocates what the others use again. */
	round(test);
	last = ptwalk_tables();
	for (i = 0; i < LEAK_ROUNDS; i++) {
		round(test);
		now = ptwalk_tables();
		step[i] = now - last;
		last = now;
	}
	sort(step, LEAK_ROUNDS, sizeof(step[0]), compare_longs, NULL);
	KUNIT_EXPECT_LT_MSG(test, 2 * abs(step[LEAK_ROUNDS / 2]),
			    IS_ENABLED(CONFIG_PPC) ? 1 : tables,
			    "%ld page tables a round were leaked, or freed twice (%ld to %ld)",
			    step[LEAK_ROUNDS / 2], step[0], step[LEAK_ROUNDS - 1]);
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
 * used up.  It holds no other table then, and no spare one.
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

	ptwalk_map_small(test, base, max * step);
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
 * powerpc puts several tables into a page, and frees the page with the last of
 * them.  Uses the rest of @page for tables, and frees these again.
 *
 * Context: sleeps for a grace period.
 */
void ptwalk_use_up_page(struct kunit *test, unsigned long base,
			struct page *page)
{
	unsigned long len = PTWALK_FULL_TABLES * PMD_SIZE, addr = base;

	ptwalk_map_small(test, base, len);
	do {
		KUNIT_ASSERT_LT(test, addr, base + len);
		ptwalk_fill(test, addr, PAGE_SIZE, 1);
		addr += PMD_SIZE;
	} while (page_of_table(addr - PMD_SIZE, PMD_SIZE) == page);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(base, len));
	synchronize_rcu();
	rcu_barrier();
}
