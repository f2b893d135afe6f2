// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kthreads on other CPUs: the other threads of the process, and walkers that
 * are held inside their window.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "ptwalk.h"

/*
 * Whether this kernel has no reason to wait for a walker when it detaches or
 * frees a table.  Not so without the series, and where a PMD is read in two
 * halves.  ptwalk_fail_prepare() makes other architectures than these wait.
 */
#define NOBODY_WAITS	(PTWALK_SERIES && \
			 (IS_ENABLED(CONFIG_X86) || \
			  IS_ENABLED(CONFIG_PPC_BOOK3S_64)) && \
			 !IS_ENABLED(CONFIG_GUP_GET_PXX_LOW_HIGH))

static void stop_kthread(void *task)
{
	kthread_stop_put(task);
}

/**
 * ptwalk_kthread() - run a function on one CPU until the case ends
 * @test: the case
 * @fn: the function; must not return before kthread_should_stop()
 * @arg: its argument
 * @cpu: where
 *
 * Return: the task, which the end of the case stops.
 */
struct task_struct *ptwalk_kthread(struct kunit *test, int (*fn)(void *),
				   void *arg, int cpu)
{
	struct task_struct *task;

	task = kthread_create_on_cpu(fn, arg, cpu, "ptwalk/%u");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, stop_kthread, task));
	wake_up_process(task);
	return task;
}

/**
 * ptwalk_other_cpu() - a CPU that is not the one of the case
 *
 * Return: the last CPU; ptwalk_mm_enter() took the first one.
 */
int ptwalk_other_cpu(void)
{
	return cpumask_last(cpu_online_mask);
}

/**
 * ptwalk_nth_cpu() - a CPU by its rank among those online
 * @n: rank; 0 is the CPU of the case
 *
 * Return: the CPU; not a CPU if there are no more than @n.
 */
int ptwalk_nth_cpu(int n)
{
	return cpumask_nth(n, cpu_online_mask);
}

struct thread {
	struct mm_struct *mm;
	unsigned long addr;
	struct completion touched;
};

/**
 * ptwalk_wait_for_stop() - sleep until the case ends
 */
void ptwalk_wait_for_stop(void)
{
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
}

static int thread_fn(void *arg)
{
	struct thread *thread = arg;

	kthread_use_mm(thread->mm);
	fault_in_readable((char __user *)thread->addr, 1);
	complete(&thread->touched);
	ptwalk_wait_for_stop();
	kthread_unuse_mm(thread->mm);
	return 0;
}

/**
 * ptwalk_spread() - make an address space active on all CPUs
 * @test: the case, whose end stops the threads
 * @mm: the address space
 * @addr: address that each CPU reads
 *
 * As in a process with a thread on each of them.  The threads sleep.
 */
void ptwalk_spread(struct kunit *test, struct mm_struct *mm,
		   unsigned long addr)
{
	struct thread *thread;
	int cpu;

	ptwalk_mm_share(test, mm);
	for_each_online_cpu(cpu) {
		thread = kunit_kzalloc(test, sizeof(*thread), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, thread);
		thread->mm = mm;
		thread->addr = addr;
		init_completion(&thread->touched);
		ptwalk_kthread(test, thread_fn, thread, cpu);
		wait_for_completion(&thread->touched);
	}
}

struct crew_member {
	struct ptwalk_crew *crew;
	unsigned int id;
};

static int crew_fn(void *arg)
{
	struct crew_member *member = arg;
	struct ptwalk_crew *crew = member->crew;

	kthread_use_mm(crew->mm);
	while (!READ_ONCE(crew->stop) && !kthread_should_stop()) {
		crew->work(crew->arg, member->id);
		cond_resched();
	}
	kthread_unuse_mm(crew->mm);
	atomic_inc(&crew->idle);
	ptwalk_wait_for_stop();
	return 0;
}

/**
 * ptwalk_crew() - start kthreads that share an address space
 * @test: the case, whose end stops them
 * @mm: the address space
 * @cpus: where: one on each of these CPUs, but none on that of the case
 * @work: what they do over and over
 * @arg: its argument
 *
 * Return: the crew, at work.
 */
struct ptwalk_crew *ptwalk_crew(struct kunit *test, struct mm_struct *mm,
				const struct cpumask *cpus,
				void (*work)(void *arg, unsigned int id),
				void *arg)
{
	int cpu, own = cpumask_first(cpu_online_mask);
	struct crew_member *member;
	struct ptwalk_crew *crew;

	crew = kunit_kzalloc(test, sizeof(*crew), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, crew);
	crew->mm = mm;
	crew->work = work;
	crew->arg = arg;
	ptwalk_mm_share(test, mm);
	for_each_cpu(cpu, cpus) {
		if (cpu == own)
			continue;
		member = kunit_kzalloc(test, sizeof(*member), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, member);
		member->crew = crew;
		member->id = crew->nr++;
		ptwalk_kthread(test, crew_fn, member, cpu);
	}
	return crew;
}

/**
 * ptwalk_crew_stop() - let the crew leave the address space
 * @crew: the crew; returns once all of it has left
 */
void ptwalk_crew_stop(struct ptwalk_crew *crew)
{
	WRITE_ONCE(crew->stop, true);
	while (atomic_read(&crew->idle) < crew->nr)
		msleep(20);
}

/**
 * struct ptwalk_hold - a walker held inside its window
 * @mm: whose tables it walks; it does not run on it
 * @addr: address it walks to
 * @mode: what it relies on
 * @table: the PTE table it found
 * @before: the entries it found there
 * @bad: entries that were neither the old one nor empty when it left
 * @release: tells it to leave
 * @timed_out: nobody told it in time
 * @inside: it is in its window
 * @left: it has left
 */
struct ptwalk_hold {
	struct mm_struct *mm;
	unsigned long addr;
	enum ptwalk_hold_mode mode;
	pte_t *table;
	pte_t *before;
	unsigned int bad;
	bool release;
	bool timed_out;
	struct completion inside;
	struct completion left;
};

static void read_table(struct ptwalk_hold *hold)
{
	int i;

	hold->table = ptwalk_table(hold->mm, hold->addr);
	for (i = 0; hold->table && i < PTRS_PER_PTE; i++)
		hold->before[i] = ptep_get(hold->table + i);
}

/* An empty entry is what zap and collapse leave.  Anything else is reuse. */
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

static void wait_for_release(struct ptwalk_hold *hold)
{
	u64 end = ktime_get_mono_fast_ns() + ptwalk_hold_ms * NSEC_PER_MSEC;

	while (!READ_ONCE(hold->release)) {
		if (ktime_get_mono_fast_ns() > end) {
			WRITE_ONCE(hold->timed_out, true);
			break;
		}
		cpu_relax();
	}
}

static void walk(struct ptwalk_hold *hold)
{
	read_table(hold);
	complete(&hold->inside);
	wait_for_release(hold);
	read_again(hold);
}

static int hold_fn(void *arg)
{
	struct ptwalk_hold *hold = arg;
	unsigned long flags;

	if (hold->mode == PTWALK_HOLD_IRQS_OFF) {
		lockless_walk_begin(hold->mm, &flags);
		walk(hold);
		lockless_walk_end(hold->mm, flags);
	} else {
		rcu_read_lock();
		walk(hold);
		rcu_read_unlock();
	}
	complete(&hold->left);
	ptwalk_wait_for_stop();
	return 0;
}

/**
 * ptwalk_hold() - hold a lockless walker in a PTE table
 * @test: the case
 * @mm: the address space
 * @addr: address whose PTE table it finds
 * @mode: what it relies on
 *
 * The walker is on another CPU, and that CPU is not in mm_cpumask(): so no TLB
 * flush waits for it, as none waits for a preempted virtual CPU or where the
 * hardware broadcasts flushes.  It leaves by itself after the time of the
 * hold_ms parameter, so that an operation that waits for it ends.
 *
 * Return: the walker, inside its window.
 */
struct ptwalk_hold *ptwalk_hold(struct kunit *test, struct mm_struct *mm,
				unsigned long addr, enum ptwalk_hold_mode mode)
{
	struct ptwalk_hold *hold;

	hold = kunit_kzalloc(test, sizeof(*hold), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hold);
	hold->before = kunit_kcalloc(test, PTRS_PER_PTE, sizeof(pte_t),
				     GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hold->before);
	hold->mm = mm;
	hold->addr = addr;
	hold->mode = mode;
	init_completion(&hold->inside);
	init_completion(&hold->left);
	ptwalk_kthread(test, hold_fn, hold, ptwalk_other_cpu());
	wait_for_completion(&hold->inside);
	KUNIT_ASSERT_NOT_NULL(test, hold->table);
	return hold;
}

/**
 * ptwalk_hold_release() - let the walker leave
 * @hold: the walker
 *
 * Return: whether it was still inside, that is, nothing had waited for it.
 */
bool ptwalk_hold_release(struct ptwalk_hold *hold)
{
	bool inside = !READ_ONCE(hold->timed_out);

	WRITE_ONCE(hold->release, true);
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
 * Of a table that is freed after the walker has left nothing was tested, so with
 * the series, which waits for no walker, it must still be inside.
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
