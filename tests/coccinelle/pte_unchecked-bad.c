// SPDX-License-Identifier: GPL-2.0-only
/* Each line with BAD in it has to be reported, and no other. */

static unsigned long not_at_all(pgd_t *pgdir, unsigned long ea)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte_t pte;

	if (!ptep)
		return 0;
	pte = READ_ONCE(*ptep);
	return pte_pfn(pte);				/* BAD */
}

static unsigned long entry_itself(unsigned long ea)
{
	pte_t *ptep = find_init_mm_pte(ea, NULL);

	if (WARN_ON(!ptep))
		return 0;
	return pte_pfn(*ptep) << PAGE_SHIFT;		/* BAD */
}

static struct page *none_is_not_enough(pmd_t *pmd, unsigned long addr)
{
	pte_t *ptep = pte_offset_map(pmd, addr);
	pte_t pte;

	if (!ptep)
		return NULL;
	pte = ptep_get_lockless(ptep);
	if (pte_none(pte))
		return NULL;
	return pte_page(pte);				/* BAD */
}

static unsigned long on_one_path(struct kvm *kvm, unsigned long seq, unsigned long hva, bool fast)
{
	unsigned int shift;
	pte_t *ptep = find_kvm_host_pte(kvm, seq, hva, &shift);
	pte_t pte = READ_ONCE(*ptep);

	if (!fast) {
		if (!pte_present(pte))
			return 0;
	}
	return pte_pfn(pte);				/* BAD */
}

static unsigned long after_update(struct kvm *kvm, unsigned long seq, unsigned long hva)
{
	unsigned int shift;
	pte_t *ptep, pte;

	ptep = find_kvm_host_pte(kvm, seq, hva, &shift);
	if (!ptep)
		return 0;
	pte = kvmppc_read_update_linux_pte(ptep, 1);
	return pte_pfn(pte);				/* BAD */
}

static unsigned long loaded_by_the_walk(pgd_t *pgdir, unsigned long ea)
{
	struct linux_pte_walk walk;

	if (!linux_pte_walk(pgdir, ea, &walk))
		return 0;
	return pte_pfn(walk.pte);			/* BAD */
}
