// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_DONTNEED of huge pages, while other threads fault small pages into the
 * same place.
 *
 * Each thread has a word of its own in every page.  The case counts each
 * MADV_DONTNEED when it begins and when it ends: a value that was stored before
 * it began must not be read after it ended.  The case also keeps a reference to
 * the pages that it gives back: their contents must not change any more.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../lib/ptwalk.h"

#define NR_REGIONS	2
#define LEN		(NR_REGIONS * HPAGE_PMD_SIZE)
/* How many pages of each region the threads use. */
#define NR_PAGES	4

/**
 * struct give_back - what the threads and the case share
 * @begun: how many MADV_DONTNEED have begun
 * @ended: how many have ended
 * @survived: words that were read after they were given back
 * @failed: accesses that failed
 * @stores: how often each thread has stored
 */
struct give_back {
	unsigned long begun, ended;
	atomic_t survived, failed;
	unsigned long stores[NR_CPUS];
};

static unsigned long page_addr(unsigned int i)
{
	return PTWALK_BASE + i / NR_PAGES * HPAGE_PMD_SIZE +
		i % NR_PAGES * PAGE_SIZE;
}

/* Stores @value, and reads it again a moment later. */
static void store_and_read(struct give_back *g, u64 __user *word, u64 value)
{
	unsigned long begun, ended;

	if (put_user(value, word)) {
		atomic_inc(&g->failed);
		return;
	}
	/* The store comes before each MADV_DONTNEED that has not begun yet. */
	smp_mb();
	begun = READ_ONCE(g->begun);
	cpu_relax();
	/* Pairs with the release in give_back_all(). */
	ended = smp_load_acquire(&g->ended);
	if (get_user(value, word))
		atomic_inc(&g->failed);
	else if (value && ended > begun)
		atomic_inc(&g->survived);
}

static void store_in_all_pages(void *arg, unsigned int id)
{
	struct give_back *g = arg;
	unsigned int i;

	/* Never the same value twice: see changes(). */
	for (i = 0; i < NR_REGIONS * NR_PAGES; i++)
		store_and_read(g, (u64 __user *)page_addr(i) + id,
			       ++g->stores[id]);
}

/* A fault allocates small pages only if huge ones are not allowed. */
static int make_huge(void)
{
	int ret;

	ret = do_madvise(current->mm, PTWALK_BASE, LEN, MADV_HUGEPAGE);
	ret = ret ?: do_madvise(current->mm, PTWALK_BASE, LEN, MADV_COLLAPSE);
	return ret ?: do_madvise(current->mm, PTWALK_BASE, LEN,
				 MADV_NOHUGEPAGE);
}

static int get_pages(struct page **pages)
{
	int i;

	for (i = 0; i < NR_REGIONS * NR_PAGES; i++)
		if (get_user_pages_fast_only(page_addr(i), 1, 0, &pages[i]) != 1)
			break;
	return i;
}

static int give_back_all(struct give_back *g)
{
	int ret;

	WRITE_ONCE(g->begun, g->begun + 1);
	/* Pairs with smp_mb() in store_and_read(). */
	smp_mb();
	ret = ptwalk_zap(PTWALK_BASE, LEN);
	ptwalk_settle();
	/* Pairs with the acquire in store_and_read(). */
	smp_store_release(&g->ended, g->begun);
	return ret;
}

/* Whether a page changes although it is mapped nowhere. */
static bool changes(struct page *page, void *copy)
{
	void *ptr = kmap_local_page(page);
	bool changed;

	memcpy(copy, ptr, PAGE_SIZE);
	udelay(100);
	changed = memcmp(copy, ptr, PAGE_SIZE);
	kunmap_local(ptr);
	return changed;
}

/* Broken: a thread writes to a page that was given back and is in use again. */
static void dontneed_leaves_no_translation(struct kunit *test)
{
	struct page *pages[NR_REGIONS * NR_PAGES];
	unsigned int rounds = 0, kept = 0, changed = 0;
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long end, stores = 0;
	struct ptwalk_crew *crew;
	struct give_back *g;
	int i, nr;
	void *copy;

	ptwalk_need_thp(test);
	g = ptwalk_zalloc(test, sizeof(*g));
	copy = ptwalk_zalloc(test, PAGE_SIZE);
	ptwalk_map(test, PTWALK_BASE, LEN);
	ptwalk_fill_small(test, PTWALK_BASE, LEN, 0);
	ptwalk_settle_collapses(test);
	crew = ptwalk_crew(test, mm, cpu_online_mask, store_in_all_pages, g);
	end = ptwalk_race_end();
	for (; ptwalk_race_is_on(end, kept); cond_resched()) {
		if (make_huge())
			continue;
		nr = get_pages(pages);
		KUNIT_EXPECT_EQ(test, 0, give_back_all(g));
		for (i = 0; i < nr; i++) {
			changed += changes(pages[i], copy);
			put_page(pages[i]);
		}
		kept += nr;
		rounds++;
	}
	ptwalk_crew_stop(crew);
	for (i = 0; i < crew->nr; i++)
		stores += g->stores[i];
	kunit_info(test, "rounds=%u stores=%lu kept=%u changed=%u survived=%d\n",
		   rounds, stores, kept, changed, atomic_read(&g->survived));
	KUNIT_EXPECT_EQ(test, changed, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&g->survived), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&g->failed), 0);
	KUNIT_EXPECT_GT(test, kept, 0);
	KUNIT_EXPECT_GT(test, stores, 0);
}

static struct kunit_case dontneed_cases[] = {
	KUNIT_CASE_SLOW(dontneed_leaves_no_translation),
	{}
};

PTWALK_SUITE(dontneed);
