/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites stand on, a section for each file of this folder.
 *
 * A case runs in its own kthread, on one CPU, in an address space of its own
 * that nothing else uses.  Other kthreads act as the other threads of the
 * process, or as a lockless walker that is held inside its window.  They only
 * count: the case judges.
 */
#ifndef _PTWALK_H
#define _PTWALK_H

/* All suites need these, so they are included here only. */
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/perf_event.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "common.h"

/* Cases that are skipped without huge pages name their size, too. */
#ifndef CONFIG_PGTABLE_HAS_HUGE_LEAVES
#undef HPAGE_PMD_SHIFT
#define HPAGE_PMD_SHIFT	PMD_SHIFT
#endif

/* Start of the test mapping, aligned to any PMD and to a hash slice */
#ifdef CONFIG_ARM64_VA_BITS_39
#define PTWALK_BASE	BIT(38)
#else
#define PTWALK_BASE	BIT(40)
#endif

/* Parameters of the module, and the state of a case: main.c of each module */
extern unsigned int ptwalk_duration_ms;
extern unsigned int ptwalk_hold_ms;
u32 ptwalk_seed(struct kunit *test);

/* KUnit ends a case after 300 s. */
#define PTWALK_MAX_RACE_MS	200000u

/**
 * ptwalk_race_end() - when a race that begins now is over
 *
 * Return: a time in jiffies.
 */
static inline unsigned long ptwalk_race_end(void)
{
	return jiffies + msecs_to_jiffies(min(ptwalk_duration_ms,
					      PTWALK_MAX_RACE_MS));
}

/**
 * ptwalk_race_is_on() - whether a race goes on
 * @end: from ptwalk_race_end()
 * @met: whether the race has hit its window
 *
 * On a busy host one round may take seconds.  The race goes on for another minute
 * rather than prove nothing.
 *
 * Return: true until @end and, if not @met, until a minute later.
 */
static inline bool ptwalk_race_is_on(unsigned long end, bool met)
{
	return time_before(jiffies, end) ||
	       (!met && time_before(jiffies, end + 60 * HZ));
}

/**
 * PTWALK_SUITE() - declare a suite of ptwalk_kunit
 * @suite: name of the suite without "ptwalk_"; its cases are in @suite_cases
 * @...: other members of struct kunit_suite
 */
#define PTWALK_SUITE(suite, ...)					\
	PTWALK_BARE_SUITE(suite, .init = ptwalk_case_init,		\
			  .exit = ptwalk_case_exit, ##__VA_ARGS__)

/* A suite of another module, which counts and watches nothing. */
#define PTWALK_BARE_SUITE(suite, ...)					\
static struct kunit_suite ptwalk_##suite##_suite = {			\
	.name = "ptwalk_" #suite,					\
	.test_cases = suite##_cases,					\
	__VA_ARGS__							\
};									\
kunit_test_suite(ptwalk_##suite##_suite)

/**
 * ptwalk_zalloc() - allocate memory until the case ends
 * @test: the case, which fails without memory
 * @size: how much (bytes)
 *
 * Context: may sleep.
 * Return: the memory, filled with 0.
 */
static inline void *ptwalk_zalloc(struct kunit *test, size_t size)
{
	void *memory = kunit_kzalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	return memory;
}

/**
 * ptwalk_at_end() - have a function called when the case ends
 * @test: the case, which fails if that is not possible
 * @fn: the function, called in reverse order
 * @arg: its argument
 *
 * Context: may sleep.
 */
static inline void ptwalk_at_end(struct kunit *test, void (*fn)(void *arg), void *arg)
{
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fn, arg));
}

int ptwalk_case_init(struct kunit *test);
void ptwalk_case_exit(struct kunit *test);

/* ipi.c */

/**
 * enum ptwalk_ipi_class - what a CPU was interrupted for
 * @PTWALK_IPI_BROADCAST: to wait for lockless walkers, all CPUs
 * @PTWALK_IPI_SERIALIZE: to wait for lockless walkers, CPUs of the mm
 * @PTWALK_IPI_TLB: to flush its TLB
 * @PTWALK_IPI_OTHER: any other function call
 * @PTWALK_IPI_WAKEUP: remote wakeup, carried by the same mechanism
 * @PTWALK_IPI_CLASSES: number of classes
 */
enum ptwalk_ipi_class {
	PTWALK_IPI_BROADCAST,
	PTWALK_IPI_SERIALIZE,
	PTWALK_IPI_TLB,
	PTWALK_IPI_OTHER,
	PTWALK_IPI_WAKEUP,
	PTWALK_IPI_CLASSES
};

enum ptwalk_ipi_class ptwalk_ipi_classify(smp_call_func_t func);
int ptwalk_ipi_init(void);
void ptwalk_ipi_exit(void);
void ptwalk_ipi_start(void);
void ptwalk_ipi_stop(void);
unsigned int ptwalk_ipi_cpus(enum ptwalk_ipi_class class);
unsigned int ptwalk_ipi_on(int cpu, enum ptwalk_ipi_class class);
void ptwalk_measure(struct kunit *test, const char *op, unsigned int ops);

/* watchpoint.c */
void ptwalk_watchpoint(struct kunit *test, int cpu, void *entry,
		       perf_overflow_handler_t handler, void *context);

/* watch.c */
int ptwalk_watch_init(void);
void ptwalk_watch_exit(void);
void ptwalk_watch_reset(void);
int ptwalk_watch_page(struct page *page);
unsigned int ptwalk_watch_freed(void);
bool ptwalk_watch_wait(unsigned int nr, unsigned int ms);
void ptwalk_trap_set(struct page *victim);
bool ptwalk_trap_clear(void);

/* probe.c */
bool ptwalk_probe(struct kunit *test, const char *name, void *fn, void *data);
struct completion *ptwalk_count(struct kunit *test, const char *name);
unsigned int ptwalk_counted(const struct completion *passed);

/* settle.c */
void ptwalk_settle(void);
void ptwalk_settle_collapses(struct kunit *test);

/* fault.c */

/**
 * enum ptwalk_fail - which page allocations of the case fail
 * @PTWALK_FAIL_NOWAIT: those that may not sleep, as the batch of the mmu_gather
 * @PTWALK_FAIL_KERNEL: all but user pages, as page tables
 * @PTWALK_FAIL_ALL: all
 */
enum ptwalk_fail {
	PTWALK_FAIL_NOWAIT,
	PTWALK_FAIL_KERNEL,
	PTWALK_FAIL_ALL
};

void ptwalk_fail_prepare(struct kunit *test, enum ptwalk_fail what);
void ptwalk_fail_restore(struct kunit *test);
void ptwalk_fail_arm(void);
void ptwalk_fail_disarm(void);
long ptwalk_failed(void);
long ptwalk_singles(void);
void ptwalk_expect_singles(struct kunit *test, long before, long nr);

/* file.c */
struct vfsmount;

int ptwalk_file_read(const char *path, char *buf, size_t size);
int ptwalk_file_write(const char *path, const char *text);
long ptwalk_vm_event(const char *name);
void ptwalk_pool_grow(unsigned int pages);
void ptwalk_pool_restore(void *unused);
struct file *ptwalk_own_file(struct kunit *test, struct file *file);
struct vfsmount *ptwalk_mount(struct kunit *test, const char *type);
struct file *ptwalk_huge_file(struct kunit *test, struct vfsmount *mnt);

/* addrspace.c */
struct mm_struct *ptwalk_mm_alloc(void);
struct mm_struct *ptwalk_mm_enter(struct kunit *test);
struct mm_struct *ptwalk_mm_new(struct kunit *test);
void ptwalk_mm_leave(struct kunit *test);
void ptwalk_mm_share(struct kunit *test, struct mm_struct *mm);
void ptwalk_need_thp(struct kunit *test);
void ptwalk_no_huge(struct kunit *test, unsigned long addr, unsigned long len);
void ptwalk_map(struct kunit *test, unsigned long addr, unsigned long len);
void ptwalk_map_small(struct kunit *test, unsigned long addr, unsigned long len);
void ptwalk_map_file(struct kunit *test, struct file *file, unsigned long addr,
		     unsigned long len);
void ptwalk_fill(struct kunit *test, unsigned long addr, unsigned long len,
		 u32 gen);
void ptwalk_fill_small(struct kunit *test, unsigned long addr,
		       unsigned long len, u32 gen);
unsigned long ptwalk_wrong_pages(unsigned long addr, unsigned long len,
				 u32 gen);
int ptwalk_collapse(unsigned long addr, unsigned long len);
int ptwalk_zap(unsigned long addr, unsigned long len);
struct page *ptwalk_page(unsigned long addr);

/* tables.c */
void *ptwalk_table(struct mm_struct *mm, unsigned long addr);
bool ptwalk_is_huge(struct mm_struct *mm, unsigned long addr);
long ptwalk_tables(void);
void ptwalk_expect_no_leak(struct kunit *test, void (*round)(struct kunit *test),
			   int tables);

/**
 * struct ptwalk_full_page - tables that fill a page, watched
 * @addr: what the first one maps
 * @step: how much one of them maps
 * @nr: number of tables; 1 if a table is a page
 */
struct ptwalk_full_page {
	unsigned long addr;
	unsigned long step;
	int nr;
};

/* Enough PTE tables to fill a page, which holds up to 256 on powerpc */
#define PTWALK_FULL_TABLES	520

void ptwalk_use_up_page(struct kunit *test, unsigned long base,
			struct page *page);
struct ptwalk_full_page ptwalk_fill_page(struct kunit *test, unsigned long base,
					 unsigned long step, int max);

/**
 * ptwalk_tag() - what is written in each page
 * @addr: user address of the page
 * @gen: generation of the mapping
 *
 * Return: a word that names the address and the generation, never 0.
 */
static inline u64 ptwalk_tag(unsigned long addr, u32 gen)
{
	return (u64)gen << 32 | (u32)(addr >> PAGE_SHIFT);
}

/* crew.c */

/**
 * struct ptwalk_crew - kthreads that do the same thing over and over
 * @mm: the address space that they use, or NULL
 * @work: what they do, called with @arg and the number of the kthread from 0
 * @arg: first argument of @work
 * @nr: number of kthreads
 * @stop: the kthreads must leave the address space
 * @begun: how many have done their work at least once
 * @idle: how many have left
 */
struct ptwalk_crew {
	struct mm_struct *mm;
	void (*work)(void *arg, unsigned int id);
	void *arg;
	unsigned int nr;
	bool stop;
	atomic_t begun, idle;
};

int ptwalk_other_cpu(void);
int ptwalk_nth_cpu(int n);
void ptwalk_next_cpus(struct cpumask *cpus, unsigned int nr);
void ptwalk_wait_for_stop(void);
struct ptwalk_crew *ptwalk_crew(struct kunit *test, struct mm_struct *mm,
				const struct cpumask *cpus,
				void (*work)(void *arg, unsigned int id),
				void *arg);
void ptwalk_crew_wait(struct ptwalk_crew *crew);
void ptwalk_crew_stop(struct ptwalk_crew *crew);
void ptwalk_spread(struct kunit *test, struct mm_struct *mm,
		   unsigned long addr);

/* hold.c */

/**
 * enum ptwalk_hold_mode - what keeps a table alive for a held walker
 * @PTWALK_HOLD_IRQS_OFF: a lockless walk, interrupts disabled, as GUP-fast of
 *	another process or of a preempted virtual CPU
 * @PTWALK_HOLD_OWN: as above, on a CPU that runs in the address space
 * @PTWALK_HOLD_RCU: rcu_read_lock() alone, as pte_offset_map()
 */
enum ptwalk_hold_mode {
	PTWALK_HOLD_IRQS_OFF,
	PTWALK_HOLD_OWN,
	PTWALK_HOLD_RCU
};

/**
 * enum ptwalk_phase - where a held walker is
 * @PTWALK_IN_WALK: in its walk
 * @PTWALK_IN_NEXT_WALK: in the walk within that walk, or after it
 * @PTWALK_BACK_IN_WALK: in the first walk again
 * @PTWALK_LEFT: out
 */
enum ptwalk_phase {
	PTWALK_IN_WALK = 1,
	PTWALK_IN_NEXT_WALK,
	PTWALK_BACK_IN_WALK,
	PTWALK_LEFT
};

/* How long a walk lasts that is waited for, far longer than anything else. */
#define PTWALK_SHORT_MS		300

/**
 * struct ptwalk_hold - a walker that is held inside its window
 * @mm: address space that it walks
 * @inner: address space that it walks within that walk, as an NMI would, or NULL
 * @twice: it walks @mm again, with interrupts off in between
 * @addr: user address that it walks to, or 0
 * @mode: what keeps the table alive
 * @cpu: where it runs
 * @ms: how long it stays in each phase (ms), unless it is told to go on
 * @phase: where it is
 * @go: it may go on to this phase
 * @table: the PTE table that it found
 * @before: the entries that it found there
 * @bad: number of entries that were neither the old one nor empty when it left
 * @inside: it has begun its walk
 * @left: it has left
 *
 * The caller sets the members from @mm to @ms.
 */
struct ptwalk_hold {
	struct mm_struct *mm, *inner;
	bool twice;
	unsigned long addr;
	enum ptwalk_hold_mode mode;
	int cpu;
	unsigned int ms;
	int phase, go;
	pte_t *table, *before;
	unsigned int bad;
	struct completion inside, left;
};

struct ptwalk_hold *ptwalk_hold_start(struct kunit *test,
				      const struct ptwalk_hold *how);
unsigned int ptwalk_hold_longer(struct kunit *test, unsigned int ms, int tries);
struct ptwalk_hold *ptwalk_hold_in_phase(struct kunit *test, struct ptwalk_hold how,
					 enum ptwalk_phase phase);
struct ptwalk_hold *ptwalk_hold(struct kunit *test, struct mm_struct *mm,
				unsigned long addr, enum ptwalk_hold_mode mode);
void ptwalk_hold_go(struct ptwalk_hold *hold, enum ptwalk_phase phase);
bool ptwalk_hold_release(struct ptwalk_hold *hold);
bool ptwalk_expect_untouched(struct kunit *test, struct ptwalk_hold *hold);
void ptwalk_expect_outlived(struct kunit *test, struct ptwalk_hold *hold);

#endif /* _PTWALK_H */
