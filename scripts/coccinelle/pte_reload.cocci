// SPDX-License-Identifier: GPL-2.0-only
/// A lockless page-table walk hands out a pointer to an entry that other CPUs
/// change.  All decisions must use one value: load the entry once, with
/// READ_ONCE() or ptep_get_lockless(), and read the entry again only to compare
/// it with that value.
///
//# linux_pte_walk() has already loaded the entry: its result has the value, and
//# a pointer for the re-check.
//# A load that is only compared with an earlier value, by pte_val(), pmd_val() or
//# pte_same(), is a re-check and is not reported.
//# In a function that gets the pointer as a parameter, only loads before a
//# pte_xchg() or pmd_xchg() of the same entry are checked.
//# Patch mode turns plain loads after a walk into READ_ONCE().  If an entry is
//# loaded more than once, decide by hand which value to keep.
//
// Confidence: Moderate
// Copyright: (C) 2026 ptwalk
// Keywords: find_linux_pte, __find_linux_pte, linux_pte_walk, find_init_mm_pte, find_kvm_host_pte, find_kvm_secondary_pte_unlocked, pmd_offset_lockless, pud_offset_lockless, p4d_offset_lockless, pte_xchg, pmd_xchg
// Comments: a load that a backward jump repeats is a retry and is not reported
// Options: --no-includes --include-headers --defined CONFIG_HUGETLB_PAGE --defined CONFIG_PPC_64K_PAGES

virtual patch
virtual context
virtual org
virtual report

@initialize:python@
@@

seen = set()

def place(pos):
    return (pos[0].file, int(pos[0].line), int(pos[0].column))

# A pair of loads is found once for each path between them.
def once(pos):
    new = place(pos) not in seen
    seen.add(place(pos))
    return new

// A position is that of the pointer.

@recheck@
idexpression p;
expression e;
binary operator op = {==,!=};
position ok;
@@

(
  \(pte_val\|pmd_val\|pud_val\)(e) op \(pte_val\|pmd_val\|pud_val\)(\(*p@ok\|READ_ONCE(*p@ok)\|\(ptep_get\|pmdp_get\|pudp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@ok)\))
|
  \(pte_same\|pmd_same\)(e, \(*p@ok\|READ_ONCE(*p@ok)\|\(ptep_get\|pmdp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@ok)\))
)

@recheck_walked@
identifier w;
expression e;
binary operator op = {==,!=};
position ok;
@@

(
  \(pte_val\|pmd_val\)(e) op \(pte_val\|pmd_val\)(\(*w.ptep@ok\|READ_ONCE(*w.ptep@ok)\|\(ptep_get\|ptep_get_lockless\)(w.ptep@ok)\))
|
  \(pte_same\|pmd_same\)(e, \(*w.ptep@ok\|READ_ONCE(*w.ptep@ok)\|\(ptep_get\|ptep_get_lockless\)(w.ptep@ok)\))
)

@store@
idexpression p;
expression e;
position ok;
@@

  *p@ok = e

@once@
idexpression p;
position ok;
@@

  READ_ONCE(*p@ok)

// Between statements

@reload exists@
idexpression p;
identifier walk =~ "^(__find_linux_pte|find_linux_pte|find_init_mm_pte|find_kvm_host_pte|find_kvm_secondary_pte_unlocked|p4d_offset_lockless|pud_offset_lockless|pmd_offset_lockless)$";
position first != store.ok;
position again != {recheck.ok, store.ok};
@@

  p = walk(...)
  ... when any
      when != p = walk(...)
  \(*p@first\|\(ptep_get\|pmdp_get\|pudp_get\|p4dp_get\|ptep_get_lockless\|pmdp_get_lockless\|pudp_get_lockless\)(p@first)\)
  ... when any
      when != p = walk(...)
  \(*p@again\|\(ptep_get\|pmdp_get\|pudp_get\|p4dp_get\|ptep_get_lockless\|pmdp_get_lockless\|pudp_get_lockless\)(p@again)\)

// After a walk that has loaded the entry

@walked exists@
identifier w;
position again != recheck_walked.ok;
@@

  linux_pte_walk(..., &w)
  ... when any
  \(*w.ptep@again\|\(ptep_get\|ptep_get_lockless\)(w.ptep@again)\)

// Within one condition

@reload_expr exists@
idexpression p;
identifier walk =~ "^(__find_linux_pte|find_linux_pte|find_init_mm_pte|find_kvm_host_pte|find_kvm_secondary_pte_unlocked|p4d_offset_lockless|pud_offset_lockless|pmd_offset_lockless)$";
position first != store.ok;
position again != {recheck.ok, store.ok};
@@

  p = walk(...)
  ... when any
      when != p = walk(...)
(
  (<+... *p@first ...+>) && (<+... *p@again ...+>)
|
  (<+... *p@first ...+>) || (<+... *p@again ...+>)
|
  (<+... \(ptep_get\|pmdp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@first) ...+>) && (<+... \(ptep_get\|pmdp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@again) ...+>)
|
  (<+... \(ptep_get\|pmdp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@first) ...+>) || (<+... \(ptep_get\|pmdp_get\|ptep_get_lockless\|pmdp_get_lockless\)(p@again) ...+>)
)

// Loads that the compiler may repeat

@plain exists@
idexpression p;
identifier walk =~ "^(__find_linux_pte|find_linux_pte|find_init_mm_pte|find_kvm_host_pte|find_kvm_secondary_pte_unlocked|p4d_offset_lockless|pud_offset_lockless|pmd_offset_lockless)$";
position pl != {once.ok, store.ok, recheck.ok, reload.again, reload_expr.again};
@@

  p = walk(...)
  ... when any
      when != p = walk(...)
  *p@pl

@plain_xchg exists@
idexpression p;
position pl != {once.ok, store.ok, recheck.ok, plain.pl, reload.again, reload_expr.again};
@@

  *p@pl
  ... when any
      when != p = ...
  \(pte_xchg\|pmd_xchg\)(p, ...)

@depends on patch@
idexpression p;
position plain.pl;
@@

- *p@pl
+ READ_ONCE(*p)

@depends on context@
expression E;
position reload.again;
@@

* E@again

@depends on context@
identifier w;
position walked.again;
@@

* w.ptep@again

@depends on context@
expression E;
position reload_expr.again;
@@

* E@again

@depends on context@
expression E;
position plain.pl;
@@

* E@pl

@depends on context@
expression E;
position plain_xchg.pl;
@@

* E@pl

@script:python depends on report@
p << reload.p;
walk << reload.walk;
first << reload.first;
again << reload.again;
@@

if place(first) != place(again) and once(again):
    msg = "WARNING: %s(): entry loaded again through %s, after %s()" % (again[0].current_element, p, walk)
    coccilib.report.print_report(again[0], msg)

@script:python depends on report@
w << walked.w;
again << walked.again;
@@

if once(again):
    msg = "WARNING: %s(): entry loaded again through %s.ptep, after linux_pte_walk()" % (again[0].current_element, w)
    coccilib.report.print_report(again[0], msg)

@script:python depends on report@
p << reload_expr.p;
walk << reload_expr.walk;
first << reload_expr.first;
again << reload_expr.again;
@@

if place(first) != place(again) and once(again):
    msg = "WARNING: %s(): entry loaded again through %s, after %s()" % (again[0].current_element, p, walk)
    coccilib.report.print_report(again[0], msg)

@script:python depends on report@
p << plain.p;
pl << plain.pl;
@@

if once(pl):
    msg = "WARNING: %s(): plain load through %s, which the compiler may repeat; use READ_ONCE()" % (pl[0].current_element, p)
    coccilib.report.print_report(pl[0], msg)

@script:python depends on report@
p << plain_xchg.p;
pl << plain_xchg.pl;
@@

if once(pl):
    msg = "WARNING: %s(): plain load through %s, which the compiler may repeat; use READ_ONCE()" % (pl[0].current_element, p)
    coccilib.report.print_report(pl[0], msg)

@script:python depends on org@
p << reload.p;
walk << reload.walk;
first << reload.first;
again << reload.again;
@@

if place(first) != place(again) and once(again):
    msg = "WARNING: %s(): entry loaded again through %s, after %s()" % (again[0].current_element, p, walk)
    coccilib.org.print_todo(again[0], msg)

@script:python depends on org@
w << walked.w;
again << walked.again;
@@

if once(again):
    msg = "WARNING: %s(): entry loaded again through %s.ptep, after linux_pte_walk()" % (again[0].current_element, w)
    coccilib.org.print_todo(again[0], msg)

@script:python depends on org@
p << reload_expr.p;
walk << reload_expr.walk;
first << reload_expr.first;
again << reload_expr.again;
@@

if place(first) != place(again) and once(again):
    msg = "WARNING: %s(): entry loaded again through %s, after %s()" % (again[0].current_element, p, walk)
    coccilib.org.print_todo(again[0], msg)

@script:python depends on org@
p << plain.p;
pl << plain.pl;
@@

if once(pl):
    msg = "WARNING: %s(): plain load through %s, which the compiler may repeat; use READ_ONCE()" % (pl[0].current_element, p)
    coccilib.org.print_todo(pl[0], msg)

@script:python depends on org@
p << plain_xchg.p;
pl << plain_xchg.pl;
@@

if once(pl):
    msg = "WARNING: %s(): plain load through %s, which the compiler may repeat; use READ_ONCE()" % (pl[0].current_element, p)
    coccilib.org.print_todo(pl[0], msg)
