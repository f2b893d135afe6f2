// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lockless walks that are tracked: each CPU publishes the mm that it walks, and
 * the waiter reads that.  Also the cost of a walk, tracked or not.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/timex.h>
#ifdef CONFIG_X86_64
#include <asm/apic.h>
#include <asm/nmi.h>
#endif

#include "../kernel.h"
#include "../lib/ptwalk.h"

#define MAX_PAGES	512

/* As many pages as the longest walk that is measured needs. */
static void fill_pages(struct kunit *test)
{
	unsigned long len = MAX_PAGES * PAGE_SIZE;

	ptwalk_map_small(test, PTWALK_BASE, len);
	ptwalk_fill(test, PTWALK_BASE, len, 1);
}

static struct page **page_array(struct kunit *test)
{
	return ptwalk_zalloc(test, MAX_PAGES * sizeof(struct page *));
}

static void put_pages(struct page **pages, int nr)
{
	while (nr > 0)
		put_page(pages[--nr]);
}

static int gup(int nr, struct page **pages)
{
	return get_user_pages_fast_only(PTWALK_BASE, nr, FOLL_WRITE, pages);
}

/*
 * The least of many measurements, which no interrupt has prolonged.  Exact to
 * the instruction with "-icount shift=0,sleep=off" of QEMU.
 */
static void measure_gup(struct kunit *test, struct page **pages, int nr,
			unsigned int ops)
{
	cycles_t start, took, least = -1, sum = 0;
	unsigned int i;
	int got = nr;

	for (i = 0; i < ops && got == nr; i++) {
		start = get_cycles();
		got = gup(nr, pages);
		took = get_cycles() - start;
		put_pages(pages, got);
		least = min(least, took);
		sum += took;
	}
	KUNIT_ASSERT_EQ(test, got, nr);
	kunit_info(test, "measure: gup_fast cpus=1 ops=%u pages=%d cycles=%llu mean=%llu\n",
		   ops, nr, (u64)least, (u64)sum / ops);
}

/* Broken: never: measures GUP-fast. */
static void gup_fast_cost(struct kunit *test)
{
	struct page **pages = page_array(test);

	ptwalk_mm_enter(test);
	fill_pages(test);
	if (!get_cycles())
		kunit_skip(test, "no cycle counter");
	KUNIT_ASSERT_EQ(test, 1, gup(1, pages));
	put_page(pages[0]);
	measure_gup(test, pages, 1, 512);
	measure_gup(test, pages, 8, 256);
	measure_gup(test, pages, MAX_PAGES, 32);
}

/* Broken: GUP-fast returns with interrupts enabled or disabled by mistake. */
static void walk_restores_interrupts(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	bool in_walk, after_off, after_on;
	unsigned long flags, outer;

	local_irq_save(outer);
	lockless_walk_begin(mm, &flags);
	lockless_walk_end(mm, flags);
	after_off = irqs_disabled();
	local_irq_restore(outer);

	lockless_walk_begin(mm, &flags);
	in_walk = irqs_disabled();
	lockless_walk_end(mm, flags);
	after_on = irqs_disabled();

	KUNIT_EXPECT_TRUE(test, in_walk);
	KUNIT_EXPECT_TRUE(test, after_off);
	KUNIT_EXPECT_FALSE(test, after_on);
}

#ifdef CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING

#define NR_WALKERS	4
#define SYNC_MS		300
#define MAX_SYNC_NS	(10ULL * NSEC_PER_SEC)
#define NR_SWITCHES	10

static int was_on;

static struct lockless_walk_cpu *cpu_walks(int cpu)
{
	return lockless_walk_of(cpu);
}

static struct mm_struct *walked_mm(unsigned long walk)
{
	return (struct mm_struct *)(walk & ~LOCKLESS_WALK_SEQ);
}

/* How many walks a CPU shows, of any mm. */
static int walks_on(int cpu)
{
	int i, nr = 0;

	for (i = 0; i <= LOCKLESS_WALK_NESTING; i++)
		nr += !!READ_ONCE(cpu_walks(cpu)->walk[i]);
	return nr;
}

static struct mm_struct *enter(struct kunit *test)
{
	if (num_online_cpus() <= NR_WALKERS)
		kunit_skip(test, "needs %d CPUs", NR_WALKERS + 1);
	return ptwalk_mm_enter(test);
}

/* ------------------------------------------------------------- held walks */

static struct ptwalk_hold *hold_ms(struct kunit *test, struct mm_struct *mm,
				   struct mm_struct *inner, int cpu, unsigned int ms)
{
	const struct ptwalk_hold how = {
		.mm = mm, .inner = inner, .mode = PTWALK_HOLD_OWN, .cpu = cpu, .ms = ms,
	};

	return ptwalk_hold_start(test, &how);
}

/* A walker that stays until it is released. */
static struct ptwalk_hold *hold(struct kunit *test, struct mm_struct *mm,
				struct mm_struct *inner, int cpu)
{
	return hold_ms(test, mm, inner, cpu, ptwalk_hold_ms);
}

/* A walker that is in @phase, and leaves it by itself soon, but not yet. */
static struct ptwalk_hold *hold_in_phase(struct kunit *test, struct mm_struct *mm,
					 struct mm_struct *inner,
					 enum ptwalk_phase phase)
{
	const struct ptwalk_hold how = {
		.mm = mm, .inner = inner, .mode = PTWALK_HOLD_OWN,
		.cpu = ptwalk_other_cpu(), .ms = PTWALK_SHORT_MS,
	};

	return ptwalk_hold_in_phase(test, how, phase);
}

static bool all_are_inside(struct ptwalk_hold *w[])
{
	int i;

	for (i = 0; i < NR_WALKERS; i++)
		if (READ_ONCE(w[i]->phase) == PTWALK_LEFT)
			return false;
	return true;
}

/* NR_WALKERS walkers; every other one stays twice as long. */
static void hold_all(struct kunit *test, struct mm_struct *mm, struct ptwalk_hold *w[])
{
	unsigned int ms = PTWALK_SHORT_MS;
	int i, tries = 0;

	for (;;) {
		for (i = 0; i < NR_WALKERS; i++)
			w[i] = hold_ms(test, mm, NULL, ptwalk_nth_cpu(i + 1),
				       ms * (i % 2 ? 1 : 2));
		if (all_are_inside(w))
			return;
		for (i = 0; i < NR_WALKERS; i++)
			ptwalk_hold_release(w[i]);
		ms = ptwalk_hold_longer(test, ms, ++tries);
	}
}

/* Broken: the waiter misses a walk, or waits for a walk that has ended. */
static void walk_is_published_until_its_end(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	unsigned int before, within, after;
	unsigned long flags, walk, left;
	struct lockless_walk_cpu *cpu;

	before = lockless_walk_count(mm);
	lockless_walk_begin(mm, &flags);
	cpu = cpu_walks(smp_processor_id());
	walk = READ_ONCE(cpu->walk[0]);
	within = lockless_walk_count(mm);
	lockless_walk_end(mm, flags);
	left = READ_ONCE(cpu->walk[0]);
	after = lockless_walk_count(mm);

	KUNIT_EXPECT_EQ(test, before, 0);
	KUNIT_EXPECT_PTR_EQ(test, walked_mm(walk), mm);
	KUNIT_EXPECT_EQ(test, within, 1);
	KUNIT_EXPECT_EQ(test, left, 0);
	KUNIT_EXPECT_EQ(test, after, 0);
}

/* Broken: as above, for some paths through GUP-fast. */
static void gup_fast_is_a_walk_that_ends(struct kunit *test)
{
	static const int sizes[] = { 1, 8, MAX_PAGES, MAX_PAGES + 1 };
	struct page **pages = ptwalk_zalloc(test, (MAX_PAGES + 1) * sizeof(*pages));
	struct mm_struct *mm = enter(test);
	int cpu = ptwalk_nth_cpu(0), i, got;
	unsigned long seq;

	fill_pages(test);
	/* The last size asks for a page that is not mapped. */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		seq = READ_ONCE(cpu_walks(cpu)->seq);
		got = gup(sizes[i], pages);
		seq = (READ_ONCE(cpu_walks(cpu)->seq) - seq) & LOCKLESS_WALK_SEQ;
		put_pages(pages, got);
		KUNIT_EXPECT_EQ(test, got, min(sizes[i], MAX_PAGES));
		KUNIT_EXPECT_EQ_MSG(test, seq, 1, "walks for %d pages", sizes[i]);
		KUNIT_EXPECT_EQ(test, walks_on(cpu), 0);
		KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), 0);
	}
}

/* Broken: walks are counted for the wrong mm or not at all. */
static void count_is_number_of_walkers(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct mm_struct *other = ptwalk_mm_new(test);
	struct ptwalk_hold *w[NR_WALKERS];
	int i;

	for (i = 0; i < NR_WALKERS; i++) {
		w[i] = hold(test, i ? mm : other, NULL, ptwalk_nth_cpu(i + 1));
		KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), i);
		KUNIT_EXPECT_EQ(test, lockless_walk_count(other), 1);
	}
	for (i = 0; i < NR_WALKERS; i++) {
		KUNIT_EXPECT_TRUE(test, ptwalk_hold_release(w[i]));
		KUNIT_EXPECT_EQ(test, lockless_walk_count(mm),
				NR_WALKERS - 1 - i);
		KUNIT_EXPECT_EQ(test, lockless_walk_count(other), 0);
	}
}

/* -------------------------------------------------------- waiting for walks */

/* Broken: a wait for walkers waits for walks of other processes. */
static void sync_spares_other_mm(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct mm_struct *other = ptwalk_mm_new(test);
	struct ptwalk_hold *w;

	KUNIT_EXPECT_EQ(test, lockless_walk_sync(mm), 0);
	w = hold(test, other, NULL, ptwalk_other_cpu());
	KUNIT_EXPECT_EQ(test, lockless_walk_sync(mm), 0);
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_hold_release(w), "waited for another mm");
}

/* Broken: a table is reused under GUP-fast. */
static void sync_waits_for_walker(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct ptwalk_hold *w = hold_in_phase(test, mm, NULL, PTWALK_IN_WALK);
	unsigned int waited = lockless_walk_sync(mm);

	KUNIT_EXPECT_FALSE_MSG(test, ptwalk_hold_release(w), "a walker was still inside");
	KUNIT_EXPECT_EQ(test, waited, 1);
	KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), 0);
}

/* Broken: the same, when more than one CPU walks. */
static void sync_waits_for_all_walkers(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct ptwalk_hold *w[NR_WALKERS];
	unsigned int waited;
	int i;

	/* The first of those it looks at stays longest, and shortest. */
	hold_all(test, mm, w);
	waited = lockless_walk_sync(mm);
	for (i = 0; i < NR_WALKERS; i++)
		KUNIT_EXPECT_FALSE_MSG(test, ptwalk_hold_release(w[i]),
				       "walker %d was still inside", i);
	KUNIT_EXPECT_GE(test, waited, 1);
	KUNIT_EXPECT_LE(test, waited, NR_WALKERS);
}

/* Broken: waiting for walkers interrupts them. */
static void sync_interrupts_nobody(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct ptwalk_hold *w[NR_WALKERS];
	int class, calls = 0;
	unsigned int waited;

	hold_all(test, mm, w);
	ptwalk_ipi_start();
	waited = lockless_walk_sync(mm);
	ptwalk_ipi_stop();
	for (class = 0; class < PTWALK_IPI_WAKEUP; class++)
		calls += ptwalk_ipi_cpus(class);
	KUNIT_EXPECT_EQ(test, calls, 0);
	KUNIT_EXPECT_GE(test, waited, 1);
	KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), 0);
}

/* --------------------------------------- walks that follow each other closely */

/* Broken: a wait for walkers does not end while a CPU repeats GUP-fast. */
static void sync_does_not_wait_for_later_walk(struct kunit *test)
{
	const struct ptwalk_hold how = {
		.mm = enter(test), .twice = true, .mode = PTWALK_HOLD_OWN,
		.cpu = ptwalk_other_cpu(), .ms = PTWALK_SHORT_MS,
	};
	struct ptwalk_hold *w = ptwalk_hold_in_phase(test, how, PTWALK_IN_WALK);
	unsigned long *walk = &cpu_walks(how.cpu)->walk[0];
	unsigned long first = READ_ONCE(*walk), second;
	int phase;

	lockless_walk_sync(w->mm);
	phase = READ_ONCE(w->phase);
	/* The waiter may or may not have looked between the walks. */
	do {
		second = READ_ONCE(*walk);
	} while (!second && READ_ONCE(w->phase) != PTWALK_LEFT);
	ptwalk_hold_release(w);
	KUNIT_EXPECT_NE_MSG(test, phase, PTWALK_IN_WALK, "the first walk was not over");
	KUNIT_EXPECT_NE_MSG(test, phase, PTWALK_LEFT, "waited for the second walk, too");
	KUNIT_EXPECT_NE_MSG(test, first, second, "the second walk looks like the first");
}

/**
 * struct storm - kthreads that walk without pause
 * @mm: address space that they walk
 * @gup: they call GUP-fast, otherwise they only begin and end a walk
 * @walks: number of walks of each
 * @wrong: how often GUP-fast returned a page that it should not
 */
struct storm {
	struct mm_struct *mm;
	bool gup;
	unsigned long walks[NR_WALKERS];
	atomic_t wrong;
};

static void storm_walk(struct storm *s)
{
	unsigned long flags;
	struct page *page;

	if (!s->gup) {
		lockless_walk_begin(s->mm, &flags);
		lockless_walk_end(s->mm, flags);
		return;
	}
	if (gup(1, &page) != 1) {
		atomic_inc(&s->wrong);
		return;
	}
	if (*(u64 *)page_address(page) != ptwalk_tag(PTWALK_BASE, 1))
		atomic_inc(&s->wrong);
	put_page(page);
}

static void storm_work(void *arg, unsigned int id)
{
	struct storm *s = arg;
	int i;

	for (i = 0; i < 256; i++)
		storm_walk(s);
	WRITE_ONCE(s->walks[id], s->walks[id] + i);
}

static struct ptwalk_crew *start_storm(struct kunit *test, struct storm *s)
{
	struct ptwalk_crew *crew;
	struct cpumask cpus;

	ptwalk_next_cpus(&cpus, NR_WALKERS);
	crew = ptwalk_crew(test, s->mm, &cpus, storm_work, s);
	ptwalk_crew_wait(crew);
	return crew;
}

/* Waits for walkers again and again.  The walkers stop when the case ends. */
static void sync_in_storm(struct kunit *test, bool use_gup)
{
	struct storm *s = ptwalk_zalloc(test, sizeof(*s));
	unsigned long end, syncs = 0, waited = 0, walks = 0, busy = 0;
	u64 start, took, longest = 0;
	int i;

	s->mm = enter(test);
	s->gup = use_gup;
	fill_pages(test);
	start_storm(test, s);
	end = jiffies + msecs_to_jiffies(SYNC_MS);
	for (; ptwalk_race_is_on(end, busy && (waited || !use_gup)); syncs++) {
		busy += lockless_walk_count(s->mm) > 0;
		start = ktime_get_ns();
		waited += lockless_walk_sync(s->mm);
		took = ktime_get_ns() - start;
		longest = max(longest, took);
		cond_resched();
	}
	for (i = 0; i < NR_WALKERS; i++)
		walks += READ_ONCE(s->walks[i]);
	kunit_info(test, "syncs=%lu busy=%lu waited=%lu walks=%lu longest_ns=%llu\n",
		   syncs, busy, waited, walks, longest);
	KUNIT_EXPECT_GT_MSG(test, busy, 0, "no CPU walked when a wait began");
	KUNIT_EXPECT_GT(test, walks, 0);
	/* A walk that does nothing is rarely waited for. */
	if (use_gup)
		KUNIT_EXPECT_GT_MSG(test, waited, 0, "never waited for a walk");
	KUNIT_EXPECT_LE(test, waited, syncs * NR_WALKERS);
	KUNIT_EXPECT_LT(test, longest, MAX_SYNC_NS);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->wrong), 0);
}

/* Broken: a thread that repeats GUP-fast stalls another one for ever. */
static void sync_is_not_starved(struct kunit *test)
{
	sync_in_storm(test, false);
}

/* Broken: the same, or GUP-fast fails while it is waited for. */
static void sync_in_storm_of_gup_fast(struct kunit *test)
{
	sync_in_storm(test, true);
}

/* ------------------------------------------------------------ nested walks */

/* Walks two mms. */
static void nested_walk(struct kunit *test, struct mm_struct *mm,
			struct mm_struct *inner)
{
	int cpu = ptwalk_other_cpu(), both = mm == inner ? 2 : 1;
	struct ptwalk_hold *w = hold(test, mm, inner, cpu);

	KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), 1);
	ptwalk_hold_go(w, PTWALK_IN_NEXT_WALK);
	KUNIT_EXPECT_EQ(test, walks_on(cpu), 2);
	KUNIT_EXPECT_EQ_MSG(test, lockless_walk_count(mm), both,
			    "the outer walk is not seen within the inner");
	KUNIT_EXPECT_EQ(test, lockless_walk_count(inner), both);
	ptwalk_hold_go(w, PTWALK_BACK_IN_WALK);
	KUNIT_EXPECT_EQ(test, walks_on(cpu), 1);
	KUNIT_EXPECT_EQ_MSG(test, lockless_walk_count(mm), 1,
			    "the outer walk is not seen after the inner");
	KUNIT_EXPECT_TRUE(test, ptwalk_hold_release(w));
	KUNIT_EXPECT_EQ(test, walks_on(cpu), 0);
}

/* Broken: an NMI that walks makes the walk it interrupted invisible. */
static void nested_walk_keeps_outer(struct kunit *test)
{
	struct mm_struct *mm = enter(test);

	nested_walk(test, mm, ptwalk_mm_new(test));
}

/* Broken: the same, when both walk the same mm. */
static void nested_walk_of_same_mm_keeps_outer(struct kunit *test)
{
	struct mm_struct *mm = enter(test);

	nested_walk(test, mm, mm);
}

/* Broken: a table is reused under GUP-fast that an NMI has interrupted. */
static void sync_waits_for_outer_walk(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct mm_struct *inner = ptwalk_mm_new(test);
	struct ptwalk_hold *w;
	int phase;

	/*
	 * Waits from within the inner walk, which ends long before the outer
	 * one.
	 */
	w = hold_in_phase(test, mm, inner, PTWALK_IN_NEXT_WALK);
	lockless_walk_sync(mm);
	phase = READ_ONCE(w->phase);
	ptwalk_hold_release(w);
	KUNIT_EXPECT_EQ_MSG(test, phase, PTWALK_LEFT, "left in phase %d", phase);
}

/* Broken: as above, for the walk of the NMI itself. */
static void sync_waits_for_inner_walk(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct mm_struct *inner = ptwalk_mm_new(test);
	struct ptwalk_hold *w;
	int phase;

	w = hold_in_phase(test, mm, inner, PTWALK_IN_NEXT_WALK);
	lockless_walk_sync(inner);
	phase = READ_ONCE(w->phase);
	ptwalk_hold_release(w);
	KUNIT_EXPECT_GE_MSG(test, phase, PTWALK_BACK_IN_WALK, "the inner walk was not over");
}

/* Broken: an NMI within an NMI within an NMI loses a walk. */
static void walks_nest_beyond_the_limit(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	unsigned long flags[LOCKLESS_WALK_NESTING + 2];
	unsigned int up[ARRAY_SIZE(flags)], down[ARRAY_SIZE(flags)];
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		lockless_walk_begin(mm, &flags[i]);
		up[i] = lockless_walk_count(mm);
	}
	while (i--) {
		lockless_walk_end(mm, flags[i]);
		down[i] = lockless_walk_count(mm);
	}
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		KUNIT_EXPECT_EQ(test, up[i], min(i + 1, LOCKLESS_WALK_NESTING));
		KUNIT_EXPECT_EQ(test, down[i], min(i, LOCKLESS_WALK_NESTING));
	}
}

#ifdef CONFIG_X86_64
static struct {
	struct mm_struct *mm, *inner;
	unsigned int calls, outer, within;
} nmi;

/* The NMI comes in the middle of the walk of the case. */
static int walk_in_nmi(unsigned int type, struct pt_regs *regs)
{
	unsigned long flags;

	if (!READ_ONCE(nmi.inner))
		return NMI_DONE;
	lockless_walk_begin(nmi.inner, &flags);
	nmi.outer = lockless_walk_count(nmi.mm);
	nmi.within = lockless_walk_count(nmi.inner);
	lockless_walk_end(nmi.inner, flags);
	WRITE_ONCE(nmi.calls, nmi.calls + 1);
	WRITE_ONCE(nmi.inner, NULL);
	return NMI_HANDLED;
}

/*
 * Broken: the waiter misses GUP-fast after an NMI of perf has interrupted it.
 */
static void nmi_keeps_the_walk_that_it_interrupts(struct kunit *test)
{
	struct mm_struct *mm = enter(test), *inner;
	unsigned int before, after, left;
	unsigned long flags;
	u64 end;

	memset(&nmi, 0, sizeof(nmi));
	nmi.mm = mm;
	inner = ptwalk_mm_new(test);
	KUNIT_ASSERT_EQ(test, 0, register_nmi_handler(NMI_LOCAL, walk_in_nmi, 0, "ptwalk"));
	lockless_walk_begin(mm, &flags);
	before = lockless_walk_count(mm);
	WRITE_ONCE(nmi.inner, inner);
	apic->send_IPI(smp_processor_id(), NMI_VECTOR);
	end = ktime_get_mono_fast_ns() + NSEC_PER_SEC;
	while (!READ_ONCE(nmi.calls) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	after = lockless_walk_count(mm);
	lockless_walk_end(mm, flags);
	left = lockless_walk_count(mm);
	unregister_nmi_handler(NMI_LOCAL, "ptwalk");

	KUNIT_EXPECT_EQ(test, nmi.calls, 1);
	KUNIT_EXPECT_EQ(test, before, 1);
	KUNIT_EXPECT_EQ(test, nmi.outer, 1);
	KUNIT_EXPECT_EQ(test, nmi.within, 1);
	KUNIT_EXPECT_EQ(test, after, 1);
	KUNIT_EXPECT_EQ(test, left, 0);
}
#endif

/* ---------------------------------------------------------------- the switch */

static void switch_on(void *unused)
{
	lockless_walk_track(true);
}

static void switch_off(struct kunit *test)
{
	ptwalk_at_end(test, switch_on, NULL);
	lockless_walk_track(false);
}

/* Broken: a table is reused under GUP-fast while walks are not tracked. */
static void sync_waits_when_switched_off(struct kunit *test)
{
	struct mm_struct *mm = enter(test);
	struct ptwalk_hold *w;

	switch_off(test);
	w = hold_in_phase(test, mm, NULL, PTWALK_IN_WALK);
	KUNIT_EXPECT_EQ(test, lockless_walk_count(mm), 0);
	lockless_walk_sync(mm);
	KUNIT_EXPECT_FALSE_MSG(test, ptwalk_hold_release(w), "a walker was still inside");
}

static int walks_anywhere(void)
{
	int cpu, nr = 0;

	for_each_online_cpu(cpu)
		nr += walks_on(cpu);
	return nr;
}

/* Broken: the waiter waits for ever for a walk that has ended. */
static void switch_leaves_no_walk_behind(struct kunit *test)
{
	struct storm *s = ptwalk_zalloc(test, sizeof(*s));
	struct ptwalk_crew *crew;
	unsigned long end = ptwalk_race_end();
	int i, seen = 0, left = 0;

	s->mm = enter(test);
	s->gup = true;
	fill_pages(test);
	crew = start_storm(test, s);
	switch_off(test);
	for (i = 0; i < NR_SWITCHES || ptwalk_race_is_on(end, seen); i++) {
		lockless_walk_track(true);
		seen += walks_anywhere();
		lockless_walk_sync(s->mm);
		lockless_walk_track(false);
		left += walks_anywhere();
	}
	lockless_walk_track(true);
	ptwalk_crew_stop(crew);
	KUNIT_EXPECT_GT_MSG(test, seen, 0, "no walk was tracked");
	KUNIT_EXPECT_EQ(test, left, 0);
	KUNIT_EXPECT_EQ(test, lockless_walk_count(s->mm), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->wrong), 0);
}

/* Broken: each walk executes a full barrier while tracking is off. */
static void tracking_is_off_after_boot(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, was_on, 0);
}

/* --------------------------------------------------- what can be looked at */

static struct {
	struct mm_struct *mm;
	unsigned int calls, waited;
	u64 ns;
} traced;

static void sync_traced(void *data, struct mm_struct *mm, unsigned int waited,
			u64 ns)
{
	if (mm != traced.mm)
		return;
	traced.calls++;
	traced.waited = waited;
	traced.ns = ns;
}

/*
 * Broken: the tracepoint does not show how many walks were waited for, and how
 * long.
 */
static void sync_is_traced(struct kunit *test)
{
	struct mm_struct *mm = enter(test);

	memset(&traced, 0, sizeof(traced));
	traced.mm = mm;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "lockless_walk_sync",
					     sync_traced, NULL));
	hold_in_phase(test, mm, NULL, PTWALK_IN_WALK);
	lockless_walk_sync(mm);
	KUNIT_EXPECT_EQ(test, traced.calls, 1);
	KUNIT_EXPECT_EQ(test, traced.waited, 1);
	KUNIT_EXPECT_GT(test, traced.ns, 0);
	KUNIT_EXPECT_LT(test, traced.ns, 100 * PTWALK_SHORT_MS * NSEC_PER_MSEC);
}

static void walk_traced(void *data, struct mm_struct *mm, u64 ns, unsigned long ip)
{
	if (mm != traced.mm)
		return;
	traced.calls++;
	traced.ns = max(traced.ns, ns);
}

/* Broken: the tracepoint does not show the longest walk of a process. */
static void walk_is_traced(struct kunit *test)
{
	struct mm_struct *mm = enter(test);

	memset(&traced, 0, sizeof(traced));
	traced.mm = mm;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "lockless_walk", walk_traced, NULL));
	ptwalk_hold_release(hold_ms(test, mm, NULL, ptwalk_other_cpu(), 1));
	KUNIT_EXPECT_EQ(test, traced.calls, 1);
	/* The clock of a CPU may lag behind on an emulated machine. */
	KUNIT_EXPECT_GT(test, traced.ns, 0);
	KUNIT_EXPECT_LT(test, traced.ns, 100 * PTWALK_SHORT_MS * NSEC_PER_MSEC);
}

/* Broken: debugfs does not show which CPUs walk. */
static void walks_are_shown_in_debugfs(struct kunit *test)
{
	static const char path[] = "/sys/kernel/debug/lockless_walks/walking";
	int cpu = ptwalk_other_cpu(), ret;
	char text[256], name[16];
	struct ptwalk_hold *w;

	enter(test);
	snprintf(name, sizeof(name), "cpu%d ", cpu);
	w = hold(test, ptwalk_mm_new(test), NULL, cpu);
	ret = ptwalk_file_read(path, text, sizeof(text));
	ptwalk_hold_release(w);
	if (ret)
		kunit_skip(test, "cannot read %s (%d): is debugfs mounted?",
			   path, ret);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, name), "\"%s\"", text);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_file_read(path, text, sizeof(text)));
	KUNIT_EXPECT_NULL_MSG(test, strstr(text, name), "\"%s\"", text);
}

#else /* !CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING */

/* Broken: GUP-fast finds no pages. */
static void gup_fast_works(struct kunit *test)
{
	struct page **pages = page_array(test);
	int i, got, wrong = 0;

	ptwalk_mm_enter(test);
	fill_pages(test);
	got = gup(MAX_PAGES, pages);
	for (i = 0; i < got; i++)
		wrong += *(u64 *)page_address(pages[i]) !=
			 ptwalk_tag(PTWALK_BASE + i * PAGE_SIZE, 1);
	put_pages(pages, got);
	KUNIT_EXPECT_EQ(test, got, MAX_PAGES);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

#endif

static struct kunit_case tracking_cases[] = {
	KUNIT_CASE(gup_fast_cost),
	KUNIT_CASE(walk_restores_interrupts),
#ifdef CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING
	KUNIT_CASE(walk_is_published_until_its_end),
	KUNIT_CASE(gup_fast_is_a_walk_that_ends),
	KUNIT_CASE(count_is_number_of_walkers),
	KUNIT_CASE(sync_spares_other_mm),
	KUNIT_CASE(sync_waits_for_walker),
	KUNIT_CASE(sync_waits_for_all_walkers),
	KUNIT_CASE(sync_interrupts_nobody),
	KUNIT_CASE(sync_does_not_wait_for_later_walk),
	KUNIT_CASE(sync_is_not_starved),
	KUNIT_CASE(sync_in_storm_of_gup_fast),
	KUNIT_CASE(nested_walk_keeps_outer),
	KUNIT_CASE(nested_walk_of_same_mm_keeps_outer),
	KUNIT_CASE(sync_waits_for_outer_walk),
	KUNIT_CASE(sync_waits_for_inner_walk),
	KUNIT_CASE(walks_nest_beyond_the_limit),
#ifdef CONFIG_X86_64
	KUNIT_CASE(nmi_keeps_the_walk_that_it_interrupts),
#endif
	KUNIT_CASE(sync_waits_when_switched_off),
	KUNIT_CASE_SLOW(switch_leaves_no_walk_behind),
	KUNIT_CASE(tracking_is_off_after_boot),
	KUNIT_CASE(sync_is_traced),
	KUNIT_CASE(walk_is_traced),
	KUNIT_CASE(walks_are_shown_in_debugfs),
#else
	KUNIT_CASE(gup_fast_works),
#endif
	{}
};

#ifdef CONFIG_LOCKLESS_PAGE_TABLE_WALK_TRACKING
static int tracking_init(struct kunit_suite *suite)
{
	was_on = lockless_walk_track(true);
	return 0;
}

static void tracking_exit(struct kunit_suite *suite)
{
	lockless_walk_track(was_on);
}
#else
#define tracking_init	NULL
#define tracking_exit	NULL
#endif

PTWALK_SUITE(tracking, .suite_init = tracking_init, .suite_exit = tracking_exit);
