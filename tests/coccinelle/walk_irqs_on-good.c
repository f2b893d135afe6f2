// SPDX-License-Identifier: GPL-2.0-only
/* None of this may be reported. */

static void begun(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unsigned long flags;
	int nr = 0;

	lockless_walk_begin(mm, &flags);
	gup_fast_pgd_range(start, end, 0, NULL, &nr);
	lockless_walk_end(mm, flags);
}

static bool saved(struct mm_struct *mm, unsigned long ea)
{
	unsigned long flags;
	bool found = false;

	local_irq_save(flags);
	if (mm)
		found = __find_linux_pte(mm->pgd, ea, NULL, NULL);
	local_irq_restore(flags);
	return found;
}

static bool twice(struct mm_struct *mm, unsigned long ea)
{
	unsigned long flags;
	bool found;

	local_irq_save(flags);
	found = find_linux_pte(mm->pgd, ea, NULL, NULL);
	local_irq_restore(flags);
	if (found)
		return true;
	local_irq_disable();
	found = find_linux_pte(mm->pgd, ea + PAGE_SIZE, NULL, NULL);
	local_irq_enable();
	return found;
}

static bool asserted(struct mm_struct *mm, unsigned long ea)
{
	lockdep_assert_irqs_disabled();
	return find_linux_pte(mm->pgd, ea, NULL, NULL);
}

static void locked(struct kvm *kvm, unsigned long seq, unsigned long hva)
{
	unsigned int shift;
	unsigned long flags;

	spin_lock_irqsave(&kvm->lock, flags);
	find_kvm_host_pte(kvm, seq, hva, &shift);
	spin_unlock_irqrestore(&kvm->lock, flags);
}

static bool dirty_log(struct kvm *kvm, unsigned long gpa)
{
	unsigned int shift;
	bool found;

	rcu_read_lock();
	found = find_kvm_secondary_pte_unlocked(kvm, gpa, &shift);
	rcu_read_unlock();
	return found;
}

DEFINE_INTERRUPT_HANDLER(do_fault)
{
	hash_page_mm(current->mm, regs->dar, _PAGE_PRESENT, 0x300, 0);
}

/* A walk itself: who calls it is looked at. */
static u64 perf_get_pgtable_size(pud_t *pudp, pud_t pud, unsigned long addr)
{
	pmd_t *pmdp = pmd_offset_lockless(pudp, pud, addr);

	return pmd_val(pmdp_get_lockless(pmdp));
}
