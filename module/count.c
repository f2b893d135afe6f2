// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts how often a tracepoint is passed, on all CPUs.
 *
 * A hash fault may not run code of a module: the memory of modules is mapped
 * by hash faults itself, and a tracepoint there would never come to an end.  So
 * the probe is a function of the kernel that counts: complete().  Its argument
 * is where a probe gets its data, and it ignores those of the tracepoint.
 */
#include <linux/completion.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "ptwalk.h"

struct ptwalk_count {
	struct tracepoint *tp;
	struct completion passed;
};

static void count_end(void *arg)
{
	struct ptwalk_count *count = arg;

	tracepoint_probe_unregister(count->tp, complete, &count->passed);
	tracepoint_synchronize_unregister();
}

/**
 * ptwalk_count() - count from zero how often a tracepoint is passed
 * @test: the case, whose end ends the count
 * @name: of the tracepoint
 *
 * Return: the counter, or NULL if this kernel has no such tracepoint.
 */
struct ptwalk_count *ptwalk_count(struct kunit *test, const char *name)
{
	struct tracepoint *tp = ptwalk_tracepoint(name);
	struct ptwalk_count *count;

	if (!tp)
		return NULL;
	count = kunit_kzalloc(test, sizeof(*count), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, count);
	count->tp = tp;
	init_completion(&count->passed);
	KUNIT_ASSERT_EQ(test, 0, tracepoint_probe_register(tp, complete,
							   &count->passed));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, count_end,
							   count));
	return count;
}

/**
 * ptwalk_counted() - what a counter has counted
 * @count: the counter, or NULL
 *
 * Return: how often the tracepoint was passed, 0 if there is none.
 */
unsigned int ptwalk_counted(const struct ptwalk_count *count)
{
	return count ? READ_ONCE(count->passed.done) : 0;
}
