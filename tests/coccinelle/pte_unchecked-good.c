// SPDX-License-Identifier: GPL-2.0-only
/* None of this may be reported. */

static unsigned long present(pgd_t *pgdir, unsigned long ea)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte_t pte;

	if (!ptep)
		return 0;
	pte = READ_ONCE(*ptep);
	if (!pte_present(pte) || pte_special(pte))
		return 0;
	return pte_pfn(pte);
}

static struct page *permitted(pmd_t *pmd, unsigned long addr)
{
	pte_t *ptep = pte_offset_map(pmd, addr);
	pte_t pte;

	if (!ptep)
		return NULL;
	pte = ptep_get_lockless(ptep);
	if (!pte_access_permitted(pte, true))
		return NULL;
	return pte_page(pte);
}

static unsigned long perhaps_none(struct kvm *kvm, unsigned long seq, unsigned long hva)
{
	unsigned int shift;
	pte_t *ptep, pte;

	ptep = find_kvm_host_pte(kvm, seq, hva, &shift);
	pte = __pte(0);
	if (ptep)
		pte = READ_ONCE(*ptep);
	if (!pte_present(pte))
		return 0;
	return pte_pfn(pte);
}

static unsigned long hash(pgd_t *pgdir, unsigned long ea, unsigned long access)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte_t pte = READ_ONCE(*ptep);

	if (!check_pte_access(access, pte_val(pte)))
		return 0;
	return pte_pfn(pte);
}

static unsigned long leaf(pud_t *pudp, pud_t pud, unsigned long addr)
{
	pmd_t *pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd_t pmd = pmdp_get_lockless(pmdp);

	if (!pmd_present(pmd))
		return 0;
	return pmd_leaf(pmd) ? pmd_pfn(pmd) : 0;
}

static unsigned long other_value(pgd_t *pgdir, unsigned long ea, pte_t known)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte_t pte = READ_ONCE(*ptep);

	pte = known;
	return pte_pfn(pte);
}

static unsigned long loaded_by_the_walk(pgd_t *pgdir, unsigned long ea)
{
	struct linux_pte_walk walk;

	if (!linux_pte_walk(pgdir, ea, &walk) || !pte_present(walk.pte))
		return 0;
	return pte_pfn(walk.pte);
}
