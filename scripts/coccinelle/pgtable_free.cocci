// SPDX-License-Identifier: GPL-2.0-only
/// A page table that was part of an address space may still be walked without
/// a lock.  Clear the entry that leads to it first, and free or reuse it only
/// after an RCU grace period: tlb_remove_table(), pte_free_defer(), call_rcu().
///
//# Reports a table that is freed directly, in a function that clears the entry
//# above it before or after; a table that goes back to its slab cache; a table
//# that is released by __tlb_remove_table() outside of an RCU callback, or freed
//# as a page; and a detached table that is deposited again.
//
// Confidence: Moderate
// Copyright: (C) 2026 ptwalk
// Keywords: pmd_clear, pud_clear, p4d_clear, pgd_clear, pmdp_collapse_flush, kmem_cache_free, __tlb_remove_table, tlb_remove_page, pgtable_trans_huge_deposit
// Comments: false positives are tables that no walker can reach
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

seen = set()

def once(pos):
    key = (pos[0].file, pos[0].line, pos[0].column)
    new = key not in seen
    seen.add(key)
    return new

@deferred@
identifier f, h;
position ok;
@@

  f(struct rcu_head *h)
  {
    <+...
    __tlb_remove_table@ok(...)
    ...+>
  }

@cleared exists@
identifier clear =~ "^((pmd|pud|p4d|pgd)_clear|pmdp_collapse_flush)$";
identifier free =~ "^((pte|pmd|pud|p4d)_free|pte_free_kernel|(pte|pmd)_fragment_free|pgtable_free|pagetable_free|__free_pages?|free_pages?)$";
position pos;
@@

  clear(...)
  ... when != synchronize_rcu()
  free@pos(...)

@before exists@
identifier clear =~ "^(pmd|pud|p4d|pgd)_clear$";
identifier free =~ "^((pte|pmd|pud|p4d)_free|pte_free_kernel|(pte|pmd)_fragment_free|pgtable_free|pagetable_free)$";
position pos != cleared.pos;
@@

  free@pos(...)
  ...
  clear(...)

@slab@
typedef pte_t, pmd_t, pud_t, p4d_t;
{pte_t *, pmd_t *, pud_t *, p4d_t *} table;
position pos;
@@

  kmem_cache_free@pos(..., table)

@direct@
position pos != deferred.ok;
@@

  __tlb_remove_table@pos(...)

@page@
identifier f =~ "((pte|pmd|pud|p4d)_free_tlb|tlb_remove_table)$";
position pos;
@@

  f(...)
  {
    <+...
    tlb_remove_page@pos(...)
    ...+>
  }

@deposited exists@
expression old;
idexpression table;
position pos;
@@

  old = pmdp_collapse_flush(...)
  ...
  table = pmd_pgtable(old)
  ...
  pgtable_trans_huge_deposit@pos(..., table)

@depends on context@
identifier cleared.free;
position cleared.pos;
@@

* free@pos(...)

@depends on context@
identifier before.free;
position before.pos;
@@

* free@pos(...)

@depends on context@
position slab.pos;
@@

* kmem_cache_free@pos(...)

@depends on context@
position direct.pos;
@@

* __tlb_remove_table@pos(...)

@depends on context@
position page.pos;
@@

* tlb_remove_page@pos(...)

@depends on context@
position deposited.pos;
@@

* pgtable_trans_huge_deposit@pos(...)

@script:python depends on report@
free << cleared.free;
clear << cleared.clear;
pos << cleared.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() right after %s(), without a grace period" % (pos[0].current_element, free, clear)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
free << before.free;
clear << before.clear;
pos << before.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() before %s(), the table can still be reached" % (pos[0].current_element, free, clear)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
pos << slab.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table given back to its slab cache without a grace period" % (pos[0].current_element)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
pos << direct.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table released outside of an RCU callback" % (pos[0].current_element)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
pos << page.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table freed as a page, without a grace period" % (pos[0].current_element)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
pos << deposited.pos;
@@

if once(pos):
    msg = "ERROR: %s(): a table that may still be walked is deposited" % (pos[0].current_element)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on org@
free << cleared.free;
clear << cleared.clear;
pos << cleared.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() right after %s(), without a grace period" % (pos[0].current_element, free, clear)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
free << before.free;
clear << before.clear;
pos << before.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() before %s(), the table can still be reached" % (pos[0].current_element, free, clear)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
pos << slab.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table given back to its slab cache without a grace period" % (pos[0].current_element)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
pos << direct.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table released outside of an RCU callback" % (pos[0].current_element)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
pos << page.pos;
@@

if once(pos):
    msg = "ERROR: %s(): table freed as a page, without a grace period" % (pos[0].current_element)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
pos << deposited.pos;
@@

if once(pos):
    msg = "ERROR: %s(): a table that may still be walked is deposited" % (pos[0].current_element)
    coccilib.org.print_todo(pos[0], msg)
