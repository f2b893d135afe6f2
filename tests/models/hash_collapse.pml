/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hash faults against the collapse of small pages into a huge one, on powerpc
 * with the hash MMU.
 *
 * Patch:  powerpc/64s/hash: collapse without interrupting the CPUs of the mm
 * Models: hash_page_mm(), __hash_page_64K(), hash_unlock_if_detached();
 *         hash__pmdp_collapse_flush(), flush_hash_table_pmd_range(),
 *         wait_pte_not_busy(); collapse_huge_page() around them
 *
 * Holds:  no store of user space goes to the old page after collapse began to
 *         copy it, that is, no store is lost; collapse waits for no fault for
 *         ever; no fault touches a table that was freed; no PTE is changed
 *         while a fault holds it by H_PAGE_BUSY.
 *
 * Two user threads store to the same page as long as they like, with a hash
 * fault whenever there is no HPTE.  One collapse, which may fail after the PMD
 * was cleared, or when copying meets poisoned memory, attach the old table
 * again, and be tried once more.  A table has one PTE; the HPTE slot that
 * belongs to it is a location of its own (the second half of a PTE page).  The
 * hash table is not behind store buffers: hpte_insert() and the invalidation
 * end in ptesync or are hypervisor calls, and the latter waits until stores by
 * the old translation are done.  A wait for a bit, and the retry of an access
 * that cannot succeed yet, is one blocking step, so that a wait without end is
 * a deadlock.  File collapse is the same here; hash_preload() is left out, as
 * it holds the page table lock.
 *
 * On 64K pages the smp_rmb() of wait_pte_not_busy() is there twice, as
 * __real_pte() has one before hpte_need_flush() reads the slot; what
 * NO_COLLAPSE_RMB takes away is both.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why.
 */
/* broken: NO_COLLAPSE_BARRIER (store_lost) - the cleared PMD is still in the store buffer when collapse reads the PTE */
/* broken: NO_FAULT_BARRIER (store_lost) - H_PAGE_BUSY is still in the store buffer when the fault re-reads the PMD */
/* broken: NO_RECHECK (store_lost) - the fault inserts its HPTE whatever became of the PMD: v6.12 without its IPI */
/* broken: CHECK_BEFORE_BUSY (store_lost) - the fault re-reads the PMD, then sets H_PAGE_BUSY */
/* broken: NO_BUSY_WAIT (store_lost) - collapse looks at a PTE while a fault is inserting its HPTE, and flushes nothing */
/* broken: FLUSH_BEFORE_CLEAR (store_lost) - collapse flushes, then clears the PMD */
/* broken: NO_FLUSH (store_lost) - collapse waits for faults, but leaves the HPTE */
/* broken: NO_FAULT_WMB (store_lost) - the unlocked PTE is seen before the slot of its HPTE */
/* broken: NO_COLLAPSE_RMB (store_lost) - collapse reads the slot of the HPTE before the PTE, and flushes the wrong one */
/* broken: NO_UNLOCK (invalid end state) - the fault backs off and leaves H_PAGE_BUSY behind: collapse waits for ever */
/* broken: CLEAR_PTE_BUSY (pte_changed) - collapse clears a PTE that a fault holds, which then restores it */
/* broken: NO_GRACE_PERIOD (table_freed) - the old table is freed while a fault that backs off still writes to it */

#define PMD	0
#define NONE	0
#define TABLE	1
#define HUGE	2

#define PTE	1
#define PRESENT	1
#define BUSY	2	/* H_PAGE_BUSY */
#define HASHPTE	4	/* H_PAGE_HASHPTE */

#define SLOT	2	/* where the HPTE is, 1 or 2 */

#define CPUS	3
#define LOCS	3
#define MEM	{ TABLE, PRESENT, 0 }
#include "kernel.h"

#define COLLAPSE	2	/* its CPU; user threads have 0 and 1 */

byte hpte;		/* bit n: slot n has a valid HPTE for the page */
bool copying;
bool store_lost;
bool table_freed;
byte held;		/* the PTE, while a fault holds it by H_PAGE_BUSY */
bool pte_changed;

#define touch_table	assert(!table_freed)

/* Only who set H_PAGE_BUSY may change the PTE; it is about to. */
#define pte_unlock(c, v)						\
	d_step {							\
		newer[AT(c, PTE)] == EMPTY ->				\
		touch_table;						\
		pte_changed = READ_ONCE(c, PTE) != held;		\
		assert(!pte_changed);					\
		held = 0;						\
		buffer_store(c, PTE, v)					\
	}

active [2] proctype user_thread()
{
	byte c = _pid - CPUS;
	byte pmd, old, slot;
	bool ok;

access:
	skip;
	d_step { pmd = 0; old = 0; slot = 0; ok = false };
	if
	:: d_step {		/* a store to the page */
		hpte != 0 ->
		store_lost = copying;
		assert(!store_lost)
	   };
	   goto access
	:: hpte == 0
	:: goto done
	fi;

	/* hash_page_mm() */
	local_irq_save(c);
	pmd = READ_ONCE(c, PMD);
	if
	:: pmd != TABLE -> goto page_fault
	:: else
	fi;
again:
	skip;
	d_step {
		touch_table;
		old = READ_ONCE(c, PTE)
	}
	if
	:: old & BUSY ->	/* retry the access */
		local_irq_restore(c);
		!(mem[PTE] & BUSY) || mem[PMD] != TABLE;
		goto access
	:: !(old & BUSY) && !(old & PRESENT) ->
		goto page_fault
	:: else
	fi;

#ifdef CHECK_BEFORE_BUSY
	ok = READ_ONCE(c, PMD) == pmd;
	if
	:: !ok -> local_irq_restore(c); goto access
	:: else
	fi;
#endif
	d_step {		/* pte_xchg() */
#ifdef NO_FAULT_BARRIER
		rmw_relaxed(c, PTE) ->
#else
		rmw_full(c, PTE) ->
#endif
		touch_table;
		ok = mem[PTE] == old;
		if
		:: ok ->
			held = old | BUSY;
#ifdef NO_FAULT_BARRIER
			buffer_store(c, PTE, held)
#else
			mem[PTE] = held
#endif
		:: else
		fi
	}
	if
	:: !ok -> goto again
	:: else
	fi;

	/* hash_unlock_if_detached() */
#if !defined(NO_RECHECK) && !defined(CHECK_BEFORE_BUSY)
	ok = READ_ONCE(c, PMD) == pmd;
#endif
	if
	:: !ok ->
#ifndef NO_UNLOCK
		pte_unlock(c, old);
#endif
		local_irq_restore(c);
		goto access
	:: else
	fi;

	slot = READ_ONCE(c, SLOT);
	if
	:: (old & HASHPTE) && (hpte & (1 << slot))	/* hpte_updatepp() */
	:: else ->
		if
		:: slot = 1
		:: slot = 2
		fi;
		d_step {			/* hpte_insert() */
			pending[c] == 0 ->
			hpte = hpte | (1 << slot)
		}
		WRITE_ONCE(c, SLOT, slot);	/* pte_set_hidx() */
#ifndef NO_FAULT_WMB
		smp_wmb(c)
#endif
	fi;
	pte_unlock(c, PRESENT | HASHPTE);
	local_irq_restore(c);
	goto access;

page_fault:
	skip;			/* waits for mmap_lock */
	local_irq_restore(c);
	if
	:: mem[PMD] == TABLE -> goto access
	:: mem[PMD] == HUGE
	fi;
done:
	skip
}

#define flush_hpte							\
	if								\
	:: pte & HASHPTE ->						\
		slot = READ_ONCE(COLLAPSE, SLOT);			\
		d_step {						\
			pending[COLLAPSE] == 0 ->			\
			hpte = hpte & ~(1 << slot)			\
		}							\
	:: else								\
	fi

active proctype collapse_huge_page()
{
	byte tries, pte, slot;

again:
	tries++;
	/* hash__pmdp_collapse_flush() */
#ifndef FLUSH_BEFORE_CLEAR
	WRITE_ONCE(COLLAPSE, PMD, NONE);
#ifndef NO_COLLAPSE_BARRIER
	smp_mb(COLLAPSE);
#endif
#endif
#ifdef NO_COLLAPSE_RMB
	slot = READ_ONCE(COLLAPSE, SLOT);
#endif
	d_step {		/* wait_pte_not_busy() */
#ifndef NO_BUSY_WAIT
		!(READ_ONCE(COLLAPSE, PTE) & BUSY) ->
#endif
		pte = READ_ONCE(COLLAPSE, PTE)
	}
#ifdef NO_COLLAPSE_RMB
	if
	:: pte & HASHPTE -> hpte = hpte & ~(1 << slot)
	:: else
	fi;
#elif !defined(NO_FLUSH)
	flush_hpte;
#endif
#ifdef FLUSH_BEFORE_CLEAR
	WRITE_ONCE(COLLAPSE, PMD, NONE);
	smp_mb(COLLAPSE);
#endif

	if
	:: goto failed
	:: copying = true
	fi;
	if
	:: copying = false; goto failed		/* poisoned memory */
	:: true
	fi;

	d_step {		/* ptep_clear(), by pte_update() */
#ifdef CLEAR_PTE_BUSY
		rmw_relaxed(COLLAPSE, PTE) ->
#else
		rmw_relaxed(COLLAPSE, PTE) && !(mem[PTE] & BUSY) ->
#endif
		pte = mem[PTE];
		mem[PTE] = 0
	}
	flush_hpte;
	smp_wmb(COLLAPSE);	/* __folio_mark_uptodate() */
	WRITE_ONCE(COLLAPSE, PMD, HUGE);

	/* pte_free_defer() */
#ifndef NO_GRACE_PERIOD
	smp_mb(COLLAPSE);
	d_step { gp_begin(0); gp_begin(1) }
	gp_end(0);
	gp_end(1);
#endif
	table_freed = true;
	goto done;

failed:
	skip;			/* attach the old table again */
	WRITE_ONCE(COLLAPSE, PMD, TABLE);
	if
	:: tries < 2 -> goto again
	:: true
	fi;
done:
	skip
}
