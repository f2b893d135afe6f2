// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPU that is isolated to run one thread undisturbed, while a process on the
 * other CPUs changes its page tables in every way that interrupts the isolated
 * CPU without the series.
 */
#include <linux/pagemap.h>

#include "../lib/ptwalk.h"
#include "../lib/sharer.h"

/* Behind the memory that ptwalk_sharer() uses. */
#define THP		(PTWALK_BASE + 8 * PUD_SIZE)
#define SMALL		(THP + 2 * HPAGE_PMD_SIZE)

#define MAX_MS		2000
#define MIN_ROUNDS	4

static void spin(void *spins, unsigned int id)
{
	atomic_long_inc(spins);
	cpu_relax();
}

/* Unmaps memory whose tables are freed without a batch. */
static int unmap_without_batch(struct kunit *test)
{
	int ret;

	ptwalk_map_small(test, SMALL, 2 * PMD_SIZE);
	ptwalk_fill(test, SMALL, PAGE_SIZE, 1);
	ptwalk_fill(test, SMALL + PMD_SIZE, PAGE_SIZE, 1);
	ptwalk_fail_arm();
	ret = vm_munmap(SMALL, 2 * PMD_SIZE);
	ptwalk_fail_disarm();
	return ret;
}

static int collapse_after_split(void)
{
	ptwalk_zap(THP + HPAGE_PMD_SIZE - PAGE_SIZE, PAGE_SIZE);
	return ptwalk_collapse(THP, HPAGE_PMD_SIZE);
}

static void read_memory(void *arg, unsigned int id)
{
	fault_in_readable((char __user *)THP + id * PAGE_SIZE, 1);
}

/* Threads of the process on all CPUs but the isolated one. */
static struct ptwalk_crew *start_threads(struct kunit *test,
					 struct mm_struct *mm, int isolated)
{
	struct cpumask *cpus = ptwalk_zalloc(test, cpumask_size());

	cpumask_copy(cpus, cpu_online_mask);
	cpumask_clear_cpu(isolated, cpus);
	return ptwalk_crew(test, mm, cpus, read_memory, NULL);
}

/* Broken: a thread on an isolated CPU is delayed by other processes. */
static void isolated_cpu_is_left_alone(struct kunit *test)
{
	unsigned int rounds = 0, beside = 0, ms = min(ptwalk_duration_ms, MAX_MS), sync;
	int failed = 0, isolated = ptwalk_other_cpu();
	struct mm_struct *mm = ptwalk_mm_enter(test);
	atomic_long_t *spins = ptwalk_zalloc(test, sizeof(*spins));
	struct ptwalk_process *sharer;
	struct ptwalk_crew *crew;
	long singles = ptwalk_singles(), before;
	unsigned long end;

	ptwalk_need_thp(test);
	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	ptwalk_map(test, THP, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, THP, HPAGE_PMD_SIZE, 1);
	sharer = ptwalk_sharer(test);
	/* Never in the address space of the case. */
	ptwalk_crew(test, NULL, cpumask_of(isolated), spin, spins);
	crew = start_threads(test, mm, isolated);
	ptwalk_ipi_start();
	for (end = jiffies + msecs_to_jiffies(ms);
	     rounds < MIN_ROUNDS || ptwalk_race_is_on(end, beside); rounds++) {
		before = atomic_long_read(spins);
		failed += !!collapse_after_split();
		failed += !!unmap_without_batch(test);
		if (sharer)
			ptwalk_unshare_once(test, sharer);
		beside += atomic_long_read(spins) != before;
	}
	ptwalk_ipi_stop();
	ptwalk_crew_stop(crew);
	ptwalk_fail_restore(test);
	sync = ptwalk_ipi_on(isolated, PTWALK_IPI_BROADCAST) +
		ptwalk_ipi_on(isolated, PTWALK_IPI_SERIALIZE);
	kunit_info(test, "measure: isolated cpus=%u ops=%u sync=%u failed=%d beside=%u\n",
		   num_online_cpus(), (sharer ? 3 : 2) * rounds, sync, failed, beside);
	KUNIT_EXPECT_EQ(test, sync, 0);
	KUNIT_EXPECT_GT_MSG(test, beside, 0, "the isolated CPU never ran during an operation");
	KUNIT_EXPECT_LT(test, failed, rounds);
	ptwalk_expect_singles(test, singles, 2 * rounds - failed);
}

static struct kunit_case isolated_cases[] = {
	KUNIT_CASE_SLOW(isolated_cpu_is_left_alone),
	{}
};

PTWALK_SUITE(isolated, .suite_init = ptwalk_sharer_init,
	     .suite_exit = ptwalk_sharer_exit);
