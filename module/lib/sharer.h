/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process that shares a PMD table of a hugetlb file with the case.
 */
#ifndef _PTWALK_SHARER_H
#define _PTWALK_SHARER_H

#include <kunit/test.h>

struct file;
struct mm_struct;
struct ptwalk_process;

/* The same condition as in Kbuild */
#if defined(CONFIG_64BIT) && defined(CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING)

#include <linux/wait.h>

#include "ptwalk.h"

/* The file is mapped at PTWALK_BASE, small pages behind what it covers. */
#define PTWALK_SMALL	(PTWALK_BASE + 4 * PUD_SIZE)
/* Where the last owner maps another file: half of what the table covers. */
#define PTWALK_HALF	(PUD_SIZE / 2)
#define PTWALK_REUSED	(PTWALK_BASE + PTWALK_HALF)

/* The case, its threads, the process and a walker have a CPU each. */
#define PTWALK_THREADS	2
/* How many pages of the half that is reused are touched. */
#define PTWALK_NR_HUGE	2

/* First words of the pages of both files. */
#define PTWALK_TAG_SHARED	0x5a5a0000736861ULL
#define PTWALK_TAG_PRIVATE	0x5a5a0000707269ULL

/**
 * struct ptwalk_process - a process that does what the case wants
 * @mm: its address space
 * @file: the file that it maps shared
 * @other: the file that it maps where it is the last owner of the table
 * @fn: what to do next
 * @ret: return value of @fn
 * @todo: where it waits for @fn
 * @done: @fn has returned
 */
struct ptwalk_process {
	struct mm_struct *mm;
	struct file *file, *other;
	int (*fn)(struct ptwalk_process *p);
	int ret;
	wait_queue_head_t todo;
	struct completion done;
};

/**
 * struct ptwalk_sharing - the processes that map a hugetlb file
 * @mm: address space of the case
 * @file: the file
 * @p: the other processes
 */
struct ptwalk_sharing {
	struct mm_struct *mm;
	struct file *file;
	struct ptwalk_process *p[2];
};

int ptwalk_sharer_init(struct kunit_suite *suite);
void ptwalk_sharer_exit(struct kunit_suite *suite);
const char *ptwalk_set_up_sharing(struct kunit *test, struct ptwalk_sharing *s,
				  int processes);
void ptwalk_new_other(struct kunit *test, struct ptwalk_process *p);
int ptwalk_process_do(struct ptwalk_process *p, int (*fn)(struct ptwalk_process *p));
int ptwalk_process_map(struct ptwalk_process *p);
int ptwalk_process_reuse(struct ptwalk_process *p);
int ptwalk_process_reuse_first(struct ptwalk_process *p);
int ptwalk_process_reuse_second(struct ptwalk_process *p);
int ptwalk_process_unmap(struct ptwalk_process *p);
void *ptwalk_pmd_table(struct mm_struct *mm);
void ptwalk_share(struct kunit *test, struct ptwalk_process *p);
void ptwalk_unmap_shared(struct kunit *test);
struct ptwalk_process *ptwalk_sharer(struct kunit *test);
void ptwalk_unshare_once(struct kunit *test, struct ptwalk_process *p);

#else

#define ptwalk_sharer_init	NULL
#define ptwalk_sharer_exit	NULL

static inline struct ptwalk_process *ptwalk_sharer(struct kunit *test)
{
	return NULL;
}

static inline void ptwalk_unshare_once(struct kunit *test,
				       struct ptwalk_process *p)
{
}

#endif

#endif /* _PTWALK_SHARER_H */
