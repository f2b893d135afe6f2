// SPDX-License-Identifier: GPL-2.0-only
/* None of this may be reported. */

static void deferred(struct mm_struct *mm, pmd_t *pmd)
{
	pgtable_t table = pmd_pgtable(*pmd);

	pmd_clear(pmd);
	flush_tlb_mm(mm);
	pte_free_defer(mm, table);
}

static void batched(struct mmu_gather *tlb, pud_t *pud)
{
	pmd_t *pmd = pud_pgtable(*pud);

	pud_clear(pud);
	tlb_remove_table(tlb, virt_to_page(pmd));
}

static void waited(struct mm_struct *mm, pud_t *pud)
{
	pmd_t *pmd = pud_pgtable(*pud);

	pud_clear(pud);
	synchronize_rcu();
	pmd_free(mm, pmd);
}

/* Lost the race to populate: nobody has seen the table. */
static void unused(struct mm_struct *mm, pmd_t *pmd, pgtable_t new)
{
	if (pmd_none(*pmd))
		pmd_populate(mm, pmd, new);
	else
		pte_free(mm, new);
}

static void free_rcu(struct rcu_head *head)
{
	struct ptdesc *ptdesc = container_of(head, struct ptdesc, pt_rcu_head);

	__tlb_remove_table(ptdesc_page(ptdesc));
}

void ___pte_free_tlb(struct mmu_gather *tlb, struct page *pte)
{
	tlb_remove_table(tlb, pte);
}

static void fresh(struct vm_area_struct *vma, unsigned long addr, pmd_t *pmd, pgtable_t new)
{
	pgtable_t table;
	pmd_t old;

	old = pmdp_collapse_flush(vma, addr, pmd);
	table = pmd_pgtable(old);
	pgtable_trans_huge_deposit(vma->vm_mm, pmd, new);
	pte_free_defer(vma->vm_mm, table);
}

static void to_slab(struct rmap *rmap)
{
	kmem_cache_free(rmap_cache, rmap);
}

static void pages_of_data(struct mmu_gather *tlb, struct page *page)
{
	tlb_remove_page(tlb, page);
}
