// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches for pages that are freed, and lets a case act inside a collapse, both
 * by tracepoints of the page allocator.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/rcupdate.h>
#include <linux/xarray.h>

#include "ptwalk.h"

#define MAX_WATCHED	1024

/* Maps a page frame number to an index in @freed. */
static DEFINE_XARRAY(watched);
static atomic_t freed[MAX_WATCHED];
static unsigned int nr_watched;
static atomic_t nr_freed;

static struct task_struct *trap_task;
static struct page *trap_victim;

/* Any context.  A page that is freed, used again and freed counts once. */
static void mm_page_free(void *data, struct page *page, unsigned int order)
{
	void *entry;

	if (order)
		return;
	entry = xa_load(&watched, page_to_pfn(page));
	if (entry && !atomic_xchg(&freed[xa_to_value(entry)], 1))
		atomic_inc(&nr_freed);
}

/*
 * A collapse allocates the huge page after it has scanned the small pages,
 * which must not have references, and before it detaches the table.
 */
static void mm_page_alloc(void *data, struct page *page, unsigned int order,
			  gfp_t gfp_flags, int migratetype)
{
	struct page *victim;

	if (current != READ_ONCE(trap_task) || order != HPAGE_PMD_ORDER)
		return;
	victim = xchg(&trap_victim, NULL);
	if (victim)
		get_page(victim);
}

/**
 * ptwalk_watch_reset() - forget all watched pages
 */
void ptwalk_watch_reset(void)
{
	xa_destroy(&watched);
	nr_watched = 0;
	atomic_set(&nr_freed, 0);
}

/**
 * ptwalk_watch_page() - watch for a page of order 0 to be freed
 * @page: the page; watching it takes no reference
 *
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int ptwalk_watch_page(struct page *page)
{
	if (nr_watched == MAX_WATCHED)
		return -ENOSPC;
	atomic_set(&freed[nr_watched], 0);
	return xa_err(xa_store(&watched, page_to_pfn(page),
			       xa_mk_value(nr_watched++), GFP_KERNEL));
}

/**
 * ptwalk_watch_freed() - how many of the watched pages were freed
 *
 * Return: their number since ptwalk_watch_reset().
 */
unsigned int ptwalk_watch_freed(void)
{
	return atomic_read(&nr_freed);
}

/**
 * ptwalk_watch_wait() - wait until watched pages are freed
 * @nr: how many
 * @ms: how long to wait at most
 *
 * Runs all RCU callbacks that are pending.
 *
 * Context: may sleep.
 * Return: whether @nr of them were freed.
 */
bool ptwalk_watch_wait(unsigned int nr, unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	for (;;) {
		if (ptwalk_watch_freed() >= nr)
			return true;
		if (time_after(jiffies, end))
			return false;
		rcu_barrier();
		msleep(20);
	}
}

/**
 * ptwalk_trap_set() - take a reference in the middle of current's next collapse
 * @victim: the page to reference once current allocates a huge page
 */
void ptwalk_trap_set(struct page *victim)
{
	WRITE_ONCE(trap_victim, victim);
	WRITE_ONCE(trap_task, current);
}

/**
 * ptwalk_trap_clear() - disarm the trap
 *
 * The caller drops the reference when there is one.
 *
 * Return: whether the reference was taken.
 */
bool ptwalk_trap_clear(void)
{
	bool armed = READ_ONCE(trap_task);

	WRITE_ONCE(trap_task, NULL);
	return !xchg(&trap_victim, NULL) && armed;
}

static struct ptwalk_probe probes[] = {
	{ .name = "mm_page_free", .fn = mm_page_free },
	{ .name = "mm_page_alloc", .fn = mm_page_alloc },
};

/**
 * ptwalk_watch_init() - attach to the tracepoints
 *
 * Return: 0, or -ENOENT if the kernel lacks one of them.
 */
int ptwalk_watch_init(void)
{
	int ret = ptwalk_attach(probes, ARRAY_SIZE(probes));

	if (ret)
		ptwalk_detach(probes, ARRAY_SIZE(probes));
	return ret;
}

/**
 * ptwalk_watch_exit() - detach from the tracepoints
 */
void ptwalk_watch_exit(void)
{
	ptwalk_detach(probes, ARRAY_SIZE(probes));
	xa_destroy(&watched);
}
