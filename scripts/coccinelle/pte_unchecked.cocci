// SPDX-License-Identifier: GPL-2.0-only
/// A lockless page-table walk may find any entry: an empty one, a swap or
/// migration entry, or one that is about to be split.  Test that the entry is
/// present before its page frame number is used.
///
//# Accepted tests are pte_present() and its relatives, pte_access_permitted(), and
//# check_pte_access() of the powerpc hash code.  pte_none() is not enough: a swap
//# entry is not none.
//
// Confidence: Moderate
// Copyright: (C) 2026 ptwalk
// Keywords: find_linux_pte, __find_linux_pte, linux_pte_walk, find_init_mm_pte, find_kvm_host_pte, find_kvm_secondary_pte, find_kvm_nested_guest_pte, pte_offset_map, pmd_offset_lockless
// Comments: a test in a called function is not seen
// Options: --no-includes --include-headers --defined CONFIG_HUGETLB_PAGE --defined CONFIG_PPC_64K_PAGES

virtual context
virtual org
virtual report

@initialize:python@
@@

seen = set()

# A use is found once for each path that leads to it.
def once(pos):
    key = (pos[0].file, pos[0].line, pos[0].column)
    new = key not in seen
    seen.add(key)
    return new

// A value that was loaded through the pointer of a walk

@value exists@
idexpression p;
local idexpression v;
identifier walk =~ "^(__find_linux_pte|find_linux_pte|find_init_mm_pte|find_kvm_(host|secondary|nested_guest)_pte(_unlocked)?|pte_offset_map|p4d_offset_lockless|pud_offset_lockless|pmd_offset_lockless)$";
identifier use =~ "^(pte|pmd|pud)_(pfn|page|folio)$";
expression e;
position pos;
@@

  p = walk(...)
  ... when any
  v = \(READ_ONCE(*p)\|*p\|ptep_get(p)\|ptep_get_lockless(p)\|pmdp_get_lockless(p)\|kvmppc_read_update_linux_pte(p, ...)\)
  ... when != v = e
      when != \(pte_present\|pmd_present\|pud_present\|pmd_leaf\|pud_leaf\|pmd_trans_huge\|pud_trans_huge\)(v)
      when != \(pte_access_permitted\|pmd_access_permitted\|pud_access_permitted\)(v, ...)
      when != check_pte_access(..., pte_val(v))
  use@pos(v)

// A value that the walk itself has loaded

@checked@
identifier w;
position ok;
@@

(
  !linux_pte_walk@ok(..., &w) || <+... pte_present(w.pte) ...+>
|
  linux_pte_walk@ok(..., &w) && <+... pte_present(w.pte) ...+>
)

@walked exists@
identifier w;
identifier use =~ "^(pte|pmd|pud)_(pfn|page|folio)$";
position at != checked.ok;
position pos;
@@

  linux_pte_walk@at(..., &w)
  ... when != pte_present(w.pte)
      when != pte_access_permitted(w.pte, ...)
      when != check_pte_access(..., pte_val(w.pte))
  use@pos(w.pte)

// The entry itself

@entry exists@
idexpression p;
identifier walk =~ "^(__find_linux_pte|find_linux_pte|find_init_mm_pte|find_kvm_(host|secondary|nested_guest)_pte(_unlocked)?|pte_offset_map|p4d_offset_lockless|pud_offset_lockless|pmd_offset_lockless)$";
identifier use =~ "^(pte|pmd|pud)_(pfn|page|folio)$";
position pos;
@@

  p = walk(...)
  ... when != p = ...
      when != \(pte_present\|pmd_present\|pud_present\)(*p)
      when != \(pte_present\|pmd_present\|pud_present\)(READ_ONCE(*p))
      when != \(pte_present\|pmd_present\|pud_present\)(ptep_get(p))
      when != \(pte_present\|pmd_present\|pud_present\)(ptep_get_lockless(p))
  use@pos(\(READ_ONCE(*p)\|*p\|ptep_get(p)\|ptep_get_lockless(p)\|pmdp_get_lockless(p)\))

// The pointer, which is NULL if there is no table

@depends on context@
identifier value.use;
position value.pos;
@@

* use@pos(...)

@depends on context@
identifier walked.use;
position walked.pos;
@@

* use@pos(...)

@depends on context@
identifier entry.use;
position entry.pos;
@@

* use@pos(...)

@script:python depends on report@
walk << value.walk;
use << value.use;
pos << value.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by %s(), not tested for present" % (pos[0].current_element, use, walk)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
use << walked.use;
pos << walked.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by linux_pte_walk(), not tested for present" % (pos[0].current_element, use)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
walk << entry.walk;
use << entry.use;
pos << entry.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by %s(), not tested for present" % (pos[0].current_element, use, walk)
    coccilib.report.print_report(pos[0], msg)

@script:python depends on org@
walk << value.walk;
use << value.use;
pos << value.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by %s(), not tested for present" % (pos[0].current_element, use, walk)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
use << walked.use;
pos << walked.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by linux_pte_walk(), not tested for present" % (pos[0].current_element, use)
    coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
walk << entry.walk;
use << entry.use;
pos << entry.pos;
@@

if once(pos):
    msg = "ERROR: %s(): %s() of an entry found by %s(), not tested for present" % (pos[0].current_element, use, walk)
    coccilib.org.print_todo(pos[0], msg)
