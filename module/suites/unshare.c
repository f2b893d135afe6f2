// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that map the same hugetlb file share a PMD table.  Which CPUs are
 * interrupted and which walkers are waited for when a process leaves the table,
 * and whether GUP-fast in that process finds pages that the last owner maps
 * afterwards.
 */
#include <linux/kallsyms.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <asm/paravirt.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"
#include "../lib/sharer.h"

#define TRACKING	IS_ENABLED(CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING)

#define NR_OPS		4
/* Some walks last longer than the last owner needs to reuse the table. */
#define MAX_WALK_US	30000

#define KEY	"/sys/kernel/debug/x86/tlb_flush_ipis_walkers"

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

static bool flush_is_native(void)
{
#ifdef CONFIG_PARAVIRT
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, (unsigned long)pv_ops.mmu.flush_tlb_multi);
	return !strncmp(name, "native_flush_tlb_multi+", 23);
#else
	return true;
#endif
}

static void need_native(struct kunit *test)
{
	if (!flush_is_native())
		kunit_skip(test, "a hypervisor flushes the TLB");
}

/* The switch "a TLB flush interrupts all walkers", or -1 if there is none. */
static int key_value(void)
{
	char text[8];

	if (ptwalk_file_read(KEY, text, sizeof(text)))
		return -1;
	return text[0] == '1';
}

static void restore_key(void *unused)
{
	ptwalk_file_write(KEY, "1");
}

/* As in a guest whose hypervisor flushes the TLB; until the case ends. */
static void use_paravirt(struct kunit *test)
{
	int key = key_value();

	if (key < 0)
		kunit_skip(test, "no %s: kernel without the series, or debugfs not mounted",
			   KEY);
	if (!key)
		return;
	ptwalk_at_end(test, restore_key, NULL);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_file_write(KEY, "0"));
	KUNIT_ASSERT_EQ(test, 0, key_value());
}

/*
 * A hypervisor's flush leaves out a virtual CPU that does not run, even one
 * that was preempted within a walk.  Here CPUs in @cpus are taken out of
 * mm_cpumask() until the flush is under way.  None of them has the mm loaded.
 */
static struct {
	struct task_struct *task;
	struct mm_struct *mm;
	struct cpumask cpus;
} left_out;

static void left_out_clear(void)
{
	int cpu;

	for_each_cpu(cpu, &left_out.cpus)
		cpumask_clear_cpu(cpu, mm_cpumask(left_out.mm));
}

/* Any context: the calling CPU has made its copy of the mask. */
static void csd_queue_cpu(void *data, const unsigned int cpu,
			  unsigned long callsite, smp_call_func_t func,
			  call_single_data_t *csd)
{
	int out;

	if (current != READ_ONCE(left_out.task) || !in_task() ||
	    ptwalk_ipi_classify(func) != PTWALK_IPI_TLB)
		return;
	for_each_cpu(out, &left_out.cpus)
		cpumask_set_cpu(out, mm_cpumask(left_out.mm));
}

static void left_out_init(struct kunit *test, struct mm_struct *mm)
{
	left_out.task = NULL;
	left_out.mm = mm;
	cpumask_clear(&left_out.cpus);
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "csd_queue_cpu",
					     csd_queue_cpu, NULL));
}

static void left_out_arm(void)
{
	left_out_clear();
	WRITE_ONCE(left_out.task, current);
}

static void left_out_disarm(void)
{
	WRITE_ONCE(left_out.task, NULL);
	left_out_clear();
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

/* Broken: munmap of shared hugetlb memory stalls every CPU. */
static void unshare_broadcasts_nothing(struct kunit *test)
{
	struct ptwalk_sharing s;

	need_native(test);
	set_up(test, &s, 1);
	share_and_unmap(test, &s);
	ptwalk_measure(test, "unshare", NR_OPS);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE));
	/*
	 * Without a flush nothing would have waited for walkers.  A CPU whose
	 * thread sleeps for a moment is lazy and may be left out.
	 */
	KUNIT_EXPECT_GE(test, ptwalk_ipi_cpus(PTWALK_IPI_TLB), NR_OPS);
}

/* Broken: an isolated CPU is disturbed by a process that never ran there. */
static void unshare_spares_other_cpus(struct kunit *test)
{
	struct ptwalk_sharing s;
	int cpu;

	need_native(test);
	set_up(test, &s, 1);
	share_and_unmap(test, &s);
	for_each_online_cpu(cpu)
		if (!runs_threads(cpu))
			KUNIT_EXPECT_EQ_MSG(test, 0, ptwalk_ipi_on(cpu, PTWALK_IPI_BROADCAST) +
					    ptwalk_ipi_on(cpu, PTWALK_IPI_SERIALIZE),
					    "CPU %d", cpu);
}

/* Broken: as above, in a guest whose hypervisor flushes the TLB. */
static void paravirt_unshare_interrupts_own_cpus_only(struct kunit *test)
{
	struct ptwalk_sharing s;
	int cpu;

	if (TRACKING)
		kunit_skip(test, "walks are tracked: no CPU needs an interrupt");
	set_up(test, &s, 1);
	use_paravirt(test);
	share_and_unmap(test, &s);
	ptwalk_measure(test, "unshare_paravirt", NR_OPS);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_EQ_MSG(test, runs_threads(cpu) ? NR_OPS : 0,
				    ptwalk_ipi_on(cpu, PTWALK_IPI_SERIALIZE),
				    "CPU %d", cpu);
}

/* Broken: as above, although every walk is tracked. */
static void tracked_unshare_interrupts_nobody(struct kunit *test)
{
	long before = ptwalk_vm_event("pgtable_sync_tracked");
	struct ptwalk_sharing s;

	if (!TRACKING)
		kunit_skip(test, "CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING is not set");
	set_up(test, &s, 1);
	use_paravirt(test);
	share_and_unmap(test, &s);
	ptwalk_measure(test, "unshare_paravirt", NR_OPS);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE));
	KUNIT_EXPECT_EQ(test, ptwalk_vm_event("pgtable_sync_tracked"),
			before + NR_OPS);
}

/* Broken: in a guest, the waiter relies on a flush that waits for no walker. */
static void key_says_how_the_tlb_is_flushed(struct kunit *test)
{
	int key = key_value();

	if (key < 0)
		kunit_skip(test, "no %s: kernel without the series, or debugfs not mounted",
			   KEY);
	KUNIT_EXPECT_EQ(test, key, flush_is_native());
	if (flush_is_native())
		return;
	KUNIT_EXPECT_EQ(test, -EPERM, ptwalk_file_write(KEY, "1"));
	KUNIT_EXPECT_EQ(test, 0, key_value());
}

/* -------------------------------------------- which walkers are waited for */

/* Leaves the table without unmapping, so that no other flush follows. */
static int leave_table(void)
{
	return ptwalk_zap(PTWALK_BASE, PUD_SIZE);
}

/* Whether the walker was still inside when current had left the table. */
static bool leaves_before_walker(struct kunit *test, struct mm_struct *walked)
{
	struct ptwalk_hold *hold = ptwalk_hold(test, walked, PTWALK_SMALL,
					       PTWALK_HOLD_IRQS_OFF);

	KUNIT_EXPECT_EQ(test, 0, leave_table());
	return ptwalk_hold_release(hold);
}

static void spare_other_mm(struct kunit *test, struct ptwalk_sharing *s)
{
	ptwalk_share(test, s->p[0]);
	KUNIT_EXPECT_TRUE_MSG(test, leaves_before_walker(test, s->p[0]->mm),
			      "waited for a walker of another process");
	KUNIT_EXPECT_PTR_NE(test, ptwalk_pmd_table(s->mm), ptwalk_pmd_table(s->p[0]->mm));
}

/* Broken: munmap stalls while a CPU of another process has interrupts off. */
static void unshare_does_not_wait_for_other_mm(struct kunit *test)
{
	struct ptwalk_sharing s;

	need_native(test);
	set_up(test, &s, 1);
	spare_other_mm(test, &s);
}

/* Broken: as above, in a guest whose hypervisor flushes the TLB. */
static void paravirt_unshare_does_not_wait_for_other_mm(struct kunit *test)
{
	struct ptwalk_sharing s;

	set_up(test, &s, 1);
	use_paravirt(test);
	spare_other_mm(test, &s);
}

/*
 * The walker is on a CPU of the case's process that the TLB flush leaves out.
 * The table stays shared when there are two other processes; it becomes
 * exclusive when there is one.
 */
static void wait_for_own_walker(struct kunit *test, int others)
{
	struct ptwalk_sharing s;
	bool inside;

	need_native(test);
	set_up(test, &s, others);
	run_threads(test, s.mm);
	left_out_init(test, s.mm);
	cpumask_set_cpu(ptwalk_other_cpu(), &left_out.cpus);

	/*
	 * The flush alone must not wait for the walker, or the rest proves
	 * nothing.
	 */
	if (key_value() == 1) {
		ptwalk_share(test, s.p[0]);
		left_out_arm();
		inside = leaves_before_walker(test, s.mm);
		left_out_disarm();
		KUNIT_ASSERT_TRUE_MSG(test, inside, "the flush itself waited");
	}

	use_paravirt(test);
	ptwalk_share(test, s.p[0]);
	left_out_arm();
	inside = leaves_before_walker(test, s.mm);
	left_out_disarm();
	KUNIT_EXPECT_FALSE_MSG(test, inside, "a walker was still in the table");
}

/* Broken: GUP-fast of a process that left returns pages of the last owner. */
static void paravirt_last_unshare_waits_for_walker(struct kunit *test)
{
	wait_for_own_walker(test, 1);
}

/* Broken: the same, if the process left before others did. */
static void paravirt_each_unshare_waits_for_walker(struct kunit *test)
{
	wait_for_own_walker(test, 2);
}

/* ---------------------------------------- GUP-fast while tables are shared */

/**
 * struct walker - a kthread that walks the tables of a process
 * @mm: address space of the process
 * @preempted: it walks as a CPU that no flush waits for
 * @crew: the kthread
 * @rnd: its random choices
 * @inside: it is in a walk, has found the table, and takes its time
 * @seen: pages found with the tag of the file that is shared
 * @other: pages found with the tag of the other file
 * @missed: walks that found no page
 */
struct walker {
	struct mm_struct *mm;
	bool preempted;
	struct ptwalk_crew *crew;
	struct rnd_state rnd;
	bool inside;
	unsigned long seen, other, missed;
};

static void judge_word(struct walker *w, u64 word)
{
	if (word == PTWALK_TAG_SHARED)
		w->seen++;
	else if (word == PTWALK_TAG_PRIVATE)
		w->other++;
	else
		w->missed++;
}

static unsigned long random_addr(struct walker *w)
{
	return PTWALK_REUSED + prandom_u32_state(&w->rnd) % PTWALK_NR_HUGE * PMD_SIZE;
}

static void walk_gup(struct walker *w)
{
	struct page *page;

	if (get_user_pages_fast_only(random_addr(w), 1, 0, &page) != 1) {
		w->missed++;
		return;
	}
	judge_word(w, READ_ONCE(*(u64 *)page_address(page)));
	put_page(page);
}

/* Time for the others to overtake the walk. */
static void dawdle(struct walker *w)
{
	u64 us = prandom_u32_state(&w->rnd) % MAX_WALK_US;
	u64 end = ktime_get_mono_fast_ns() + us * NSEC_PER_USEC;

	WRITE_ONCE(w->inside, true);
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
	WRITE_ONCE(w->inside, false);
}

/* As GUP-fast, slowly between the load of the PUD and that of the PMD. */
static void walk_slowly(struct walker *w)
{
	unsigned long flags;
	pmd_t *pmdp, pmd;
	u64 word = 0;

	lockless_walk_begin(w->mm, &flags);
	pmdp = ptwalk_pmd_offset(w->mm, random_addr(w));
	if (pmdp) {
		dawdle(w);
		pmd = pmdp_get_lockless(pmdp);
		if (pmd_present(pmd) && pmd_leaf(pmd))
			word = READ_ONCE(*(u64 *)page_address(pmd_page(pmd)));
		/*
		 * GUP-fast would drop its reference if the entry has changed.
		 */
		if (pmd_val(pmd) != pmd_val(pmdp_get_lockless(pmdp)))
			word = 0;
	}
	lockless_walk_end(w->mm, flags);
	judge_word(w, word);
}

static void walk(void *arg, unsigned int id)
{
	struct walker *w = arg;

	if (w->preempted)
		walk_slowly(w);
	else
		walk_gup(w);
}

static struct walker *start_walker(struct kunit *test, struct mm_struct *mm,
				   int cpu, u32 seed, bool preempted)
{
	struct walker *w = ptwalk_zalloc(test, sizeof(*w));

	w->mm = mm;
	w->preempted = preempted;
	prandom_seed_state(&w->rnd, seed + cpu);
	if (preempted)
		cpumask_set_cpu(cpu, &left_out.cpus);
	w->crew = ptwalk_crew(test, preempted ? NULL : mm, cpumask_of(cpu), walk, w);
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

/* Lets a walker that dawdles get into the table, and another one pass by. */
static void await_walkers(struct walker *w[])
{
	u64 end = ktime_get_mono_fast_ns() + MAX_WALK_US * NSEC_PER_USEC;
	unsigned long seen = READ_ONCE(w[1]->seen);

	while (ktime_get_mono_fast_ns() < end &&
	       ((w[2]->preempted && !READ_ONCE(w[2]->inside)) ||
		READ_ONCE(w[1]->seen) == seen))
		cpu_relax();
}

/*
 * Share, leave, let the last owner put other pages into the table.  Returns
 * whether a walker that dawdles was in the table when it was left.
 */
static bool race_round(struct kunit *test, struct ptwalk_process *p,
		       struct walker *w[], u32 random)
{
	bool inside;

	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_map));
	ptwalk_share(test, p);
	await_walkers(w);
	inside = READ_ONCE(w[2]->inside);
	left_out_arm();
	KUNIT_ASSERT_EQ(test, 0, leave_somehow(random));
	left_out_disarm();
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_reuse));
	ptwalk_unmap_shared(test);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_unmap));
	return inside;
}

/* Whether each walker has done what race() expects. */
static bool has_met(struct walker *w[], unsigned int inside)
{
	return READ_ONCE(w[0]->seen) + READ_ONCE(w[0]->other) &&
	       READ_ONCE(w[1]->seen) &&
	       (w[2]->preempted ? inside : READ_ONCE(w[2]->seen));
}

static void race(struct kunit *test, struct ptwalk_sharing *s, bool preempted)
{
	struct ptwalk_process *p = s->p[0];
	u32 seed = ptwalk_seed(test);
	struct walker *w[3];
	struct rnd_state rnd;
	unsigned int rounds = 0, inside = 0;
	unsigned long end;
	int i;

	ptwalk_new_other(test, p);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_unmap));
	prandom_seed_state(&rnd, seed);
	left_out_init(test, s->mm);
	w[0] = start_walker(test, p->mm, ptwalk_nth_cpu(2), seed, false);
	w[1] = start_walker(test, s->mm, ptwalk_nth_cpu(1), seed, false);
	w[2] = start_walker(test, s->mm, ptwalk_other_cpu(), seed, preempted);
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, has_met(w, inside)); rounds++)
		inside += race_round(test, p, w, prandom_u32_state(&rnd));
	for (i = 0; i < ARRAY_SIZE(w); i++)
		ptwalk_crew_stop(w[i]->crew);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		kunit_info(test, "walker=%d rounds=%u shared=%lu other=%lu missed=%lu\n",
			   i, rounds, w[i]->seen, w[i]->other, w[i]->missed);
	if (preempted)
		kunit_info(test, "left with a walker inside: %u\n", inside);
	KUNIT_EXPECT_GT(test, rounds, 0);
	KUNIT_EXPECT_GT(test, w[0]->seen + w[0]->other, 0);
	KUNIT_EXPECT_GT(test, w[1]->seen, 0);
	KUNIT_EXPECT_GT(test, preempted ? inside : w[2]->seen, 0);
	KUNIT_EXPECT_EQ(test, w[1]->other + w[2]->other, 0);
}

/* Broken: a device is given memory of another process. */
static void gup_versus_unshare(struct kunit *test)
{
	struct ptwalk_sharing s;

	need_native(test);
	set_up(test, &s, 1);
	race(test, &s, false);
}

/* Broken: the same, in a guest whose hypervisor flushes the TLB. */
static void gup_versus_paravirt_unshare(struct kunit *test)
{
	struct ptwalk_sharing s;

	need_native(test);
	set_up(test, &s, 1);
	use_paravirt(test);
	race(test, &s, true);
}

/* ---------------------------------------------------------------- counters */

static const char * const sync_events[] = {
	"pgtable_sync_ipi_all", "pgtable_sync_ipi_mm", "pgtable_sync_tracked",
	"pgtable_sync_flushed",
};

/* Expects that each unsharing is counted, and as nothing but @name. */
static void expect_counted(struct kunit *test, struct ptwalk_sharing *s,
			   const char *name)
{
	long before[ARRAY_SIZE(sync_events)];
	int i;

	for (i = 0; i < ARRAY_SIZE(sync_events); i++)
		before[i] = ptwalk_vm_event(sync_events[i]);
	for (i = 0; i < NR_OPS; i++)
		ptwalk_unshare_once(test, s->p[0]);
	for (i = 0; i < ARRAY_SIZE(sync_events); i++)
		KUNIT_EXPECT_EQ_MSG(test, ptwalk_vm_event(sync_events[i]) - before[i],
				    strcmp(sync_events[i], name) ? 0 : NR_OPS,
				    "%s", sync_events[i]);
}

/* Broken: /proc/vmstat misleads an administrator who looks for interrupts. */
static void unshare_is_counted(struct kunit *test)
{
	struct ptwalk_sharing s;

	need_native(test);
	if (ptwalk_vm_event(sync_events[0]) < 0)
		kunit_skip(test, "no %s in /proc/vmstat", sync_events[0]);
	set_up(test, &s, 1);
	expect_counted(test, &s, "pgtable_sync_flushed");
	use_paravirt(test);
	expect_counted(test, &s, TRACKING ? "pgtable_sync_tracked" :
					    "pgtable_sync_ipi_mm");
}

/* ------------------------------------------------------------------ leaks */

static int unmap_all(struct ptwalk_process *p)
{
	return vm_munmap(PTWALK_BASE, PTWALK_SMALL + PAGE_SIZE - PTWALK_BASE);
}

/* Broken: each process that shared hugetlb memory costs a page until reboot. */
static void unshare_leaks_no_table(struct kunit *test)
{
	long tables = ptwalk_tables();
	struct ptwalk_sharing s;
	int i;

	set_up(test, &s, 1);
	for (i = 0; i < 4 * NR_OPS; i++) {
		ptwalk_share(test, s.p[0]);
		KUNIT_ASSERT_EQ(test, 0, leave_somehow(i));
		ptwalk_unmap_shared(test);
	}
	KUNIT_EXPECT_EQ(test, 0, ptwalk_process_do(s.p[0], unmap_all));
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(s.p[0]->mm), 0);
	ptwalk_mm_leave(test);
	ptwalk_expect_tables(test, tables);
}

static struct kunit_case unshare_cases[] = {
	KUNIT_CASE(key_says_how_the_tlb_is_flushed),
	KUNIT_CASE(unshare_broadcasts_nothing),
	KUNIT_CASE(unshare_spares_other_cpus),
	KUNIT_CASE(paravirt_unshare_interrupts_own_cpus_only),
	KUNIT_CASE(tracked_unshare_interrupts_nobody),
	KUNIT_CASE_SLOW(unshare_does_not_wait_for_other_mm),
	KUNIT_CASE_SLOW(paravirt_unshare_does_not_wait_for_other_mm),
	KUNIT_CASE_SLOW(paravirt_last_unshare_waits_for_walker),
	KUNIT_CASE_SLOW(paravirt_each_unshare_waits_for_walker),
	KUNIT_CASE_SLOW(gup_versus_unshare),
	KUNIT_CASE_SLOW(gup_versus_paravirt_unshare),
	KUNIT_CASE(unshare_is_counted),
	KUNIT_CASE(unshare_leaks_no_table),
	{}
};

PTWALK_SUITE(unshare, .suite_init = ptwalk_sharer_init,
	     .suite_exit = ptwalk_sharer_exit);
