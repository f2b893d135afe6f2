// SPDX-License-Identifier: GPL-2.0-only
/* Each line with BAD in it has to be reported, and no other. */

static bool nothing_off(struct mm_struct *mm, unsigned long ea)
{
	return __find_linux_pte(mm->pgd, ea, NULL, NULL);		/* BAD */
}

static void spinlock_only(struct kvm *kvm, unsigned long seq, unsigned long hva)
{
	unsigned int shift;
	pte_t *ptep;

	spin_lock(&kvm->mmu_lock);
	ptep = find_kvm_host_pte(kvm, seq, hva, &shift);		/* BAD */
	spin_unlock(&kvm->mmu_lock);
}

static u64 on_again(struct mm_struct *mm, unsigned long addr)
{
	unsigned long flags;
	u64 size;

	local_irq_save(flags);
	size = perf_get_pgtable_size(mm, addr);
	local_irq_restore(flags);
	if (!size)
		size = perf_get_pgtable_size(mm, addr);			/* BAD */
	return size;
}

static void ended(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unsigned long flags;
	int nr = 0;

	lockless_walk_begin(mm, &flags);
	lockless_walk_end(mm, flags);
	gup_fast_pgd_range(start, end, 0, NULL, &nr);			/* BAD */
}

static int rcu_is_not_for_all(struct mm_struct *mm, unsigned long ea)
{
	struct linux_pte_walk walk;
	int found;

	rcu_read_lock();
	found = linux_pte_walk(mm->pgd, ea, &walk);			/* BAD */
	rcu_read_unlock();
	return found;
}

static pte_t *dirty_log(struct kvm *kvm, unsigned long gpa)
{
	unsigned int shift;

	return find_kvm_secondary_pte_unlocked(kvm, gpa, &shift);	/* BAD */
}

static void fault(struct mm_struct *mm, unsigned long ea)
{
	preempt_disable();
	hash_page_mm(mm, ea, _PAGE_PRESENT, 0x300, 0);			/* BAD */
	preempt_enable();
}
