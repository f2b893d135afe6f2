/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two zaps of the same range, with mmap_lock held for reading: one clears the PMD
 * and flushes later, the other finds nothing there.
 *
 * Patch:  mm/mmu_gather: order tlb_flush_pending against a zap that finds pmd_none()
 * Models: inc_tlb_flush_pending(), mm_tlb_flush_nested(), dec_tlb_flush_pending();
 *         zap_huge_pmd() or reclaim_pte_table(); zap_pmd_range()
 *
 * Holds:  no zap returns while a TLB may still have what was mapped there.
 *
 * A zap that finds the PMD gone takes no lock, so the lock orders nothing here but
 * the two that clear.  The loads of the PMD and of the count do not depend on each
 * other: without smp_rmb() the count is loaded first.  smp_wmb() of kernel.h waits
 * for the store, where the kernel's orders it.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why.
 */
/* broken: NO_WMB (stale_after_return) - the PMD is seen to be none, the increment is still in the store buffer */
/* broken: NO_RMB (stale_after_return) - the count was loaded before the PMD */
/* broken: DEC_BEFORE_FLUSH (stale_after_return) - nobody seems to flush while one still has to */
/* broken: OWN_FLUSH_ONLY (stale_after_return) - the count is not looked at: only what the zap itself cleared is flushed */

#define PMD	0
#define NONE	0
#define MAPPED	1

#define PENDING	1	/* mm->tlb_flush_pending */

#define CPUS	2
#define LOCS	2
#define MEM	{ MAPPED, 0 }
#include "kernel.h"

bool stale = true;	/* a TLB has the page */
bool stale_after_return;

/* atomic_inc(), atomic_dec(): no ordering */
#define atomic_add(c, n)						\
	d_step {							\
		rmw_relaxed(c, PENDING) ->				\
		buffer_store(c, PENDING, mem[PENDING] + (n))		\
	}

/* Before it, tlb_flush() waits for what the CPU has stored; after it, nobody hits. */
#define tlb_flush(c)	d_step { smp_mb(c) -> stale = false }

#ifdef NO_WMB
#define inc_tlb_flush_pending(c)	atomic_add(c, 1)
#else
#define inc_tlb_flush_pending(c)	atomic_add(c, 1); smp_wmb(c)
#endif

proctype zap(byte c)
{
	byte pmd, count;
	bool cleared;

	inc_tlb_flush_pending(c);
#ifdef NO_RMB
	count = READ_ONCE(c, PENDING);
#endif
	pmd = READ_ONCE(c, PMD);
	if
	:: pmd == MAPPED ->
		/* Under the lock of the PMD, where it is looked at again. */
		d_step {
			inflight[PMD] == 0;
			pmd = mem[PMD];
			cleared = (pmd == MAPPED);
			if
			:: cleared -> buffer_store(c, PMD, NONE)
			:: else
			fi
		}
	:: else
	fi;
#ifndef NO_RMB
	/* smp_rmb() */
	count = READ_ONCE(c, PENDING);
#endif
#ifdef DEC_BEFORE_FLUSH
	atomic_add(c, -1);
#endif
	if
#ifdef OWN_FLUSH_ONLY
	:: cleared -> tlb_flush(c)
	:: else
#else
	:: cleared || count > 1 -> tlb_flush(c)
	:: else
#endif
	fi;
#ifndef DEC_BEFORE_FLUSH
	atomic_add(c, -1);
#endif
	d_step { stale_after_return = stale; assert(!stale_after_return) }
}

init
{
	atomic { run zap(0); run zap(1) }
}
