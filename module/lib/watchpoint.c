// SPDX-License-Identifier: GPL-2.0-only
/*
 * Acts when a walker loads an entry, by a hardware breakpoint.
 */
#include <linux/hw_breakpoint.h>

#include "ptwalk.h"

static void release(void *bp)
{
	perf_event_release_kernel(bp);
}

/**
 * ptwalk_watchpoint() - call a function when a CPU loads or stores an entry
 * @test: test context; the watchpoint ends with the test
 * @cpu: the CPU
 * @entry: address of the entry, 8 bytes
 * @handler: called in the debug exception
 * @context: overflow_handler_context for @handler
 *
 * Skips the test where there is no hardware breakpoint.
 */
void ptwalk_watchpoint(struct kunit *test, int cpu, void *entry,
		       perf_overflow_handler_t handler, void *context)
{
	struct perf_event_attr attr;
	struct perf_event *bp;

	hw_breakpoint_init(&attr);
	attr.bp_addr = (unsigned long)entry;
	attr.bp_len = HW_BREAKPOINT_LEN_8;
	attr.bp_type = HW_BREAKPOINT_RW;
	bp = perf_event_create_kernel_counter(&attr, cpu, NULL, handler, context);
	if (IS_ERR(bp))
		kunit_skip(test, "no hardware breakpoint (%ld)", PTR_ERR(bp));
	ptwalk_at_end(test, release, bp);
}
