// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kthreads on other CPUs: the other threads of the process, those of another
 * process, or walkers that use no address space at all.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/pagemap.h>

#include "ptwalk.h"

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

/**
 * ptwalk_next_cpus() - the CPUs that follow the one of the case
 * @cpus: takes the CPUs
 * @nr: how many, fewer if there are not as many
 */
void ptwalk_next_cpus(struct cpumask *cpus, unsigned int nr)
{
	unsigned int i;

	cpumask_clear(cpus);
	for (i = 1; i <= nr && i < num_online_cpus(); i++)
		cpumask_set_cpu(ptwalk_nth_cpu(i), cpus);
}

/**
 * ptwalk_wait_for_stop() - sleep until the case ends
 *
 * Context: a kthread of a crew.
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

struct crew_member {
	struct ptwalk_crew *crew;
	unsigned int id;
};

static int crew_fn(void *arg)
{
	struct crew_member *member = arg;
	struct ptwalk_crew *crew = member->crew;
	bool first = true;

	if (crew->mm)
		kthread_use_mm(crew->mm);
	while (!READ_ONCE(crew->stop) && !kthread_should_stop()) {
		crew->work(crew->arg, member->id);
		if (first)
			atomic_inc(&crew->begun);
		first = false;
		cond_resched();
	}
	if (crew->mm)
		kthread_unuse_mm(crew->mm);
	atomic_inc(&crew->idle);
	ptwalk_wait_for_stop();
	return 0;
}

static void stop_kthread(void *task)
{
	kthread_stop_put(task);
}

static void add_member(struct kunit *test, struct ptwalk_crew *crew, int cpu)
{
	struct crew_member *member = ptwalk_zalloc(test, sizeof(*member));
	struct task_struct *task;

	member->crew = crew;
	member->id = crew->nr++;
	task = kthread_create_on_cpu(crew_fn, member, cpu, "ptwalk/%u");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	ptwalk_at_end(test, stop_kthread, task);
	wake_up_process(task);
}

/**
 * ptwalk_crew() - start kthreads that do the same thing over and over
 * @test: the case, whose end stops the kthreads
 * @mm: the address space that they use, or NULL for none
 * @cpus: one kthread on each of these CPUs, but none on the CPU of the case
 * @work: what they do, called with @arg and the number of the kthread from 0;
 *	may end with ptwalk_wait_for_stop() in order to do it once
 * @arg: first argument of @work
 *
 * Return: the crew; its kthreads may not run yet.
 */
struct ptwalk_crew *ptwalk_crew(struct kunit *test, struct mm_struct *mm,
				const struct cpumask *cpus,
				void (*work)(void *arg, unsigned int id),
				void *arg)
{
	int cpu, own = cpumask_first(cpu_online_mask);
	struct ptwalk_crew *crew;

	crew = ptwalk_zalloc(test, sizeof(*crew));
	crew->mm = mm;
	crew->work = work;
	crew->arg = arg;
	if (mm)
		ptwalk_mm_share(test, mm);
	for_each_cpu(cpu, cpus)
		if (cpu != own)
			add_member(test, crew, cpu);
	return crew;
}

/**
 * ptwalk_crew_wait() - wait until each kthread has done its work once
 * @crew: the crew
 *
 * Context: may sleep.
 */
void ptwalk_crew_wait(struct ptwalk_crew *crew)
{
	while (atomic_read(&crew->begun) < crew->nr)
		msleep(20);
}

/**
 * ptwalk_crew_stop() - make the crew leave the address space
 * @crew: the crew
 *
 * Context: may sleep, until all kthreads have left.
 */
void ptwalk_crew_stop(struct ptwalk_crew *crew)
{
	WRITE_ONCE(crew->stop, true);
	while (atomic_read(&crew->idle) < crew->nr)
		msleep(20);
}

struct spread {
	unsigned long addr;
	struct completion touched;
};

static void touch_and_sleep(void *arg, unsigned int id)
{
	struct spread *spread = arg;

	fault_in_readable((char __user *)spread->addr, 1);
	complete(&spread->touched);
	ptwalk_wait_for_stop();
}

/**
 * ptwalk_spread() - make an address space active on all CPUs
 * @test: the case, whose end stops the threads
 * @mm: the address space
 * @addr: user address that each CPU reads
 *
 * As in a process with a thread on each CPU.  The threads sleep.
 */
void ptwalk_spread(struct kunit *test, struct mm_struct *mm, unsigned long addr)
{
	struct spread *spread = ptwalk_zalloc(test, sizeof(*spread));
	struct ptwalk_crew *crew;
	unsigned int i;

	spread->addr = addr;
	init_completion(&spread->touched);
	crew = ptwalk_crew(test, mm, cpu_online_mask, touch_and_sleep, spread);
	for (i = 0; i < crew->nr; i++)
		wait_for_completion(&spread->touched);
}
