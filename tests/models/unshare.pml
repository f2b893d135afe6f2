/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hugetlb PMD tables: three mms share one, two of them leave it, and the third
 * may then reuse it for memory of its own.
 *
 * Patches: x86/mm: unshare a hugetlb PMD table without a second round of IPIs
 *          mm: track lockless page-table walks without a shared counter
 * Models:  huge_pmd_unshare(), tlb_unshare_pmd_ptdesc(),
 *          tlb_flush_unshared_tables(), tlb_sync_walkers(); GUP-fast
 *
 * Holds:   when the last owner reuses the table, no walker of an mm that has
 *          left it is still inside.
 *
 * mm 0 and mm 1 leave, in either order; mm 2 reuses the table once it is not
 * shared.  Both happen under i_mmap_rwsem held for writing, which is what
 * keeps reuse from coming between the count and the wait.  mm 0 and mm 1 have a
 * walker each, of two walks; walkers of mm 2 walk their own table and need no
 * protection from their own mm.
 *
 * By default walks are tracked (tracking.pml has the details; here a walk
 * publishes its number).  WAIT_BY_IPI is the paravirt guest without tracking:
 * what a walker's CPU publishes is that it has the mm loaded, by its bit in
 * mm_cpumask, and the IPI is taken when interrupts are on.  The same shape, with
 * loaded_mm and is_lazy read as well, is the native TLB flush that needs no
 * second round.  LAST_BROADCASTS is what arm64 and riscv keep.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* holds: WAIT_BY_IPI - interrupt the CPUs of the mm that leaves */
/* holds: LAST_BROADCASTS - nobody waits but the last to leave, for the walkers of every mm */
/* holds: LAST_BROADCASTS WAIT_BY_IPI - the same, as on v6.12 */
/* broken: ONLY_LAST_WAITS (reused) - the last to leave waits for its own walkers, the first for none */
/* broken: ONLY_LAST_WAITS WAIT_BY_IPI (reused) - the same with IPIs to the CPUs of the mm */
/* broken: NO_WAIT (reused) - nobody waits: RCU cannot help where a table is reused */
/* broken: WAIT_UNLOCKED (reused) - the wait comes after i_mmap_rwsem was released */
/* broken: NO_SYNC_BARRIER (reused) - sync looks for walkers while the cleared PUD is still in the store buffer */
/* broken: NO_SYNC_BARRIER WAIT_BY_IPI (reused) - the same for mm_cpumask */
/* broken: NO_WALK_BARRIER (reused) - the walk loads the PUD while what it publishes is still in the store buffer */
/* broken: NO_WALK_BARRIER WAIT_BY_IPI (reused) - the same for the bit in mm_cpumask */

#define PUD(i)	(i)		/* the PUD entry of an mm */
#define NONE	0
#define TABLE	1

#define WALK(i)	(2 + (i))	/* published walk, or bit in mm_cpumask */

#define CPUS	4
#define LOCS	4
#define MEM	{ TABLE, TABLE, 0, 0 }
#include "kernel.h"

#define WALKER(i)	(i)
#define LEAVING(i)	(2 + (i))

byte pt_share_count = 2;
bool i_mmap_rwsem;
bool reused;

#define i_mmap_lock_write()	d_step { !i_mmap_rwsem -> i_mmap_rwsem = true }
#define i_mmap_unlock_write()	i_mmap_rwsem = false

active [2] proctype gup_fast()
{
	byte i = _pid - CPUS;
	byte pud, n;

	do
	:: n < 2 ->
		n++;
#ifndef WAIT_BY_IPI
		local_irq_save(WALKER(i));
		WRITE_ONCE(WALKER(i), WALK(i), n);
#else
		WRITE_ONCE(WALKER(i), WALK(i), 1);	/* switch_mm_irqs_off() */
#endif
#ifndef NO_WALK_BARRIER
		smp_mb(WALKER(i));
#endif
#ifdef WAIT_BY_IPI
		local_irq_save(WALKER(i));
#endif
		pud = READ_ONCE(WALKER(i), PUD(i));
		if
		:: pud == TABLE -> assert(!reused)
		:: else
		fi;
		if
		:: pud == TABLE -> assert(!reused)
		:: else
		fi;
#ifndef WAIT_BY_IPI
		smp_store_release(WALKER(i), WALK(i), 0);
#endif
		local_irq_restore(WALKER(i));
		pud = NONE
	:: break
	od
}

#ifdef WAIT_BY_IPI
#define wait_for_walker(i, j)						\
	walk = READ_ONCE(LEAVING(i), WALK(j));				\
	if								\
	:: walk != 0 -> !in_section[WALKER(j)]				\
	:: else								\
	fi
#else
#define wait_for_walker(i, j)						\
	walk = READ_ONCE(LEAVING(i), WALK(j));				\
	if								\
	:: walk != 0 -> READ_ONCE(LEAVING(i), WALK(j)) != walk		\
	:: else								\
	fi
#endif

#ifdef NO_SYNC_BARRIER
#define sync_barrier(i)	skip
#else
#define sync_barrier(i)	smp_mb(LEAVING(i))
#endif

#if defined(NO_WAIT)
#define tlb_sync_walkers(i)	skip
#elif defined(LAST_BROADCASTS)
#define tlb_sync_walkers(i)						\
	if								\
	:: !shared ->							\
		sync_barrier(i);					\
		wait_for_walker(i, 0);					\
		wait_for_walker(i, 1)					\
	:: else								\
	fi
#elif defined(ONLY_LAST_WAITS)
#define tlb_sync_walkers(i)						\
	if								\
	:: !shared ->							\
		sync_barrier(i);					\
		wait_for_walker(i, i)					\
	:: else								\
	fi
#else
#define tlb_sync_walkers(i)						\
	sync_barrier(i);						\
	wait_for_walker(i, i)
#endif

active [2] proctype huge_pmd_unshare()
{
	byte i = _pid - CPUS - 2;
	byte walk;
	bool shared;

	i_mmap_lock_write();
	WRITE_ONCE(LEAVING(i), PUD(i), NONE);
	d_step {
		pt_share_count--;
		shared = pt_share_count > 0
	}
#ifndef WAIT_UNLOCKED
	tlb_sync_walkers(i);
#endif
	smp_mb(LEAVING(i));	/* the release */
	i_mmap_unlock_write();
#ifdef WAIT_UNLOCKED
	tlb_sync_walkers(i);
#endif
}

active proctype last_owner()
{
	d_step { !i_mmap_rwsem && pt_share_count == 0 -> i_mmap_rwsem = true };
	reused = true;
	i_mmap_unlock_write()
}
