/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * powerpc: page tables are fragments of one page, and share its rcu_head.
 *
 * Patch:  powerpc/64s: free a single page table through RCU
 * Models: tlb_defer_table(), pte_free_defer(), pmd_fragment_defer();
 *         pte_fragment_free(), pmd_fragment_free(), pte_frag_destroy(); lockless
 *         walkers such as gup_fast(), and rmap walks
 *
 * Holds:  the page is freed once, and not while a walker is in the deferred
 *         fragment, whichever CPU drops the last reference.
 *
 * Fragment 0 is deferred, and a walker may be in it.  Fragment 1 is freed directly at
 * the same time: no walker is in it, because it was never used or its grace period
 * has passed.  BOTH_DEFERRED defers it as well, with a walker of its own.  Fragments 2
 * and 3 were never handed out.  pte_frag_destroy() drops their references at the end
 * of the mm, which may come at any time, as rmap walks may still be in a table then.
 * No fragment is handed out again before the page is freed, see pte_fragment_alloc().
 *
 * The barriers are in tests/litmus: free-fragment.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* holds: BOTH_DEFERRED - fragment 1 is deferred as well */
/* broken: NO_ACTIVE (page_freed) - the CPU that drops the last reference does not know that it must wait */
/* broken: ACTIVE_AFTER_PUT (page_freed) - PG_active is set after the reference was dropped */
/* broken: TEST_BEFORE_PUT (page_freed) - PG_active is tested before the reference is dropped */
/* broken: GP_AT_FIRST_PUT (page_freed) - the grace period begins when fragment 0 is freed, and is taken to cover fragment 1, too */
/* broken: DESTROY_AT_ONCE (page_freed) - pte_frag_destroy() frees the page without a test of PG_active, as on v6.12 */
/* broken: DESTROY_ONE (leaked) - pte_frag_destroy() drops one reference for two fragments: the page is leaked */

#define NONE	0
#define TABLE	1

#define CPUS	2	/* those of the walkers */
#include "kernel.h"

byte pmd_of[2] = TABLE;		/* the entry that points to fragment i */
bool active_bit;		/* PG_active */
byte ref = 4;			/* pt_frag_refcount */
bool page_freed, leaked;
byte given_back;

#if defined(BOTH_DEFERRED) || defined(GP_AT_FIRST_PUT)
#define WALKERS	2
#define deferred(i)	true
#else
#define WALKERS	1
#define deferred(i)	(i == 0)
#endif

active [WALKERS] proctype walker()
{
	byte i = _pid;
	byte pmd;

	local_irq_save(i);
	pmd = pmd_of[i];
	if
	:: pmd == TABLE -> assert(!page_freed)
	:: else
	fi;
	local_irq_restore(i)
}

#define grace_period							\
	d_step { gp_begin(0); gp_begin(1) };				\
	gp_end(0);							\
	gp_end(1)

#define set_active							\
	if								\
	:: deferred(i) -> active_bit = true				\
	:: else								\
	fi

#define atomic_sub_return(n)	d_step { ref = ref - (n); left = ref }

#define free_page	assert(!page_freed); page_freed = true

active [2] proctype fragment_free()
{
	byte i = _pid - WALKERS;
	byte left;
	bool wait;

	pmd_of[i] = NONE;
#if !defined(NO_ACTIVE) && !defined(ACTIVE_AFTER_PUT)
	set_active;
#endif
#ifdef TEST_BEFORE_PUT
	wait = active_bit;
#endif
#ifdef GP_AT_FIRST_PUT
	if
	:: i == 0 -> grace_period
	:: else
	fi;
#endif
	atomic_sub_return(1);
#ifdef ACTIVE_AFTER_PUT
	set_active;
#endif
	if
	:: left == 0 ->
#ifndef TEST_BEFORE_PUT
		wait = active_bit;
#endif
		if
#ifndef GP_AT_FIRST_PUT
		:: wait -> grace_period
#endif
		:: else
		fi;
		free_page
	:: else
	fi;
	given_back++
}

active proctype pte_frag_destroy()
{
	byte left;

#ifdef DESTROY_ONE
	atomic_sub_return(1);
#else
	atomic_sub_return(2);
#endif
	if
	:: left == 0 ->
		if
#if !defined(DESTROY_AT_ONCE) && !defined(GP_AT_FIRST_PUT)
		:: active_bit -> grace_period
#endif
		:: else
		fi;
		free_page
	:: else
	fi;
	given_back++
}

active proctype no_leak()
{
	given_back == 3;
	leaked = !page_freed;
	assert(!leaked)
}
