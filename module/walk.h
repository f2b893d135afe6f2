/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lockless_walk_begin() and lockless_walk_end(), also on kernels that do not
 * have them.
 */
#ifndef _PTWALK_WALK_H
#define _PTWALK_WALK_H

#if __has_include(<linux/lockless_walk.h>)
#include <linux/lockless_walk.h>

#define PTWALK_SERIES	1
#else
#include <linux/irqflags.h>

/* A kernel without the series. */
#define PTWALK_SERIES	0

struct mm_struct;

static inline void lockless_walk_begin(struct mm_struct *mm,
				       unsigned long *flags)
{
	local_irq_save(*flags);
}

static inline void lockless_walk_end(struct mm_struct *mm, unsigned long flags)
{
	local_irq_restore(flags);
}
#endif

#endif /* _PTWALK_WALK_H */
