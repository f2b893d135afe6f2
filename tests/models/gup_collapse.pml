/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GUP-fast against the collapse of anonymous memory into a huge page.
 *
 * Patch:  mm/khugepaged: deposit a fresh table on anonymous collapse
 * Models: gup_fast_pte_range(), try_get_folio(); collapse_huge_page(),
 *         __collapse_huge_page_isolate(), __collapse_huge_page_copy(),
 *         pte_free_defer()
 *
 * Holds:  GUP-fast never keeps a reference to a page that collapse copies and
 *         takes out of the address space, nor one to a page that has been
 *         freed and belongs to somebody else; it never reads a table that was
 *         freed, nor takes a deposited table's list_head for a PTE.
 *
 * Two walkers, one modifier that collapses, fails, tries again, or zaps the
 * page instead (mmap_lock and the page table lock keep modifiers apart).  A
 * table has one PTE, as each page is checked by itself; the refcount is 1 for
 * the mapping plus what GUP-fast took.  The folio lock and the LRU are left
 * out: they do not stop GUP-fast.  pmdp_collapse_flush() is a plain store, as
 * on powerpc; what the TLB holds is no matter for a software walk.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* broken: NO_COLLAPSE_BARRIER (copied&&kept) - the cleared PMD is still in the store buffer when collapse reads the refcount */
/* broken: NO_GUP_BARRIER (copied&&kept) - the reference is still in the store buffer when GUP-fast re-reads the PMD */
/* broken: CHECK_BEFORE_CLEAR (copied&&kept) - collapse reads the refcount, then clears the PMD */
/* broken: NO_REFCOUNT_CHECK (copied&&kept) - collapse does not look at what GUP-fast took */
/* broken: NO_RECHECK (copied&&kept) - GUP-fast keeps what it took without looking again */
/* broken: NO_PMD_RECHECK (copied&&kept) - re-reading the PTE alone tells nothing: collapse clears it only after copying */
/* holds: NO_PTE_RECHECK NO_ZAP - against collapse alone, re-reading the PMD is enough */
/* broken: NO_PTE_RECHECK (page_reused) - re-reading the PMD alone misses a zapped page that was freed and reused */
/* broken: NO_GRACE_PERIOD (table_freed) - the old table is freed at once */
/* broken: DEPOSIT_OLD_TABLE (pte!=2) - the old table is deposited, as on v6.12, but without its IPI */

#define PMD	0
#define NONE	0
#define TABLE	1
#define HUGE	2

#define PTE	1
#define PAGE	1
#define LIST_HEAD	2

#define REF	2	/* refcount of the folio */

#define CPUS	3
#define LOCS	3
#define MEM	{ TABLE, PAGE, 1 }
#include "kernel.h"

#define COLLAPSE	2	/* the modifier's CPU; walkers have 0 and 1 */

bool page_free, page_reused;
byte kept;		/* walks that kept their reference */
bool copied;
bool table_freed;

#define folio_put(c)							\
	d_step {							\
		rmw_full(c, REF) ->					\
		mem[REF] = mem[REF] - 1;				\
		if							\
		:: mem[REF] == 0 -> page_free = true			\
		:: else							\
		fi							\
	}

/* Any access to the table goes with this. */
#define touch_table	assert(!table_freed)

active [2] proctype gup_fast()
{
	byte c = _pid - CPUS;
	byte pmd, pte;
	bool ok;

	local_irq_save(c);
	pmd = READ_ONCE(c, PMD);
	if
	:: pmd != TABLE -> goto out
	:: else
	fi;
	d_step {
		touch_table;
		pte = READ_ONCE(c, PTE);
		assert(pte != LIST_HEAD)
	}
	if
	:: pte == NONE -> goto out
	:: else
	fi;

	/* try_get_folio(): atomic_add_unless() is the barrier */
	d_step {
#ifdef NO_GUP_BARRIER
		rmw_relaxed(c, REF) ->
		ok = mem[REF] != 0;
		if
		:: ok -> buffer_store(c, REF, mem[REF] + 1)
		:: else
		fi
#else
		rmw_full(c, REF) ->
		ok = mem[REF] != 0;
		if
		:: ok -> mem[REF] = mem[REF] + 1
		:: else
		fi
#endif
	}
	if
	:: !ok -> goto out
	:: else
	fi;

#if !defined(NO_RECHECK) && !defined(NO_PMD_RECHECK)
	ok = READ_ONCE(c, PMD) == pmd;
#endif
#if !defined(NO_RECHECK) && !defined(NO_PTE_RECHECK)
	d_step {
		touch_table;
		ok = ok && READ_ONCE(c, PTE) == pte
	}
#endif
	if
	:: !ok -> folio_put(c); goto out
	:: else
	fi;

	d_step {
		kept++;
		assert(!page_reused);
		assert(!(copied && kept))
	}
	local_irq_restore(c);

	/* unpinned some time later, or never */
	if
	:: true -> kept--; folio_put(c)
	:: true
	fi;
	goto done;
out:
	skip;
	local_irq_restore(c);
done:
	skip
}

/* Somebody else gets the page once it is free. */
active proctype page_allocator()
{
end:
	d_step {
		page_free ->
		page_free = false;
		page_reused = true;
		mem[REF] = 1
	}
}

active proctype collapse_huge_page()
{
	byte tries, refs;

again:
	tries++;
#ifdef CHECK_BEFORE_CLEAR
	refs = READ_ONCE(COLLAPSE, REF);
#endif
	WRITE_ONCE(COLLAPSE, PMD, NONE);
#ifndef NO_COLLAPSE_BARRIER
	smp_mb(COLLAPSE);
#endif
#ifndef CHECK_BEFORE_CLEAR
	refs = READ_ONCE(COLLAPSE, REF);
#endif
#ifdef NO_REFCOUNT_CHECK
	refs = 1;
#endif
	if
	:: refs == 1
	:: true -> goto failed	/* too many references, or for another reason */
	fi;

	d_step {
		copied = true;
		assert(!(copied && kept))
	}
	if
	:: true
	:: true -> copied = false; goto failed	/* poisoned memory */
	fi;
	WRITE_ONCE(COLLAPSE, PTE, NONE);
	folio_put(COLLAPSE);
#ifdef DEPOSIT_OLD_TABLE
	WRITE_ONCE(COLLAPSE, PTE, LIST_HEAD);
#endif
	smp_wmb(COLLAPSE);	/* __folio_mark_uptodate() */
	WRITE_ONCE(COLLAPSE, PMD, HUGE);
#ifndef DEPOSIT_OLD_TABLE
#ifndef NO_GRACE_PERIOD
	smp_mb(COLLAPSE);
	d_step { gp_begin(0); gp_begin(1) }
	gp_end(0);
	gp_end(1);
#endif
	table_freed = true;
#endif
	goto done;

failed:
	skip;			/* attach the old table again */
	WRITE_ONCE(COLLAPSE, PMD, TABLE);
	if
	:: tries < 2 -> goto again
	:: true -> goto done
#ifndef NO_ZAP
	:: true ->		/* MADV_DONTNEED or reclaim, of this page */
		WRITE_ONCE(COLLAPSE, PTE, NONE);
		folio_put(COLLAPSE)
#endif
	fi;
done:
	skip
}

