/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the models share: CPUs with store buffers, atomics, and RCU.  Spin's
 * preprocessor includes it after the model has defined
 *
 *	CPUS	CPUs that store; a process passes its own number as c
 *	LOCS	shared locations (page-table entries, refcounts, ...)
 *	MEM	their values at first
 *
 * A plain store goes into a buffer of its CPU, one FIFO of two stores for each
 * location, and reaches memory at any later time: stores to different
 * locations overtake each other, and so do later loads (PSO).  A CPU sees its
 * own stores at once.  smp_mb() waits until the CPU's buffers are empty;
 * smp_wmb() and a release do the same, which is more than they promise, but
 * nothing here depends on the difference.
 *
 * Loads are performed in program order.  Where powerpc could do otherwise, the
 * kernel has an address dependency (PMD to PTE, PTE to folio), or the model
 * says what it does about it.
 */
#define EMPTY	255
#define AT(c, l)	((c) * LOCS + (l))

byte mem[LOCS] = MEM;
byte older[CPUS * LOCS] = EMPTY;
byte newer[CPUS * LOCS] = EMPTY;
byte pending[CPUS];		/* stores in the buffers of the CPU */
byte inflight[LOCS];		/* stores to the location in any buffer */

#define READ_ONCE(c, l)							\
	(newer[AT(c, l)] != EMPTY -> newer[AT(c, l)] :			\
	 (older[AT(c, l)] != EMPTY -> older[AT(c, l)] : mem[l]))

#define buffer_store(c, l, v)						\
	if								\
	:: older[AT(c, l)] == EMPTY -> older[AT(c, l)] = v		\
	:: else -> newer[AT(c, l)] = v					\
	fi;								\
	pending[c]++;							\
	inflight[l]++

#define WRITE_ONCE(c, l, v)						\
	d_step { newer[AT(c, l)] == EMPTY -> buffer_store(c, l, v) }

#define smp_mb(c)	(pending[c] == 0)
#define smp_wmb(c)	smp_mb(c)
#define smp_store_release(c, l, v)	smp_mb(c); WRITE_ONCE(c, l, v)

/*
 * A fully ordered read-modify-write: to be used as a guard, and followed in
 * the same d_step by an access to mem[l].  One without ordering is atomic too,
 * no other can come between, but what it stored may stay in the buffer while
 * later loads go ahead: rmw_relaxed() is its guard, buffer_store() its store.
 */
#define rmw_full(c, l)		(pending[c] == 0 && inflight[l] == 0)
#define rmw_relaxed(c, l)	(inflight[l] == 0)

#define DRAIN(l)							\
	:: d_step {							\
		older[AT(_pid, l)] != EMPTY ->				\
		mem[l] = older[AT(_pid, l)];				\
		older[AT(_pid, l)] = newer[AT(_pid, l)];		\
		newer[AT(_pid, l)] = EMPTY;				\
		pending[_pid]--;					\
		inflight[l]--						\
	}

/* The first processes, so that the process number is the CPU number. */
active [CPUS] proctype store_buffer()
{
end:
	do
	DRAIN(0)
#if LOCS > 1
	DRAIN(1)
#endif
#if LOCS > 2
	DRAIN(2)
#endif
#if LOCS > 3
	DRAIN(3)
#endif
#if LOCS > 4
#error "more DRAIN() lines are needed"
#endif
	od
}

/*
 * RCU.  A section is a stretch with interrupts off, or under rcu_read_lock().
 * A grace period waits for the sections that are running when it begins, and
 * for no others; and it comes with a full barrier on the CPU that asks for it,
 * before, and on each CPU that has been waited for, after its section.
 */
bool in_section[CPUS];
bool gp_waits[CPUS];

#define section_begin(c)	in_section[c] = true
#define section_end(c)		d_step { in_section[c] = false; gp_waits[c] = false }
#define local_irq_save(c)	section_begin(c)
#define local_irq_restore(c)	section_end(c)

#define gp_begin(c)		gp_waits[c] = in_section[c]
#define gp_end(c)		(!gp_waits[c] && pending[c] == 0)
