/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Freeing a single page table, for which there is no batch page, against a
 * walker with interrupts off and a reader under rcu_read_lock().
 *
 * Patch:  mm/mmu_gather: free a single page table by call_rcu_hurry()
 * Models: tlb_remove_table(), tlb_defer_table(), tlb_free_deferred_table();
 *         gup_fast() and the like; pte_offset_map() ... pte_unmap()
 *
 * Holds:  neither touches the table after it was freed, nor is what they stored
 *         (an accessed bit, say) still on its way to it then.
 *
 * Each reader does two sections, with two accesses to the table and a store in
 * each.  The reader under rcu_read_lock() has interrupts on, so it takes an
 * IPI at once.  Grace periods are those of kernel.h.  The TLB flush in between
 * is left out: where it interrupts CPUs it makes things better.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* broken: IPI_ONLY (freed_under_reader) - freed after an IPI to every CPU, as on v6.12: the reader under rcu_read_lock() is hit */
/* holds: IPI_ONLY WALKER_ONLY - for a walker with interrupts off alone, the IPI was enough */
/* broken: AT_ONCE WALKER_ONLY (freed_under_walker) - freed without waiting: the walker is hit */
/* broken: AT_ONCE READER_ONLY (freed_under_reader) - the same for the reader */
/* broken: CALL_RCU_BEFORE_CLEAR (freed_under) - the grace period may be over before the entry is cleared */
/* broken: NO_GP_BARRIER (freed_under) - the grace period may begin while the cleared entry is still in the store buffer */
/* broken: LOAD_BEFORE_IRQ_OFF (freed_under_walker) - the walker loads the entry, then disables interrupts */
/* broken: LOAD_BEFORE_RCU_LOCK (freed_under_reader) - the same for the reader */
/* broken: NO_QS_BARRIER (store_pending) - the grace period may end while a store to the table is still in a store buffer */

#define PMD	0
#define NONE	0
#define TABLE	1

#define PTE	1

#define CPUS	3
#define LOCS	2
#define MEM	{ TABLE, 0 }
#include "kernel.h"

#define WALKER	0
#define READER	1
#define FREEING	2

bool table_freed;
bool freed_under_walker, freed_under_reader;
bool store_pending;

#define touch_table(hit)						\
	d_step {							\
		hit = table_freed;					\
		assert(!hit)						\
	}

#define walk_table(c, hit)						\
	if								\
	:: pmd == TABLE ->						\
		touch_table(hit);					\
		d_step {						\
			newer[AT(c, PTE)] == EMPTY ->			\
			hit = table_freed;				\
			assert(!hit);					\
			buffer_store(c, PTE, 1)				\
		}							\
	:: else								\
	fi

#ifndef READER_ONLY
active proctype walker()
{
	byte n, pmd;

	do
	:: n < 2 ->
		n++;
#ifdef LOAD_BEFORE_IRQ_OFF
		pmd = READ_ONCE(WALKER, PMD);
		local_irq_save(WALKER);
#else
		local_irq_save(WALKER);
		pmd = READ_ONCE(WALKER, PMD);
#endif
		walk_table(WALKER, freed_under_walker);
		local_irq_restore(WALKER)
	:: break
	od
}
#endif

#ifndef WALKER_ONLY
active proctype reader()
{
	byte n, pmd;

	do
	:: n < 2 ->
		n++;
#ifdef LOAD_BEFORE_RCU_LOCK
		pmd = READ_ONCE(READER, PMD);
		section_begin(READER);		/* rcu_read_lock() */
#else
		section_begin(READER);
		pmd = READ_ONCE(READER, PMD);
#endif
		walk_table(READER, freed_under_reader);
		section_end(READER)		/* rcu_read_unlock() */
	:: break
	od
}
#endif

#ifdef NO_QS_BARRIER
#define wait_for(c)	(!gp_waits[c])
#else
#define wait_for(c)	gp_end(c)
#endif

#if defined(AT_ONCE)
#define wait_for_readers	skip
#elif defined(IPI_ONLY)
#define wait_for_readers						\
	smp_mb(FREEING);						\
	gp_begin(WALKER);						\
	wait_for(WALKER);						\
	pending[READER] == 0
#else
#define wait_for_readers						\
	gp_barrier;							\
	d_step { gp_begin(WALKER); gp_begin(READER) };			\
	wait_for(WALKER);						\
	wait_for(READER)
#endif

#ifdef NO_GP_BARRIER
#define gp_barrier	skip
#else
#define gp_barrier	smp_mb(FREEING)
#endif

active proctype tlb_remove_table()
{
#ifdef CALL_RCU_BEFORE_CLEAR
	gp_barrier;
	d_step { gp_begin(WALKER); gp_begin(READER) };
	WRITE_ONCE(FREEING, PMD, NONE);
	smp_mb(FREEING);
	wait_for(WALKER);
	wait_for(READER);
#else
	WRITE_ONCE(FREEING, PMD, NONE);
	wait_for_readers;
#endif
	d_step {
		table_freed = true;
#ifndef AT_ONCE
		store_pending = inflight[PTE] != 0;
		assert(!store_pending)
#endif
	}
}
