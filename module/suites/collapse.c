// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collapse of small pages into a huge page: the CPUs that it interrupts, the
 * fate of the PTE table, and the memory after a collapse that fails.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pagemap.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

#define NR_COLLAPSES	8
#define GEN		1
/* More than fit into a page of powerpc. */
#define MAX_SPARE_TABLES	320

/* Fills NR_COLLAPSES huge pages worth of small pages. */
static unsigned long fill_many(struct kunit *test)
{
	unsigned long len = NR_COLLAPSES * HPAGE_PMD_SIZE;

	ptwalk_map(test, PTWALK_BASE, len);
	ptwalk_fill_small(test, PTWALK_BASE, len, GEN);
	return len;
}

/* Fills one huge page worth of small pages. */
static void fill_one(struct kunit *test)
{
	ptwalk_map(test, PTWALK_BASE, HPAGE_PMD_SIZE);
	ptwalk_fill_small(test, PTWALK_BASE, HPAGE_PMD_SIZE, GEN);
}

static int collapse_one(void)
{
	return ptwalk_collapse(PTWALK_BASE, HPAGE_PMD_SIZE);
}

static unsigned long wrong_pages_of_one(void)
{
	return ptwalk_wrong_pages(PTWALK_BASE, HPAGE_PMD_SIZE, GEN);
}

/* Collapses memory that all CPUs use. */
static void expect_no_broadcast(struct kunit *test,
				unsigned long (*fill)(struct kunit *test),
				const char *op)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long len = fill(test);

	ptwalk_spread(test, mm, PTWALK_BASE);
	ptwalk_ipi_start();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	ptwalk_ipi_stop();
	ptwalk_measure(test, op, NR_COLLAPSES);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, len, GEN));
}

/* Broken: every collapse interrupts every CPU. */
static void collapse_broadcasts_nothing(struct kunit *test)
{
	expect_no_broadcast(test, fill_many, "collapse_anon");
}

/* Broken: a process interrupts an isolated CPU on which it never ran. */
static void collapse_spares_other_cpus(struct kunit *test)
{
	unsigned long len;
	int cpu;

	ptwalk_mm_enter(test);
	cpu = ptwalk_other_cpu();
	len = fill_many(test);
	ptwalk_ipi_start();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	ptwalk_ipi_stop();
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_on(cpu, PTWALK_IPI_BROADCAST));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_ipi_on(cpu, PTWALK_IPI_SERIALIZE));
}

/* Broken: collapse changes the contents of memory. */
static void collapse_keeps_contents(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long len = fill_many(test);

	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	KUNIT_EXPECT_TRUE(test, ptwalk_is_huge(mm, PTWALK_BASE));
	KUNIT_EXPECT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, len, GEN));
}

/*
 * Collapses under a walker that is in the old table, the last one of its page.
 * A first collapse next to it drains the per-CPU lists of the LRU, which the
 * held CPU could not do.
 */
static struct ptwalk_hold *collapse_under_walker(struct kunit *test,
						 struct mm_struct *mm,
						 unsigned long len)
{
	struct ptwalk_hold *hold;
	void *table;

	table = ptwalk_table(mm, PTWALK_BASE);
	KUNIT_ASSERT_NOT_NULL(test, table);
	ptwalk_use_up_page(test, PTWALK_BASE + len, virt_to_page(table));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE + HPAGE_PMD_SIZE,
						 len - HPAGE_PMD_SIZE));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_watch_page(virt_to_page(table)));
	hold = ptwalk_hold(test, mm, PTWALK_BASE, PTWALK_HOLD_IRQS_OFF);
	KUNIT_EXPECT_EQ(test, 0, collapse_one());
	return hold;
}

static void expect_outlived(struct kunit *test,
			    unsigned long (*fill)(struct kunit *test))
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long len = fill(test);

	ptwalk_expect_outlived(test, collapse_under_walker(test, mm, len));
}

/* Broken: collapse waits while any CPU has interrupts off. */
static void collapse_does_not_wait_for_walker(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	struct ptwalk_hold *hold;

	hold = collapse_under_walker(test, mm, fill_many(test));
	KUNIT_EXPECT_TRUE_MSG(test, ptwalk_hold_release(hold),
			      "collapse waited until the walker left");
	KUNIT_EXPECT_EQ(test, 0, wrong_pages_of_one());
}

/* Broken: GUP-fast reads page-table entries from a page that was freed. */
static void collapse_table_outlives_walker(struct kunit *test)
{
	expect_outlived(test, fill_many);
}

/* Broken: collapse reuses a table that a walker may still read. */
static void collapse_deposits_fresh_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	void *old;

	fill_one(test);
	old = ptwalk_table(mm, PTWALK_BASE);
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_ASSERT_EQ(test, 0, collapse_one());
	KUNIT_ASSERT_TRUE(test, ptwalk_is_huge(mm, PTWALK_BASE));
	/*
	 * MADV_DONTNEED of one page splits the huge page, which uses the
	 * deposited table.
	 */
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	KUNIT_ASSERT_NOT_NULL(test, ptwalk_table(mm, PTWALK_BASE));
	KUNIT_EXPECT_PTR_NE(test, ptwalk_table(mm, PTWALK_BASE), old);
}

/*
 * Broken: the page table of a huge page is on another NUMA node than the page.
 */
static void collapse_takes_the_table_from_the_node_of_the_page(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	int cpu = smp_processor_id(), other, node = cpu_to_node(cpu);

	for_each_online_cpu(other)
		if (cpu_to_node(other) != node)
			break;
	if (other >= nr_cpu_ids || IS_ENABLED(CONFIG_PPC))
		kunit_skip(test, "needs two nodes, and tables that have one");
	node = cpu_to_node(other);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(other)));
	fill_one(test);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
	KUNIT_ASSERT_EQ(test, 0, collapse_one());
	KUNIT_ASSERT_EQ(test, page_to_nid(ptwalk_page(PTWALK_BASE)), node);
	/* The deposited table is used for the split. */
	KUNIT_ASSERT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, node,
			page_to_nid(virt_to_page(ptwalk_table(mm, PTWALK_BASE))));
}

/* How many users the address space has while @task allocates memory */
struct users {
	struct task_struct *task;
	struct mm_struct *mm;
	int most;
};

static void see_users(void *data, struct page *page, unsigned int order,
		      gfp_t gfp_flags, int migratetype)
{
	struct users *users = data;

	if (current == READ_ONCE(users->task))
		users->most = max(users->most, atomic_read(&users->mm->mm_users));
}

/*
 * Broken: khugepaged delays the end of a killed process, and its program file
 * stays busy.
 */
static void collapse_is_no_user_of_the_mm(struct kunit *test)
{
	struct users *users = ptwalk_zalloc(test, sizeof(*users));
	unsigned long len;

	users->mm = ptwalk_mm_enter(test);
	len = fill_many(test);
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mm_page_alloc", see_users, users));
	WRITE_ONCE(users->task, current);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	WRITE_ONCE(users->task, NULL);
	KUNIT_EXPECT_EQ(test, users->most, atomic_read(&users->mm->mm_users));
}

/*
 * Makes a collapse find its last page referenced, after it detached the table and
 * isolated all other pages.
 */
static int collapse_and_fail(struct kunit *test)
{
	struct page *victim = ptwalk_page(PTWALK_BASE + HPAGE_PMD_SIZE - PAGE_SIZE);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, victim);
	ptwalk_trap_set(victim);
	ret = do_madvise(current->mm, PTWALK_BASE, HPAGE_PMD_SIZE,
			 MADV_COLLAPSE);
	if (ptwalk_trap_clear())
		put_page(victim);
	else
		KUNIT_FAIL(test, "the collapse allocated no huge page");
	return ret;
}

/* Broken: a collapse that fails loses data. */
static void failed_collapse_reattaches_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	unsigned long bytes;
	void *table;

	fill_one(test);
	table = ptwalk_table(mm, PTWALK_BASE);
	bytes = mm_pgtables_bytes(mm);
	KUNIT_EXPECT_EQ(test, -EAGAIN, collapse_and_fail(test));
	KUNIT_EXPECT_PTR_EQ(test, ptwalk_table(mm, PTWALK_BASE), table);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), bytes);
	KUNIT_EXPECT_EQ(test, 0, wrong_pages_of_one());
	KUNIT_EXPECT_EQ(test, 0, collapse_one());
	KUNIT_EXPECT_EQ(test, 0, wrong_pages_of_one());
}

static void collapse_many_and_fail(struct kunit *test)
{
	int i;

	ptwalk_mm_enter(test);
	fill_one(test);
	for (i = 0; i < NR_COLLAPSES; i++)
		KUNIT_EXPECT_EQ(test, -EAGAIN, collapse_and_fail(test));
	ptwalk_mm_leave(test);
}

/* The next table to be allocated, where a page that belongs to the mm has many. */
static void *next_table(struct mm_struct *mm)
{
#ifdef CONFIG_PPC_BOOK3S_64
	return READ_ONCE(mm->context.pte_frag);
#else
	return NULL;
#endif
}

/**
 * struct refusal - a collapse that may not make a huge page after all
 * @task: the task that collapses
 * @next: the next table before that
 */
struct refusal {
	struct task_struct *task;
	void *next;
};

/*
 * With the fresh table allocated, the collapse takes mmap_lock for writing and looks at
 * the mm again.  The arguments of the tracepoint depend on the kernel's version.
 */
static void mmap_lock_start_locking(void *data)
{
	struct refusal *refusal = data;

	if (current == READ_ONCE(refusal->task) &&
	    next_table(current->mm) != refusal->next)
		ptwalk_disable_thp(current->mm);
}

/* Makes collapses fail before they detach the table or isolate a page. */
static void collapse_and_refuse(struct kunit *test, struct mm_struct *mm)
{
	struct refusal *refusal = ptwalk_zalloc(test, sizeof(*refusal));
	int i;

	refusal->next = next_table(mm);
	KUNIT_ASSERT_TRUE(test, ptwalk_probe(test, "mmap_lock_start_locking",
					     mmap_lock_start_locking, refusal));
	for (i = 0; i < NR_COLLAPSES; i++) {
		WRITE_ONCE(refusal->task, current);
		KUNIT_EXPECT_EQ(test, -EINVAL,
				do_madvise(mm, PTWALK_BASE, HPAGE_PMD_SIZE, MADV_COLLAPSE));
		WRITE_ONCE(refusal->task, NULL);
		ptwalk_enable_thp(mm);
	}
}

/* Broken: collapses that fail use up page tables until the process ends. */
static void failed_collapse_uses_up_no_table(struct kunit *test)
{
	struct mm_struct *mm = ptwalk_mm_enter(test);
	void *next;
	int i;

	fill_one(test);
	next = next_table(mm);
	if (!next)
		kunit_skip(test, "a page has one table");
	for (i = 0; i < NR_COLLAPSES; i++)
		KUNIT_EXPECT_EQ(test, -EAGAIN, collapse_and_fail(test));
	KUNIT_EXPECT_PTR_EQ(test, next_table(mm), next);
	/* Without the series a collapse needs no table. */
	if (PTWALK_SERIES)
		collapse_and_refuse(test, mm);
	KUNIT_EXPECT_PTR_EQ(test, next_table(mm), next);
}

/* Broken: each collapse that fails leaks a page. */
static void failed_collapse_leaks_no_table(struct kunit *test)
{
	ptwalk_expect_no_leak(test, collapse_many_and_fail, NR_COLLAPSES);
}

static void collapse_many_and_unmap(struct kunit *test)
{
	unsigned long len;

	ptwalk_mm_enter(test);
	len = fill_many(test);
	KUNIT_EXPECT_EQ(test, 0, ptwalk_collapse(PTWALK_BASE, len));
	/*
	 * One huge page is split, so that both ways to drop a deposited table
	 * are taken.
	 */
	KUNIT_EXPECT_EQ(test, 0, ptwalk_zap(PTWALK_BASE, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(PTWALK_BASE, len));
	ptwalk_mm_leave(test);
}

/* Broken: each collapse leaks a page. */
static void collapse_leaks_no_table(struct kunit *test)
{
	ptwalk_expect_no_leak(test, collapse_many_and_unmap, NR_COLLAPSES);
}

/*
 * powerpc cuts tables out of a page.  Uses those that are left in the last
 * page.
 */
static void use_up_tables(struct kunit *test)
{
	unsigned long addr = PTWALK_BASE + 2 * PMD_SIZE;
	unsigned long end = addr + MAX_SPARE_TABLES * PMD_SIZE;

	ptwalk_map_small(test, addr, end - addr);
	ptwalk_fill(test, addr, PAGE_SIZE, GEN);
	ptwalk_fail_arm();
	do {
		addr += PMD_SIZE;
	} while (addr < end && !put_user(0, (u64 __user *)addr));
	ptwalk_fail_disarm();
	KUNIT_ASSERT_LT(test, addr, end);
}

static void collapse_without_memory(struct kunit *test, enum ptwalk_fail what)
{
	int ret, tries = 0;

	ptwalk_mm_enter(test);
	fill_one(test);
	ptwalk_fail_prepare(test, what);
	if (what == PTWALK_FAIL_KERNEL)
		use_up_tables(test);
	ptwalk_fail_arm();
	/* Something may hold a page of it for a moment. */
	do {
		ret = do_madvise(current->mm, PTWALK_BASE, HPAGE_PMD_SIZE,
				 MADV_COLLAPSE);
	} while (ret == -EAGAIN && ++tries < 100);
	ptwalk_fail_disarm();
	ptwalk_fail_restore(test);
	kunit_info(test, "collapse returned %d\n", ret);
	/* Without the series a collapse needs no table. */
	if (PTWALK_SERIES || what == PTWALK_FAIL_ALL)
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
	KUNIT_EXPECT_EQ(test, 0, wrong_pages_of_one());
	KUNIT_EXPECT_EQ(test, 0, collapse_one());
	KUNIT_EXPECT_EQ(test, 0, wrong_pages_of_one());
	ptwalk_mm_leave(test);
}

static void collapse_with_none(struct kunit *test)
{
	collapse_without_memory(test, PTWALK_FAIL_ALL);
}

/* Broken: a collapse that gets no huge page loses data or leaks memory. */
static void collapse_without_huge_page(struct kunit *test)
{
	ptwalk_expect_no_leak(test, collapse_with_none, 1);
}

static void collapse_with_no_table(struct kunit *test)
{
	collapse_without_memory(test, PTWALK_FAIL_KERNEL);
}

/* Broken: a collapse that gets no page table loses data or leaks memory. */
static void collapse_without_page_table(struct kunit *test)
{
	ptwalk_expect_no_leak(test, collapse_with_no_table, 1);
}

/* As fill_many(), with pages of a tmpfs file. */
static unsigned long fill_many_shmem(struct kunit *test)
{
	unsigned long len = NR_COLLAPSES * HPAGE_PMD_SIZE;
	struct file *file;

	ptwalk_need_thp(test);
	if (!IS_ENABLED(CONFIG_SHMEM))
		kunit_skip(test, "needs CONFIG_SHMEM");
	file = ptwalk_own_file(test, ptwalk_shmem_file(len));
	ptwalk_map_file(test, file, PTWALK_BASE, len);
	ptwalk_fill(test, PTWALK_BASE, len, GEN);
	return len;
}

/* Broken: collapse of tmpfs files interrupts CPUs. */
static void shmem_collapse_broadcasts_nothing(struct kunit *test)
{
	expect_no_broadcast(test, fill_many_shmem, "collapse_shmem");
}

/* Broken: GUP-fast reads page-table entries from a page that was freed. */
static void shmem_collapse_table_outlives_walker(struct kunit *test)
{
	expect_outlived(test, fill_many_shmem);
}

/* The kernel collapses only a file that is not open for writing. */
static struct file *readonly_file(struct kunit *test, unsigned long len)
{
	struct vfsmount *mnt = ptwalk_mount(test, "ramfs");
	struct path root = { .mnt = mnt, .dentry = mnt->mnt_root };
	struct file *file;

	file = file_open_root(&root, "file", O_CREAT | O_RDONLY, 0600);
	ptwalk_own_file(test, file);
	KUNIT_ASSERT_EQ(test, 0, vfs_truncate(&file->f_path, len));
	return file;
}

/* In the page cache, as a store by the process would make the page dirty. */
static void tag_page_of(struct kunit *test, struct file *file,
			unsigned long offset)
{
	struct page *page = read_mapping_page(file->f_mapping,
					      offset >> PAGE_SHIFT, file);
	u64 tag = ptwalk_tag(PTWALK_BASE + offset, GEN), *words;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	words = kmap_local_page(page);
	words[0] = tag;
	words[PAGE_SIZE / sizeof(u64) - 1] = tag;
	kunmap_local(words);
	put_page(page);
}

/* As fill_many(), with pages of a file of another file system. */
static unsigned long fill_many_file(struct kunit *test)
{
	unsigned long len = NR_COLLAPSES * HPAGE_PMD_SIZE, offset;
	struct file *file;

	ptwalk_need_thp(test);
	if (!IS_ENABLED(CONFIG_READ_ONLY_THP_FOR_FS))
		kunit_skip(test, "needs CONFIG_READ_ONLY_THP_FOR_FS: VARIANT=filethp");
	file = readonly_file(test, len);
	for (offset = 0; offset < len; offset += PAGE_SIZE)
		tag_page_of(test, file, offset);
	KUNIT_ASSERT_EQ(test, PTWALK_BASE,
			vm_mmap(file, PTWALK_BASE, len, PROT_READ,
				MAP_FIXED | MAP_SHARED, 0));
	KUNIT_ASSERT_EQ(test, 0, ptwalk_wrong_pages(PTWALK_BASE, len, GEN));
	return len;
}

/* Broken: collapse of the text of programs interrupts CPUs. */
static void file_collapse_broadcasts_nothing(struct kunit *test)
{
	expect_no_broadcast(test, fill_many_file, "collapse_file");
}

/* Broken: GUP-fast reads page-table entries from a page that was freed. */
static void file_collapse_table_outlives_walker(struct kunit *test)
{
	expect_outlived(test, fill_many_file);
}

static struct kunit_case collapse_cases[] = {
	KUNIT_CASE(collapse_broadcasts_nothing),
	KUNIT_CASE(collapse_spares_other_cpus),
	KUNIT_CASE(collapse_keeps_contents),
	KUNIT_CASE_SLOW(collapse_does_not_wait_for_walker),
	KUNIT_CASE_SLOW(collapse_table_outlives_walker),
	KUNIT_CASE(collapse_deposits_fresh_table),
	KUNIT_CASE(collapse_takes_the_table_from_the_node_of_the_page),
	KUNIT_CASE(collapse_is_no_user_of_the_mm),
	KUNIT_CASE(failed_collapse_reattaches_table),
	KUNIT_CASE(failed_collapse_leaks_no_table),
	KUNIT_CASE(failed_collapse_uses_up_no_table),
	KUNIT_CASE(collapse_leaks_no_table),
	KUNIT_CASE(collapse_without_huge_page),
	KUNIT_CASE(collapse_without_page_table),
	KUNIT_CASE(shmem_collapse_broadcasts_nothing),
	KUNIT_CASE_SLOW(shmem_collapse_table_outlives_walker),
	KUNIT_CASE(file_collapse_broadcasts_nothing),
	KUNIT_CASE_SLOW(file_collapse_table_outlives_walker),
	{}
};

PTWALK_SUITE(collapse);
