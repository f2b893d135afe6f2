// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM concludes from a pfn alone, and the rules that this relies on.
 *
 * kvm_pfn_to_refcounted_page() and kvm_is_mmio_pfn() test pfn_valid(), and
 * PG_reserved of that very page, not of the head of a compound page.  They are
 * right as long as
 *
 * - a struct page without RAM behind it is reserved;
 * - a compound page is reserved as a whole, or not at all.
 *
 * These cases look at each struct page of the machine, while other CPUs make,
 * split and free compound pages.  Then they look at pages that the test has
 * spoiled, to prove that such pages are found.
 *
 * Memory must not be unplugged meanwhile.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/overflow.h>
#include <linux/page-flags.h>
#include <linux/pfn.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#define PTWALK_KVM
#include "../kernel.h"
#include "../lib/ptwalk.h"

/* The unit in which memory has struct pages or not. */
#define HOLE_PFNS	(SZ_2M >> PAGE_SHIFT)
/* A longer pass would take too long, so pfns are left out. */
#define MAX_LOOKS	BIT(28)
/* KUnit ends a case after 300 s. */
#define MAX_SECONDS	240
#define PROGRESS_SECONDS	5
#define RESCHED_LOOKS	4096
#define NR_FINDINGS	8
#define NR_RECHECKS	10
/* Number of other CPUs that churn user memory; all of them churn pages. */
#define NR_REGIONS	8

unsigned int ptwalk_duration_ms = 3000;
module_param_named(duration_ms, ptwalk_duration_ms, uint, 0444);
MODULE_PARM_DESC(duration_ms, "how long each look at the whole machine is repeated (ms), at most 200 s");

static unsigned int pfn_stride;
module_param(pfn_stride, uint, 0444);
MODULE_PARM_DESC(pfn_stride, "look at every n-th pfn only, 0 for as many as there is time for");

/**
 * struct extent - memory, in bytes
 * @start: first byte
 * @end: the byte after the last one
 */
struct extent {
	u64 start, end;
};

/**
 * struct ram - where there is RAM
 * @extent: in ascending order
 * @nr: how many
 * @cursor: the one that was found last, as pfns are looked up in order
 */
struct ram {
	struct extent *extent;
	unsigned int nr, cursor;
};

/**
 * struct scan - a look at a range of pfns
 * @ram: where there is RAM
 * @wrong: says what is wrong about a pfn, NULL if nothing is; @page is NULL if
 *         the pfn has no struct page
 * @start: first pfn
 * @end: the pfn after the last one
 * @stride: distance of the pfns that are looked at
 * @looks: pfns looked at that have a struct page
 * @holes: pfns looked at that have none
 * @offline: pfns left out: memory that is offline, or of a device
 * @no_ram: of @looks, without RAM
 * @reserved: of @looks, reserved
 * @tails: of @looks, tails of compound pages
 * @passed: findings that were gone when looked at again
 * @found: findings that stayed
 * @finding: the first of them
 * @began: when, in jiffies
 * @reported: when progress was shown last
 */
struct scan {
	struct ram *ram;
	const char *(*wrong)(struct scan *scan, unsigned long pfn,
			     struct page *page);
	unsigned long start, end, stride;
	unsigned long looks, holes, offline, no_ram, reserved, tails, passed;
	unsigned int found;
	struct {
		unsigned long pfn, flags;
		const char *what;
	} finding[NR_FINDINGS];
	unsigned long began, reported;
};

/* Extents of memory of one kind may meet within a page. */
static int add_extent(struct resource *res, void *arg)
{
	struct ram *ram = arg;
	struct extent *last = ram->extent + ram->nr - 1;
	struct extent *extent;

	if (ram->nr && res->start <= last->end) {
		last->end = max(last->end, (u64)res->end + 1);
		return 0;
	}
	extent = krealloc_array(ram->extent, ram->nr + 1, sizeof(*extent),
				GFP_KERNEL);
	if (!extent)
		return -ENOMEM;
	ram->extent = extent;
	extent[ram->nr].start = res->start;
	extent[ram->nr++].end = (u64)res->end + 1;
	return 0;
}

static void free_ram(void *arg)
{
	struct ram *ram = arg;

	kfree(ram->extent);
}

static struct ram *find_ram(struct kunit *test)
{
	struct ram *ram = ptwalk_zalloc(test, sizeof(*ram));
	int ret;

	ret = walk_iomem_res_desc(IORES_DESC_NONE,
				  IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
				  0, U64_MAX, ram, add_extent);
	ptwalk_at_end(test, free_ram, ram);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_ASSERT_GT(test, ram->nr, 0);
	return ram;
}

/* All of the page must be RAM, or the kernel does not use it. */
static bool is_ram(struct ram *ram, unsigned long pfn)
{
	u64 start = PFN_PHYS(pfn), end = start + PAGE_SIZE;

	if (ram->cursor && ram->extent[ram->cursor - 1].end > start)
		ram->cursor = 0;
	while (ram->cursor < ram->nr && ram->extent[ram->cursor].end <= start)
		ram->cursor++;
	return ram->cursor < ram->nr &&
		ram->extent[ram->cursor].start <= start &&
		ram->extent[ram->cursor].end >= end;
}

static const char *hole_not_reserved(struct scan *scan, unsigned long pfn,
				     struct page *page)
{
	if (!page || PageReserved(page) || is_ram(scan->ram, pfn))
		return NULL;
	return "there is no RAM, and the page is not reserved";
}

static const char *reserved_in_part(struct scan *scan, unsigned long pfn,
				    struct page *page)
{
	bool head, tail;

	if (!page || !PageTail(page))
		return NULL;
	tail = PageReserved(page);
	head = PageReserved(compound_head(page));
	if (tail == head)
		return NULL;
	return tail ? "a tail is reserved, its head is not" :
		      "a tail is not reserved, its head is";
}

/*
 * KVM warns about a reserved page without references.  Nothing maps such a
 * page, so KVM is never asked about it.
 */
static const char *wrong_reference(struct scan *scan, unsigned long pfn,
				   struct page *page)
{
	struct page *want = NULL, *got;

	if (page && PageReserved(page) && !page_count(page))
		return NULL;
	if (page && is_ram(scan->ram, pfn) &&
	    (!PageReserved(page) || is_zero_pfn(pfn)))
		want = page;
	got = kvm_pfn_to_refcounted_page(pfn);
	if (got == want)
		return NULL;
	return want ? "RAM in use, and KVM takes no reference" :
		      "no RAM, or reserved, and KVM takes a reference";
}

#ifdef PTWALK_KVM_MMIO
/* Memory that the kernel maps cached, such as the ISA range, is no MMIO. */
static bool is_uncached(unsigned long pfn)
{
	return !pat_enabled() || pat_pfn_immune_to_uc_mtrr(pfn);
}

static const char *wrong_mmio(struct scan *scan, unsigned long pfn,
			      struct page *page)
{
	u64 addr = PFN_PHYS(pfn);
	bool want;

	if (!page)
		want = !e820__mapped_raw_any(addr, addr + PAGE_SIZE - 1,
					     E820_TYPE_RAM);
	else if (is_ram(scan->ram, pfn) &&
		 (!PageReserved(page) || is_zero_pfn(pfn)))
		want = false;
	else
		want = is_uncached(pfn);
	if (kvm_is_mmio_pfn(pfn) == want)
		return NULL;
	return want ? "MMIO, and KVM takes it for memory" :
		      "memory, and KVM takes it for MMIO";
}
#endif

/* A reference keeps a compound page from being split or freed. */
static struct folio *hold_folio(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_try_get(folio))
		return NULL;
	if (page_folio(page) == folio)
		return folio;
	folio_put(folio);
	return NULL;
}

/*
 * The page may have changed between two loads.  Takes a reference if possible,
 * and looks again until the finding is gone or has lasted.
 */
static const char *look_again(struct scan *scan, unsigned long pfn,
			      struct page *page, const char *what)
{
	struct folio *folio = page ? hold_folio(page) : NULL;
	int i;

	for (i = 0; i < NR_RECHECKS && what; i++) {
		usleep_range(100, 200);
		what = scan->wrong(scan, pfn, page);
	}
	if (folio)
		folio_put(folio);
	if (!what)
		scan->passed++;
	return what;
}

static void note(struct scan *scan, unsigned long pfn, struct page *page,
		 const char *what)
{
	unsigned int i = scan->found++;

	if (i >= NR_FINDINGS)
		return;
	scan->finding[i].pfn = pfn;
	scan->finding[i].flags = page ? *ptwalk_page_flags(page) : 0;
	scan->finding[i].what = what;
}

/*
 * A hole next to memory has struct pages, but pfn_to_online_page() may not
 * return them.  Other pages that it does not return are offline, or belong to a
 * device.
 */
static bool leave_out(struct scan *scan, unsigned long pfn, struct page *page)
{
	return !pfn_to_online_page(pfn) &&
		(is_ram(scan->ram, pfn) || is_zone_device_page(page));
}

static void look(struct scan *scan, unsigned long pfn)
{
	struct page *page = NULL;
	const char *what = NULL;

	if (!pfn_valid(pfn)) {
		scan->holes++;
	} else {
		page = pfn_to_page(pfn);
		if (leave_out(scan, pfn, page)) {
			scan->offline++;
			return;
		}
		scan->looks++;
		if (PagePoisoned(page)) {
			note(scan, pfn, page, "the struct page is not initialised");
			return;
		}
		scan->no_ram += !is_ram(scan->ram, pfn);
		scan->reserved += PageReserved(page);
		scan->tails += PageTail(page);
	}
	what = scan->wrong(scan, pfn, page);
	if (what)
		what = look_again(scan, pfn, page, what);
	if (what)
		note(scan, pfn, page, what);
}

static unsigned long next_pfn(struct scan *scan, unsigned long pfn)
{
	unsigned long next = pfn + scan->stride;

	return pfn_valid(pfn) ? next : max(next, round_up(pfn + 1, HOLE_PFNS));
}

static void show_progress(struct kunit *test, struct scan *scan,
			  unsigned long pfn)
{
	if (time_before(jiffies, scan->reported + PROGRESS_SECONDS * HZ))
		return;
	scan->reported = jiffies;
	kunit_info(test, "at %lu of %lu MiB, %lu struct pages seen\n",
		   pfn >> (20 - PAGE_SHIFT), scan->end >> (20 - PAGE_SHIFT),
		   scan->looks);
}

static bool out_of_time(struct scan *scan)
{
	return time_after(jiffies, scan->began + MAX_SECONDS * HZ);
}

/* Returns the pfn at which it ended: the end, unless time ran out. */
static unsigned long look_at_all(struct kunit *test, struct scan *scan,
				 unsigned long start)
{
	unsigned long pfn, nr = 0;

	for (pfn = start; pfn < scan->end; pfn = next_pfn(scan, pfn)) {
		look(scan, pfn);
		if (++nr % RESCHED_LOOKS)
			continue;
		cond_resched();
		show_progress(test, scan, pfn);
		if (out_of_time(scan))
			return pfn;
	}
	return scan->end;
}

/* 4 GiB at least: on most machines, devices are below. */
static unsigned long last_pfn(unsigned long *present)
{
	unsigned long end = SZ_4G >> PAGE_SHIFT;
	int nid;

	*present = 0;
	for_each_online_node(nid) {
		end = max(end, node_end_pfn(nid));
		*present += node_present_pages(nid);
	}
	/* The memory map goes on to the end of the section. */
	return round_up(end, SZ_1G >> PAGE_SHIFT);
}

static void prepare_scan(struct kunit *test, struct scan *scan)
{
	unsigned long present;

	scan->ram = find_ram(test);
	scan->end = last_pfn(&present);
	/*
	 * Odd, since an even stride would see heads of compound pages and no
	 * tails.
	 */
	scan->stride = (pfn_stride ?: present / MAX_LOOKS) | 1;
	if (scan->stride > 1)
		kunit_info(test, "sample: each %lu-th pfn\n", scan->stride);
	scan->began = jiffies;
	scan->reported = jiffies;
}

/**
 * struct load - what the other CPUs do meanwhile
 * @reserve: they also reserve pages and free them again, as drivers do
 * @huge: there are huge pages
 * @rounds: how often they did it all
 */
struct load {
	bool reserve, huge;
	atomic_t rounds;
};

/* Faults in a huge page, splits it, collapses it again, gives it back. */
static void churn_memory(struct load *load, unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	unsigned long page;

	for (page = addr; page < addr + HPAGE_PMD_SIZE; page += PAGE_SIZE)
		if (put_user(1, (u64 __user *)page))
			return;
	if (load->huge) {
		/* MADV_COLD of a part of a huge page splits the folio. */
		do_madvise(mm, addr, PAGE_SIZE, MADV_COLD);
		do_madvise(mm, addr, HPAGE_PMD_SIZE, MADV_COLLAPSE);
	}
	/* In two parts, which splits only the mapping. */
	ptwalk_zap(addr, HPAGE_PMD_SIZE / 2);
	ptwalk_zap(addr + HPAGE_PMD_SIZE / 2, HPAGE_PMD_SIZE / 2);
}

static void churn_compounds(void)
{
	struct page *page[PAGE_ALLOC_COSTLY_ORDER + 1];
	int order;

	for (order = 0; order < ARRAY_SIZE(page); order++)
		page[order] = alloc_pages(GFP_KERNEL | __GFP_COMP |
					  __GFP_NOWARN, order);
	for (order = 0; order < ARRAY_SIZE(page); order++)
		if (page[order])
			__free_pages(page[order], order);
}

static void churn_reserved(void)
{
	struct page *page;
	int i, order = PAGE_ALLOC_COSTLY_ORDER;

	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	if (!page)
		return;
	split_page(page, order);
	for (i = 0; i < 1 << order; i++)
		SetPageReserved(page + i);
	cpu_relax();
	for (i = 0; i < 1 << order; i++) {
		ClearPageReserved(page + i);
		__free_page(page + i);
	}
}

static void churn(void *arg, unsigned int id)
{
	struct load *load = arg;

	if (id < NR_REGIONS)
		churn_memory(load, PTWALK_BASE + id * HPAGE_PMD_SIZE);
	churn_compounds();
	if (load->reserve)
		churn_reserved();
	atomic_inc(&load->rounds);
}

static struct ptwalk_crew *start_load(struct kunit *test, struct load *load)
{
	unsigned long len = NR_REGIONS * HPAGE_PMD_SIZE;
	struct mm_struct *mm = ptwalk_mm_enter(test);

	ptwalk_map(test, PTWALK_BASE, len);
	load->huge = has_transparent_hugepage();
	if (load->huge)
		KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PTWALK_BASE, len,
						    MADV_HUGEPAGE));
	return ptwalk_crew(test, mm, cpu_online_mask, churn, load);
}

static void report(struct kunit *test, struct scan *scan)
{
	unsigned int i;

	kunit_info(test, "struct pages %lu: without RAM %lu, reserved %lu, tails %lu; none at %lu places; left out %lu; passing %lu\n",
		   scan->looks, scan->no_ram, scan->reserved, scan->tails,
		   scan->holes, scan->offline, scan->passed);
	for (i = 0; i < min(scan->found, NR_FINDINGS); i++)
		kunit_info(test, "pfn %#lx flags %#lx: %s\n",
			   scan->finding[i].pfn, scan->finding[i].flags,
			   scan->finding[i].what);
}

/* Again and again for duration_ms, at least once to the end and under load. */
static void scan_machine(struct kunit *test, struct scan *scan,
			 struct load *load)
{
	unsigned long end, at, pass = 0;
	long splits, collapses;
	struct ptwalk_crew *crew;

	crew = start_load(test, load);
	splits = ptwalk_vm_event("thp_split_page");
	collapses = ptwalk_vm_event("thp_collapse_alloc");
	prepare_scan(test, scan);
	end = ptwalk_race_end();
	do {
		at = look_at_all(test, scan, pass % scan->stride);
		pass += at == scan->end;
	} while (!out_of_time(scan) &&
		 (time_before(jiffies, end) || !atomic_read(&load->rounds)));
	ptwalk_crew_stop(crew);
	report(test, scan);
	kunit_info(test, "passes %lu in %u ms; load: rounds %d, splits %ld, collapses %ld\n",
		   pass, jiffies_to_msecs(jiffies - scan->began),
		   atomic_read(&load->rounds),
		   ptwalk_vm_event("thp_split_page") - splits,
		   ptwalk_vm_event("thp_collapse_alloc") - collapses);
	KUNIT_EXPECT_EQ(test, scan->found, 0);
	KUNIT_EXPECT_GT(test, scan->looks, 0);
	KUNIT_EXPECT_GT(test, atomic_read(&load->rounds), 0);
	KUNIT_EXPECT_GT_MSG(test, pass, 0,
			    "out of time at pfn %#lx of %#lx: load with pfn_stride=%lu",
			    at, scan->end, scan->stride * 2 + 1);
}

static struct scan *new_scan(struct kunit *test,
			     const char *(*wrong)(struct scan *scan,
						  unsigned long pfn,
						  struct page *page))
{
	struct scan *scan = ptwalk_zalloc(test, sizeof(*scan));

	scan->wrong = wrong;
	return scan;
}

static struct load *new_load(struct kunit *test, bool reserve)
{
	struct load *load = ptwalk_zalloc(test, sizeof(*load));

	load->reserve = reserve;
	return load;
}

static void need_kvm(struct kunit *test)
{
	if (PTWALK_V7)
		kunit_skip(test, "this kernel has no kvm_pfn_to_refcounted_page()");
	if (!PTWALK_HAS_KVM)
		kunit_skip(test, "needs KVM, built in or loaded, and its test exports");
}

static void need_kvm_mmio(struct kunit *test)
{
#ifdef PTWALK_KVM_MMIO
	if (!kvm_is_mmio_pfn)
		kunit_skip(test, "needs KVM, built in or loaded, and its test exports");
#else
	kunit_skip(test, PTWALK_V7 ? "this kernel keeps its function to itself" :
				     "needs KVM on x86");
#endif
}

/* Broken: KVM takes references on pfns that are not memory, or caches them. */
static void pfns_without_ram_are_reserved(struct kunit *test)
{
	scan_machine(test, new_scan(test, hole_not_reserved),
		     new_load(test, true));
}

/* Broken: KVM takes references on part of a device's huge page. */
static void compounds_are_reserved_as_a_whole(struct kunit *test)
{
	struct scan *scan = new_scan(test, reserved_in_part);

	scan_machine(test, scan, new_load(test, true));
	KUNIT_EXPECT_GT(test, scan->tails, 0);
}

/* Broken: a page that a guest uses is freed, or a page is never freed. */
static void kvm_references_what_has_references(struct kunit *test)
{
	need_kvm(test);
	/* KVM's caller holds the page, so no page may be freed meanwhile. */
	scan_machine(test, new_scan(test, wrong_reference),
		     new_load(test, false));
}

/* Broken: a guest's memory is uncached, or registers of a device are cached. */
static void kvm_takes_for_mmio_what_is(struct kunit *test)
{
	need_kvm_mmio(test);
#ifdef PTWALK_KVM_MMIO
	scan_machine(test, new_scan(test, wrong_mmio), new_load(test, false));
#endif
}

#define PRIVATE_ORDER	3
#define NR_PRIVATE	BIT(PRIVATE_ORDER)

static void free_private(void *page)
{
	__free_pages(page, PRIVATE_ORDER);
}

/* Allocates pages, and prepares a scan of them alone. */
static struct page *new_private(struct kunit *test, struct scan *scan, gfp_t gfp)
{
	struct page *page = alloc_pages(GFP_KERNEL | gfp, PRIVATE_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	ptwalk_at_end(test, free_private, page);
	scan->start = page_to_pfn(page);
	scan->end = scan->start + NR_PRIVATE;
	scan->stride = 1;
	scan->ram = find_ram(test);
	return page;
}

/* Pretends that the first of the pages is no RAM. */
static void pretend_hole(struct scan *scan)
{
	scan->ram->extent[0].start = PFN_PHYS(scan->start + 1);
	scan->ram->extent[0].end = PFN_PHYS(scan->end);
	scan->ram->cursor = 0;
	scan->ram->nr = 1;
}

static void scan_again(struct kunit *test, struct scan *scan)
{
	scan->found = 0;
	scan->began = jiffies;
	scan->reported = jiffies;
	look_at_all(test, scan, scan->start);
}

/* Expects findings at @nr pfns from @pfn on, and nowhere else. */
static void expect_found(struct kunit *test, struct scan *scan,
			 unsigned long pfn, unsigned int nr)
{
	unsigned int i;

	scan_again(test, scan);
	KUNIT_EXPECT_EQ(test, scan->found, nr);
	for (i = 0; i < min(scan->found, nr); i++)
		KUNIT_EXPECT_EQ(test, scan->finding[i].pfn, pfn + i);
}

static void expect_nothing(struct kunit *test, struct scan *scan)
{
	expect_found(test, scan, scan->start, 0);
}

/* Broken: compounds_are_reserved_as_a_whole passes without testing anything. */
static void reserved_tail_is_found(struct kunit *test)
{
	struct scan *scan = new_scan(test, reserved_in_part);
	struct page *page = new_private(test, scan, __GFP_COMP);

	expect_nothing(test, scan);
	/* Not SetPageReserved(): that objects to a compound page. */
	set_bit(PG_reserved, ptwalk_page_flags(page + 5));
	expect_found(test, scan, scan->start + 5, 1);
	clear_bit(PG_reserved, ptwalk_page_flags(page + 5));
	set_bit(PG_reserved, ptwalk_page_flags(page));
	expect_found(test, scan, scan->start + 1, NR_PRIVATE - 1);
	clear_bit(PG_reserved, ptwalk_page_flags(page));
	expect_nothing(test, scan);
}

/* Expects that a page without RAM is found unless it is reserved. */
static void expect_hole_found(struct kunit *test, struct scan *scan)
{
	struct page *page = new_private(test, scan, 0);

	expect_nothing(test, scan);
	pretend_hole(scan);
	expect_found(test, scan, scan->start, 1);
	SetPageReserved(page);
	expect_nothing(test, scan);
	ClearPageReserved(page);
}

/* Broken: pfns_without_ram_are_reserved passes without testing anything. */
static void hole_not_reserved_is_found(struct kunit *test)
{
	expect_hole_found(test, new_scan(test, hole_not_reserved));
}

/*
 * Broken: kvm_references_what_has_references passes without testing anything.
 */
static void wrong_reference_is_found(struct kunit *test)
{
	need_kvm(test);
	expect_hole_found(test, new_scan(test, wrong_reference));
}

/* Broken: KVM takes references on pages whose owner does not count them. */
static void kvm_follows_pg_reserved(struct kunit *test)
{
	struct scan *scan = new_scan(test, wrong_reference);
	struct page *page;
	unsigned long pfn;

	need_kvm(test);
	page = new_private(test, scan, 0);
	pfn = page_to_pfn(page);
	KUNIT_EXPECT_PTR_EQ(test, kvm_pfn_to_refcounted_page(pfn), page);
	SetPageReserved(page);
	KUNIT_EXPECT_NULL(test, kvm_pfn_to_refcounted_page(pfn));
	ClearPageReserved(page);
	KUNIT_EXPECT_PTR_EQ(test, kvm_pfn_to_refcounted_page(pfn), page);
	pfn = page_to_pfn(ZERO_PAGE(0));
	KUNIT_EXPECT_PTR_EQ(test, kvm_pfn_to_refcounted_page(pfn),
			    pfn_to_page(pfn));
}

/*
 * Broken: a guest caches memory that a driver reserved and made uncached; or
 * kvm_takes_for_mmio_what_is passes without testing anything.
 */
static void kvm_follows_memory_type(struct kunit *test)
{
#ifdef PTWALK_KVM_MMIO
	struct scan *scan = new_scan(test, wrong_mmio);
	struct page *page;
	unsigned long addr;

	need_kvm_mmio(test);
	if (!pat_enabled())
		kunit_skip(test, "needs PAT");
	page = new_private(test, scan, 0);
	addr = (unsigned long)page_address(page);
	SetPageReserved(page);
	KUNIT_EXPECT_FALSE(test, kvm_is_mmio_pfn(scan->start));
	KUNIT_EXPECT_EQ(test, 0, set_memory_wc(addr, 1));
	KUNIT_EXPECT_TRUE(test, kvm_is_mmio_pfn(scan->start));
	expect_nothing(test, scan);
	ClearPageReserved(page);
	KUNIT_EXPECT_FALSE(test, kvm_is_mmio_pfn(scan->start));
	expect_nothing(test, scan);
	pretend_hole(scan);
	expect_found(test, scan, scan->start, 1);
	KUNIT_EXPECT_EQ(test, 0, set_memory_wb(addr, 1));
#else
	need_kvm_mmio(test);
#endif
}

#define NR_LOOKUPS	BIT(20)

static unsigned long look_up_nothing(unsigned long pfn)
{
	return pfn;
}

static unsigned long look_up_page(unsigned long pfn)
{
	return (unsigned long)kvm_pfn_to_refcounted_page(pfn);
}

/* With the test of the head of a compound page that KVM once had. */
static unsigned long look_up_page_and_head(unsigned long pfn)
{
	struct page *page, *head;

	if (!pfn_valid(pfn))
		return 0;
	page = pfn_to_page(pfn);
	head = compound_head(page);
	if (head != page) {
		bool reserved = PageReserved(head);

		/*
		 * The flag of the head counts only if the page is still a tail.
		 */
		smp_rmb();
		if (PageTail(page))
			return reserved ? 0 : (unsigned long)page;
	}
	return look_up_page(pfn);
}

#ifdef PTWALK_KVM_MMIO
static unsigned long look_up_mmio(unsigned long pfn)
{
	return kvm_is_mmio_pfn(pfn);
}
#endif

/* Picoseconds per lookup; @step is 0 for one pfn over and over. */
static unsigned long time_lookups(unsigned long (*look_up)(unsigned long pfn),
				  const struct extent *extent,
				  unsigned long step)
{
	unsigned long start = PFN_UP(extent->start), nr, done = 0, sum = 0;
	unsigned long pfn = start, end = PFN_DOWN(extent->end);
	u64 ns = 0, t;

	while (done < NR_LOOKUPS) {
		t = ktime_get_ns();
		for (nr = 0; nr < RESCHED_LOOKS; nr++) {
			sum += look_up(pfn);
			pfn += step;
			if (pfn >= end)
				pfn = start;
		}
		ns += ktime_get_ns() - t;
		done += nr;
		cond_resched();
	}
	OPTIMIZER_HIDE_VAR(sum);
	return div64_ul(ns * 1000, done);
}

static const struct extent *largest(const struct ram *ram)
{
	const struct extent *best = ram->extent;
	unsigned int i;

	for (i = 1; i < ram->nr; i++)
		if (ram->extent[i].end - ram->extent[i].start >
		    best->end - best->start)
			best = ram->extent + i;
	return best;
}

static void show_cost(struct kunit *test, const char *name,
		      unsigned long (*look_up)(unsigned long pfn),
		      const struct extent *extent)
{
	unsigned long one = time_lookups(look_up, extent, 0);
	unsigned long all = time_lookups(look_up, extent, 1);

	kunit_info(test, "%s: %lu.%lu ns for one pfn, %lu.%lu ns for pfns in order\n",
		   name, one / 1000, one / 100 % 10,
		   all / 1000, all / 100 % 10);
}

/* Measures only: nanoseconds depend on the machine. */
static void lookup_cost(struct kunit *test)
{
	const struct extent *extent;

	need_kvm(test);
	extent = largest(find_ram(test));
	kunit_info(test, "lookups: %lu each\n", NR_LOOKUPS);
	show_cost(test, "the loop alone", look_up_nothing, extent);
	show_cost(test, "kvm_pfn_to_refcounted_page", look_up_page, extent);
	show_cost(test, "the same with a look at the head",
		  look_up_page_and_head, extent);
#ifdef PTWALK_KVM_MMIO
	show_cost(test, "kvm_is_mmio_pfn", look_up_mmio, extent);
#endif
}

static struct kunit_case pfn_cases[] = {
	KUNIT_CASE_SLOW(pfns_without_ram_are_reserved),
	KUNIT_CASE_SLOW(compounds_are_reserved_as_a_whole),
	KUNIT_CASE_SLOW(kvm_references_what_has_references),
	KUNIT_CASE_SLOW(kvm_takes_for_mmio_what_is),
	KUNIT_CASE(reserved_tail_is_found),
	KUNIT_CASE(hole_not_reserved_is_found),
	KUNIT_CASE(wrong_reference_is_found),
	KUNIT_CASE(kvm_follows_pg_reserved),
	KUNIT_CASE(kvm_follows_memory_type),
	KUNIT_CASE_SLOW(lookup_cost),
	{}
};

PTWALK_BARE_SUITE(pfn);

static int __init ptwalk_pfn_init(void)
{
	return ptwalk_check_range("duration_ms", ptwalk_duration_ms, 1, 3600000);
}
module_init(ptwalk_pfn_init);

static void __exit ptwalk_pfn_exit(void)
{
}
module_exit(ptwalk_pfn_exit);

MODULE_DESCRIPTION("KUnit tests of what KVM concludes from a pfn");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
PTWALK_IMPORT_KUNIT_EXPORTS();
