// SPDX-License-Identifier: GPL-2.0-only
/* Each line with BAD in it has to be reported, and no other. */

static void collapse(struct vm_area_struct *vma, unsigned long addr, pmd_t *pmd)
{
	pmdp_collapse_flush(vma, addr, pmd);
	tlb_remove_table_sync_one();			/* BAD */
}

static void hash_collapse(struct mm_struct *mm, pmd_t *pmd)
{
	pmd_clear(pmd);
	serialize_against_pte_lookup(mm);		/* BAD */
}

static void do_nothing(void *arg)
{
	/* walks are done with interrupts off */
}

static void everywhere(void)
{
	smp_call_function(do_nothing, NULL, 1);		/* BAD */
}

static void where_it_runs(struct mm_struct *mm)
{
	on_each_cpu_mask(mm_cpumask(mm), do_nothing, NULL, 1);	/* BAD */
}

static void elsewhere(struct mm_struct *mm)
{
	preempt_disable();
	smp_call_function_many(mm_cpumask(mm), do_nothing, NULL, 1);	/* BAD */
	preempt_enable();
}
