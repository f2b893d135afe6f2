// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between two steps of a collapse, its mmu_notifier lets another thread do something.
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

#ifdef CONFIG_USERFAULTFD

/* The file is mapped twice; memory for arguments comes behind. */
#define SHARED		PTWALK_BASE
#define PRIVATE		(PTWALK_BASE + HPAGE_PMD_SIZE)
#define ARG		(PTWALK_BASE + 2 * HPAGE_PMD_SIZE)

/**
 * struct window - a thread that gives memory back when it is told to
 * @mn: tells it
 * @task: the task whose collapse opens the window; NULL before and after
 * @go: the window is open
 * @done: the thread has come to its end
 * @ret: of MADV_DONTNEED
 */
struct window {
	struct mmu_notifier mn;
	struct task_struct *task;
	bool go, done;
	int ret;
};

static void give_back_when_told(void *arg, unsigned int id)
{
	struct window *window = arg;

	if (!READ_ONCE(window->go) || window->done)
		return;
	window->ret = ptwalk_zap(PRIVATE, HPAGE_PMD_SIZE);
	/* Pairs with the acquire in open_window(). */
	smp_store_release(&window->done, true);
}

static int open_window(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct window *window = container_of(mn, struct window, mn);
	u64 end = ktime_get_mono_fast_ns() + 5 * NSEC_PER_SEC;

	if (current != READ_ONCE(window->task) || range->start != PRIVATE)
		return 0;
	WRITE_ONCE(window->task, NULL);
	WRITE_ONCE(window->go, true);
	/* Pairs with the release in give_back_when_told(). */
	while (!smp_load_acquire(&window->done) && ktime_get_mono_fast_ns() < end)
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

static void watch_by_uffd(struct kunit *test)
{
	const struct uffdio_api api = { .api = UFFD_API };
	const struct uffdio_register reg = {
		.range = { PRIVATE, HPAGE_PMD_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct file *dev = ptwalk_open("/dev/userfaultfd", O_RDWR), *uffd;
	long fd;

	if (IS_ERR(dev))
		kunit_skip(test, "no /dev/userfaultfd: %ld", PTR_ERR(dev));
	fd = dev->f_op->unlocked_ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	filp_close(dev, NULL);
	KUNIT_ASSERT_GE(test, fd, 0);
	uffd = ptwalk_own_file(test, fget(fd));
	close_fd(fd);
	uffd_ioctl(test, uffd, UFFDIO_API, &api);
	uffd_ioctl(test, uffd, UFFDIO_REGISTER, &reg);
}

/* A huge page of a file, mapped by PTEs into a private mapping. */
static void map_by_ptes(struct kunit *test, struct mm_struct *mm)
{
	struct file *file = ptwalk_own_file(test, ptwalk_shmem_file(HPAGE_PMD_SIZE));
	unsigned long addr;

	ptwalk_map_file(test, file, SHARED, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, SHARED, HPAGE_PMD_SIZE, 1);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(SHARED, HPAGE_PMD_SIZE));
	KUNIT_ASSERT_EQ(test, PRIVATE,
			vm_mmap(file, PRIVATE, HPAGE_PMD_SIZE,
				PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_FIXED_NOREPLACE, 0));
	ptwalk_no_huge(test, PRIVATE, HPAGE_PMD_SIZE);
	for (addr = PRIVATE; addr < PRIVATE + HPAGE_PMD_SIZE; addr += PAGE_SIZE)
		KUNIT_ASSERT_EQ(test, 0, fault_in_readable((char __user *)addr, 1));
	KUNIT_ASSERT_EQ(test, 0, do_madvise(mm, PRIVATE, HPAGE_PMD_SIZE,
					    MADV_HUGEPAGE));
}

/*
 * Broken: a process hangs in its next page fault if its memory was given back
 * during a collapse.
 */
static void collapse_unlocks_without_table(struct kunit *test)
{
	struct mm_struct *mm;
	struct ptwalk_crew *crew;
	struct window *window;
	spinlock_t *pml;
	bool locked;

	ptwalk_need_thp(test);
	mm = ptwalk_mm_enter(test);
	ptwalk_map_small(test, ARG, PMD_SIZE);
	map_by_ptes(test, mm);
	watch_by_uffd(test);
	window = ptwalk_zalloc(test, sizeof(*window));
	window->mn.ops = &window_ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&window->mn, mm));
	crew = ptwalk_crew(test, mm, cpumask_of(ptwalk_other_cpu()),
			   give_back_when_told, window);
	pml = pmd_lockptr(mm, ptwalk_pmd_offset(mm, PRIVATE));
	WRITE_ONCE(window->task, current);
	ptwalk_collapse(PRIVATE, HPAGE_PMD_SIZE);
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
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(SHARED, HPAGE_PMD_SIZE, 1));
}

static struct kunit_case window_cases[] = {
	KUNIT_CASE(collapse_unlocks_without_table),
	{}
};

PTWALK_SUITE(window);

#endif /* CONFIG_USERFAULTFD */
