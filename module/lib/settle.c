// SPDX-License-Identifier: GPL-2.0-only
/*
 * For threads that store through translations that are being invalidated.
 *
 * QEMU 7.2 emulates powerpc with a tlbie that does not wait for the other CPUs,
 * which use their old translations for a moment.  The kernel is not at fault,
 * but stores are lost and freed pages are corrupted.  An interrupt makes the
 * emulator catch up.  It does not hide a bug of the kernel: a translation that
 * was not invalidated survives the interrupt.
 */

#include "ptwalk.h"

static void nothing(void *unused)
{
}

/**
 * ptwalk_settle() - wait until all CPUs have done the TLB flushes so far
 *
 * Context: interrupts enabled.
 */
void ptwalk_settle(void)
{
	smp_call_function(nothing, NULL, 1);
}

/*
 * After the flush, before the small pages are copied and freed.  The arguments of
 * the tracepoint, which depend on the kernel's version, are ignored.
 */
static void mm_collapse_huge_page_isolate(void *mm)
{
	if (current->mm == mm)
		ptwalk_settle();
}

/**
 * ptwalk_settle_collapses() - do so in each collapse by a thread of current's mm
 * @test: the case, whose end ends it
 */
void ptwalk_settle_collapses(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_PPC))
		ptwalk_probe(test, "mm_collapse_huge_page_isolate",
			     mm_collapse_huge_page_isolate, current->mm);
}
