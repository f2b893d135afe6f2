// SPDX-License-Identifier: GPL-2.0-only
/* Each line with BAD in it has to be reported, and no other. */

static void at_once(struct mm_struct *mm, pmd_t *pmd)
{
	pgtable_t table = pmd_pgtable(*pmd);

	pmd_clear(pmd);
	flush_tlb_mm(mm);
	pte_free(mm, table);				/* BAD */
}

static void as_page(pud_t *pud)
{
	pmd_t *pmd = pud_pgtable(*pud);

	pud_clear(pud);
	free_page((unsigned long)pmd);			/* BAD */
}

static void on_one_path(struct mm_struct *mm, pmd_t *pmd, bool may_sleep)
{
	pgtable_t table = pmd_pgtable(*pmd);

	pmd_clear(pmd);
	if (may_sleep)
		synchronize_rcu();
	pte_free(mm, table);				/* BAD */
}

static void still_reachable(struct mm_struct *mm, pud_t *pud)
{
	pmd_free(mm, pud_pgtable(*pud));		/* BAD */
	pud_clear(pud);
}

static void to_slab(pte_t *ptep)
{
	kmem_cache_free(pte_cache, ptep);		/* BAD */
}

static void release_one(void *table)
{
	smp_call_function(nothing, NULL, 1);
	__tlb_remove_table(table);			/* BAD */
}

void ___pte_free_tlb(struct mmu_gather *tlb, struct page *pte)
{
	tlb_remove_page(tlb, pte);			/* BAD */
}

static void redeposit(struct vm_area_struct *vma, unsigned long addr, pmd_t *pmd)
{
	pgtable_t table;
	pmd_t old;

	old = pmdp_collapse_flush(vma, addr, pmd);
	table = pmd_pgtable(old);
	pgtable_trans_huge_deposit(vma->vm_mm, pmd, table);	/* BAD */
}
