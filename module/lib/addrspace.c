// SPDX-License-Identifier: GPL-2.0-only
/*
 * The address space of a case: mapped, filled, collapsed and looked at.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "../kernel.h"
#include "ptwalk.h"

#define COLLAPSE_TRIES	10

/**
 * struct space - what a case holds of its address space
 * @mm: the address space, NULL once left
 * @task: the kthread of the case
 */
struct space {
	struct mm_struct *mm;
	struct task_struct *task;
};

/*
 * Runs in another kthread.  The kthread of the case reports its end before it
 * drops its address space, and keeps the reference that kthread_use_mm() took.
 * Waits and drops that reference, so that the next case starts with no page
 * table of this one.
 */
static void drop_space(void *arg)
{
	struct space *space = arg;

	while (space->task != current && !READ_ONCE(space->task->exit_state))
		msleep(20);
	if (space->mm)
		mmdrop(space->mm);
	put_task_struct(space->task);
}

/**
 * ptwalk_mm_alloc() - a fresh address space
 *
 * khugepaged never looks at it.
 *
 * Return: the address space, for mmput(), or NULL.
 */
struct mm_struct *ptwalk_mm_alloc(void)
{
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return NULL;
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	ptwalk_hide_from_khugepaged(mm);
	return mm;
}

/**
 * ptwalk_mm_enter() - give current a fresh address space and one CPU
 * @test: the case; skipped where there are not two CPUs
 *
 * Must be called in the kthread of the case, which stays on the first CPU, so
 * that no other CPU gets into mm_cpumask() by migration.
 *
 * Return: the address space; ptwalk_mm_leave() or the end of the case drops it.
 */
struct mm_struct *ptwalk_mm_enter(struct kunit *test)
{
	int first = cpumask_first(cpu_online_mask);
	struct space *space;
	struct mm_struct *mm;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	KUNIT_ASSERT_EQ(test, 0,
			set_cpus_allowed_ptr(current, cpumask_of(first)));
	space = ptwalk_zalloc(test, sizeof(*space));
	mm = ptwalk_mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, mm);
	kthread_use_mm(mm);
	space->mm = mm;
	space->task = get_task_struct(current);
	test->priv = space;
	ptwalk_at_end(test, drop_space, space);
	return mm;
}

/**
 * ptwalk_mm_leave() - drop the address space before the case ends
 * @test: the case, in its own kthread
 */
void ptwalk_mm_leave(struct kunit *test)
{
	struct space *space = test->priv;

	kthread_unuse_mm(space->mm);
	mmput(space->mm);
	space->mm = NULL;
}

static void put_mm(void *mm)
{
	mmput(mm);
}

/**
 * ptwalk_mm_share() - keep an address space for other kthreads
 * @test: the case, whose end drops it
 * @mm: the address space
 *
 * Call this before the kthreads are started, so that they stop first.
 */
void ptwalk_mm_share(struct kunit *test, struct mm_struct *mm)
{
	mmget(mm);
	ptwalk_at_end(test, put_mm, mm);
}

/**
 * ptwalk_mm_new() - an address space of another process
 * @test: the case, whose end drops it
 *
 * Call this before the kthreads that use it are started.
 *
 * Return: the address space.
 */
struct mm_struct *ptwalk_mm_new(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	ptwalk_at_end(test, put_mm, mm);
	return mm;
}

/**
 * ptwalk_map_file() - map at a fixed address
 * @test: the case
 * @file: what to map shared, or NULL for private anonymous memory
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_map_file(struct kunit *test, struct file *file, unsigned long addr,
		     unsigned long len)
{
	unsigned long flags = MAP_FIXED;

	flags |= file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	KUNIT_ASSERT_EQ(test, addr, vm_mmap(file, addr, len,
					    PROT_READ | PROT_WRITE, flags, 0));
}

/**
 * ptwalk_map() - map private anonymous memory at a fixed address
 * @test: the case
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_map(struct kunit *test, unsigned long addr, unsigned long len)
{
	ptwalk_map_file(test, NULL, addr, len);
}

/**
 * ptwalk_need_thp() - skip a case that cannot do without huge pages
 * @test: the case
 */
void ptwalk_need_thp(struct kunit *test)
{
	bool has = has_transparent_hugepage();

	/* Where it is a constant, objtool wants this to be __noreturn. */
	OPTIMIZER_HIDE_VAR(has);
	if (!has)
		kunit_skip(test, "needs transparent huge pages, of the kernel and the CPU");
}

/**
 * ptwalk_no_huge() - keep page faults from making huge pages
 * @test: the case
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_no_huge(struct kunit *test, unsigned long addr, unsigned long len)
{
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr, len,
						    MADV_NOHUGEPAGE));
}

/**
 * ptwalk_map_small() - map anonymous memory that gets no huge pages
 * @test: the case
 * @addr: address
 * @len: length in bytes
 */
void ptwalk_map_small(struct kunit *test, unsigned long addr, unsigned long len)
{
	ptwalk_map(test, addr, len);
	ptwalk_no_huge(test, addr, len);
}

static u64 __user *last_word(unsigned long page)
{
	return (u64 __user *)(page + PAGE_SIZE - sizeof(u64));
}

/**
 * ptwalk_fill() - tag the first and the last word of each page
 * @test: the case
 * @addr: address of the first page
 * @len: length in bytes
 * @gen: generation for ptwalk_tag()
 */
void ptwalk_fill(struct kunit *test, unsigned long addr, unsigned long len,
		 u32 gen)
{
	unsigned long page;
	int ret = 0;

	for (page = addr; page < addr + len && !ret; page += PAGE_SIZE) {
		ret = put_user(ptwalk_tag(page, gen), (u64 __user *)page);
		ret = ret ?: put_user(ptwalk_tag(page, gen), last_word(page));
	}
	KUNIT_ASSERT_EQ(test, ret, 0);
}

/**
 * ptwalk_fill_small() - fill memory with small pages and allow huge ones after
 * @test: the case
 * @addr: address, nothing may be there yet
 * @len: length in bytes
 * @gen: generation for ptwalk_tag()
 */
void ptwalk_fill_small(struct kunit *test, unsigned long addr,
		       unsigned long len, u32 gen)
{
	ptwalk_need_thp(test);
	ptwalk_no_huge(test, addr, len);
	ptwalk_fill(test, addr, len, gen);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr, len,
					    MADV_HUGEPAGE));
}

static bool word_is(u64 __user *ptr, u64 expected)
{
	u64 word;

	return !get_user(word, ptr) && word == expected;
}

/**
 * ptwalk_wrong_pages() - how many pages do not hold what was written
 * @addr: address of the first page
 * @len: length in bytes
 * @gen: generation they were filled with
 *
 * Return: number of pages with a wrong first or last word.
 */
unsigned long ptwalk_wrong_pages(unsigned long addr, unsigned long len,
				 u32 gen)
{
	unsigned long page, wrong = 0;

	for (page = addr; page < addr + len; page += PAGE_SIZE) {
		u64 tag = ptwalk_tag(page, gen);

		if (!word_is((u64 __user *)page, tag) ||
		    !word_is(last_word(page), tag))
			wrong++;
	}
	return wrong;
}

/**
 * ptwalk_collapse() - collapse memory of current into huge pages
 * @addr: address, aligned to the huge page
 * @len: length in bytes
 *
 * Tries again while something briefly holds a page of it.
 *
 * Return: 0 or what madvise() returns.
 */
int ptwalk_collapse(unsigned long addr, unsigned long len)
{
	int i, ret;

	for (i = 0; i < COLLAPSE_TRIES; i++) {
		ret = do_madvise(current->mm, addr, len, MADV_COLLAPSE);
		if (ret != -EAGAIN)
			break;
		msleep(20);
	}
	return ret;
}

/**
 * ptwalk_zap() - give memory of current back with MADV_DONTNEED
 * @addr: address
 * @len: length in bytes; part of a huge page splits its mapping
 *
 * Return: 0 or what madvise() returns.
 */
int ptwalk_zap(unsigned long addr, unsigned long len)
{
	return do_madvise(current->mm, addr, len, MADV_DONTNEED);
}

/**
 * ptwalk_page() - the page current has mapped at an address
 * @addr: address
 *
 * Return: the page, without a reference, or NULL.
 */
struct page *ptwalk_page(unsigned long addr)
{
	struct page *page;

	if (get_user_pages_fast_only(addr, 1, 0, &page) != 1)
		return NULL;
	put_page(page);
	return page;
}
