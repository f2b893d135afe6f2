/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What ptwalk_torture.ko and its workload, guest/torture.c, share.
 *
 * The workload opens /dev/ptwalk_torture, maps the first page of it, fills in
 * the regions, and writes a command (TORTURE_START and so on).  read() returns
 * as soon as no thread has to pause.
 */
#ifndef _PTWALK_TORTURE_H
#define _PTWALK_TORTURE_H

#include <linux/types.h>

#define TORTURE_DEVICE		"ptwalk_torture"
#define TORTURE_MAX_REGIONS	16

/* What write() takes. */
#define TORTURE_START	"start"		/* the regions are there: walk */
#define TORTURE_SETTLE	"settle"	/* see the parameter settle */
#define TORTURE_GO	"go"		/* wake threads that sleep in read() */
#define TORTURE_END	"end"		/* judge; -EIO if the test failed */

/* Words of a page in a region with TORTURE_COUNTED. */
#define TORTURE_WALKER_WORD	1	/* of the first walker */
#define TORTURE_MAX_WALKERS	128
#define TORTURE_THREAD_WORD	(TORTURE_WALKER_WORD + TORTURE_MAX_WALKERS)
#define TORTURE_MAX_THREADS	128
#define TORTURE_VCPU_WORD	(TORTURE_THREAD_WORD + TORTURE_MAX_THREADS)

/* Modifiers, and what else is counted; the parameter "modifiers" names them. */
enum {
	TORTURE_COLLAPSE,
	TORTURE_SPLIT,
	TORTURE_SHMEM,
	TORTURE_FILE,
	TORTURE_DONTNEED,
	TORTURE_FREE,
	TORTURE_MUNMAP,
	TORTURE_MREMAP,
	TORTURE_MPROTECT,
	TORTURE_FORK,
	TORTURE_MIGRATE,
	TORTURE_SWAP,
	TORTURE_UNSHARE,
	TORTURE_RECLAIM,
	TORTURE_AGE,
	TORTURE_BALANCE,
	TORTURE_PRESS,
	TORTURE_ONOFF,		/* by the module */
	TORTURE_KVM,		/* passes of a guest over what is counted in */
	TORTURE_STORE,
	TORTURE_NR_OPS
};

enum {
	TORTURE_FAIL_LOST,	/* a store is not there any more */
	TORTURE_FAIL_LEAKED,	/* stored through a stale translation */
	TORTURE_FAIL_ZEROED,	/* contents are gone */
	TORTURE_FAIL_WRONG,	/* page of another address */
	TORTURE_FAIL_STALE,	/* page unmapped before */
	TORTURE_FAIL_EARLY,	/* page not mapped yet */
	TORTURE_FAIL_REFUSED,	/* an operation failed */
	TORTURE_FAIL_PINNED,	/* page is not the one pinned */
	TORTURE_FAIL_TABLE,	/* page table freed in a walk */
	TORTURE_NR_FAILS
};

/* Walkers look for page-table entries here, and store through pins. */
#define TORTURE_WALKED	1
#define TORTURE_COUNTED	2
/* The memory is filled once, and must never be found empty. */
#define TORTURE_KEPT	4

/**
 * struct torture_region - memory that is walked
 * @addr: user address
 * @nr_pages: its size
 * @hole: the last one of each @hole pages is not mapped, 0 for none
 * @id: names it in the tags; regions that share pages have the same
 * @flags: TORTURE_WALKED and so on
 * @gen: generation: pages of an earlier one are unmapped, of a later one not
 *	mapped yet
 * @pad: 0
 */
struct torture_region {
	__u64 addr;
	__u32 nr_pages;
	__u32 hole;
	__u32 id;
	__u32 flags;
	__u32 gen;
	__u32 pad;
};

/**
 * struct torture_ctl - the page that module and workload share
 * @seed: of random choices
 * @modifiers: bit mask of the modifiers that are asked for
 * @enabled: those of them that this machine has; each must happen
 * @focus: those of them that run now
 * @settle: whether TORTURE_SETTLE does anything
 * @stop: the time is over
 * @pause: threads that count wait until @collapser has allocated a huge page
 * @collapser: thread that collapses
 * @allocated: number of huge pages that it has allocated
 * @collapsing: address of what it collapses now, or 0
 * @nr_regions: number of @regions
 * @pad: 0
 * @regions: memory that is walked, the first one half of the time
 * @ops: how often each happened
 * @fails: failures the workload found
 */
struct torture_ctl {
	__u64 seed;
	__u32 modifiers;
	__u32 enabled;
	__u32 focus;
	__u32 settle;
	__u32 stop;
	__u32 pause;
	__u32 collapser;
	__u32 allocated;
	__u32 nr_regions;
	__u32 pad;
	__u64 collapsing;
	struct torture_region regions[TORTURE_MAX_REGIONS];
	__u64 ops[TORTURE_NR_OPS];
	__u64 fails[TORTURE_NR_FAILS];
};

/**
 * torture_tag() - first word of a page
 * @region: where the page is
 * @page: its number there, from 0
 * @gen: its generation
 *
 * Return: a word that names these three, never 0.
 */
static inline __u64 torture_tag(const struct torture_region *region,
				__u32 page, __u32 gen)
{
	return (__u64)gen << 32 | (region->id + 1) << 24 | page;
}

#endif /* _PTWALK_TORTURE_H */
