// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that map the same hugetlb file as the case, and so share a PMD table
 * with it.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "sharer.h"

/* Hugetlb pages that the pool gets. */
#define POOL	32

static struct vfsmount *huge_mnt;

/**
 * ptwalk_sharer_init() - mount a hugetlbfs and fill the pool
 * @suite: a suite that shares, as user space may not have prepared that
 *
 * Return: 0; without hugetlbfs the cases skip.
 */
int ptwalk_sharer_init(struct kunit_suite *suite)
{
	struct file_system_type *type = get_fs_type("hugetlbfs");

	if (!type)
		return 0;
	huge_mnt = kern_mount(type);
	ptwalk_pool_grow(POOL);
	return 0;
}

/**
 * ptwalk_sharer_exit() - undo ptwalk_sharer_init()
 * @suite: the suite
 */
void ptwalk_sharer_exit(struct kunit_suite *suite)
{
	ptwalk_pool_restore(NULL);
	if (!IS_ERR_OR_NULL(huge_mnt))
		kern_unmount(huge_mnt);
	huge_mnt = NULL;
}

/* In current.  Reserves nothing: few of the pages are ever touched. */
static int map_huge(struct file *file, unsigned long addr, unsigned long len,
		    unsigned long offset)
{
	unsigned long ret;

	ret = vm_mmap(file, addr, len, PROT_READ | PROT_WRITE,
		      MAP_FIXED | MAP_SHARED | MAP_NORESERVE, offset);
	return ret == addr ? 0 : -ENOMEM;
}

/* Touches the first pages of the half that is reused, from one to another. */
static int touch_huge(int from, int to)
{
	int i;

	for (i = from; i < to; i++)
		if (fault_in_readable((char __user *)PTWALK_REUSED + i * PMD_SIZE, 1))
			return -EFAULT;
	return 0;
}

static int tag_file(struct file *file, u64 tag)
{
	int i, ret = map_huge(file, PTWALK_BASE, PUD_SIZE, 0);

	for (i = 0; i < PTWALK_NR_HUGE && !ret; i++)
		ret = put_user(tag, (u64 __user *)(PTWALK_REUSED + i * PMD_SIZE));
	return ret;
}

/* ------------------------------------------------------- the other processes */

static void process_work(void *arg, unsigned int id)
{
	struct ptwalk_process *p = arg;
	int (*fn)(struct ptwalk_process *p);

	wait_event_idle(p->todo, READ_ONCE(p->fn) || kthread_should_stop());
	fn = xchg(&p->fn, NULL);
	if (!fn)
		return;
	p->ret = fn(p);
	complete(&p->done);
}

/**
 * ptwalk_process_do() - call a function in another process
 * @p: the process
 * @fn: the function
 *
 * Context: may sleep, until @fn has returned.
 * Return: what @fn returned.
 */
int ptwalk_process_do(struct ptwalk_process *p, int (*fn)(struct ptwalk_process *p))
{
	xchg(&p->fn, fn);
	wake_up(&p->todo);
	wait_for_completion(&p->done);
	return p->ret;
}

/**
 * ptwalk_process_map() - map the file of a process and touch it
 * @p: the process, which runs this
 *
 * Return: 0 or an error.
 */
int ptwalk_process_map(struct ptwalk_process *p)
{
	return map_huge(p->file, PTWALK_BASE, PUD_SIZE, 0) ?:
	       touch_huge(0, PTWALK_NR_HUGE);
}

/**
 * ptwalk_process_unmap() - unmap what ptwalk_process_map() has mapped
 * @p: the process, which runs this
 *
 * Return: 0 or an error.
 */
int ptwalk_process_unmap(struct ptwalk_process *p)
{
	return vm_munmap(PTWALK_BASE, PUD_SIZE);
}

/* Puts pages of another file into the same table. */
static int reuse(struct ptwalk_process *p, int from, int to)
{
	unsigned long skip = from * PMD_SIZE;

	return vm_munmap(PTWALK_REUSED + skip, PTWALK_HALF - skip) ?:
	       map_huge(p->other, PTWALK_REUSED + skip, PTWALK_HALF - skip,
			PTWALK_HALF + skip) ?:
	       touch_huge(from, to);
}

/**
 * ptwalk_process_reuse() - put pages of another file into the same table
 * @p: the process, which runs this, the last owner of the table
 *
 * Return: 0 or an error.
 */
int ptwalk_process_reuse(struct ptwalk_process *p)
{
	return reuse(p, 0, PTWALK_NR_HUGE);
}

/**
 * ptwalk_process_reuse_first() - the same, but touch the first page alone
 * @p: the process
 *
 * Return: 0 or an error.
 */
int ptwalk_process_reuse_first(struct ptwalk_process *p)
{
	return reuse(p, 0, 1);
}

/**
 * ptwalk_process_reuse_second() - the same, but keep the first page
 * @p: the process
 *
 * Return: 0 or an error.
 */
int ptwalk_process_reuse_second(struct ptwalk_process *p)
{
	return reuse(p, 1, PTWALK_NR_HUGE);
}

static int map_small(struct ptwalk_process *p)
{
	unsigned long ret;

	ret = vm_mmap(NULL, PTWALK_SMALL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, 0);
	return ret != PTWALK_SMALL ? -ENOMEM :
	       put_user(0, (u64 __user *)PTWALK_SMALL);
}

/*
 * The first CPU runs the case, the next ones its threads, the last one a
 * walker.
 */
static struct ptwalk_process *new_process(struct kunit *test, struct file *file)
{
	struct ptwalk_process *p = ptwalk_zalloc(test, sizeof(*p));
	int cpu = ptwalk_nth_cpu(PTWALK_THREADS + 1);

	p->mm = ptwalk_mm_new(test);
	p->file = file;
	init_waitqueue_head(&p->todo);
	init_completion(&p->done);
	ptwalk_crew(test, p->mm, cpumask_of(cpu), process_work, p);
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, map_small));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_process_do(p, ptwalk_process_map));
	return p;
}

/**
 * ptwalk_new_other() - give a process another file for ptwalk_process_reuse()
 * @test: the case
 * @p: the process
 */
void ptwalk_new_other(struct kunit *test, struct ptwalk_process *p)
{
	p->other = ptwalk_huge_file(test, huge_mnt);
	KUNIT_ASSERT_EQ(test, 0, tag_file(p->other, PTWALK_TAG_PRIVATE));
	ptwalk_unmap_shared(test);
}

/* -------------------------------------------------------------------- sharing */

/**
 * ptwalk_pmd_table() - the PMD table that maps the file
 * @mm: an address space
 *
 * Context: as ptwalk_pmd_offset().
 * Return: the table, or NULL.
 */
void *ptwalk_pmd_table(struct mm_struct *mm)
{
	unsigned long pmd = (unsigned long)ptwalk_pmd_offset(mm, PTWALK_BASE);

	return (void *)(pmd & PAGE_MASK);
}

/**
 * ptwalk_share() - map the file in current and share the table of a process
 * @test: the case, which fails if the table is not shared
 * @p: the process, which has mapped the file
 */
void ptwalk_share(struct kunit *test, struct ptwalk_process *p)
{
	KUNIT_ASSERT_EQ(test, 0, map_huge(p->file, PTWALK_BASE, PUD_SIZE, 0));
	KUNIT_ASSERT_EQ(test, 0, touch_huge(0, PTWALK_NR_HUGE));
	KUNIT_ASSERT_NOT_NULL(test, ptwalk_pmd_table(p->mm));
	KUNIT_ASSERT_PTR_EQ_MSG(test, ptwalk_pmd_table(current->mm),
				ptwalk_pmd_table(p->mm),
				"the PMD table is not shared");
}

/**
 * ptwalk_unmap_shared() - unmap the file in current
 * @test: the case
 */
void ptwalk_unmap_shared(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(PTWALK_BASE, PUD_SIZE));
}

/**
 * ptwalk_set_up_sharing() - start processes that map a new hugetlb file
 * @test: the case, which has entered an address space; the first five PUDs from
 *	%PTWALK_BASE are used
 * @s: what is set up, until the case ends
 * @processes: number of processes, at most two
 *
 * Return: NULL, or why no table can be shared.
 */
const char *ptwalk_set_up_sharing(struct kunit *test, struct ptwalk_sharing *s,
				  int processes)
{
	int i;

	memset(s, 0, sizeof(*s));
	if (num_online_cpus() < PTWALK_THREADS + 3)
		return "too few CPUs";
	if (IS_ERR_OR_NULL(huge_mnt))
		return "cannot mount hugetlbfs";
	if (HPAGE_SIZE != PMD_SIZE)
		return "the default huge page is not a PMD";
	s->mm = current->mm;
	s->file = ptwalk_huge_file(test, huge_mnt);
	if (tag_file(s->file, PTWALK_TAG_SHARED))
		return "cannot get huge pages";
	ptwalk_unmap_shared(test);
	ptwalk_map(test, PTWALK_SMALL, PAGE_SIZE);
	ptwalk_fill(test, PTWALK_SMALL, PAGE_SIZE, 1);
	for (i = 0; i < processes; i++)
		s->p[i] = new_process(test, s->file);
	return NULL;
}

/**
 * ptwalk_sharer() - start a process to share a PMD table with
 * @test: the case, which has entered an address space; the first five PUDs from
 *	%PTWALK_BASE are used
 *
 * The case fails if no table can be shared.
 *
 * Return: the process, until the case ends.
 */
struct ptwalk_process *ptwalk_sharer(struct kunit *test)
{
	const char *lacks;
	struct ptwalk_sharing s;

	lacks = ptwalk_set_up_sharing(test, &s, 1);
	KUNIT_ASSERT_NULL_MSG(test, lacks, "no shared PMD table: %s", lacks);
	return s.p[0];
}

/**
 * ptwalk_unshare_once() - map the file, share the table of a process, unmap
 * @test: the case
 * @p: the process, which has mapped the file
 */
void ptwalk_unshare_once(struct kunit *test, struct ptwalk_process *p)
{
	ptwalk_share(test, p);
	ptwalk_unmap_shared(test);
}
