/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * powerpc: two page tables are fragments of one page, whose one rcu_head serves
 * for both.
 *
 * Patch:  powerpc/64s: free a single page table through RCU
 * Models: tlb_defer_table(), pte_free_defer(), pmd_fragment_defer();
 *         pte_fragment_free(), pmd_fragment_free(); gup_fast() and the like
 *
 * Holds:  the page is not freed while a walker is in the fragment that was
 *         deferred, whoever gives back the last fragment, and it is freed once.
 *
 * Fragment 0 is deferred, with a walker that may be inside.  Fragment 1 is
 * given back directly, at the same time: nobody walks it, as a table that was
 * never used, or whose grace period has passed.  BOTH_DEFERRED defers it too,
 * with a walker of its own.  No fragment is handed out again before the page is
 * freed, which pte_fragment_alloc() sees to.  pte_frag_destroy(), which drops
 * what is left when the mm goes, is left out: no walker of that mm exists then.
 *
 * PG_active is set by an atomic without ordering; atomic_dec_and_test() is
 * fully ordered, and the test of PG_active comes after it.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* holds: BOTH_DEFERRED - fragment 1 is deferred as well */
/* broken: NO_ACTIVE (page_freed) - nothing tells who drops the last reference to wait */
/* broken: ACTIVE_AFTER_PUT (page_freed) - PG_active is set after the reference was dropped */
/* broken: PUT_RELAXED (page_freed) - the reference is dropped while PG_active is still in the store buffer */
/* broken: TEST_BEFORE_PUT (page_freed) - PG_active is tested before the reference is dropped */
/* broken: GP_AT_FIRST_PUT (page_freed) - the grace period begins when fragment 0 is given back, and covers fragment 1 */

#define PMD(i)	(i)		/* the entry that points to fragment i */
#define NONE	0
#define TABLE	1

#define ACTIVE	2		/* PG_active */
#define REF	3		/* pt_frag_refcount */

#define CPUS	4
#define LOCS	4
#define MEM	{ TABLE, TABLE, 0, 2 }
#include "kernel.h"

#define WALKER(i)	(i)
#define FREEING(i)	(2 + (i))

bool page_freed;

#if defined(BOTH_DEFERRED) || defined(GP_AT_FIRST_PUT)
#define WALKERS	2
#define deferred(i)	true
#else
#define WALKERS	1
#define deferred(i)	(i == 0)
#endif

active [WALKERS] proctype walker()
{
	byte i = _pid - CPUS;
	byte pmd;

	local_irq_save(WALKER(i));
	pmd = READ_ONCE(WALKER(i), PMD(i));
	if
	:: pmd == TABLE -> assert(!page_freed)
	:: else
	fi;
	local_irq_restore(WALKER(i))
}

#define grace_period							\
	smp_mb(c);							\
	d_step { gp_begin(WALKER(0)); gp_begin(WALKER(1)) };		\
	gp_end(WALKER(0));						\
	gp_end(WALKER(1))

#define set_active							\
	if								\
	:: deferred(i) ->						\
		d_step { rmw_relaxed(c, ACTIVE) -> buffer_store(c, ACTIVE, 1) } \
	:: else								\
	fi

active [2] proctype fragment_free()
{
	byte i = _pid - CPUS - WALKERS;
	byte c = FREEING(i);
	byte ref, active_bit;

	WRITE_ONCE(c, PMD(i), NONE);
	smp_mb(c);		/* the flush of TLB and page walk cache */
#if !defined(NO_ACTIVE) && !defined(ACTIVE_AFTER_PUT)
	set_active;
#endif
#ifdef TEST_BEFORE_PUT
	active_bit = READ_ONCE(c, ACTIVE);
#endif
#ifdef GP_AT_FIRST_PUT
	if
	:: i == 0 -> grace_period
	:: else
	fi;
#endif
	d_step {		/* atomic_dec_and_test() */
#ifdef PUT_RELAXED
		rmw_relaxed(c, REF) ->
		ref = mem[REF] - 1;
		buffer_store(c, REF, ref)
#else
		rmw_full(c, REF) ->
		ref = mem[REF] - 1;
		mem[REF] = ref
#endif
	}
#ifdef ACTIVE_AFTER_PUT
	set_active;
#endif
	if
	:: ref == 0 ->
#ifndef TEST_BEFORE_PUT
		active_bit = READ_ONCE(c, ACTIVE);
#endif
		if
#ifndef GP_AT_FIRST_PUT
		:: active_bit != 0 -> grace_period
#endif
		:: else
		fi;
		assert(!page_freed);
		page_freed = true
	:: else
	fi
}
