/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of ptwalk_torture.ko share.
 */
#ifndef _PTWALK_TORTURE_MODULE_H
#define _PTWALK_TORTURE_MODULE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/mm_types.h>
#include <linux/prandom.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "torture.h"

enum walk_kind {
	WALK_GET,
	WALK_PIN,
	WALK_OWN,
	WALK_FOREIGN,
	WALK_VISIT,
	WALK_MISSED,
	NR_WALKS
};

#define TORTURE_MAX_VISITORS	1024

/* While these run there are visits. */
#define TORTURE_VISITED	(BIT(TORTURE_DONTNEED) | BIT(TORTURE_MUNMAP) | BIT(TORTURE_MREMAP) | \
			 BIT(TORTURE_UNSHARE) | BIT(TORTURE_RECLAIM))

/**
 * struct walker - a kthread that walks
 * @torture: the test
 * @task: the kthread
 * @id: its number
 * @rnd: its random choices
 * @walks: how many of each kind
 */
struct walker {
	struct torture *torture;
	struct task_struct *task;
	unsigned int id;
	struct rnd_state rnd;
	unsigned long walks[NR_WALKS];
};

/**
 * struct torture - one test, from open() to release()
 * @page: shared with the workload
 * @ctl: its address
 * @mm: address space of the workload, between TORTURE_START and the end
 * @owner: its open files: when it closes ours, the test ends
 * @regions: copy of its regions at TORTURE_START
 * @nr_regions: number of these
 * @nr_walkers: number of walkers
 * @nr_visitors: number of visitors, one on each CPU
 * @walkers: the walkers, and behind them the visitors
 * @visiting: whether visitors visit now
 * @keeper: kthread that prints statistics, moves walkers, and ends the test
 * @onoff: kthread that takes CPUs offline
 * @nr_onoff: how often it did
 * @nr_fails: failures that walkers found
 * @reports: number of those that were printed
 * @go_on: threads of the workload that pause
 * @faults: counts hash faults, on powerpc
 * @detached: counts those that found their page table detached
 * @rnd: random choices of @keeper
 * @began: when, in jiffies
 * @ended: the verdict was given
 * @seed: seed of this test
 */
struct torture {
	struct page *page;
	struct torture_ctl *ctl;
	struct mm_struct *mm;
	struct files_struct *owner;
	struct torture_region regions[TORTURE_MAX_REGIONS];
	unsigned int nr_regions;
	unsigned int nr_walkers, nr_visitors;
	struct walker *walkers;
	bool visiting;
	struct task_struct *keeper, *onoff;
	unsigned long nr_onoff;
	atomic_long_t nr_fails[TORTURE_NR_FAILS];
	atomic_t reports;
	wait_queue_head_t go_on;
	struct completion faults, detached;
	struct rnd_state rnd;
	unsigned long began;
	bool ended;
	u32 seed;
};

extern const char * const torture_walk_names[NR_WALKS];
extern const char * const torture_fail_names[TORTURE_NR_FAILS];
extern unsigned int torture_hold_us, torture_stay_us;
extern struct cpumask torture_staying;

int torture_walker(void *walker);
int torture_visitor(void *walker);

#endif /* _PTWALK_TORTURE_MODULE_H */
