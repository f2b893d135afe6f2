// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that map the same hugetlb file share a PMD table.  Which CPUs are
 * interrupted when a process leaves the table, and whether GUP-fast in that
 * process returns pages that the last owner maps afterwards.
 */
#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#ifdef CONFIG_X86
#include <asm/paravirt.h>
#endif

#include "../kernel.h"
#include "../lib/ptwalk.h"
#include "../lib/sharer.h"

#define NR_OPS		4
/* How long a CPU may take to become lazy, on a busy host, and how often. */
#define MAX_LAZY_MS	3000
#define LAZY_TRIES	10
/* How long a round waits for a walker that is slow. */
#define MAX_WAIT_NS	(30 * NSEC_PER_MSEC)

static void set_up(struct kunit *test, struct ptwalk_sharing *s, int processes)
{
	const char *why;

	ptwalk_mm_enter(test);
	why = ptwalk_set_up_sharing(test, s, processes);
	if (why)
		kunit_skip(test, "%s", why);
}

/* ---------------------------------------------- threads that keep running */

/* A thread that slept would drop out of mm_cpumask() with the first flush. */
static void read_small(void *arg, unsigned int id)
{
	fault_in_readable((char __user *)PTWALK_SMALL, 1);
	cpu_relax();
}

static void run_threads(struct kunit *test, struct mm_struct *mm)
{
	struct cpumask cpus;

	ptwalk_next_cpus(&cpus, PTWALK_THREADS);
	ptwalk_crew_wait(ptwalk_crew(test, mm, &cpus, read_small, NULL));
}

static bool runs_threads(int cpu)
{
	struct cpumask cpus;

	ptwalk_next_cpus(&cpus, PTWALK_THREADS);
	return cpumask_test_cpu(cpu, &cpus);
}

/* --------------------------------------------- how the TLB is flushed here */

/* By interrupts.  A hypervisor may flush without, and hardware that broadcasts does. */
static bool flush_interrupts(void)
{
#if defined(CONFIG_X86) && defined(CONFIG_PARAVIRT)
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, (unsigned long)pv_ops.mmu.flush_tlb_multi);
	return !strncmp(name, "native_flush_tlb_multi+", 23);
#else
	return IS_ENABLED(CONFIG_X86);
#endif
}

/* --------------------------------------------- which CPUs are interrupted */

/* Shares the table and leaves it, NR_OPS times, and counts interrupts. */
static void share_and_unmap(struct kunit *test, struct ptwalk_sharing *s)
{
	int i;

	run_threads(test, s->mm);
	ptwalk_ipi_start();
	for (i = 0; i < NR_OPS; i++)
		ptwalk_unshare_once(test, s->p[0]);
	ptwalk_ipi_stop();
}

/* Broken: munmap of shared hugetlb memory interrupts every CPU. */
static void unshare_broadcasts_nothing(struct kunit *test)
{
	struct ptwalk_sharing s;

	set_up(test, &s, 1);
	share_and_unmap(test, &s);
	ptwalk_measure(test, "unshare", NR_OPS);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE));
	if (flush_interrupts())
		KUNIT_EXPECT_GE(test, ptwalk_ipi_cpus(PTWALK_IPI_TLB), NR_OPS);
}

/* Broken: a process interrupts an isolated CPU on which it never ran. */
static void unshare_spares_other_cpus(struct kunit *test)
{
	struct ptwalk_sharing s;
	int cpu;

	set_up(test, &s, 1);
	share_and_unmap(test, &s);
	for_each_online_cpu(cpu)
		if (!runs_threads(cpu))
			KUNIT_EXPECT_EQ_MSG(test, 0, ptwalk_ipi_on(cpu, PTWALK_IPI_BROADCAST) +
					    ptwalk_ipi_on(cpu, PTWALK_IPI_SERIALIZE),
					    "CPU %d", cpu);
}

/* Leaves the table without unmapping, so that no table is freed. */
static int leave_table(void)
{
	return ptwalk_zap(PTWALK_BASE, PUD_SIZE);
}

/**
 * struct lazy - whether a CPU is in lazy TLB mode
 * @cpu: the CPU
 * @mm: while the CPU idles, the address space that its idle task has inherited
 */
struct lazy {
	int cpu;
	struct mm_struct *mm;
};

static void sched_switch(void *data, bool preempt, struct task_struct *prev,
			 struct task_struct *next, unsigned int prev_state)
{
	struct lazy *lazy = data;

	if (smp_processor_id() == lazy->cpu)
		WRITE_ONCE(lazy->mm, is_idle_task(next) ? prev->active_mm : NULL);
}

static bool is_lazy(struct lazy *lazy, struct mm_struct *mm)
{
	return READ_ONCE(lazy->mm) == mm && cpumask_test_cpu(lazy->cpu, mm_cpumask(mm));
}

/* Broken: a CPU walks speculatively into a table that was reused or freed. */
static void unshare_flushes_lazy_cpus(struct kunit *test)
{
	struct lazy *lazy = ptwalk_zalloc(test, sizeof(*lazy));
	int cpu = ptwalk_other_cpu(), tries = 0, lazy_tries = 0, i;
	struct ptwalk_sharing s;
	bool was_lazy, flushed;

	if (!flush_interrupts())
		kunit_skip(test, "TLBs are flushed without an interrupt");
	set_up(test, &s, 1);
	lazy->cpu = cpu;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "sched_switch", sched_switch, lazy));
	ptwalk_spread(test, s.mm, PTWALK_SMALL);
	do {
		ptwalk_share(test, s.p[0]);
		/* The flush of another process may have made it leave. */
		for (i = 0; i < 3 && !cpumask_test_cpu(cpu, mm_cpumask(s.mm)); i++)
			ptwalk_spread(test, s.mm, PTWALK_SMALL);
		if (!cpumask_test_cpu(cpu, mm_cpumask(s.mm)))
			kunit_skip(test, "CPU %d has left the address space", cpu);
		/* Its thread is asleep, once it is. */
		msleep(50);
		for (i = 0; i < MAX_LAZY_MS && !is_lazy(lazy, s.mm); i += 20)
			msleep(20);
		was_lazy = is_lazy(lazy, s.mm);
		lazy_tries += was_lazy;
		ptwalk_ipi_start();
		KUNIT_ASSERT_EQ(test, 0, leave_table());
		ptwalk_ipi_stop();
		flushed = was_lazy && ptwalk_ipi_on(cpu, PTWALK_IPI_TLB);
	} while (!flushed && lazy_tries < 3 && ++tries < LAZY_TRIES);
	KUNIT_ASSERT_GT_MSG(test, lazy_tries, 0, "CPU %d did not idle in the address space", cpu);
	KUNIT_EXPECT_TRUE_MSG(test, flushed, "the CPU of a sleeping thread got no flush");
}

/* Whether the walker was still inside when current had left the table. */
static bool leaves_before_walker(struct kunit *test, struct mm_struct *walked)
{
	struct ptwalk_hold *hold = ptwalk_hold(test, walked, PTWALK_SMALL,
					       PTWALK_HOLD_IRQS_OFF);

	KUNIT_EXPECT_EQ(test, 0, leave_table());
	return ptwalk_hold_release(hold);
}

/* Broken: munmap waits while a CPU of another process has interrupts off. */
static void unshare_does_not_wait_for_other_mm(struct kunit *test)
{
	struct ptwalk_sharing s;

	set_up(test, &s, 1);
	ptwalk_share(test, s.p[0]);
	KUNIT_EXPECT_TRUE_MSG(test, leaves_before_walker(test, s.p[0]->mm),
			      "waited for a walker of another process");
	KUNIT_EXPECT_PTR_NE(test, ptwalk_pmd_table(s.mm), ptwalk_pmd_table(s.p[0]->mm));
}

/* ------------------------------------------------ GUP-fast, held on its way */

/**
 * struct held - a kthread that is held in GUP-fast, at the load of an entry
 * @addr: first address that it looks up
 * @nr: number of pages
 * @entry: the entry of a page table
 * @load: which load of @entry, from 1
 * @task: the kthread, while it is in GUP-fast
 * @loads: loads of @entry so far
 * @inside: it is at the load and waits
 * @go: it may go on
 * @late: it went on by itself
 * @pages: what GUP-fast returned
 * @got: number of @pages
 * @left: GUP-fast has returned
 */
struct held {
	unsigned long addr;
	int nr;
	void *entry;
	unsigned int load;
	struct task_struct *task;
	unsigned int loads;
	bool inside, go, late;
	struct page *pages[2];
	int got;
	struct completion left;
};

/*
 * On x86 a load that is watched is executed before the exception.  On arm64 it is not,
 * and comes back here until watchpoints of this CPU are off.
 */
#ifdef CONFIG_ARM64
#define TRAPS_BEFORE_LOAD	true

static void leave_watchpoint(void)
{
	sysreg_clear_set(mdscr_el1, DBG_MDSCR_MDE, 0);
	isb();
}
#else
#define TRAPS_BEFORE_LOAD	false

static void leave_watchpoint(void)
{
}
#endif

/* Debug exception.  GUP-fast has interrupts off. */
static void entry_loaded(struct perf_event *bp, struct perf_sample_data *data,
			 struct pt_regs *regs)
{
	struct held *h = bp->overflow_handler_context;
	u64 end;

	if (READ_ONCE(h->task) != current || ++h->loads != h->load) {
		leave_watchpoint();
		return;
	}
	end = ktime_get_mono_fast_ns() + ptwalk_hold_ms * NSEC_PER_MSEC;
	WRITE_ONCE(h->inside, true);
	while (!READ_ONCE(h->go) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	WRITE_ONCE(h->late, !READ_ONCE(h->go));
	WRITE_ONCE(h->inside, false);
	leave_watchpoint();
}

static void held_gup(void *arg, unsigned int id)
{
	struct held *h = arg;

	WRITE_ONCE(h->task, current);
	h->got = get_user_pages_fast_only(h->addr, h->nr, 0, h->pages);
	WRITE_ONCE(h->task, NULL);
	complete(&h->left);
	ptwalk_wait_for_stop();
}

/* Returns when GUP-fast is inside, on a CPU that uses the address space. */
static struct held *hold_gup(struct kunit *test, struct mm_struct *mm, struct held how)
{
	struct held *h = ptwalk_zalloc(test, sizeof(*h));
	int cpu = ptwalk_other_cpu();

	*h = how;
	init_completion(&h->left);
	ptwalk_watchpoint(test, cpu, h->entry, entry_loaded, h);
	ptwalk_crew(test, mm, cpumask_of(cpu), held_gup, h);
	while (!READ_ONCE(h->inside) && !try_wait_for_completion(&h->left))
		cpu_relax();
	KUNIT_ASSERT_TRUE_MSG(test, READ_ONCE(h->inside), "GUP-fast did not load the entry");
	return h;
}

/*
 * A hypervisor's flush leaves out a virtual CPU that does not run, even one
 * that was preempted within a walk.  Here the CPU of the walker is not in
 * mm_cpumask() until the flush has made its copy.
 */
static struct {
	struct task_struct *task;
	struct mm_struct *mm;
} left_out;

static void put_back(void)
{
	cpumask_set_cpu(ptwalk_other_cpu(), mm_cpumask(left_out.mm));
}

/* Any context. */
static void csd_queue_cpu(void *data, const unsigned int cpu,
			  unsigned long callsite, smp_call_func_t func,
			  call_single_data_t *csd)
{
	if (current == READ_ONCE(left_out.task) && in_task())
		put_back();
}

static void leave_without(struct kunit *test, struct mm_struct *mm)
{
	left_out.mm = mm;
	cpumask_clear_cpu(ptwalk_other_cpu(), mm_cpumask(mm));
	WRITE_ONCE(left_out.task, current);
	KUNIT_EXPECT_EQ(test, 0, leave_table());
	WRITE_ONCE(left_out.task, NULL);
	put_back();
}

/* As ptwalk_pmd_offset(), a level higher. */
static void *pud_entry(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgdp = pgd_offset(mm, addr);

	return pud_offset(p4d_offset(pgdp, addr), addr);
}

static struct page *page_at(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmdp = ptwalk_pmd_offset(mm, addr);

	return pmdp && pmd_present(*pmdp) ? pmd_page(*pmdp) : NULL;
}

/*
 * Between the load of the PUD and that of the first PMD, or, if it has @taken a page,
 * between its re-check of the first PMD and the load of the next one.
 */
static void choose_load(struct held *how, struct mm_struct *mm, bool taken)
{
	pmd_t *pmdp = ptwalk_pmd_offset(mm, how->addr);

	if (TRAPS_BEFORE_LOAD) {
		how->entry = taken ? pmdp + 1 : pmdp;
		how->load = 1;
	} else {
		how->entry = taken ? pmdp : pud_entry(mm, how->addr);
		how->load = taken ? 2 : 1;
	}
}

/*
 * GUP-fast is held, when it has @taken a page or before; meanwhile its process leaves
 * the table, and the last owner changes what the table maps by @change.
 */
static void change_under_gup(struct kunit *test, int nr, bool taken,
			     int (*change)(struct ptwalk_process *p))
{
	unsigned long addr = PTWALK_REUSED + (nr > 1 ? PMD_SIZE - PAGE_SIZE : 0);
	struct page *foreign[PTWALK_NR_HUGE] = {};
	int refs[PTWALK_NR_HUGE] = {}, i;
	struct ptwalk_sharing s;
	struct held how, *h;
	bool inside;

	set_up(test, &s, 1);
	run_threads(test, s.mm);
	ptwalk_new_other(test, s.p[0]);
	ptwalk_share(test, s.p[0]);
	how = (struct held) { .addr = addr, .nr = nr };
	choose_load(&how, s.mm, taken);
	/* First of all: code that is patched interrupts every CPU. */
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "csd_queue_cpu", csd_queue_cpu, NULL));
	h = hold_gup(test, s.mm, how);
	leave_without(test, s.mm);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_process_do(s.p[0], change));
	for (i = 0; i < PTWALK_NR_HUGE; i++) {
		foreign[i] = page_at(s.p[0]->mm, PTWALK_REUSED + i * PMD_SIZE);
		refs[i] = foreign[i] ? page_ref_count(foreign[i]) : 0;
	}
	inside = READ_ONCE(h->inside);
	WRITE_ONCE(h->go, true);
	wait_for_completion(&h->left);

	KUNIT_EXPECT_TRUE_MSG(test, inside && !h->late, "the walker was waited for");
	KUNIT_EXPECT_EQ_MSG(test, h->got, 0, "%d pages that the process does not map", h->got);
	for (i = 0; i < h->got; i++)
		put_page(h->pages[i]);
	/* Then GUP-fast had a reference to the first page. */
	refs[0] -= taken;
	for (i = 0; i < PTWALK_NR_HUGE; i++)
		if (foreign[i])
			KUNIT_EXPECT_EQ(test, page_ref_count(foreign[i]), refs[i]);
}

/* Broken: a device writes to memory of another process. */
static void gup_gives_back_page_of_last_owner(struct kunit *test)
{
	change_under_gup(test, 1, false, ptwalk_process_reuse);
}

/* Broken: the same, if only a part of the range is mapped. */
static void gup_gives_back_when_range_ends_early(struct kunit *test)
{
	change_under_gup(test, 2, false, ptwalk_process_reuse_first);
}

/* Broken: the same, when the table changes in the middle of the walk. */
static void gup_gives_back_all_since_the_pud(struct kunit *test)
{
	change_under_gup(test, 2, true, ptwalk_process_reuse_second);
}

/* ---------------------------------------- GUP-fast while tables are shared */

/**
 * struct walker - a kthread that looks up pages of a process
 * @mm: address space of the process
 * @crew: the kthread
 * @rnd: its random choices
 * @seen: pages found with the tag of the file that is shared
 * @other: pages found with the tag of the other file
 * @missed: walks that found no page
 */
struct walker {
	struct mm_struct *mm;
	struct ptwalk_crew *crew;
	struct rnd_state rnd;
	unsigned long seen, other, missed;
};

static void walk(void *arg, unsigned int id)
{
	struct walker *w = arg;
	struct page *page;
	u64 word;

	if (get_user_pages_fast_only(PTWALK_REUSED + prandom_u32_state(&w->rnd) %
				     PTWALK_NR_HUGE * PMD_SIZE, 1, 0, &page) != 1) {
		w->missed++;
		return;
	}
	word = READ_ONCE(*(u64 *)page_address(page));
	if (word == PTWALK_TAG_SHARED)
		w->seen++;
	else if (word == PTWALK_TAG_PRIVATE)
		w->other++;
	else
		w->missed++;
	put_page(page);
}

static struct walker *start_walker(struct kunit *test, struct mm_struct *mm,
				   int cpu, u32 seed)
{
	struct walker *w = ptwalk_zalloc(test, sizeof(*w));

	w->mm = mm;
	prandom_seed_state(&w->rnd, seed + cpu);
	w->crew = ptwalk_crew(test, mm, cpumask_of(cpu), walk, w);
	ptwalk_crew_wait(w->crew);
	return w;
}

/* Leaves the table in one of three ways. */
static int leave_somehow(u32 random)
{
	switch (random % 3) {
	case 0:
		return vm_munmap(PTWALK_BASE, PUD_SIZE);
	case 1:
		return vm_munmap(PTWALK_REUSED, PTWALK_HALF);
	default:
		return leave_table();
	}
}

static unsigned long walks(struct walker *w)
{
	return READ_ONCE(w->seen) + READ_ONCE(w->other) + READ_ONCE(w->missed);
}

/* Lets a walker find a page; whether it has. */
static bool await_walker(struct walker *w)
{
	u64 end = ktime_get_mono_fast_ns() + MAX_WAIT_NS;
	unsigned long seen = READ_ONCE(w->seen);

	while (ktime_get_mono_fast_ns() < end && READ_ONCE(w->seen) == seen)
		cpu_relax();
	return READ_ONCE(w->seen) != seen;
}

/*
 * Share, leave, let the last owner put other pages into the table.  Returns whether a walker
 * that used the table was on a walk while it was left.
 */
static bool race_round(struct kunit *test, struct ptwalk_process *p,
		       struct walker *w[], u32 random)
{
	unsigned long before, after;
	bool used;

	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_map));
	ptwalk_share(test, p);
	used = await_walker(w[1]);
	before = walks(w[1]);
	KUNIT_ASSERT_EQ(test, 0, leave_somehow(random));
	after = walks(w[1]);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_reuse));
	ptwalk_unmap_shared(test);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_unmap));
	return used && before != after;
}

/* Whether each walker has found a page. */
static bool has_met(struct walker *w[])
{
	return READ_ONCE(w[0]->seen) + READ_ONCE(w[0]->other) &&
	       READ_ONCE(w[1]->seen) && READ_ONCE(w[2]->seen);
}

/* Broken: a device gets memory of another process. */
static void gup_versus_unshare(struct kunit *test)
{
	u32 seed = ptwalk_seed(test);
	struct ptwalk_process *p;
	struct ptwalk_sharing s;
	struct walker *w[3];
	struct rnd_state rnd;
	unsigned int rounds = 0, met = 0;
	unsigned long end;
	int i;

	set_up(test, &s, 1);
	p = s.p[0];
	ptwalk_new_other(test, p);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_unmap));
	prandom_seed_state(&rnd, seed);
	w[0] = start_walker(test, p->mm, ptwalk_nth_cpu(2), seed);
	w[1] = start_walker(test, s.mm, ptwalk_nth_cpu(1), seed);
	w[2] = start_walker(test, s.mm, ptwalk_other_cpu(), seed);
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, met && has_met(w)); rounds++)
		met += race_round(test, p, w, prandom_u32_state(&rnd));
	for (i = 0; i < ARRAY_SIZE(w); i++)
		ptwalk_crew_stop(w[i]->crew);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		kunit_info(test, "walker=%d rounds=%u met=%u shared=%lu other=%lu missed=%lu\n",
			   i, rounds, met, w[i]->seen, w[i]->other, w[i]->missed);
	KUNIT_EXPECT_GT_MSG(test, met, 0, "GUP-fast never ran while the table was left");
	KUNIT_EXPECT_GT(test, w[0]->seen + w[0]->other, 0);
	KUNIT_EXPECT_GT(test, w[1]->seen, 0);
	KUNIT_EXPECT_GT(test, w[2]->seen, 0);
	KUNIT_EXPECT_EQ(test, w[1]->other + w[2]->other, 0);
}

/* ------------------------------------------------------------------ leaks */

static int unmap_all(struct ptwalk_process *p)
{
	return vm_munmap(PTWALK_BASE, PTWALK_SMALL + PAGE_SIZE - PTWALK_BASE);
}

static struct ptwalk_process *leak_process;

static void share_and_leave(struct kunit *test)
{
	int i;

	for (i = 0; i < 4 * NR_OPS; i++) {
		ptwalk_share(test, leak_process);
		KUNIT_ASSERT_EQ(test, 0, leave_somehow(i));
		ptwalk_unmap_shared(test);
	}
}

/* Broken: each process that shared hugetlb memory leaks a page. */
static void unshare_leaks_no_table(struct kunit *test)
{
	struct ptwalk_sharing s;

	set_up(test, &s, 1);
	leak_process = s.p[0];
	ptwalk_expect_no_leak(test, share_and_leave, 4 * NR_OPS);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_process_do(s.p[0], unmap_all));
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(s.p[0]->mm), 0);
}

static struct kunit_case unshare_cases[] = {
	KUNIT_CASE(unshare_broadcasts_nothing),
	KUNIT_CASE(unshare_spares_other_cpus),
	KUNIT_CASE(unshare_flushes_lazy_cpus),
	KUNIT_CASE_SLOW(unshare_does_not_wait_for_other_mm),
	KUNIT_CASE_SLOW(gup_gives_back_page_of_last_owner),
	KUNIT_CASE_SLOW(gup_gives_back_when_range_ends_early),
	KUNIT_CASE_SLOW(gup_gives_back_all_since_the_pud),
	KUNIT_CASE_SLOW(gup_versus_unshare),
	KUNIT_CASE(unshare_leaks_no_table),
	{}
};

PTWALK_SUITE(unshare, .suite_init = ptwalk_sharer_init,
	     .suite_exit = ptwalk_sharer_exit);
