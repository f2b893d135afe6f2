/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracked walks against the wait for walkers.
 *
 * Patch:  mm: track lockless page-table walks without a shared counter
 * Models: lockless_walk_publish(), lockless_walk_retire();
 *         lockless_walk_sync(), sync_cpu(), while walks are tracked
 *
 * Holds:  no walk that saw an entry before it was cleared is still running when
 *         lockless_walk_sync() returns and the table is reused; the wait ends,
 *         and later walks do not hold it up.
 *
 * One CPU does three walks, each of this mm or of another one.  An NMI on the same
 * CPU does a walk within any of these, or between two instructions of begin and end.
 * One CPU is enough, because the waiter looks at each CPU separately.  Walks nest one
 * level deep.  A walk that finds the entry touches the table twice.
 *
 * The barriers are in tests/litmus: track-begin, track-end.
 *
 * Two walks may have the same number: if an NMI comes between the load and the store
 * of cpu->seq, its walk gets the number that the outer walk will use.  The only effect
 * is that a waiter may wait for both.  So "do not hold it up" allows one more walk
 * that looks like the awaited one.  For the same reason it does no harm that the
 * number repeats after eight walks.
 *
 * A "broken" line lists macros, in brackets the text that must be in what Spin
 * reports, and why.
 */
/* broken: LOOK_BEFORE_CLEAR (reused) - sync looks for walks, then the entry is cleared */
/* broken: WALK_BEFORE_BEGIN (reused) - the walk loads the entry, then publishes itself */
/* broken: NO_WAIT (reused) - sync looks for walks and does not wait */
/* broken: NO_END (invalid end state) - the end of the walk is missing: sync waits for ever */
/* broken: NESTED_OVERWRITES (reused) - the walk of an NMI takes the place of the outer one */
/* broken: NESTED_RESTORES (reused) - the same, but the outer walk is put back at the end: the waiter has seen a change */
/* broken: NESTED_ENDS_OUTER (reused) - the end of a walk always clears the first word */
/* broken: SYNC_SKIPS_NESTED (reused) - sync does not look at walks within walks of another mm */
/* broken: NO_SEQ (alike>1) - walks have no number: a CPU that walks without pause holds up sync */
/* broken: UNIQUE_NUMBERS (alike>0) - refutes a claim, not code: two walks may have the same number, see above */

#define NONE	0
#define TABLE	1

#define WALK0	0	/* index into lockless_walk_cpu.walk */
#define WALK1	1

byte ENTRY = TABLE;
byte published[2];	/* lockless_walk_cpu.walk */

#define MM	8	/* a pointer to mm_struct, and one to another; */
#define OTHER	16
#define SEQ	7	/* the number is in the low bits */
#define walks_mm(walk)	((walk & ~SEQ) == MM)

byte seq;		/* lockless_walk_cpu.seq */
bool in_nmi;
bool reused;
byte waits_at, waits_for;	/* sync spins on walk[waits_at - 1], this value */
byte alike;		/* walks since then that look the same */
#ifdef UNIQUE_NUMBERS
#define held_up	(alike > 0)
#else
#define held_up	(alike > 1)
#endif

#define begin(mm, nmi)							\
	number_begin(nmi);						\
	d_step {							\
		published[walk] = mm + number;				\
		alike = alike + (waits_at == walk + 1 && waits_for == mm + number -> 1 : 0); \
		assert(!held_up)					\
	}

/* where to publish, and the number of the walk: not atomic for an NMI */
#ifdef NO_SEQ
#define number_begin(nmi)	choose_word(nmi)
#else
#define number_begin(nmi)						\
	choose_word(nmi);						\
	number = (seq + 1) & SEQ;					\
	seq = number
#endif

#if defined(NESTED_OVERWRITES)
#define choose_word(nmi)	walk = WALK0
#elif defined(NESTED_RESTORES)
#define choose_word(nmi)	outer = published[WALK0]; walk = WALK0
#else
#define choose_word(nmi)						\
	walk = (published[WALK0] == 0 -> WALK0 : WALK1)
#endif

#define publish_end(v)	published[walk] = v

#if defined(NO_END)
#define end_walk	skip
#elif defined(NESTED_OVERWRITES) || defined(NESTED_ENDS_OUTER)
#define end_walk	walk = WALK0; publish_end(0)
#elif defined(NESTED_RESTORES)
#define end_walk	publish_end(outer)
#else
#define end_walk							\
	walk = (published[WALK1] != 0 -> WALK1 : WALK0);		\
	publish_end(0)
#endif

#define look_up	entry = ENTRY

/* pmd_offset() and so on: the table behind the entry */
#define touch_table							\
	if								\
	:: mm == MM && entry == TABLE -> assert(!reused)		\
	:: else								\
	fi

#ifdef WALK_BEFORE_BEGIN
#define begin_and_look_up(nmi)	look_up; begin(mm, nmi)
#else
#define begin_and_look_up(nmi)	begin(mm, nmi); look_up
#endif

active proctype walker() provided (!in_nmi)
{
	byte n, mm, entry, walk, number, outer;

	do
	:: n < 3 ->
		n++;
		if
		:: mm = MM
		:: mm = OTHER
		fi;
		begin_and_look_up(false);
		touch_table;
		touch_table;
		end_walk;
		d_step { mm = 0; entry = 0; walk = 0; number = 0; outer = 0 }
	:: break
	od
}

active proctype nmi()
{
	byte mm, entry, walk, number, outer;

	in_nmi = true;
	if
	:: mm = MM
	:: mm = OTHER
	fi;
	begin_and_look_up(true);
	touch_table;
	touch_table;
	end_walk;
	in_nmi = false
}

#ifdef NO_WAIT
#define wait_for_walk(w)	skip
#else
#define wait_for_walk(w)						\
	d_step { waits_at = w + 1; waits_for = walk; alike = 0 };	\
	published[w] != walk;						\
	d_step { waits_at = 0; waits_for = 0; alike = 0 }
#endif

#define sync_word(w)							\
	if								\
	:: walks_mm(walk) -> wait_for_walk(w)				\
	:: else								\
	fi

#define sync_cpu							\
	walk = published[WALK0];					\
	if								\
	:: walk == 0 -> goto synced	/* nothing is nested in nothing */ \
	:: else								\
	fi;								\
	sync_word(WALK0);						\
	sync_nested

#ifdef SYNC_SKIPS_NESTED
#define sync_nested	skip
#else
#define sync_nested	walk = published[WALK1]; sync_word(WALK1)
#endif

active proctype lockless_walk_sync()
{
	byte walk;

#ifdef LOOK_BEFORE_CLEAR
	sync_cpu;
synced:
	skip;
	ENTRY = NONE;
#else
	ENTRY = NONE;
	sync_cpu;
synced:
	skip;
#endif
	reused = true
}
