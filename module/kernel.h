/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that depends on the version of the kernel, or on whether it has the
 * series.  Nothing else in module/ does.
 *
 * A file that needs the mmu_gather or KVM defines PTWALK_GATHER or PTWALK_KVM
 * before it includes this header.
 */
#ifndef _PTWALK_KERNEL_H
#define _PTWALK_KERNEL_H

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/coredump.h>
#include <linux/shmem_fs.h>

/* ------------------------------------------------------------ lockless walks */

#if __has_include(<linux/lockless_walk.h>)
#include <linux/lockless_walk.h>

#define PTWALK_SERIES	1
#else
/* A kernel without the series. */
#define PTWALK_SERIES	0

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

/* The function that a CPU is called with to wait for its lockless walks. */
#define PTWALK_SERIALIZE_FUNC	"do_serialize"

/* Whether MADV_DONTNEED keeps page tables although the series could free them. */
#define PTWALK_KEEPS_TABLES	(IS_ENABLED(CONFIG_ARCH_SUPPORTS_PT_RECLAIM) && \
				 !IS_ENABLED(CONFIG_PT_RECLAIM))

/* ----------------------------------------------------- names and signatures */

#define PTWALK_IMPORT_KUNIT_EXPORTS() \
	MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)

/* The arguments of a function that generates the parameters of a case. */
#define PTWALK_PARAM_ARGS	const void *prev, char *desc

/* khugepaged does not add an mm that it seems to have already. */
static inline void ptwalk_hide_from_khugepaged(struct mm_struct *mm)
{
	set_bit(MMF_VM_HUGEPAGE, &mm->flags);
}

static inline unsigned long *ptwalk_page_flags(struct page *page)
{
	return &page->flags;
}

static inline struct file *ptwalk_shmem_file(unsigned long len)
{
	return shmem_file_setup("ptwalk", len, 0);
}

/* --------------------------------------- mmu_gather, not for modules on x86 */

#ifdef PTWALK_GATHER
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

/*
 * As pte_free_tlb(); if @direct, through tlb_remove_table() on x86 as well, where
 * pte_free_tlb() may free a table without it.
 */
static inline void ptwalk_remove_table(struct mmu_gather *tlb, pgtable_t token,
				       unsigned long addr, bool direct)
{
#ifdef CONFIG_X86
	if (direct) {
		tlb_flush_pmd_range(tlb, addr, PAGE_SIZE);
		tlb->freed_tables = 1;
		pagetable_pte_dtor(page_ptdesc(token));
		tlb_remove_table(tlb, token);
		return;
	}
#endif
	pte_free_tlb(tlb, token, addr);
}
#endif /* PTWALK_GATHER */

/* ----------------------------------------------------------------------- KVM */

#ifdef PTWALK_KVM
/*
 * Weak: where kvm.ko is not loaded, or the kernel does not export these
 * functions to tests, their addresses are NULL.
 */
#if IS_ENABLED(CONFIG_KVM)
#include <linux/kvm_host.h>
#pragma weak kvm_pfn_to_refcounted_page
#else
#define kvm_pfn_to_refcounted_page	((struct page *(*)(u64))NULL)
#endif

#if IS_ENABLED(CONFIG_KVM) && defined(CONFIG_X86)
#define PTWALK_KVM_MMIO
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include <asm/set_memory.h>
bool kvm_is_mmio_pfn(kvm_pfn_t pfn);
#pragma weak kvm_is_mmio_pfn
#endif
#endif /* PTWALK_KVM */

#endif /* _PTWALK_KERNEL_H */
