// SPDX-License-Identifier: GPL-2.0-only
/* Each line with BAD in it has to be reported, and no other. */

static int two_statements(pgd_t *pgdir, unsigned long ea)
{
	unsigned int shift;
	pte_t *ptep, pte;

	ptep = find_linux_pte(pgdir, ea, NULL, &shift);
	if (!ptep)
		return 0;
	pte = READ_ONCE(*ptep);
	if (!pte_present(pte))
		return 0;
	return pte_write(READ_ONCE(*ptep));		/* BAD */
}

static int plain(pgd_t *pgdir, unsigned long ea)
{
	pte_t *ptep = __find_linux_pte(pgdir, ea, NULL, NULL);

	if (!ptep)
		return 0;
	return pte_present(*ptep);			/* BAD */
}

static int declared(struct kvm *kvm, unsigned long mmu_seq, unsigned long hva)
{
	unsigned int shift;
	pte_t *ptep = find_kvm_host_pte(kvm, mmu_seq, hva, &shift);

	if (ptep && pte_present(ptep_get(ptep)) &&
	    pte_young(ptep_get(ptep)))			/* BAD */
		return 1;
	return 0;
}

static int either(pgd_t *pgdir, unsigned long ea)
{
	pte_t *ptep;

	ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	if (!pte_present(READ_ONCE(*ptep)) ||
	    !pte_dirty(READ_ONCE(*ptep)))		/* BAD */
		return 0;
	return 1;
}

static int recheck_is_not_enough(struct kvm *kvm, unsigned long gpa)
{
	unsigned int shift;
	pte_t *ptep, pte;

	ptep = find_kvm_secondary_pte_unlocked(kvm, gpa, &shift);
	if (!ptep)
		return 0;
	pte = READ_ONCE(*ptep);
	spin_lock(&kvm->mmu_lock);
	if (pte_val(pte) != pte_val(READ_ONCE(*ptep)))
		pte = READ_ONCE(*ptep);			/* BAD */
	spin_unlock(&kvm->mmu_lock);
	return pte_dirty(pte);
}

static int on_one_path(pud_t *pudp, pud_t pud, unsigned long addr, bool again)
{
	pmd_t *pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd_t pmd = pmdp_get_lockless(pmdp);

	if (again)
		pmd = pmdp_get_lockless(pmdp);		/* BAD */
	return pmd_present(pmd);
}

static int before_exchange(pte_t *ptep, unsigned long access)
{
	unsigned long old, new;

	do {
		old = pte_val(*ptep);			/* BAD */
		if (!check_pte_access(access, old))
			return 1;
		new = old | H_PAGE_BUSY;
	} while (!pte_xchg(ptep, __pte(old), __pte(new)));
	return 0;
}

static int loaded_by_the_walk(pgd_t *pgdir, unsigned long ea)
{
	struct linux_pte_walk walk;

	if (!linux_pte_walk(pgdir, ea, &walk) || !pte_present(walk.pte))
		return 0;
	return pte_write(READ_ONCE(*walk.ptep));	/* BAD */
}
