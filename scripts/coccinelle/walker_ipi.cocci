// SPDX-License-Identifier: GPL-2.0-only
/// An interrupt that only waits for lockless page-table walkers disturbs CPUs
/// that do not walk.  Free a table through RCU, and let walkers re-check an entry
/// after they took a reference to the page that it maps.
///
//# Reports calls of the functions that do this, and calls of an empty function on
//# all CPUs or those of an mm: such a call only waits, whatever its name.
//
// Confidence: High
// Copyright: (C) 2026 ptwalk
// Keywords: tlb_remove_table_sync_one, serialize_against_pte_lookup, smp_call_function, smp_call_function_many, on_each_cpu_mask
// Comments: on configurations without RCU table freeing the calls are no-ops
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@call@
identifier ipi =~ "^(tlb_remove_table_sync_one|serialize_against_pte_lookup)$";
position pos;
@@

* ipi@pos(...)

@nothing@
identifier f, arg;
@@

  f(void *arg)
  {
  }

@empty@
identifier nothing.f;
identifier ipi =~ "^(smp_call_function_many|on_each_cpu_mask)$";
expression mm;
position pos;
@@

(
* smp_call_function@pos(f, ...)
|
* ipi@pos(mm_cpumask(mm), f, ...)
)

@script:python depends on report@
ipi << call.ipi;
pos << call.pos;
@@

msg = "WARNING: %s(): %s() interrupts CPUs to wait for page-table walkers" % (pos[0].current_element, ipi)
coccilib.report.print_report(pos[0], msg)

@script:python depends on report@
f << nothing.f;
pos << empty.pos;
@@

msg = "WARNING: %s(): calling the empty %s() on other CPUs only waits for them" % (pos[0].current_element, f)
coccilib.report.print_report(pos[0], msg)

@script:python depends on org@
ipi << call.ipi;
pos << call.pos;
@@

msg = "WARNING: %s(): %s() interrupts CPUs to wait for page-table walkers" % (pos[0].current_element, ipi)
coccilib.org.print_todo(pos[0], msg)

@script:python depends on org@
f << nothing.f;
pos << empty.pos;
@@

msg = "WARNING: %s(): calling the empty %s() on other CPUs only waits for them" % (pos[0].current_element, f)
coccilib.org.print_todo(pos[0], msg)
