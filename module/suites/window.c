// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between two steps of a collapse, its mmu_notifier or a tracepoint lets another
 * thread do something.
 */
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/userfaultfd.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

/* The file is mapped twice, the second time by PTEs; memory for arguments comes behind. */
#define SHARED		PTWALK_BASE
#define SECOND		(PTWALK_BASE + HPAGE_PMD_SIZE)
#define ARG		(PTWALK_BASE + 2 * HPAGE_PMD_SIZE)

/**
 * struct window - a collapse that is held between two of its steps
 * @mn: holds it, unless the tracepoint rss_stat does
 * @task: the task whose collapse is held; NULL before and after
 * @fn: what a thread does meanwhile
 * @uffd: watches the second mapping
 * @go: the collapse is held
 * @done: @fn has returned
 * @gone: give_back() has left no table
 * @ret: what it has returned
 */
struct window {
	struct mmu_notifier mn;
	struct task_struct *task;
	int (*fn)(struct window *window);
	struct file *uffd;
	bool go, done, gone;
	int ret;
};

static void act_when_told(void *arg, unsigned int id)
{
	struct window *window = arg;

	if (!READ_ONCE(window->go) || window->done)
		return;
	window->ret = window->fn(window);
	/* Pairs with the acquire in is_done(). */
	smp_store_release(&window->done, true);
}

static bool is_done(struct window *window, u64 end)
{
	/* Pairs with the release in act_when_told(). */
	return smp_load_acquire(&window->done) || ktime_get_mono_fast_ns() > end;
}

static int give_back(struct window *window)
{
	int ret = ptwalk_zap(SECOND, HPAGE_PMD_SIZE);

	window->gone = !ptwalk_table(current->mm, SECOND);
	return ret;
}

static int open_window(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct window *window = container_of(mn, struct window, mn);
	u64 end = ktime_get_mono_fast_ns() + 5 * NSEC_PER_SEC;

	if (current != READ_ONCE(window->task) || range->start != SECOND)
		return 0;
	WRITE_ONCE(window->task, NULL);
	WRITE_ONCE(window->go, true);
	while (!is_done(window, end))
		usleep_range(100, 200);
	return 0;
}

static const struct mmu_notifier_ops window_ops = {
	.invalidate_range_start = open_window,
};

static void uffd_ioctl(struct kunit *test, struct file *uffd, unsigned int cmd,
		       const void *arg)
{
	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)ARG, arg,
					      _IOC_SIZE(cmd)));
	KUNIT_ASSERT_EQ(test, 0, uffd->f_op->unlocked_ioctl(uffd, cmd, ARG));
}

static struct file *watch_by_uffd(struct kunit *test)
{
	const struct uffdio_api api = { .api = UFFD_API };
	const struct uffdio_register reg = {
		.range = { SECOND, HPAGE_PMD_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct file *dev, *uffd;
	long fd;

	if (!IS_ENABLED(CONFIG_USERFAULTFD))
		kunit_skip(test, "needs CONFIG_USERFAULTFD");
	dev = ptwalk_open("/dev/userfaultfd", O_RDWR);
	if (IS_ERR(dev))
		kunit_skip(test, "no /dev/userfaultfd: %ld", PTR_ERR(dev));
	fd = dev->f_op->unlocked_ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	filp_close(dev, NULL);
	KUNIT_ASSERT_GE(test, fd, 0);
	uffd = ptwalk_own_file(test, fget(fd));
	close_fd(fd);
	uffd_ioctl(test, uffd, UFFDIO_API, &api);
	uffd_ioctl(test, uffd, UFFDIO_REGISTER, &reg);
	return uffd;
}

/* A huge page of a file, mapped by PTEs into another mapping, MAP_SHARED or MAP_PRIVATE. */
static void map_by_ptes(struct kunit *test, struct mm_struct *mm, unsigned long type)
{
	struct file *file = ptwalk_own_file(test, ptwalk_shmem_file(HPAGE_PMD_SIZE));
	unsigned long addr;

	ptwalk_map_file(test, file, SHARED, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, SHARED, HPAGE_PMD_SIZE, 1);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(SHARED, HPAGE_PMD_SIZE));
	KUNIT_ASSERT_EQ(test, SECOND,
			vm_mmap(file, SECOND, HPAGE_PMD_SIZE,
				PROT_READ | PROT_WRITE,
				type | MAP_FIXED_NOREPLACE, 0));
	ptwalk_no_huge(test, SECOND, HPAGE_PMD_SIZE);
	for (addr = SECOND; addr < SECOND + HPAGE_PMD_SIZE; addr += PAGE_SIZE)
		KUNIT_ASSERT_EQ(test, 0, fault_in_readable((char __user *)addr, 1));
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, SECOND, HPAGE_PMD_SIZE,
					    MADV_HUGEPAGE));
}

/*
 * Broken: a process hangs in its next page fault if its memory was given back
 * during a collapse, or MADV_COLLAPSE does not map the huge page.
 */
static void collapse_unlocks_without_table(struct kunit *test)
{
	struct mm_struct *mm;
	struct ptwalk_crew *crew;
	struct window *window;
	spinlock_t *pml;
	bool locked;
	int ret;

	ptwalk_need_thp(test);
	mm = ptwalk_mm_enter(test);
	ptwalk_map_small(test, ARG, PMD_SIZE);
	map_by_ptes(test, mm, MAP_PRIVATE);
	watch_by_uffd(test);
	window = ptwalk_zalloc(test, sizeof(*window));
	window->fn = give_back;
	window->mn.ops = &window_ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&window->mn, mm));
	crew = ptwalk_crew(test, mm, cpumask_of(ptwalk_other_cpu()),
			   act_when_told, window);
	pml = pmd_lockptr(mm, ptwalk_pmd_offset(mm, SECOND));
	WRITE_ONCE(window->task, current);
	ret = ptwalk_collapse(SECOND, HPAGE_PMD_SIZE);
	WRITE_ONCE(window->task, NULL);
	/* Nobody else uses page tables of this mm. */
	locked = spin_is_locked(pml);
	if (locked)
		spin_unlock(pml);
	ptwalk_crew_stop(crew);
	mmu_notifier_unregister(&window->mn, mm);
	KUNIT_EXPECT_FALSE_MSG(test, locked, "the lock of the PMD was left locked");
	KUNIT_EXPECT_TRUE_MSG(test, window->done, "there was no window");
	KUNIT_EXPECT_EQ(test, 0, window->ret);
	if (!PTWALK_KEEPS_TABLES && ptwalk_vm_event("pgtable_free_empty") >= 0)
		KUNIT_EXPECT_TRUE_MSG(test, window->gone, "the table was not freed");
	/* v7.3 gives up where the table is gone. */
	KUNIT_EXPECT_EQ(test, PTWALK_V7 && window->gone ? -EINVAL : 0, ret);
	KUNIT_EXPECT_EQ(test, !ret, ptwalk_is_huge(mm, SECOND));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(SHARED, HPAGE_PMD_SIZE, 1));
}

/*
 * The entries are cleared, and no lock is held: the collapse adjusts the counter
 * of pages before it detaches the table.
 */
static void rss_stat(void *data, struct mm_struct *mm, int member)
{
	u64 end = ktime_get_mono_fast_ns() + 5 * NSEC_PER_SEC;
	struct window *window = data;

	if (current != READ_ONCE(window->task))
		return;
	WRITE_ONCE(window->task, NULL);
	WRITE_ONCE(window->go, true);
	while (!is_done(window, end))
		cpu_relax();
}

static void expect_marker(struct kunit *test)
{
	u64 __maybe_unused value;
	int ret = get_user(value, (u64 __user *)SECOND);

	KUNIT_EXPECT_EQ_MSG(test, -EFAULT, ret, "the marker is lost");
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(SHARED, HPAGE_PMD_SIZE, 1));
}

/* Another thread puts a marker into the table, with @fn. */
static void collapse_and_install(struct kunit *test, struct mm_struct *mm,
				 struct window *window, int (*fn)(struct window *window))
{
	struct ptwalk_crew *crew;
	int ret;

	window->fn = fn;
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "rss_stat", rss_stat, window));
	crew = ptwalk_crew(test, mm, cpumask_of(ptwalk_other_cpu()), act_when_told,
			   window);
	WRITE_ONCE(window->task, current);
	ret = ptwalk_collapse(SECOND, HPAGE_PMD_SIZE);
	WRITE_ONCE(window->task, NULL);
	ptwalk_crew_stop(crew);
	KUNIT_EXPECT_TRUE_MSG(test, window->done, "there was no window");
	KUNIT_EXPECT_EQ(test, 0, window->ret);
	KUNIT_EXPECT_EQ(test, -EINVAL, ret);
	expect_marker(test);
}

static int install_poison(struct window *window)
{
	return window->uffd->f_op->unlocked_ioctl(window->uffd, UFFDIO_POISON, ARG);
}

static struct uffdio_poison first_page(void)
{
	return (struct uffdio_poison) { .range = { SECOND, PAGE_SIZE } };
}

/* Broken: a thread reads memory that UFFDIO_POISON has marked as lost. */
static void collapse_of_another_mapping_keeps_poison(struct kunit *test)
{
	const struct uffdio_poison poison = first_page();
	struct file *file;

	ptwalk_need_thp(test);
	ptwalk_mm_enter(test);
	ptwalk_map_small(test, ARG, PMD_SIZE);
	file = ptwalk_own_file(test, ptwalk_shmem_file(HPAGE_PMD_SIZE));
	ptwalk_map_file(test, file, SHARED, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, SHARED, HPAGE_PMD_SIZE, 1);
	ptwalk_map_file(test, file, SECOND, HPAGE_PMD_SIZE);
	uffd_ioctl(test, watch_by_uffd(test), UFFDIO_POISON, &poison);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(SHARED, HPAGE_PMD_SIZE));
	expect_marker(test);
}

/* Broken: as above, if the memory is marked during the collapse. */
static void collapse_keeps_poison(struct kunit *test)
{
	const struct uffdio_poison poison = first_page();
	struct mm_struct *mm;
	struct window *window;

	ptwalk_need_thp(test);
	mm = ptwalk_mm_enter(test);
	ptwalk_map_small(test, ARG, PMD_SIZE);
	map_by_ptes(test, mm, MAP_SHARED);
	window = ptwalk_zalloc(test, sizeof(*window));
	window->uffd = watch_by_uffd(test);
	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)ARG, &poison, sizeof(poison)));
	collapse_and_install(test, mm, window, install_poison);
}

#ifdef MADV_GUARD_INSTALL
static int install_guard(struct window *window)
{
	return do_madvise(current->mm, SECOND, PAGE_SIZE, MADV_GUARD_INSTALL);
}

/* Broken: a guard region that a thread installs during a collapse catches no access. */
static void collapse_keeps_guard(struct kunit *test)
{
	struct mm_struct *mm;

	ptwalk_need_thp(test);
	mm = ptwalk_mm_enter(test);
	map_by_ptes(test, mm, MAP_SHARED);
	collapse_and_install(test, mm, ptwalk_zalloc(test, sizeof(struct window)), install_guard);
}
#endif

static struct kunit_case window_cases[] = {
	KUNIT_CASE(collapse_unlocks_without_table),
	KUNIT_CASE(collapse_of_another_mapping_keeps_poison),
	KUNIT_CASE(collapse_keeps_poison),
#ifdef MADV_GUARD_INSTALL
	KUNIT_CASE(collapse_keeps_guard),
#endif
	{}
};

PTWALK_SUITE(window);
