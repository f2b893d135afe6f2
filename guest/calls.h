/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts the CPUs that are made to call a function, by its name: the tracepoint
 * csd_queue_cpu has both.  On powerpc also TLB invalidations.
 */
#ifndef GUEST_CALLS_H
#define GUEST_CALLS_H

#include <stdbool.h>

/**
 * struct calls - of the processes that are traced
 * @walkers: CPUs interrupted to wait for lockless page-table walkers
 * @tlb: CPUs interrupted to flush their TLB
 * @tlbie: TLB invalidations that all CPUs take part in (powerpc)
 * @one_cpu: interrupts of the CPU that calls_stop() names, for either reason
 */
struct calls {
	long walkers, tlb, tlbie, one_cpu;
};

/**
 * calls_can_be_counted() - whether this kernel has what it takes
 *
 * Return: false without tracefs or its files, and errno says why.
 */
bool calls_can_be_counted(void);

/**
 * calls_have_tlbie() - whether TLB invalidations are counted
 *
 * Return: true on powerpc with the tracepoint.
 */
bool calls_have_tlbie(void);

/**
 * calls_start() - begins to count
 * @children: count what all processes do, as a child's calls are wanted
 *
 * Return: true if done; otherwise errno says why.
 */
bool calls_start(bool children);

/**
 * calls_stop() - ends it
 * @calls: what was counted
 * @cpu: the CPU for @one_cpu
 *
 * Return: true if done; otherwise errno says why: ENOBUFS if events were lost.
 */
bool calls_stop(struct calls *calls, int cpu);

#endif /* GUEST_CALLS_H */
