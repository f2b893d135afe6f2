// SPDX-License-Identifier: GPL-2.0-only
/*
 * GUP-fast returns the page that is mapped, whatever happens to the tables
 * while it walks them.
 *
 * Every page carries its address and the generation of the mapping.  The
 * generation rises after the old pages were unmapped and before new ones are
 * tagged, so a page of an older generation than the one seen before the call
 * is a page that was not mapped any more.
 */
#include <linux/compiler.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/prandom.h>

#include "../lib/ptwalk.h"

#define NR_PAGES	16
#define MAX_WALKERS	3

/**
 * struct race - what the walkers and the case share
 * @mm: the address space
 * @walkers: the walkers...
 * @crew: ...and their kthreads
 * @nr_pages: how many pages from PTWALK_BASE the walkers look up
 * @check: judges one page that was returned, 0 if it is the right one
 * @gen: current generation
 * @step: odd while the tables are modified
 */
struct race {
	struct mm_struct *mm;
	struct walker *walkers;
	struct ptwalk_crew *crew;
	unsigned int nr_pages;
	int (*check)(struct page *page, unsigned long addr, u32 gen, int id);
	u32 gen;
	unsigned int step;
};

/**
 * struct walker - a kthread that calls GUP-fast
 * @race: the race that it takes part in
 * @id: its number, from 1
 * @rnd: its random choices
 * @fast: pages that get_user_pages_fast_only() returned
 * @pinned: pages that pin_user_pages_fast() returned
 * @missed: calls that returned no page
 * @met: calls during which the tables were modified
 * @wrong: pages that were not the right ones
 */
struct walker {
	struct race *race;
	int id;
	struct rnd_state rnd;
	unsigned long fast, pinned, missed, met, wrong;
};

static void look_up(void *arg, unsigned int nr)
{
	struct walker *w = &((struct race *)arg)->walkers[nr];
	u32 random = prandom_u32_state(&w->rnd);
	unsigned long addr = PTWALK_BASE;
	/* Pairs with the release in next_generation(). */
	u32 gen = smp_load_acquire(&w->race->gen);
	bool pin = random % 4 == 0;
	unsigned int step = READ_ONCE(w->race->step);
	struct page *page;
	int got;

	addr += (random >> 8) % w->race->nr_pages * PAGE_SIZE;
	got = (pin ? pin_user_pages_fast(addr, 1, FOLL_WRITE, &page) :
	       get_user_pages_fast_only(addr, 1, FOLL_WRITE, &page));
	w->met += step & 1 || READ_ONCE(w->race->step) != step;
	if (got != 1) {
		w->missed++;
	} else {
		w->wrong += !!w->race->check(page, addr, gen, w->id);
		if (pin) {
			w->pinned++;
			unpin_user_page(page);
		} else {
			w->fast++;
			put_page(page);
		}
	}
	/* A collapse succeeds only without references. */
	if (random % 64 == 0)
		usleep_range(500, 1000);
}

/* Right: not tagged yet, or of this address and no older generation. */
static int check_tag(struct page *page, unsigned long addr, u32 gen, int id)
{
	u64 word = ptwalk_first_word(page);

	return word && ((u32)word != (u32)ptwalk_tag(addr, 0) ||
			(u32)(word >> 32) < gen);
}

/* Right: what is stored through the reference is read at the address. */
static int check_store(struct page *page, unsigned long addr, u32 gen, int id)
{
	u64 *ptr = kmap_local_page(page);
	u64 word, old = READ_ONCE(ptr[id]);
	int ret;

	WRITE_ONCE(ptr[id], old + 1);
	ret = get_user(word, (u64 __user *)addr + id);
	kunmap_local(ptr);
	return ret || word != old + 1 || check_tag(page, addr, gen, id);
}

static unsigned int nr_walkers(void)
{
	return min(num_online_cpus() - 1, MAX_WALKERS);
}

static void start_walkers(struct kunit *test, struct race *race)
{
	struct walker *w;
	u32 seed = ptwalk_seed(test);
	struct cpumask cpus;
	unsigned int i;

	w = ptwalk_zalloc(test, nr_walkers() * sizeof(*w));
	ptwalk_next_cpus(&cpus, nr_walkers());
	for (i = 0; i < nr_walkers(); i++) {
		w[i].race = race;
		w[i].id = i + 1;
		prandom_seed_state(&w[i].rnd, seed + i);
	}
	race->walkers = w;
	race->crew = ptwalk_crew(test, race->mm, &cpus, look_up, race);
}

/* Until there was a round, and a walker found a page, and one was met. */
static bool is_on(struct race *race, unsigned long end, unsigned int rounds)
{
	bool found = false, met = false;
	unsigned int i;

	for (i = 0; i < nr_walkers(); i++) {
		found |= READ_ONCE(race->walkers[i].fast);
		met |= READ_ONCE(race->walkers[i].met);
	}
	return ptwalk_race_is_on(end, rounds && found && met);
}

static void judge(struct kunit *test, struct race *race, unsigned int rounds)
{
	unsigned long fast = 0, pinned = 0, missed = 0, met = 0, wrong = 0;
	struct walker *w = race->walkers;
	unsigned int i;

	ptwalk_crew_stop(race->crew);
	for (i = 0; i < nr_walkers(); i++) {
		fast += w[i].fast;
		pinned += w[i].pinned;
		missed += w[i].missed;
		met += w[i].met;
		wrong += w[i].wrong;
	}
	kunit_info(test, "rounds=%u fast=%lu pinned=%lu missed=%lu met=%lu wrong=%lu\n",
		   rounds, fast, pinned, missed, met, wrong);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_GT(test, fast, 0);
	KUNIT_EXPECT_GT_MSG(test, met, 0, "no walk met what modifies the tables");
	KUNIT_EXPECT_GT(test, rounds, 0);
}

static struct race *new_race(struct kunit *test)
{
	struct race *race = ptwalk_zalloc(test, sizeof(*race));

	race->mm = ptwalk_mm_enter(test);
	race->nr_pages = NR_PAGES;
	race->check = check_tag;
	race->gen = 1;
	ptwalk_map(test, PTWALK_BASE, HPAGE_PMD_SIZE);
	return race;
}

/* Around what modifies the tables: a walk that it overlaps is counted. */
static void modify(struct race *race)
{
	WRITE_ONCE(race->step, race->step + 1);
}

static u32 next_generation(struct race *race)
{
	u32 gen = race->gen + 1;

	/*
	 * A walker that sees the generation sees the old pages unmapped.  Pairs
	 * with the acquire in look_up().
	 */
	smp_store_release(&race->gen, gen);
	return gen;
}

/* Broken: data that a device stores is lost when the memory is collapsed. */
static void gup_versus_collapse_and_split(struct kunit *test)
{
	struct race *race = new_race(test);
	unsigned int rounds = 0;
	unsigned long end;

	race->check = check_store;
	ptwalk_fill_small(test, PTWALK_BASE, HPAGE_PMD_SIZE, race->gen);
	start_walkers(test, race);
	for (end = ptwalk_race_end(); is_on(race, end, rounds); cond_resched()) {
		modify(race);
		if (!do_madvise(race->mm, PTWALK_BASE, HPAGE_PMD_SIZE,
				MADV_COLLAPSE))
			rounds++;
		modify(race);
		/*
		 * No walker looks up the last page.  MADV_DONTNEED of it
		 * splits.
		 */
		ptwalk_zap(PTWALK_BASE + HPAGE_PMD_SIZE - PAGE_SIZE,
			   PAGE_SIZE);
	}
	judge(test, race, rounds);
}

/* Broken: a device reads or writes memory that the process gave back. */
static void gup_versus_zap(struct kunit *test)
{
	struct race *race = new_race(test);
	unsigned long len = NR_PAGES * PAGE_SIZE;
	unsigned int rounds = 0;
	unsigned long end;

	start_walkers(test, race);
	for (end = ptwalk_race_end(); is_on(race, end, rounds); cond_resched()) {
		ptwalk_fill(test, PTWALK_BASE, len, race->gen);
		modify(race);
		KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, len));
		modify(race);
		next_generation(race);
		rounds++;
	}
	judge(test, race, rounds);
}

static void remap_until(struct kunit *test, struct race *race,
			unsigned int *rounds)
{
	unsigned long end;

	for (end = ptwalk_race_end(); is_on(race, end, *rounds); cond_resched()) {
		ptwalk_fill(test, PTWALK_BASE, NR_PAGES * PAGE_SIZE,
			    race->gen);
		ptwalk_fail_arm();
		modify(race);
		*rounds += !vm_munmap(PTWALK_BASE, HPAGE_PMD_SIZE);
		modify(race);
		ptwalk_fail_disarm();
		next_generation(race);
		ptwalk_map(test, PTWALK_BASE, HPAGE_PMD_SIZE);
	}
}

/* Broken: GUP-fast walks freed tables and returns pages of other processes. */
static void gup_versus_munmap(struct kunit *test)
{
	struct race *race = new_race(test);
	unsigned int rounds = 0;

	start_walkers(test, race);
	remap_until(test, race, &rounds);
	judge(test, race, rounds);
}

/* Broken: the same when memory is short. */
static void gup_versus_munmap_fallback(struct kunit *test)
{
	struct race *race = new_race(test);
	long singles = ptwalk_singles();
	unsigned int rounds = 0;

	ptwalk_fail_prepare(test, PTWALK_FAIL_NOWAIT);
	start_walkers(test, race);
	remap_until(test, race, &rounds);
	ptwalk_fail_restore(test);
	judge(test, race, rounds);
	ptwalk_expect_singles(test, singles, rounds);
}

static void watch_small_pages(struct kunit *test)
{
	struct page *page;
	int i;

	ptwalk_watch_reset();
	for (i = 0; i < HPAGE_PMD_NR; i++) {
		page = ptwalk_page(PTWALK_BASE + i * PAGE_SIZE);
		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_ASSERT_EQ(test, 0, ptwalk_watch_page(page));
	}
}

/* Fills, collapses, gives back.  Returns how many small pages were freed. */
static int collapse_round(struct kunit *test, struct race *race)
{
	int freed;

	ptwalk_fill_small(test, PTWALK_BASE, HPAGE_PMD_SIZE, race->gen);
	watch_small_pages(test);
	modify(race);
	freed = ptwalk_collapse(PTWALK_BASE, HPAGE_PMD_SIZE) ? -EAGAIN : 0;
	modify(race);
	if (!freed) {
		ptwalk_watch_wait(HPAGE_PMD_NR, 1000);
		freed = ptwalk_watch_freed();
	}
	/* A walker may fault next and must not get a huge page. */
	KUNIT_ASSERT_EQ(test, 0, do_madvise(race->mm, PTWALK_BASE,
					    HPAGE_PMD_SIZE, MADV_NOHUGEPAGE));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, HPAGE_PMD_SIZE));
	next_generation(race);
	return freed;
}

/* Broken: pages that were collapsed are leaked, or freed twice. */
static void gup_leaves_no_reference(struct kunit *test)
{
	struct race *race = new_race(test);
	unsigned int rounds = 0, kept = 0;
	unsigned long end;

	race->nr_pages = HPAGE_PMD_NR;
	start_walkers(test, race);
	for (end = ptwalk_race_end(); is_on(race, end, rounds); cond_resched()) {
		int freed = collapse_round(test, race);

		if (freed < 0)
			continue;
		rounds++;
		kept += HPAGE_PMD_NR - freed;
	}
	KUNIT_EXPECT_EQ(test, kept, 0);
	judge(test, race, rounds);
}

static struct kunit_case gup_cases[] = {
	KUNIT_CASE_SLOW(gup_versus_collapse_and_split),
	KUNIT_CASE_SLOW(gup_versus_zap),
	KUNIT_CASE_SLOW(gup_versus_munmap),
	KUNIT_CASE_SLOW(gup_versus_munmap_fallback),
	KUNIT_CASE_SLOW(gup_leaves_no_reference),
	{}
};

PTWALK_SUITE(gup);
