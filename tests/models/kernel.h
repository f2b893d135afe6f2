/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RCU, for the models.  A model defines CPUS, and a process passes the number of its
 * CPU as c.
 *
 * A section is code with interrupts off, or under rcu_read_lock().  A grace period
 * waits for the sections that run when it begins, and for no others.
 */
bool in_section[CPUS];
bool gp_waits[CPUS];

#define section_begin(c)	in_section[c] = true
#define section_end(c)		d_step { in_section[c] = false; gp_waits[c] = false }
#define local_irq_save(c)	section_begin(c)
#define local_irq_restore(c)	section_end(c)

#define gp_begin(c)		gp_waits[c] = in_section[c]
#define gp_end(c)		(!gp_waits[c])
