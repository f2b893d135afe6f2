// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes on tracepoints, until the case ends; and one that counts how often a
 * tracepoint is passed, on all CPUs.
 *
 * A hash fault may not run code of a module: the memory of modules is mapped
 * by hash faults itself, and a tracepoint there would never come to an end.  So
 * that probe is a function of the kernel that counts: complete().  Its argument
 * is where a probe gets its data, and it ignores those of the tracepoint.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "ptwalk.h"

struct tracepoint_search {
	const char *name;
	struct tracepoint *found;
};

static void match_tracepoint(struct tracepoint *tp, void *priv)
{
	struct tracepoint_search *search = priv;

	if (!strcmp(tp->name, search->name))
		search->found = tp;
}

/**
 * ptwalk_tracepoint() - find a tracepoint that is not exported to modules
 * @name: its name
 *
 * Return: the tracepoint, or NULL.
 */
struct tracepoint *ptwalk_tracepoint(const char *name)
{
	struct tracepoint_search search = { .name = name };

	for_each_kernel_tracepoint(match_tracepoint, &search);
	if (!search.found)
		pr_info("no tracepoint %s in this kernel\n", name);
	return search.found;
}

struct probe {
	struct tracepoint *tp;
	void *fn;
	void *data;
};

static void probe_end(void *arg)
{
	struct probe *probe = arg;

	tracepoint_probe_unregister(probe->tp, probe->fn, probe->data);
	tracepoint_synchronize_unregister();
}

/**
 * ptwalk_probe() - have a function called at a tracepoint
 * @test: the case, whose end ends it
 * @name: of the tracepoint
 * @fn: called with @data and the arguments of the tracepoint
 * @data: first argument of @fn
 *
 * Return: whether this kernel has such a tracepoint.
 */
bool ptwalk_probe(struct kunit *test, const char *name, void *fn, void *data)
{
	struct tracepoint *tp = ptwalk_tracepoint(name);
	struct probe *probe;

	if (!tp)
		return false;
	probe = kunit_kzalloc(test, sizeof(*probe), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, probe);
	probe->tp = tp;
	probe->fn = fn;
	probe->data = data;
	KUNIT_ASSERT_EQ(test, 0, tracepoint_probe_register(tp, fn, data));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, probe_end,
							   probe));
	return true;
}

/**
 * ptwalk_count() - count from zero how often a tracepoint is passed
 * @test: the case, whose end ends the count
 * @name: of the tracepoint
 *
 * Return: the counter, or NULL if this kernel has no such tracepoint.
 */
struct completion *ptwalk_count(struct kunit *test, const char *name)
{
	struct completion *passed = kunit_kzalloc(test, sizeof(*passed),
						  GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, passed);
	init_completion(passed);
	return ptwalk_probe(test, name, complete, passed) ? passed : NULL;
}

/**
 * ptwalk_counted() - what a counter has counted
 * @passed: the counter, or NULL
 *
 * Return: how often the tracepoint was passed, 0 if there is none.
 */
unsigned int ptwalk_counted(const struct completion *passed)
{
	return passed ? READ_ONCE(passed->done) : 0;
}
