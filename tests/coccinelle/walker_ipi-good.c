// SPDX-License-Identifier: GPL-2.0-only
/* None of this may be reported. */

void tlb_remove_table_sync_one(void);

static void flush(void *arg)
{
	flush_tlb_local(arg);
}

static void flush_everywhere(struct mm_struct *mm)
{
	on_each_cpu_mask(mm_cpumask(mm), flush, mm, 1);
}

static void nothing(void *arg)
{
}

static void queued(struct work_struct *work)
{
	schedule_on_each_cpu(nothing);
	call_rcu(&work->rcu, nothing);
}
