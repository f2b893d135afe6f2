/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hugetlb PMD tables: two mms share one, one of them leaves it, and the other
 * reuses it for memory of its own, and frees it.
 *
 * Patch:  mm/gup: re-read the PUD instead of waiting for GUP-fast on unshare
 * Models: gup_fast_pmd_table(), gup_fast_pmd_range(), gup_fast_pmd_leaf();
 *         huge_pmd_unshare(); __unmap_hugepage_range() and a fault of the last
 *         owner; tlb_remove_table()
 *
 * Holds:  GUP-fast in the mm that leaves never keeps a page that the last owner
 *         has put into the table, and never reads a table that was freed.
 *
 * The walk is of two PMD entries, and ends early at one that is none.  Nobody
 * looks at the references, so they are no location.  i_mmap_rwsem passes from
 * the leaver to the last owner.  Its release drains the store buffer here, which
 * is more than it promises: what the last owner needs in addition, smp_wmb() or
 * its page table lock, is shown by tests/litmus.  The TLB is left out, as in all
 * models of software walks.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why; a "holds" line is a variant that Spin must verify.
 */
/* broken: NO_RECHECK (foreign) - GUP-fast keeps what it took without looking at the PUD again */
/* broken: RECHECK_FIRST (foreign) - it looks at the PUD again before it takes references */
/* broken: RECHECK_FULL_RANGE (foreign) - it looks again only if both entries were there */
/* broken: GIVE_BACK_LAST (foreign) - it gives back only the page that it took last */
/* broken: NO_RELEASE (table_freed) - the cleared PUD is still in the store buffer when the last owner gets i_mmap_rwsem */
/* broken: CLEAR_UNLOCKED (table_freed) - the PUD is cleared after i_mmap_rwsem was released */
/* broken: NO_GRACE_PERIOD (table_freed) - the last owner frees the table at once */

#define PUD	0	/* of the mm that leaves */
#define PMD(i)	(1 + (i))
#define NONE	0
#define TABLE	1
#define SHARED	1	/* a page of the file */
#define FOREIGN	2	/* a page of the last owner */

#define CPUS	3
#define LOCS	3
#define MEM	{ TABLE, SHARED, SHARED }
#include "kernel.h"

#define WALKER	0
#define LEAVER	1
#define OWNER	2

bool i_mmap_rwsem;
bool left;		/* pt_share_count: the table is exclusive */
bool table_freed;
bool foreign;		/* GUP-fast returned a page of the last owner */

#define i_mmap_lock_write()	d_step { !i_mmap_rwsem -> i_mmap_rwsem = true }
#define i_mmap_unlock_write()	i_mmap_rwsem = false

/* One entry: load, take, full barrier, load again. */
#define look_up(i)							\
	d_step { assert(!table_freed); pmd = READ_ONCE(WALKER, PMD(i)) };	\
	if								\
	:: pmd == NONE -> goto end_of_range				\
	:: else								\
	fi;								\
	smp_mb(WALKER);							\
	d_step {							\
		assert(!table_freed);					\
		again = READ_ONCE(WALKER, PMD(i))			\
	};								\
	if								\
	:: again != pmd -> goto end_of_range				\
	:: else -> took[i] = pmd; nr++					\
	fi

active proctype gup_fast()
{
	byte took[2];
	byte pud, pmd, again, nr;

	local_irq_save(WALKER);
	pud = READ_ONCE(WALKER, PUD);
	if
	:: pud != TABLE -> goto out
	:: else
	fi;
#ifdef RECHECK_FIRST
	pud = READ_ONCE(WALKER, PUD);
	if
	:: pud != TABLE -> goto out
	:: else
	fi;
#endif
	look_up(0);
	look_up(1);
end_of_range:
	skip;
#if !defined(NO_RECHECK) && !defined(RECHECK_FIRST)
	pud = READ_ONCE(WALKER, PUD);
	if
#ifdef RECHECK_FULL_RANGE
	:: pud != TABLE && nr == 2 -> nr = 0
#elif defined(GIVE_BACK_LAST)
	:: pud != TABLE && nr > 0 -> nr--
#else
	:: pud != TABLE -> nr = 0
#endif
	:: else
	fi;
#endif
	d_step {
		foreign = (nr > 0 && took[0] == FOREIGN) || (nr > 1 && took[1] == FOREIGN);
		assert(!foreign)
	}
out:
	skip;
	local_irq_restore(WALKER)
}

active proctype huge_pmd_unshare()
{
	i_mmap_lock_write();
#ifdef CLEAR_UNLOCKED
	left = true;
	i_mmap_unlock_write();
	WRITE_ONCE(LEAVER, PUD, NONE)
#else
	WRITE_ONCE(LEAVER, PUD, NONE);
	left = true;
#ifndef NO_RELEASE
	smp_mb(LEAVER);
#endif
	i_mmap_unlock_write()
#endif
}

/* Zaps one of the entries or both, maps its own pages there, frees the table. */
active proctype last_owner()
{
	bool first, second;

	d_step { !i_mmap_rwsem && left -> i_mmap_rwsem = true };
	if
	:: first = true
	:: second = true
	:: first = true; second = true
	fi;
	if
	:: first -> WRITE_ONCE(OWNER, PMD(0), NONE)
	:: else
	fi;
	if
	:: second -> WRITE_ONCE(OWNER, PMD(1), NONE)
	:: else
	fi;
	smp_mb(OWNER);
	i_mmap_unlock_write();
	if
	:: first -> WRITE_ONCE(OWNER, PMD(0), FOREIGN)
	:: else
	fi;
	if
	:: second -> WRITE_ONCE(OWNER, PMD(1), FOREIGN)
	:: second -> skip	/* not touched */
	:: else
	fi;
#ifndef NO_GRACE_PERIOD
	smp_mb(OWNER);
	gp_begin(WALKER);
	gp_end(WALKER);
#endif
	table_freed = true
}
