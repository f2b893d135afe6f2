// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hash MMU of powerpc: hash faults that insert translations while the page
 * table that they found is detached.
 *
 * Threads count in user memory.  Each thread has a word of its own in every
 * page, and knows its value.  A translation that is inserted after the flush of
 * a collapse lets a thread go on counting in the page that was copied, so that
 * the word in the huge page is behind.
 *
 * The window is a few instructions wide.  To hit it, the threads pause while a
 * huge page is split, which leaves no translation.  They go on when the next
 * collapse has allocated its huge page, so that all of them are in hash faults
 * when it detaches the page table.  stress_hpt on the kernel command line
 * causes more hash faults.
 */
#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

#define NR_REGIONS	2
#define LEN		(NR_REGIONS * HPAGE_PMD_SIZE)
#define NR_PAGES	(NR_REGIONS * HPAGE_PMD_NR)
#define MIN_MS		10000
/* Threads that spin go on at once, but keep the host busy. */
#define NR_SPINNING	2
/*
 * One collapse in 40 finds such a fault with stress_hpt, one in 150 without; on
 * a busy host that takes minutes.
 */
#define MEET_MS		(2 * PART_MS)
/* KUnit ends a case after 300 s, so a longer storm is run in parts. */
#define PART_MS		120000u

static void need_hash(struct kunit *test)
{
	if (radix_enabled())
		kunit_skip(test, "needs the hash MMU");
	ptwalk_need_thp(test);
}

/* ---------------------------------------------------------- lost stores */

/**
 * struct storm - threads that count, and a case that collapses
 * @mm: the address space
 * @crew: the threads
 * @nr: number of threads
 * @task: the case
 * @first: page that the threads begin with when they go on
 * @pause: the threads must not use the memory for a while
 * @go_on: most of the threads sleep here in a pause
 * @paused: number of threads that pause
 * @turn: counts the rounds of each thread, which choose its pages
 * @words: values that each thread has stored last, NR_PAGES for each
 * @lost: words that held another value, for each thread
 * @refused: accesses that failed, for each thread
 * @stores: how often each thread has counted
 * @faults: hash faults
 * @detached: hash faults that found their page table detached
 * @collapses: how many
 * @failed: collapses that failed
 */
struct storm {
	struct mm_struct *mm;
	struct ptwalk_crew *crew;
	unsigned int nr;
	struct task_struct *task;
	unsigned int first;
	bool pause;
	wait_queue_head_t go_on;
	atomic_t paused;
	unsigned int turn[NR_CPUS];
	u64 *words;
	unsigned long lost[NR_CPUS];
	unsigned long refused[NR_CPUS];
	unsigned long stores[NR_CPUS];
	struct completion *faults, *detached;
	unsigned int collapses, failed;
};

static u64 __user *word_addr(unsigned int id, unsigned int page)
{
	return (u64 __user *)(PTWALK_BASE + page * PAGE_SIZE) + id;
}

/* The last page of each region is given back in order to split. */
static bool is_given_back(unsigned int page)
{
	return page % HPAGE_PMD_NR == HPAGE_PMD_NR - 1;
}

static void check_word(struct storm *s, unsigned int id, unsigned int page)
{
	u64 *expected = &s->words[id * NR_PAGES + page], word;

	if (get_user(word, word_addr(id, page))) {
		s->refused[id]++;
	} else if (word != *expected) {
		s->lost[id]++;
		*expected = word;
	}
}

static void count_in_page(struct storm *s, unsigned int id, unsigned int page)
{
	u64 *word = &s->words[id * NR_PAGES + page];

	check_word(s, id, page);
	if (put_user(*word + 1, word_addr(id, page))) {
		s->refused[id]++;
		return;
	}
	++*word;
	s->stores[id]++;
}

static void pause_if_told(struct storm *s, unsigned int id)
{
	if (!READ_ONCE(s->pause))
		return;
	atomic_inc(&s->paused);
	if (id >= NR_SPINNING)
		wait_event(s->go_on, !READ_ONCE(s->pause));
	while (READ_ONCE(s->pause))
		cond_resched();
	atomic_dec(&s->paused);
}

static void go_on(struct storm *s)
{
	WRITE_ONCE(s->pause, false);
	wake_up_all(&s->go_on);
}

/*
 * Takes turns with the other threads, so that two of them rarely fault on one
 * page: QEMU reads the two words of an HPTE one after the other.  While one CPU
 * updates an HPTE, another may take a protection fault that makes the kernel
 * warn.
 */
static void count_in_some_pages(void *arg, unsigned int id)
{
	struct storm *s = arg;
	unsigned int i, page, turn = s->turn[id]++ + id;

	pause_if_told(s, id);
	for (i = turn % s->nr; i < NR_PAGES && !READ_ONCE(s->pause);
	     i += s->nr) {
		page = (READ_ONCE(s->first) + i) % NR_PAGES;
		if (!is_given_back(page))
			count_in_page(s, id, page);
	}
}

/* The collapse has its huge page, and will clear the PMD next. */
static void mm_page_alloc(void *data, struct page *page, unsigned int order,
			  gfp_t gfp_flags, int migratetype)
{
	struct storm *s = data;

	if (current == s->task && order == HPAGE_PMD_ORDER)
		go_on(s);
}

static void pause_threads(struct storm *s)
{
	WRITE_ONCE(s->pause, true);
	while (atomic_read(&s->paused) < s->nr)
		cond_resched();
}

static struct storm *new_storm(struct kunit *test)
{
	struct storm *s = ptwalk_zalloc(test, sizeof(*s));
	unsigned int page, id;

	need_hash(test);
	s->mm = ptwalk_mm_enter(test);
	s->task = current;
	init_waitqueue_head(&s->go_on);
	s->nr = num_online_cpus() - 1;
	s->words = ptwalk_zalloc(test, num_online_cpus() * NR_PAGES *
				 sizeof(*s->words));
	ptwalk_map(test, PTWALK_BASE, LEN);
	ptwalk_fill_small(test, PTWALK_BASE, LEN, 0);
	/* ptwalk_fill() has tagged the first word. */
	for (page = 0; page < NR_PAGES; page++)
		for (id = 0; id < num_online_cpus(); id++)
			KUNIT_ASSERT_EQ(test, 0, put_user(0, word_addr(id, page)));
	ptwalk_settle_collapses(test);
	s->faults = ptwalk_count(test, "hash_fault");
	s->detached = ptwalk_count(test, "hash_fault_detached");
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_page_alloc",
					     mm_page_alloc, s));
	s->crew = ptwalk_crew(test, s->mm, cpu_online_mask, count_in_some_pages,
			      s);
	return s;
}

static void split_and_collapse(struct storm *s)
{
	unsigned long addr;
	int i, ret;

	for (i = 0; i < NR_REGIONS; i++) {
		addr = PTWALK_BASE + i * HPAGE_PMD_SIZE;
		pause_threads(s);
		WRITE_ONCE(s->first, i * HPAGE_PMD_NR);
		ptwalk_zap(addr + HPAGE_PMD_SIZE - PAGE_SIZE, PAGE_SIZE);
		ret = do_madvise(s->mm, addr, HPAGE_PMD_SIZE, MADV_COLLAPSE);
		go_on(s);
		s->collapses += !ret;
		s->failed += !!ret;
	}
}

static void check_all_words(struct storm *s)
{
	unsigned int id, page;

	for (id = 0; id < s->nr; id++)
		for (page = 0; page < NR_PAGES; page++)
			if (!is_given_back(page))
				check_word(s, id, page);
}

static bool is_busy(unsigned long entry)
{
	return entry & H_PAGE_BUSY;
}

/* The memory is not in use now, so an entry that is locked stays locked. */
static unsigned int count_busy(struct storm *s)
{
	unsigned int busy = 0;
	unsigned long addr;
	pte_t *table;
	int i;

	for (addr = PTWALK_BASE; addr < PTWALK_BASE + LEN; addr += PMD_SIZE) {
		pmd_t *pmd = ptwalk_pmd_offset(s->mm, addr);

		table = ptwalk_table(s->mm, addr);
		if (pmd && !table)
			busy += is_busy(pmd_val(READ_ONCE(*pmd)));
		for (i = 0; table && i < PTRS_PER_PTE; i++)
			busy += is_busy(pte_val(READ_ONCE(table[i])));
	}
	return busy;
}

static void judge(struct kunit *test, struct storm *s)
{
	unsigned long lost = 0, refused = 0, stores = 0;
	unsigned int id, busy;

	ptwalk_crew_stop(s->crew);
	check_all_words(s);
	busy = count_busy(s);
	for (id = 0; id < s->nr; id++) {
		lost += s->lost[id];
		refused += s->refused[id];
		stores += s->stores[id];
	}
	kunit_info(test, "measure: hash_collapse collapses=%u faults=%u detached=%u lost=%lu refused=%lu stores=%lu failed=%u busy=%u\n",
		   s->collapses, ptwalk_counted(s->faults),
		   ptwalk_counted(s->detached), lost, refused, stores,
		   s->failed, busy);
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, refused, 0);
	KUNIT_EXPECT_EQ(test, busy, 0);
	KUNIT_EXPECT_GT(test, s->collapses, 0);
	KUNIT_EXPECT_GT(test, stores, 0);
	KUNIT_EXPECT_GT(test, ptwalk_counted(s->faults), 0);
}

static unsigned int storm_ms(void)
{
	return max(ptwalk_duration_ms, MIN_MS);
}

/* One parameter for each part of the storm; its value is its length. */
static const void *storm_part(PTWALK_PARAM_ARGS)
{
	static unsigned int part, length;

	part = prev ? part + 1 : 0;
	if (part * PART_MS >= storm_ms())
		return NULL;
	length = min(storm_ms() - part * PART_MS, PART_MS);
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u s from %u s", length / 1000,
		 part * PART_MS / 1000);
	return &length;
}

/* Broken: stores to memory are lost when it is collapsed. */
static void no_store_is_lost(struct kunit *test)
{
	const unsigned int *ms = test->param_value;
	struct storm *s = new_storm(test);
	unsigned long end = jiffies + msecs_to_jiffies(*ms);

	while (time_before(jiffies, end))
		split_and_collapse(s);
	judge(test, s);
}

/*
 * Broken: no_store_is_lost proves nothing, because no fault was in the window.
 */
static void detached_tables_are_met(struct kunit *test)
{
	unsigned long end = jiffies + msecs_to_jiffies(MEET_MS);
	struct storm *s = new_storm(test);

	while (s->detached && !ptwalk_counted(s->detached) &&
	       time_before(jiffies, end))
		split_and_collapse(s);
	split_and_collapse(s);
	judge(test, s);
	if (test->status == KUNIT_FAILURE)
		return;
	if (!s->detached)
		kunit_skip(test, "this kernel waits for hash faults by an IPI");
	KUNIT_EXPECT_GT_MSG(test, ptwalk_counted(s->detached), 0,
			    "no fault found a detached table within %u s; the host is busy, or try stress_hpt",
			    MEET_MS / 1000);
}

/* ------------------------------------------------------- table or neighbour */

/*
 * Broken: a fault does not notice that its table was detached and its neighbour
 * attached; the page that it maps is lost.
 */
static void no_table_is_taken_for_its_neighbour(struct kunit *test)
{
	struct ptwalk_full_page full;
	pmd_t *a, *b;
	int i;

	need_hash(test);
	ptwalk_mm_enter(test);
	full = ptwalk_fill_page(test, PTWALK_BASE, PMD_SIZE, PTWALK_FULL_TABLES);
	a = ptwalk_pmd_offset(current->mm, full.addr);
	for (i = 1; i < full.nr; i++, a = b) {
		b = ptwalk_pmd_offset(current->mm, full.addr + i * full.step);
		KUNIT_EXPECT_FALSE_MSG(test, pmd_same(*a, *b), "%lx and %lx",
				       pmd_val(*a), pmd_val(*b));
	}
}

/* ------------------------------------------------ memory that changes its kind */

/**
 * struct tagged - memory of which all words are known, and its readers
 * @addr: where it is
 * @len: its length
 * @tag: the words
 * @seq: odd while it is mapped and has @tag
 * @reads: reads while it was, for each thread
 * @wrong: those that failed or found another word
 */
struct tagged {
	unsigned long addr, len;
	u64 tag;
	unsigned long seq;
	unsigned long reads[NR_CPUS];
	unsigned long wrong[NR_CPUS];
};

static bool read_tag(struct tagged *t, unsigned int id, unsigned long addr)
{
	unsigned long seq = smp_load_acquire(&t->seq);
	u64 tag = READ_ONCE(t->tag), word;
	int error = get_user(word, (u64 __user *)addr);

	smp_rmb(); /* pairs with smp_store_release() in begin_reads() */
	if (seq & 1 && READ_ONCE(t->seq) == seq) {
		WRITE_ONCE(t->reads[id], t->reads[id] + 1);
		t->wrong[id] += error || word != tag;
	}
	return !error;
}

/* Each thread begins with a page of its own. */
static void read_tags(void *arg, unsigned int id)
{
	struct tagged *t = arg;
	unsigned long at, addr = READ_ONCE(t->addr);

	for (at = 0; at < t->len; at += PAGE_SIZE)
		if (!read_tag(t, id, addr + (at + id * PAGE_SIZE) % t->len))
			break;
}

static void begin_reads(struct tagged *t, u64 tag)
{
	WRITE_ONCE(t->tag, tag);
	smp_store_release(&t->seq, t->seq + 1);
}

/* Once each thread has read, or does not get that far */
static void end_reads(struct tagged *t)
{
	unsigned long end = jiffies + HZ, before[NR_CPUS];
	unsigned int id, nr = num_online_cpus() - 1;

	for (id = 0; id < nr; id++)
		before[id] = READ_ONCE(t->reads[id]);
	for (id = 0; id < nr; id++)
		while (READ_ONCE(t->reads[id]) == before[id] && time_before(jiffies, end))
			cond_resched();
	WRITE_ONCE(t->seq, t->seq + 1);
	smp_wmb(); /* pairs with smp_load_acquire() in read_tag() */
}

static unsigned long sum(const unsigned long *of_threads)
{
	unsigned long all = 0;
	unsigned int id;

	for (id = 0; id < num_online_cpus(); id++)
		all += of_threads[id];
	return all;
}

/* Only the fault: an access would never end if the entry stayed locked. */
static bool map_page(struct mm_struct *mm, unsigned long addr)
{
	int ret;

	mmap_read_lock(mm);
	ret = fixup_user_fault(mm, addr, 0, NULL);
	mmap_read_unlock(mm);
	return !ret;
}

/* An emulator may suspend a CPU for a while with the entry locked. */
#define BUSY_MS		3000

/* A hugetlb file with one page in it. */
static struct file *huge_file(struct kunit *test)
{
	struct vfsmount *mnt;

	if (!IS_ENABLED(CONFIG_HUGETLB_PAGE))
		kunit_skip(test, "needs CONFIG_HUGETLB_PAGE");
	mnt = ptwalk_mount(test, "hugetlbfs");
	ptwalk_pool_grow(2);
	ptwalk_at_end(test, ptwalk_pool_restore, NULL);
	return ptwalk_huge_file(test, mnt);
}

/* A page that is not mapped now is no error.  Each thread has its own pages. */
static void read_some_pages(void *arg, unsigned int id)
{
	unsigned long addr = PTWALK_BASE + id * PAGE_SIZE;

	for (; addr < PTWALK_BASE + HPAGE_PMD_SIZE;
	     addr += (num_online_cpus() - 1) * PAGE_SIZE)
		if (fault_in_readable((char __user *)addr, 1))
			break;
}

/*
 * Whether the entry stays locked for good.  It is unlocked then, or the kernel
 * would spin on it with a lock held.
 */
static bool stays_busy(struct mm_struct *mm)
{
	unsigned long end = jiffies + msecs_to_jiffies(BUSY_MS);
	pmd_t *pmd = ptwalk_pmd_offset(mm, PTWALK_BASE);

	while (pmd && is_busy(pmd_val(READ_ONCE(*pmd)))) {
		if (time_after(jiffies, end)) {
			WRITE_ONCE(*pmd, __pmd(pmd_val(*pmd) & ~H_PAGE_BUSY));
			return true;
		}
		cond_resched();
	}
	return false;
}

/*
 * From hugetlb to THP only.  In the other direction the kernel interrupts all
 * CPUs, when it changes the page size of the segment.  Without the series it
 * takes some 50 flips on a host with fewer CPUs than the machine: too rare to
 * rely on it.
 */
static bool flip(struct kunit *test, struct mm_struct *mm, struct file *file,
		 bool *busy)
{
	bool flipped;

	ptwalk_map_file(test, file, PTWALK_BASE, HPAGE_PMD_SIZE);
	flipped = map_page(mm, PTWALK_BASE);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(PTWALK_BASE, HPAGE_PMD_SIZE));
	ptwalk_map(test, PTWALK_BASE, HPAGE_PMD_SIZE);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PTWALK_BASE, HPAGE_PMD_SIZE,
					    MADV_HUGEPAGE));
	/* Reading maps the huge zero page, which need not be allocated. */
	flipped &= map_page(mm, PTWALK_BASE) && ptwalk_is_huge(mm, PTWALK_BASE);
	*busy = stays_busy(mm);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(PTWALK_BASE, HPAGE_PMD_SIZE));
	return flipped;
}

/* Broken: a process hangs with a page table lock held. */
static void no_entry_of_another_kind_stays_locked(struct kunit *test)
{
	unsigned long end = ptwalk_race_end();
	unsigned int flips = 0, locked = 0;
	struct ptwalk_crew *crew;
	struct completion *series;
	struct mm_struct *mm;
	struct file *file;
	bool busy;

	need_hash(test);
	mm = ptwalk_mm_enter(test);
	file = huge_file(test);
	series = ptwalk_count(test, "hash_fault_detached");
	crew = ptwalk_crew(test, mm, cpu_online_mask, read_some_pages, NULL);
	for (; ptwalk_race_is_on(end, flips); cond_resched()) {
		flips += flip(test, mm, file, &busy);
		locked += busy;
	}
	ptwalk_crew_stop(crew);
	kunit_info(test, "flips=%u locked=%u\n", flips, locked);
	KUNIT_EXPECT_GT(test, flips, 0);
	if (!series)
		kunit_skip(test, "measured only: this kernel locks them, but seldom");
	KUNIT_EXPECT_EQ(test, locked, 0);
}

/**
 * struct waiter - a collapse that waits for a hash fault, and a call to its CPU
 * @called: its CPU has answered
 * @left: the collapse has ended
 * @ret: what it returned
 */
struct waiter {
	bool called, left;
	int ret;
};

static void collapse_once(void *arg, unsigned int id)
{
	struct waiter *w = arg;

	w->ret = ptwalk_collapse(PTWALK_BASE, HPAGE_PMD_SIZE);
	/* Pairs with smp_load_acquire() in collapse_waits_with_interrupts_on(). */
	smp_store_release(&w->left, true);
	ptwalk_wait_for_stop();
}

/* Interrupt */
static void answer(void *info)
{
	struct waiter *w = info;

	WRITE_ONCE(w->called, true);
}

/*
 * Broken: a CPU answers no interrupt while it waits for hash faults.  The case locks
 * a PTE, as a fault does that is slow.
 */
static void collapse_waits_with_interrupts_on(struct kunit *test)
{
	unsigned long end;
	call_single_data_t *csd;
	struct mm_struct *mm;
	struct waiter *w;
	int cpu = ptwalk_other_cpu();
	bool answered;
	pmd_t *pmd;
	pte_t *pte;

	need_hash(test);
	w = ptwalk_zalloc(test, sizeof(*w));
	csd = ptwalk_zalloc(test, sizeof(*csd));
	INIT_CSD(csd, answer, w);
	mm = ptwalk_mm_enter(test);
	ptwalk_map(test, PTWALK_BASE, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, PTWALK_BASE, HPAGE_PMD_SIZE, 0);
	pmd = ptwalk_pmd_offset(mm, PTWALK_BASE);
	pte = ptwalk_table(mm, PTWALK_BASE);
	WRITE_ONCE(*pte, __pte(pte_val(READ_ONCE(*pte)) | H_PAGE_BUSY));
	ptwalk_crew(test, mm, cpumask_of(cpu), collapse_once, w);
	while (!pmd_none(READ_ONCE(*pmd)) && !smp_load_acquire(&w->left))
		cond_resched();
	msleep(20);	/* until it waits */
	smp_call_function_single_async(cpu, csd);
	end = jiffies + msecs_to_jiffies(BUSY_MS);
	while (!READ_ONCE(w->called) && time_before(jiffies, end))
		cond_resched();
	answered = READ_ONCE(w->called);
	KUNIT_EXPECT_FALSE_MSG(test, smp_load_acquire(&w->left),
			       "the collapse did not wait (%d)", w->ret);
	WRITE_ONCE(*pte, __pte(pte_val(READ_ONCE(*pte)) & ~H_PAGE_BUSY));
	while (!smp_load_acquire(&w->left) || !READ_ONCE(w->called))
		cond_resched();
	KUNIT_EXPECT_TRUE_MSG(test, answered, "the CPU waited with interrupts off");
	KUNIT_EXPECT_EQ(test, w->ret, 0);
}

#define TAG_HUGETLB	0x5a5a000068756765ULL

/*
 * Not at the start of a segment, where addresses have the same hash for each
 * base page size: a flush for the wrong size finds the HPTE there.
 */
#define FLIP_BASE	(PTWALK_BASE + 3 * HPAGE_PMD_SIZE)

static bool tag_huge_file(struct kunit *test, struct file *file)
{
	unsigned long addr;
	int ret = 0;

	ptwalk_map_file(test, file, FLIP_BASE, HPAGE_PMD_SIZE);
	for (addr = FLIP_BASE; addr < FLIP_BASE + HPAGE_PMD_SIZE && !ret;
	     addr += PAGE_SIZE)
		ret = put_user(TAG_HUGETLB, (u64 __user *)addr);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(FLIP_BASE, HPAGE_PMD_SIZE));
	return !ret;
}

/* A file and anonymous memory in turn; the latter is a huge page of zeros. */
static bool flip_tags(struct kunit *test, struct mm_struct *mm, struct file *file,
		      struct tagged *t)
{
	bool flipped;

	ptwalk_map_file(test, file, FLIP_BASE, HPAGE_PMD_SIZE);
	flipped = map_page(mm, FLIP_BASE);
	begin_reads(t, TAG_HUGETLB);
	end_reads(t);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(FLIP_BASE, HPAGE_PMD_SIZE));
	ptwalk_map(test, FLIP_BASE, HPAGE_PMD_SIZE);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, FLIP_BASE, HPAGE_PMD_SIZE,
					    MADV_HUGEPAGE));
	flipped &= map_page(mm, FLIP_BASE) && ptwalk_is_huge(mm, FLIP_BASE);
	begin_reads(t, 0);
	end_reads(t);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(FLIP_BASE, HPAGE_PMD_SIZE));
	return flipped;
}

/* Broken: hugetlb memory shows data that was at its address before. */
static void no_translation_of_another_kind_is_left(struct kunit *test)
{
	unsigned long end = ptwalk_race_end();
	struct ptwalk_crew *crew;
	unsigned int flips = 0;
	struct mm_struct *mm;
	struct file *file;
	struct tagged *t;

	need_hash(test);
	t = ptwalk_zalloc(test, sizeof(*t));
	t->addr = FLIP_BASE;
	t->len = HPAGE_PMD_SIZE;
	mm = ptwalk_mm_enter(test);
	file = huge_file(test);
	KUNIT_ASSERT_TRUE(test, tag_huge_file(test, file));
	crew = ptwalk_crew(test, mm, cpu_online_mask, read_tags, t);
	/* What is left shows when hugetlb memory is there again. */
	for (; ptwalk_race_is_on(end, flips >= 10); cond_resched())
		flips += flip_tags(test, mm, file, t);
	ptwalk_crew_stop(crew);
	kunit_info(test, "flips=%u reads=%lu wrong=%lu\n", flips, sum(t->reads),
		   sum(t->wrong));
	KUNIT_EXPECT_GT(test, flips, 1);
	KUNIT_EXPECT_GT(test, sum(t->reads), 0);
	KUNIT_EXPECT_EQ(test, sum(t->wrong), 0);
}

/* ------------------------------------------------ a driver's page of 4K */

#define SEGMENT_BYTES	BIT(40)
/* Below the default limit of addresses, 128 TB */
#define NR_SEGMENTS	100

/**
 * struct driver_page - a page of 4K, which a driver maps, and its readers
 * @pfn: counts pages of 4K
 * @addr: of the word that they read
 * @word: what it is
 * @mm: where it is mapped
 * @file: the driver's
 * @reads: reads of @word, for each thread
 * @wrong: reads of neither @word nor 0, which anonymous memory has
 */
struct driver_page {
	unsigned long pfn, addr;
	u64 word;
	struct mm_struct *mm;
	struct file *file;
	unsigned long reads[NR_CPUS];
	unsigned long wrong[NR_CPUS];
};

static void read_driver_page(void *arg, unsigned int id)
{
	struct driver_page *p = arg;
	u64 word;

	if (get_user(word, (u64 __user *)READ_ONCE(p->addr)))
		return;
	if (word == p->word)
		WRITE_ONCE(p->reads[id], p->reads[id] + 1);
	else if (word)
		p->wrong[id]++;
}

static int map_driver_page(struct file *file, struct vm_area_struct *vma)
{
	struct driver_page *p = file->private_data;

	return remap_4k_pfn(vma, vma->vm_start, p->pfn, vma->vm_page_prot);
}

static const struct file_operations driver_fops = {
	.owner = THIS_MODULE,
	.mmap = map_driver_page,
};

/*
 * A page of the kernel's text whose first word differs from what a 64K HPTE of
 * the same number shows.
 */
static bool find_driver_page(struct driver_page *p)
{
	unsigned long pfn = __pa(ktime_get) >> HW_PAGE_SHIFT;
	unsigned int i;
	u64 other;

	for (i = 0; i < 64; i++, pfn++) {
		if (!pfn_valid(pfn) ||
		    get_kernel_nofault(p->word, (u64 *)__va(pfn << HW_PAGE_SHIFT)) ||
		    get_kernel_nofault(other, (u64 *)__va(pfn << PAGE_SHIFT)))
			continue;
		p->pfn = pfn;
		if (p->word && other && other != p->word)
			return true;
	}
	return false;
}

static struct driver_page *driver_page(struct kunit *test)
{
	struct driver_page *p = ptwalk_zalloc(test, sizeof(*p));

	if (radix_enabled())
		kunit_skip(test, "needs the hash MMU");
	if (!IS_ENABLED(CONFIG_PPC_64K_PAGES))
		kunit_skip(test, "needs pages of 64K");
	if (!find_driver_page(p))
		kunit_skip(test, "needs memory at 16 times the address of the kernel");
	p->mm = ptwalk_mm_enter(test);
	if (get_slice_psize(p->mm, SEGMENT_BYTES) != MMU_PAGE_64K)
		kunit_skip(test, "needs an MMU with pages of 64K");
	p->file = ptwalk_own_file(test, anon_inode_getfile("ptwalk_driver", &driver_fops,
							   p, O_RDONLY));
	return p;
}

static bool reads_go_on(struct driver_page *p)
{
	unsigned long before = sum(p->reads), end = jiffies + 10 * HZ;

	while (sum(p->reads) == before && time_before(jiffies, end))
		cond_resched();
	return sum(p->reads) > before;
}

/*
 * Anonymous memory, then the driver's page at the same address, in a segment of 64K
 * pages: it is one of 4K pages from then on.
 */
static bool replace_by_driver_page(struct kunit *test, struct driver_page *p,
				   unsigned long addr)
{
	bool mapped, read;

	/* The second page keeps the page table. */
	ptwalk_map(test, addr, 2 * PAGE_SIZE);
	WRITE_ONCE(p->addr, addr);
	mapped = map_page(p->mm, addr + PAGE_SIZE) && map_page(p->mm, addr);
	usleep_range(1000, 2000);
	KUNIT_ASSERT_EQ(test, addr, vm_mmap(p->file, addr, PAGE_SIZE, PROT_READ,
					    MAP_SHARED | MAP_FIXED, 0));
	read = reads_go_on(p);
	msleep(10);	/* until each thread reads it */
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, 2 * PAGE_SIZE));
	return mapped && read;
}

/* Broken: a process sees other memory than its driver has given to it. */
static void driver_page_of_4k_gets_no_translation_of_64k(struct kunit *test)
{
	unsigned long addr, end = ptwalk_race_end();
	struct driver_page *p = driver_page(test);
	struct ptwalk_crew *crew;
	unsigned int pages = 0;

	crew = ptwalk_crew(test, p->mm, cpu_online_mask, read_driver_page, p);
	for (addr = SEGMENT_BYTES + PMD_SIZE; addr < NR_SEGMENTS * SEGMENT_BYTES &&
	     ptwalk_race_is_on(end, pages); addr += SEGMENT_BYTES)
		pages += replace_by_driver_page(test, p, addr);
	ptwalk_crew_stop(crew);
	kunit_info(test, "pages=%u reads=%lu wrong=%lu\n", pages, sum(p->reads),
		   sum(p->wrong));
	KUNIT_EXPECT_GT(test, pages, 0);
	KUNIT_EXPECT_EQ(test, sum(p->wrong), 0);
}

/* Broken: an access to a driver's page never ends, not even by a signal. */
static void driver_page_at_the_start_of_a_segment_is_read(struct kunit *test)
{
	struct driver_page *p = driver_page(test);
	struct ptwalk_crew *crew;

	crew = ptwalk_crew(test, p->mm, cpu_online_mask, read_driver_page, p);
	KUNIT_EXPECT_TRUE_MSG(test, replace_by_driver_page(test, p, SEGMENT_BYTES),
			      "no read has ended");
	ptwalk_crew_stop(crew);
}

/*
 * The first access to a driver's page turns a segment into one of 4K pages, while
 * readers get translations of another page in it.  Returns what is read there after
 * that page was given back.
 */
static u64 word_after_demotion(struct kunit *test, struct driver_page *p,
			       unsigned long addr)
{
	u64 __user *word = (u64 __user *)addr;
	unsigned long other = addr + PMD_SIZE;
	u64 found = 0;

	ptwalk_map(test, addr, PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, put_user(p->word, word));
	WRITE_ONCE(p->addr, addr);
	KUNIT_EXPECT_TRUE(test, reads_go_on(p));
	KUNIT_ASSERT_EQ(test, other, vm_mmap(p->file, other, PAGE_SIZE, PROT_READ,
					     MAP_SHARED | MAP_FIXED, 0));
	/* Clears the accessed bit, and with it all translations of the page. */
	KUNIT_ASSERT_EQ(test, 0, do_madvise(p->mm, addr, PAGE_SIZE, MADV_COLD));
	msleep(1);	/* time for each reader to fault */
	KUNIT_EXPECT_EQ(test, 0, get_user(found, (u64 __user *)other));
	KUNIT_EXPECT_EQ(test, found, p->word);
	KUNIT_EXPECT_EQ(test, get_slice_psize(p->mm, addr), MMU_PAGE_4K);
	KUNIT_EXPECT_EQ(test, 0, get_user(found, word));
	KUNIT_EXPECT_EQ(test, found, p->word);
	msleep(1);	/* time for these faults to end */
	KUNIT_EXPECT_TRUE(test, reads_go_on(p));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(addr, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, get_user(found, word));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PMD_SIZE + PAGE_SIZE));
	return found;
}

/* Broken: a process reads memory that it has given back, and others have by now. */
static void page_of_a_demoted_segment_leaves_no_translation(struct kunit *test)
{
	unsigned long addr, end = ptwalk_race_end();
	unsigned int pages = 0, wrong = 0;
	struct driver_page *p = driver_page(test);
	struct ptwalk_crew *crew;

	crew = ptwalk_crew(test, p->mm, cpu_online_mask, read_driver_page, p);
	for (addr = SEGMENT_BYTES + PMD_SIZE; addr < NR_SEGMENTS * SEGMENT_BYTES &&
	     ptwalk_race_is_on(end, pages); addr += SEGMENT_BYTES, pages++)
		wrong += word_after_demotion(test, p, addr) != 0;
	ptwalk_crew_stop(crew);
	kunit_info(test, "pages=%u reads=%lu wrong=%u\n", pages, sum(p->reads), wrong);
	KUNIT_EXPECT_GT(test, pages, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static struct kunit_case hash_cases[] = {
	KUNIT_CASE_PARAM_ATTR(no_store_is_lost, storm_part,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_SLOW(detached_tables_are_met),
	KUNIT_CASE(collapse_waits_with_interrupts_on),
	KUNIT_CASE_SLOW(no_entry_of_another_kind_stays_locked),
	KUNIT_CASE_SLOW(no_translation_of_another_kind_is_left),
	KUNIT_CASE_SLOW(driver_page_of_4k_gets_no_translation_of_64k),
	KUNIT_CASE_SLOW(page_of_a_demoted_segment_leaves_no_translation),
	KUNIT_CASE(driver_page_at_the_start_of_a_segment_is_read),
	KUNIT_CASE(no_table_is_taken_for_its_neighbour),
	{}
};

PTWALK_SUITE(hash);
