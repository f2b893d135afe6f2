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

#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/coredump.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>
#include <asm/pgalloc.h>

/* The bases: v6.12, and v7.3, which has a part of the series. */
#define PTWALK_V7	(LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0))

/* ------------------------------------------------------------ lockless walks */

#if __has_include(<linux/lockless_walk.h>)
#include <linux/lockless_walk.h>
#else
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

/* Whether the kernel has the series: by a macro of its part for v7.3. */
#if __has_include(<linux/lockless_walk.h>) || (PTWALK_V7 && defined(pte_alloc_one_node))
#define PTWALK_SERIES	1
#else
#define PTWALK_SERIES	0
#endif

/*
 * The function that a CPU is called with to wait for its lockless walks.  In v7.3
 * kernel/smp.c has one of the same name, for kick_all_cpus_sync().
 */
#if PTWALK_V7
#define PTWALK_SERIALIZE_FUNC	"do_nothing"
#else
#define PTWALK_SERIALIZE_FUNC	"do_serialize"
#endif

/*
 * Whether MADV_DONTNEED keeps page tables, and more of the series would not change that:
 * it is switched off, or the series does not do it on this architecture.
 */
#define PTWALK_COULD_RECLAIM	(IS_ENABLED(CONFIG_X86) || \
				 IS_ENABLED(CONFIG_PPC_BOOK3S_64))
#if PTWALK_V7
#define PTWALK_SWITCHED_OFF	false	/* CONFIG_PT_RECLAIM has no prompt */
#else
#define PTWALK_SWITCHED_OFF	IS_ENABLED(CONFIG_ARCH_SUPPORTS_PT_RECLAIM)
#endif
#define PTWALK_KEEPS_TABLES	(!IS_ENABLED(CONFIG_PT_RECLAIM) && \
				 (PTWALK_SWITCHED_OFF || !PTWALK_COULD_RECLAIM))

/* ----------------------------------------------------- names and signatures */

#if PTWALK_V7
#define PTWALK_IMPORT_KUNIT_EXPORTS() \
	MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#else
#define PTWALK_IMPORT_KUNIT_EXPORTS() \
	MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#endif

/* The arguments of a function that generates the parameters of a case. */
#if PTWALK_V7
#define PTWALK_PARAM_ARGS	struct kunit *test, const void *prev, char *desc
#else
#define PTWALK_PARAM_ARGS	const void *prev, char *desc
#endif

#if !PTWALK_V7
#include <linux/pfn_t.h>
#endif

static inline vm_fault_t ptwalk_insert_mixed(struct vm_fault *vmf, unsigned long pfn)
{
#if PTWALK_V7
	return vmf_insert_mixed(vmf->vma, vmf->address, pfn);
#else
	return vmf_insert_mixed(vmf->vma, vmf->address, pfn_to_pfn_t(pfn));
#endif
}

/* khugepaged does not add an mm that it seems to have already. */
static inline void ptwalk_hide_from_khugepaged(struct mm_struct *mm)
{
#if PTWALK_V7
	mm_flags_set(MMF_VM_HUGEPAGE, mm);
#else
	set_bit(MMF_VM_HUGEPAGE, &mm->flags);
#endif
}

/* As prctl(PR_SET_THP_DISABLE), without its lock. */
static inline void ptwalk_disable_thp(struct mm_struct *mm)
{
#if PTWALK_V7
	mm_flags_set(MMF_DISABLE_THP_COMPLETELY, mm);
#else
	set_bit(MMF_DISABLE_THP, &mm->flags);
#endif
}

static inline void ptwalk_enable_thp(struct mm_struct *mm)
{
#if PTWALK_V7
	mm_flags_clear(MMF_DISABLE_THP_COMPLETELY, mm);
#else
	clear_bit(MMF_DISABLE_THP, &mm->flags);
#endif
}

static inline unsigned long *ptwalk_page_flags(struct page *page)
{
#if PTWALK_V7
	return &page->flags.f;
#else
	return &page->flags;
#endif
}

/* Opens a file for the kthreads of KUnit, whose root is empty in v7.3. */
static inline struct file *ptwalk_open(const char *path, int flags)
{
#if PTWALK_V7
	struct file *file = NULL;

	scoped_with_init_fs()
		file = filp_open(path, flags, 0);
	return file;
#else
	return filp_open(path, flags, 0);
#endif
}

static inline struct file *ptwalk_shmem_file(unsigned long len)
{
#if PTWALK_V7
	return shmem_file_setup("ptwalk", len, EMPTY_VMA_FLAGS);
#else
	return shmem_file_setup("ptwalk", len, 0);
#endif
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
#if !PTWALK_V7	/* there __tlb_remove_table() does it */
		pagetable_pte_dtor(page_ptdesc(token));
#endif
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
 * functions to tests, their addresses are NULL.  Not on arm64: there KVM is no
 * module, and modules cannot have weak symbols.
 */
#if IS_ENABLED(CONFIG_KVM) && !PTWALK_V7	/* which has no such function */
#include <linux/kvm_host.h>
#ifdef CONFIG_ARM64
#define PTWALK_HAS_KVM	true
#else
#pragma weak kvm_pfn_to_refcounted_page
#define PTWALK_HAS_KVM	(!!kvm_pfn_to_refcounted_page)
#endif
#else
#define kvm_pfn_to_refcounted_page	((struct page *(*)(u64))NULL)
#define PTWALK_HAS_KVM	false
#endif

/* In v7.3 what KVM goes by is for KVM's own modules alone. */
#if IS_ENABLED(CONFIG_KVM) && defined(CONFIG_X86) && !PTWALK_V7
#define PTWALK_KVM_MMIO
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include <asm/set_memory.h>
bool kvm_is_mmio_pfn(kvm_pfn_t pfn);
#pragma weak kvm_is_mmio_pfn
#endif
#endif /* PTWALK_KVM */

#endif /* _PTWALK_KERNEL_H */
