// SPDX-License-Identifier: GPL-2.0-only
/* The walkers of ptwalk_torture.ko, and the failures that they find. */
#define pr_fmt(fmt) "ptwalk-torture: " fmt

#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "../kernel.h"
#include "../lib/common.h"
#include "internal.h"

#define MAX_REPORTS	20

struct cpumask torture_staying;

const char * const torture_walk_names[NR_WALKS] = {
	"get", "pin", "walk", "foreign", "visit", "missed"
};

const char * const torture_fail_names[TORTURE_NR_FAILS] = {
	"lost", "leaked", "zeroed", "wrong", "stale", "early", "refused",
	"pinned", "table"
};

/* ----------------------------------------------------------------- judging */

/**
 * struct look - what a walker found at an address
 * @region: where it looked
 * @nr: number of @region
 * @page: number of the page there
 * @addr: its address
 * @gen: generation before the walk
 * @word: first word of the page found
 */
struct look {
	const struct torture_region *region;
	unsigned int nr, page;
	unsigned long addr;
	u32 gen;
	u64 word;
};

static void fail(struct torture *t, unsigned int what, const struct look *l,
		 enum walk_kind kind)
{
	atomic_long_inc(&t->nr_fails[what]);
	if (atomic_inc_return(&t->reports) <= MAX_REPORTS)
		pr_alert("!!! %s: %s at %#lx (region %u page %u generation %u) found %#018llx\n",
			 torture_walk_names[kind], torture_fail_names[what], l->addr, l->nr,
			 l->page, l->gen, l->word);
}

static u32 generation(struct torture *t, unsigned int region)
{
	/* Pairs with the barrier of the workload: what it unmapped is gone. */
	return smp_load_acquire(&t->ctl->regions[region].gen);
}

/* Called after the word was loaded. */
static void judge(struct torture *t, const struct look *l, enum walk_kind kind)
{
	u32 gen = l->word >> 32, after;

	/* The workload raises the generation before it writes new tags. */
	smp_rmb();
	after = generation(t, l->nr);
	if (!l->word) {
		if (l->region->flags & TORTURE_KEPT)
			fail(t, TORTURE_FAIL_ZEROED, l, kind);
	} else if (l->word != torture_tag(l->region, l->page, gen)) {
		fail(t, TORTURE_FAIL_WRONG, l, kind);
	} else if (gen < l->gen) {
		fail(t, TORTURE_FAIL_STALE, l, kind);
	} else if (gen > after) {
		fail(t, TORTURE_FAIL_EARLY, l, kind);
	}
}

/* ----------------------------------------------------------------- walking */

/* Address of the memory that is being collapsed, or 0. */
static unsigned long collapsing(struct torture *t)
{
	return READ_ONCE(t->ctl->collapsing);
}

/*
 * Half of the time the first region, where tables of live mappings are freed.
 */
static void choose(struct torture *t, struct walker *w, struct look *l)
{
	unsigned long addr = collapsing(t);

	do {
		l->nr = prandom_u32_state(&w->rnd) % (2 * t->nr_regions);
		if (l->nr >= t->nr_regions)
			l->nr = 0;
		l->region = &t->regions[l->nr];
		l->page = prandom_u32_state(&w->rnd) % l->region->nr_pages;
	} while (l->region->hole &&
		 l->page % l->region->hole == l->region->hole - 1);
	l->addr = l->region->addr + l->page * PAGE_SIZE;
	/* A reference by GUP-fast would make the collapse fail. */
	if (!current->mm && addr - l->region->addr < l->region->nr_pages * PAGE_SIZE) {
		l->addr = addr + (l->addr & ~PMD_MASK);
		l->page = (l->addr - l->region->addr) >> PAGE_SHIFT;
	}
	l->gen = generation(t, l->nr);
}

static enum walk_kind get(struct torture *t, struct look *l)
{
	struct page *page;

	if (get_user_pages_fast_only(l->addr, 1, 0, &page) != 1)
		return WALK_MISSED;
	l->word = ptwalk_first_word(page);
	judge(t, l, WALK_GET);
	put_page(page);
	return WALK_GET;
}

/* A value that is stored through a pin must be read at the address. */
static void store_pinned(struct torture *t, struct walker *w, struct look *l,
			 struct page *page)
{
	unsigned int index = TORTURE_WALKER_WORD + w->id;
	u64 *ptr = kmap_local_page(page);
	u64 word, next = READ_ONCE(ptr[index]) + 1;

	WRITE_ONCE(ptr[index], next);
	set_page_dirty_lock(page);
	if (!get_user(word, (u64 __user *)l->addr + index) && word != next) {
		l->word = word;
		fail(t, TORTURE_FAIL_PINNED, l, WALK_PIN);
	}
	kunmap_local(ptr);
}

static enum walk_kind pin(struct torture *t, struct walker *w, struct look *l)
{
	struct page *page;

	if (pin_user_pages_fast(l->addr, 1, FOLL_WRITE, &page) != 1)
		return WALK_MISSED;
	l->word = ptwalk_first_word(page);
	judge(t, l, WALK_PIN);
	if (l->region->flags & TORTURE_COUNTED)
		store_pinned(t, w, l, page);
	unpin_user_page(page);
	return WALK_PIN;
}

/**
 * struct entry - an entry of a page table that maps a page
 * @ptep: where it is, whichever its level
 * @val: its value, loaded once
 * @pfn: page frame of the address
 */
struct entry {
	pte_t *ptep;
	unsigned long val;
	unsigned long pfn;
};

#ifdef CONFIG_PPC64
#include <asm/pte-walk.h>

static bool find_entry(struct mm_struct *mm, unsigned long addr,
		       struct entry *e)
{
	unsigned int shift = 0;
	bool thp;
	pte_t pte;

	e->ptep = __find_linux_pte(mm->pgd, addr, &thp, &shift);
	if (!e->ptep)
		return false;
	pte = READ_ONCE(*e->ptep);
	e->val = pte_val(pte);
	/* A PMD that was a leaf may point to a table now. */
	if (!pte_present(pte) || !(e->val & _PAGE_PTE))
		return false;
	e->pfn = pte_pfn(pte);
	if (shift)
		e->pfn += (addr & (BIT(shift) - 1)) >> PAGE_SHIFT;
	return true;
}

#else

static bool find_entry(struct mm_struct *mm, unsigned long addr,
		       struct entry *e)
{
	pmd_t *pmdp = ptwalk_pmd_offset(mm, addr), pmd;
	pte_t pte;

	if (!pmdp)
		return false;
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd))
		return false;
	if (pmd_leaf(pmd)) {
		e->ptep = (pte_t *)pmdp;
		e->val = pmd_val(pmd);
		e->pfn = pmd_pfn(pmd) + pte_index(addr);
		return true;
	}
	e->ptep = pte_offset_kernel(&pmd, addr);
	pte = ptep_get(e->ptep);
	e->val = pte_val(pte);
	e->pfn = pte_pfn(pte);
	return pte_present(pte);
}

#endif

/*
 * A table must stay a table until the walk ends.  If it were freed, its page
 * would have lost its type first.
 */
static bool is_table(const struct entry *e)
{
	return PageTable(virt_to_page(e->ptep));
}

/*
 * Loads a word of a page without a reference.  The page is the right one if the
 * entry is still the same after that, since an entry is cleared before its page
 * is freed.
 */
static bool look_through(struct entry *e, struct look *l)
{
	if (!pfn_valid(e->pfn) ||
	    copy_from_kernel_nofault(&l->word, pfn_to_kaddr(e->pfn),
				     sizeof(l->word)))
		return false;
	/* Orders the load of the word before that of the entry. */
	smp_rmb();
	return pte_val(READ_ONCE(*e->ptep)) == e->val;
}

/*
 * A walker from outside, which no flush waits for, stays until the collapse of
 * its table has ended; the collapse must not free the table.  Uses the clock,
 * since delay loops take far longer in an emulator.
 */
static void stay(struct torture *t, const struct look *l, u32 random)
{
	u64 hold = random % 8 ? 0 : random / 8 % (torture_hold_us + 1);
	/* local_clock() may stand still while interrupts are off. */
	u64 began = ktime_get_mono_fast_ns();

	while (ktime_get_mono_fast_ns() - began < hold * NSEC_PER_USEC)
		cpu_relax();
	if (current->mm)
		return;
	cpumask_set_cpu(smp_processor_id(), &torture_staying);
	while (collapsing(t) == (l->addr & PMD_MASK) &&
	       ktime_get_mono_fast_ns() - began < (u64)torture_stay_us * NSEC_PER_USEC)
		cpu_relax();
	cpumask_clear_cpu(smp_processor_id(), &torture_staying);
}

static enum walk_kind walk(struct torture *t, struct walker *w, struct look *l,
			   enum walk_kind kind)
{
	bool found, tables = true, same = false;
	u32 random = prandom_u32_state(&w->rnd);
	unsigned long flags;
	struct entry e;

	if (!(l->region->flags & TORTURE_WALKED))
		return WALK_MISSED;
	lockless_walk_begin(t->mm, &flags);
	found = find_entry(t->mm, l->addr, &e);
	if (found) {
		stay(t, l, random);
		same = look_through(&e, l);
		tables = is_table(&e);
	}
	lockless_walk_end(t->mm, flags);
	if (!tables)
		fail(t, TORTURE_FAIL_TABLE, l, kind);
	else if (same)
		judge(t, l, kind);
	return found ? kind : WALK_MISSED;
}

static void walk_somewhere(struct torture *t, struct walker *w)
{
	u32 random = prandom_u32_state(&w->rnd);
	enum walk_kind kind;
	struct look l = {};

	choose(t, w, &l);
	if (!current->mm)
		kind = walk(t, w, &l, WALK_FOREIGN);
	else if (random % 4 == 0)
		kind = walk(t, w, &l, WALK_OWN);
	else if (random % 4 == 1)
		kind = pin(t, w, &l);
	else
		kind = get(t, &l);
	w->walks[kind]++;
	/* Collapse and migration succeed only without references. */
	if (random % (current->mm ? 16 : 64) == 0)
		usleep_range(500, 1000);
}

/* Reads an address by the translation of this CPU, without a fault. */
static bool read_user(struct torture *t, struct look *l)
{
	unsigned long left;

	pagefault_disable();
	left = __copy_from_user_inatomic(&l->word, (void __user *)l->addr, sizeof(l->word));
	pagefault_enable();
	if (!left)
		judge(t, l, WALK_VISIT);
	return !left;
}

/* Where a flush does not wait, the CPU may still have a translation. */
static void visit(struct torture *t, struct walker *w)
{
	enum walk_kind kind;
	struct look l = {};

	choose(t, w, &l);
	kind = walk(t, w, &l, WALK_VISIT);
	if (!t->ctl->settle && read_user(t, &l))
		kind = WALK_VISIT;
	w->walks[kind]++;
}

/**
 * torture_visitor() - function of a kthread that uses and leaves the mm without pause
 * @walker: which one
 *
 * What decides which CPUs to flush or interrupt must follow.
 *
 * Return: 0.
 */
int torture_visitor(void *walker)
{
	struct walker *w = walker;
	struct torture *t = w->torture;

	set_user_nice(current, MAX_NICE);
	while (!kthread_should_stop()) {
		if (!READ_ONCE(t->visiting) ||
		    !(READ_ONCE(t->ctl->focus) & TORTURE_VISITED)) {
			usleep_range(10000, 20000);
			continue;
		}
		kthread_use_mm(t->mm);
		visit(t, w);
		kthread_unuse_mm(t->mm);
		cond_resched();
	}
	return 0;
}

/**
 * torture_walker() - function of a kthread that walks until it is to stop
 * @walker: which one
 *
 * Return: 0.
 */
int torture_walker(void *walker)
{
	struct walker *w = walker;
	struct torture *t = w->torture;
	bool foreign = w->id % 2;

	set_user_nice(current, MAX_NICE);
	if (!foreign)
		kthread_use_mm(t->mm);
	while (!kthread_should_stop()) {
		walk_somewhere(t, w);
		cond_resched();
		/* What decides which CPUs to flush or interrupt must follow. */
		if (!foreign && prandom_u32_state(&w->rnd) % 64 == 0) {
			kthread_unuse_mm(t->mm);
			kthread_use_mm(t->mm);
		}
	}
	if (!foreign)
		kthread_unuse_mm(t->mm);
	return 0;
}
