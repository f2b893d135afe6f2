// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that a case attaches to tracepoints until it ends.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/slab.h>

#include "ptwalk.h"

static void detach_action(void *probe)
{
	ptwalk_detach(probe, 1);
}

/**
 * ptwalk_probe() - attach a function to a tracepoint
 * @test: the case, whose end detaches the function
 * @name: name of the tracepoint
 * @fn: called with @data and the arguments of the tracepoint
 * @data: first argument of @fn
 *
 * Return: whether this kernel has such a tracepoint.
 */
bool ptwalk_probe(struct kunit *test, const char *name, void *fn, void *data)
{
	struct ptwalk_probe *probe = ptwalk_zalloc(test, sizeof(*probe));
	int ret;

	*probe = (struct ptwalk_probe){ .name = name, .fn = fn, .data = data };
	ret = ptwalk_attach(probe, 1);
	if (ret == -ENOENT)
		return false;
	KUNIT_ASSERT_EQ(test, 0, ret);
	ptwalk_at_end(test, detach_action, probe);
	return true;
}

/**
 * ptwalk_count() - count from zero how often a tracepoint is passed
 * @test: the case, whose end ends the count
 * @name: name of the tracepoint
 *
 * Return: the counter, or NULL if this kernel has no such tracepoint.
 */
struct completion *ptwalk_count(struct kunit *test, const char *name)
{
	struct completion *passed = ptwalk_zalloc(test, sizeof(*passed));

	init_completion(passed);
	return ptwalk_probe(test, name, complete, passed) ? passed : NULL;
}

/**
 * ptwalk_counted() - read a counter
 * @passed: the counter, or NULL
 *
 * Return: how often the tracepoint was passed on all CPUs; 0 without a counter.
 */
unsigned int ptwalk_counted(const struct completion *passed)
{
	return passed ? READ_ONCE(passed->done) : 0;
}
