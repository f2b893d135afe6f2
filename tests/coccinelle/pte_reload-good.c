// SPDX-License-Identifier: GPL-2.0-only
/* None of this may be reported. */

static int once(pgd_t *pgdir, unsigned long ea)
{
	unsigned int shift;
	pte_t *ptep, pte;

	ptep = find_linux_pte(pgdir, ea, NULL, &shift);
	if (!ptep)
		return 0;
	pte = READ_ONCE(*ptep);
	if (!pte_present(pte) || !pte_dirty(pte))
		return 0;
	return pte_write(pte);
}

static int recheck(pud_t *pudp, pud_t pud, unsigned long addr, struct page *page)
{
	pmd_t *pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd_t pmd = pmdp_get_lockless(pmdp);

	if (!pmd_present(pmd) || !try_get_page(page))
		return 0;
	if (pmd_val(pmd) != pmd_val(*pmdp)) {
		put_page(page);
		return 0;
	}
	return 1;
}

static int recheck_same(pgd_t *pgdir, unsigned long ea, struct page *page)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte_t pte = READ_ONCE(*ptep);

	if (!pte_present(pte) || !try_get_page(page))
		return 0;
	return pte_same(pte, READ_ONCE(*ptep));
}

static int retry(pud_t *pudp, pud_t pud, unsigned long addr)
{
	pmd_t *pmdp, pmd;

	pmdp = pmd_offset_lockless(pudp, pud, addr);
again:
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd))
		return 0;
	if (!pte_offset_map(&pmd, addr))
		goto again;
	return 1;
}

static int either_branch(pgd_t *pgdir, unsigned long ea, bool huge)
{
	pte_t *ptep = find_linux_pte(pgdir, ea, NULL, NULL);

	if (huge)
		return pte_present(READ_ONCE(*ptep));
	return pte_young(READ_ONCE(*ptep));
}

static int another_walk(pgd_t *pgdir, unsigned long ea)
{
	pte_t *ptep, pte;

	ptep = find_linux_pte(pgdir, ea, NULL, NULL);
	pte = READ_ONCE(*ptep);
	if (pte_present(pte))
		return 1;
	ptep = find_linux_pte(pgdir, ea + PAGE_SIZE, NULL, NULL);
	pte = READ_ONCE(*ptep);
	return pte_present(pte);
}

static void locked(struct mm_struct *mm, pmd_t *pmd, unsigned long addr)
{
	spinlock_t *ptl;
	pte_t *ptep = pte_offset_map_lock(mm, pmd, addr, &ptl);

	if (pte_present(*ptep) && pte_young(*ptep))
		*ptep = pte_mkold(*ptep);
	pte_unmap_unlock(ptep, ptl);
}

static int before_exchange(pte_t *ptep, unsigned long access)
{
	unsigned long old;

	do {
		old = pte_val(READ_ONCE(*ptep));
		if (!check_pte_access(access, old))
			return 1;
	} while (!pte_xchg(ptep, __pte(old), __pte(old | H_PAGE_BUSY)));
	*ptep = __pte(old);
	return 0;
}

static int recheck_walked(pgd_t *pgdir, unsigned long ea, struct page *page)
{
	struct linux_pte_walk walk;

	if (!linux_pte_walk(pgdir, ea, &walk) || !pte_present(walk.pte))
		return 0;
	if (!try_get_page(page))
		return 0;
	return pte_same(walk.pte, READ_ONCE(*walk.ptep));
}
