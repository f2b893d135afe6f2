// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lockless walkers that are held inside their window.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "../kernel.h"
#include "ptwalk.h"

/* How often a walk is begun again, each time longer, on a busy host. */
#define MAX_TRIES	4
/* Interrupts are off that long, see the parameter hold_ms. */
#define MAX_HOLD_MS	5000u

/*
 * Whether this kernel has no reason to wait for a walker when it detaches or
 * frees a table.  It has one without the series, and where a PMD is loaded in
 * two halves.  ptwalk_fail_prepare() makes architectures other than these wait.
 */
#define NOBODY_WAITS	(PTWALK_SERIES && \
			 (IS_ENABLED(CONFIG_X86) || \
			  IS_ENABLED(CONFIG_PPC_BOOK3S_64) || \
			  IS_ENABLED(CONFIG_ARM64)) && \
			 !IS_ENABLED(CONFIG_GUP_GET_PXX_LOW_HIGH))

static void read_table(struct ptwalk_hold *hold)
{
	int i;

	if (!hold->before)
		return;
	hold->table = ptwalk_table(hold->mm, hold->addr);
	for (i = 0; hold->table && i < PTRS_PER_PTE; i++)
		hold->before[i] = ptep_get(hold->table + i);
}

/* Zap and collapse leave an empty entry.  Any other change is reuse. */
static void read_again(struct ptwalk_hold *hold)
{
	int i;

	for (i = 0; hold->table && i < PTRS_PER_PTE; i++) {
		pte_t pte = ptep_get(hold->table + i);

		if (!pte_none(pte) &&
		    (pte_none(hold->before[i]) ||
		     pte_pfn(pte) != pte_pfn(hold->before[i])))
			hold->bad++;
	}
}

/* Spins for @ms, or until the case wants the next phase. */
static void enter_phase(struct ptwalk_hold *hold, int phase, unsigned int ms)
{
	u64 end = ktime_get_mono_fast_ns() + ms * NSEC_PER_MSEC;

	WRITE_ONCE(hold->phase, phase);
	if (phase == PTWALK_IN_WALK)
		complete(&hold->inside);
	while (READ_ONCE(hold->go) <= phase && ktime_get_mono_fast_ns() < end)
		cpu_relax();
}

static void walk_within(struct ptwalk_hold *hold)
{
	unsigned long flags;

	lockless_walk_begin(hold->inner, &flags);
	enter_phase(hold, PTWALK_IN_NEXT_WALK, hold->ms);
	lockless_walk_end(hold->inner, flags);
	enter_phase(hold, PTWALK_BACK_IN_WALK, hold->ms);
}

static void walk(struct ptwalk_hold *hold)
{
	unsigned long outer, flags;

	local_irq_save(outer);
	lockless_walk_begin(hold->mm, &flags);
	read_table(hold);
	enter_phase(hold, PTWALK_IN_WALK, hold->ms);
	if (hold->inner)
		walk_within(hold);
	if (hold->twice) {
		WRITE_ONCE(hold->phase, PTWALK_IN_NEXT_WALK);
		lockless_walk_end(hold->mm, flags);
		lockless_walk_begin(hold->mm, &flags);
		enter_phase(hold, PTWALK_IN_NEXT_WALK, ptwalk_hold_ms);
	}
	WRITE_ONCE(hold->phase, PTWALK_LEFT);
	read_again(hold);
	lockless_walk_end(hold->mm, flags);
	local_irq_restore(outer);
}

static void hold_work(void *arg, unsigned int id)
{
	struct ptwalk_hold *hold = arg;

	if (hold->mode == PTWALK_HOLD_RCU) {
		rcu_read_lock();
		read_table(hold);
		enter_phase(hold, PTWALK_IN_WALK, hold->ms);
		WRITE_ONCE(hold->phase, PTWALK_LEFT);
		read_again(hold);
		rcu_read_unlock();
	} else {
		walk(hold);
	}
	complete(&hold->left);
	ptwalk_wait_for_stop();
}

/**
 * ptwalk_hold_start() - start a walk on another CPU
 * @test: the case, whose end stops the kthread
 * @how: the walk: the members that the caller sets
 *
 * The walker leaves by itself after @how->ms in each phase, so that an operation
 * that waits for it ends.
 *
 * Return: the walker, which has been inside its window, and still is unless the
 * host is busy.
 */
struct ptwalk_hold *ptwalk_hold_start(struct kunit *test,
				      const struct ptwalk_hold *how)
{
	struct ptwalk_hold *hold = ptwalk_zalloc(test, sizeof(*hold));

	*hold = *how;
	if (hold->addr)
		hold->before = ptwalk_zalloc(test, PTRS_PER_PTE * sizeof(pte_t));
	init_completion(&hold->inside);
	init_completion(&hold->left);
	ptwalk_crew(test, hold->mode == PTWALK_HOLD_OWN ? hold->mm : NULL,
		    cpumask_of(hold->cpu), hold_work, hold);
	wait_for_completion(&hold->inside);
	return hold;
}

/**
 * ptwalk_hold_longer() - how long to walk after a walk that was too short
 * @test: the case, which fails after a few tries
 * @ms: length of the last walk (ms)
 * @tries: number of walks so far
 *
 * Return: the length of the next walk (ms).
 */
unsigned int ptwalk_hold_longer(struct kunit *test, unsigned int ms, int tries)
{
	KUNIT_ASSERT_LT_MSG(test, tries, MAX_TRIES,
			    "walkers leave before the case goes on: a busy host?");
	return min(2 * ms, MAX_HOLD_MS);
}

/**
 * ptwalk_hold_in_phase() - hold a walker in a phase of its walk
 * @test: the case
 * @how: the walk: the members that the caller sets
 * @phase: the phase
 *
 * Tries again with a longer walk if a busy host lets the case come too late.
 *
 * Return: the walker, in @phase.
 */
struct ptwalk_hold *ptwalk_hold_in_phase(struct kunit *test, struct ptwalk_hold how,
					 enum ptwalk_phase phase)
{
	struct ptwalk_hold *hold;
	int tries = 0;

	for (;;) {
		hold = ptwalk_hold_start(test, &how);
		ptwalk_hold_go(hold, phase);
		if (READ_ONCE(hold->phase) == phase)
			return hold;
		ptwalk_hold_release(hold);
		how.ms = ptwalk_hold_longer(test, how.ms, ++tries);
	}
}

/**
 * ptwalk_hold() - hold a lockless walker in a PTE table
 * @test: the case
 * @mm: the address space
 * @addr: user address whose PTE table the walker finds
 * @mode: what keeps the table alive
 *
 * The walker is on another CPU, and that CPU is not in mm_cpumask(): so no TLB
 * flush waits for it, as none waits for a preempted virtual CPU or where the
 * hardware broadcasts flushes.  It leaves by itself after the time of the
 * parameter hold_ms, so that an operation that waits for it ends.
 *
 * Return: the walker, inside its window.
 */
struct ptwalk_hold *ptwalk_hold(struct kunit *test, struct mm_struct *mm,
				unsigned long addr, enum ptwalk_hold_mode mode)
{
	struct ptwalk_hold how = {
		.mm = mm, .addr = addr, .mode = mode,
		.cpu = ptwalk_other_cpu(), .ms = ptwalk_hold_ms,
	};
	struct ptwalk_hold *hold = ptwalk_hold_in_phase(test, how, PTWALK_IN_WALK);

	KUNIT_ASSERT_NOT_NULL(test, hold->table);
	return hold;
}

/**
 * ptwalk_hold_go() - let a walker go on to a phase
 * @hold: the walker
 * @phase: the phase
 *
 * Context: spins until the walker is in @phase or a later one.
 */
void ptwalk_hold_go(struct ptwalk_hold *hold, enum ptwalk_phase phase)
{
	WRITE_ONCE(hold->go, phase);
	while (READ_ONCE(hold->phase) < phase)
		cpu_relax();
}

/**
 * ptwalk_hold_release() - let the walker leave
 * @hold: the walker
 *
 * Context: may sleep, until the walker has left.
 * Return: whether it was still inside, that is, nothing had waited for it.
 */
bool ptwalk_hold_release(struct ptwalk_hold *hold)
{
	bool inside = READ_ONCE(hold->phase) < PTWALK_LEFT;

	WRITE_ONCE(hold->go, PTWALK_LEFT);
	wait_for_completion(&hold->left);
	return inside;
}

/**
 * ptwalk_expect_untouched() - expect that a walker's table was left alone
 * @test: the case, which watches the page of the table
 * @hold: the walker, which leaves
 *
 * Return: whether it was still inside, that is, nothing had waited for it.
 */
bool ptwalk_expect_untouched(struct kunit *test, struct ptwalk_hold *hold)
{
	unsigned int freed = ptwalk_watch_freed();
	bool inside = ptwalk_hold_release(hold);

	KUNIT_EXPECT_TRUE_MSG(test, !freed || !inside,
			      "freed under the walker");
	KUNIT_EXPECT_EQ_MSG(test, hold->bad, 0, "reused under the walker");
	return inside;
}

/**
 * ptwalk_expect_outlived() - expect that, and that the page is freed at last
 * @test: the case, which leaves its address space
 * @hold: the walker, which leaves
 *
 * A table that is freed after the walker has left proves nothing.  With the
 * series nothing waits for the walker, so it must still be inside.
 */
void ptwalk_expect_outlived(struct kunit *test, struct ptwalk_hold *hold)
{
	bool inside = ptwalk_expect_untouched(test, hold);

	if (NOBODY_WAITS)
		KUNIT_EXPECT_TRUE_MSG(test, inside,
				      "the walker was waited for, or hold_ms is too short for this host");
	ptwalk_mm_leave(test);
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_watch_wait(1, 3000),
			      "never freed after the walker left");
}
