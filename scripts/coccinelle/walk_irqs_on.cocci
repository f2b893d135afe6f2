// SPDX-License-Identifier: GPL-2.0-only
/// While a lockless page-table walk has interrupts off, the tables that it walks
/// are not freed.  Call lockless_walk_begin(), or local_irq_save(), before its
/// first load, and keep interrupts off until the last use of an entry.
/// A spinlock is not enough: the code that frees a table does not take it.
///
//# For a function that is listed below as a walk, its callers are reported, not
//# the function itself.  The rule cannot see that a caller has interrupts off, or
//# that code runs in an interrupt or in real mode.  lockdep_assert_irqs_disabled()
//# tells the rule, and readers, too.
//
// Confidence: Low
// Copyright: (C) 2026 ptwalk
// Keywords: find_linux_pte, __find_linux_pte, linux_pte_walk, find_kvm_host_pte, find_kvm_secondary_pte_unlocked, hash_page_mm, lookup_address_in_pgd, lookup_address_in_pgd_attr, gup_fast_pgd_range, pmd_offset_lockless
// Comments: looks at one function at a time
// Options: --no-includes --include-headers --defined CONFIG_HUGETLB_PAGE --defined CONFIG_PPC_64K_PAGES

virtual context
virtual org
virtual report

@off exists@
identifier walk =~ "^(__find_linux_pte|find_linux_pte|linux_pte_walk|find_kvm_host_pte|find_kvm_secondary_pte_unlocked|_*hash_page_mm|lookup_address_in_pgd(_attr)?|gup_fast_(pgd|p4d|pud|pmd|pte)_range|gup_fast_pmd_table|perf_get_pgtable_size|(p4d|pud|pmd)_offset_lockless)$";
position ok;
@@

(
  \(local_irq_save\|raw_local_irq_save\|powerpc_local_irq_pmu_save\)(...)
|
  \(local_irq_disable\|raw_local_irq_disable\|hard_irq_disable\)()
|
  \(spin_lock_irqsave\|raw_spin_lock_irqsave\|read_lock_irqsave\|write_lock_irqsave\)(...)
|
  \(spin_lock_irq\|raw_spin_lock_irq\)(...)
|
  lockless_walk_begin(...)
|
  lockdep_assert_irqs_disabled()
|
  \(WARN_ON\|WARN_ON_ONCE\|VM_WARN_ON\|VM_WARN_ON_ONCE\)(!irqs_disabled())
|
  VM_WARN(!arch_irqs_disabled(), ...)
)
  ... when != \(local_irq_restore\|raw_local_irq_restore\|powerpc_local_irq_pmu_restore\|spin_unlock_irqrestore\|raw_spin_unlock_irqrestore\|spin_unlock_irq\|raw_spin_unlock_irq\)(...)
      when != \(local_irq_enable\|raw_local_irq_enable\)()
      when != lockless_walk_end(...)
      when any
  walk@ok(...)

// KVM on powerpc keeps the memory of its own tables type-safe by RCU.

@rcu exists@
identifier walk =~ "^find_kvm_secondary_pte_unlocked$";
position ok;
@@

  rcu_read_lock()
  ... when != rcu_read_unlock()
      when any
  walk@ok(...)

@irqson@
identifier f !~ "^(DEFINE_INTERRUPT_HANDLER.*|__find_linux_pte|find_linux_pte|linux_pte_walk|find_kvm_(host|secondary|nested_guest)_pte(_unlocked)?|_*hash_page_mm|lookup_address_in_pgd(_attr)?|gup_fast_(pgd|p4d|pud|pmd|pte)_range|gup_fast_pmd_table|perf_get_pgtable_size|(p4d|pud|pmd)_offset_lockless)$";
identifier walk =~ "^(__find_linux_pte|find_linux_pte|linux_pte_walk|find_kvm_host_pte|find_kvm_secondary_pte_unlocked|_*hash_page_mm|lookup_address_in_pgd(_attr)?|gup_fast_(pgd|p4d|pud|pmd|pte)_range|gup_fast_pmd_table|perf_get_pgtable_size|(p4d|pud|pmd)_offset_lockless)$";
position pos != {off.ok, rcu.ok};
@@

  f(...)
  {
    <+...
*   walk@pos(...)
    ...+>
  }

@script:python depends on report@
walk << irqson.walk;
pos << irqson.pos;
@@

for p in pos:
    msg = "WARNING: %s(): %s() with interrupts on, as far as can be seen here" % (p.current_element, walk)
    coccilib.report.print_report(p, msg)

@script:python depends on org@
walk << irqson.walk;
pos << irqson.pos;
@@

for p in pos:
    msg = "WARNING: %s(): %s() with interrupts on, as far as can be seen here" % (p.current_element, walk)
    coccilib.org.print_todo(p, msg)
