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
 * Holds:  no store is lost: none goes to the old page after collapse began to copy
 *         it; collapse does not wait for a fault for ever; no fault touches a table
 *         that was freed; no PTE changes while a fault has set H_PAGE_BUSY in it.
 *
 * Two user threads store to the same page any number of times, with a hash fault
 * whenever there is no HPTE.  There is one collapse.  It may fail after the PMD was
 * cleared, or when it copies poisoned memory; then it attaches the old table again,
 * and is tried once more.  A table has one PTE, and the HPTE slot of that PTE is a
 * location of its own (the second half of a PTE page).  To wait for a bit, or to retry
 * an access that cannot succeed yet, is one blocking step, so an endless wait is a
 * deadlock.  File collapse is the same in this model.  hash_preload() is left out,
 * because it holds the page table lock.
 *
 * The barriers are in tests/litmus: hash-collapse, hash-slot.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why.
 */
/* broken: NO_RECHECK (store_lost) - the fault inserts its HPTE without a look at the PMD: v6.12 without its IPI */
/* broken: CHECK_BEFORE_BUSY (store_lost) - the fault re-reads the PMD, then sets H_PAGE_BUSY */
/* broken: NO_BUSY_WAIT (store_lost) - collapse looks at a PTE while a fault is inserting its HPTE, and flushes nothing */
/* broken: FLUSH_BEFORE_CLEAR (store_lost) - collapse flushes, then clears the PMD */
/* broken: NO_FLUSH (store_lost) - collapse waits for faults, but leaves the HPTE */
/* broken: NO_UNLOCK (invalid end state) - the fault backs off and leaves H_PAGE_BUSY behind: collapse waits for ever */
/* broken: CLEAR_PTE_BUSY (pte_changed) - collapse clears a PTE that a fault holds, which then restores it */
/* broken: NO_GRACE_PERIOD (table_freed) - the old table is freed while a fault that backs off still writes to it */

#define NONE	0
#define TABLE	1
#define HUGE	2

#define PRESENT	1
#define BUSY	2	/* H_PAGE_BUSY */
#define HASHPTE	4	/* H_PAGE_HASHPTE */

#define CPUS	2	/* with sections: of the user threads */
#include "kernel.h"

byte PMD = TABLE;
byte PTE = PRESENT;
byte SLOT;		/* where the HPTE is, 1 or 2 */
byte hpte;		/* bit n: slot n has a valid HPTE for the page */
bool copying;
bool store_lost;
bool table_freed;
byte held;		/* the PTE, while a fault holds it by H_PAGE_BUSY */
bool pte_changed;

#define touch_table	assert(!table_freed)

/* Only who set H_PAGE_BUSY may change the PTE; it is about to. */
#define pte_unlock(v)							\
	d_step {							\
		touch_table;						\
		pte_changed = PTE != held;				\
		assert(!pte_changed);					\
		held = 0;						\
		PTE = v							\
	}

active [2] proctype user_thread()
{
	byte c = _pid;
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
	pmd = PMD;
	if
	:: pmd != TABLE -> goto page_fault
	:: else
	fi;
again:
	skip;
	d_step {
		touch_table;
		old = PTE
	}
	if
	:: old & BUSY ->	/* retry the access */
		local_irq_restore(c);
		!(PTE & BUSY) || PMD != TABLE;
		goto access
	:: !(old & BUSY) && !(old & PRESENT) ->
		goto page_fault
	:: else
	fi;

#ifdef CHECK_BEFORE_BUSY
	ok = PMD == pmd;
	if
	:: !ok -> local_irq_restore(c); goto access
	:: else
	fi;
#endif
	d_step {		/* pte_xchg() */
		touch_table;
		ok = PTE == old;
		if
		:: ok ->
			held = old | BUSY;
			PTE = held
		:: else
		fi
	}
	if
	:: !ok -> goto again
	:: else
	fi;

	/* hash_unlock_if_detached() */
#if !defined(NO_RECHECK) && !defined(CHECK_BEFORE_BUSY)
	ok = PMD == pmd;
#endif
	if
	:: !ok ->
#ifndef NO_UNLOCK
		pte_unlock(old);
#endif
		local_irq_restore(c);
		goto access
	:: else
	fi;

	slot = SLOT;
	if
	:: (old & HASHPTE) && (hpte & (1 << slot))	/* hpte_updatepp() */
	:: else ->
		if
		:: slot = 1
		:: slot = 2
		fi;
		hpte = hpte | (1 << slot);	/* hpte_insert() */
		SLOT = slot			/* pte_set_hidx() */
	fi;
	pte_unlock(PRESENT | HASHPTE);
	local_irq_restore(c);
	goto access;

page_fault:
	skip;			/* waits for mmap_lock */
	local_irq_restore(c);
	if
	:: PMD == TABLE -> goto access
	:: PMD == HUGE
	fi;
done:
	skip
}

#define flush_hpte							\
	if								\
	:: pte & HASHPTE ->						\
		slot = SLOT;						\
		hpte = hpte & ~(1 << slot)				\
	:: else								\
	fi

active proctype collapse_huge_page()
{
	byte tries, pte, slot;

again:
	tries++;
	/* hash__pmdp_collapse_flush() */
#ifndef FLUSH_BEFORE_CLEAR
	PMD = NONE;
#endif
	d_step {		/* wait_pte_not_busy() */
#ifndef NO_BUSY_WAIT
		!(PTE & BUSY) ->
#endif
		pte = PTE
	}
#ifndef NO_FLUSH
	flush_hpte;
#endif
#ifdef FLUSH_BEFORE_CLEAR
	PMD = NONE;
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
#ifndef CLEAR_PTE_BUSY
		!(PTE & BUSY) ->
#endif
		pte = PTE;
		PTE = 0
	}
	flush_hpte;
	PMD = HUGE;

	/* pte_free_defer() */
#ifndef NO_GRACE_PERIOD
	d_step { gp_begin(0); gp_begin(1) }
	gp_end(0);
	gp_end(1);
#endif
	table_freed = true;
	goto done;

failed:
	skip;			/* attach the old table again */
	PMD = TABLE;
	if
	:: tries < 2 -> goto again
	:: true
	fi;
done:
	skip
}
