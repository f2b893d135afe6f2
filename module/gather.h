/* SPDX-License-Identifier: GPL-2.0-only */
/* The mmu_gather, which is not meant for modules on x86. */
#ifndef _PTWALK_GATHER_H
#define _PTWALK_GATHER_H

#include <linux/mm.h>
#include <asm/pgalloc.h>
#include <asm/tlbflush.h>

#ifdef CONFIG_X86
/* For the inline functions of <asm/tlb.h>; this module calls none of them. */
#ifndef TLB_FLUSH_ALL
#define TLB_FLUSH_ALL	-1UL
#endif
void flush_tlb_mm_range(struct mm_struct *mm, unsigned long start,
			unsigned long end, unsigned int stride_shift,
			bool freed_tables);
#endif

#include <asm/tlb.h>

#endif /* _PTWALK_GATHER_H */
