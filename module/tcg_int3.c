// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steps over breakpoints that are no longer there.
 *
 * While the kernel switches a tracepoint, it puts an int3 into its code.  Before
 * version 8.1 QEMU may keep the translation of that int3 for ever: it reads the
 * code, and only then makes writes to it visible.  Each CPU that comes by would
 * die of "Oops: int3".  When this module sends it back to the address of the
 * int3, QEMU translates anew from there.  It cannot be unloaded: what QEMU keeps
 * is there until QEMU ends.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpufeature.h>
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/ptrace.h>
#include <linux/string.h>
#include <asm/text-patching.h>

/* If the stale translation begins with the int3 itself, the CPU gets no further. */
#define MAX_TRIES	100

struct place {
	struct pt_regs regs;
	unsigned int tries;
};
static DEFINE_PER_CPU(struct place, last_place);

/* Any context, NMI included. */
static int step_over(struct notifier_block *nb, unsigned long event, void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;
	struct place *last = this_cpu_ptr(&last_place);

	if (event != DIE_INT3 || user_mode(regs) ||
	    READ_ONCE(*(u8 *)(regs->ip - INT3_INSN_SIZE)) == INT3_INSN_OPCODE)
		return NOTIFY_DONE;
	if (memcmp(&last->regs, regs, sizeof(*regs))) {
		last->regs = *regs;
		last->tries = 0;
	}
	if (last->tries++ == MAX_TRIES)
		return NOTIFY_DONE;
	regs->ip -= INT3_INSN_SIZE;
	pr_info_once("QEMU runs a breakpoint that is gone, at %pS\n",
		     (void *)regs->ip);
	return NOTIFY_STOP;
}

static struct notifier_block int3_notifier = {
	.notifier_call = step_over,
};

static int __init int3_init(void)
{
	/* Hardware does not do that. */
	return boot_cpu_has(X86_FEATURE_HYPERVISOR) ?
	       register_die_notifier(&int3_notifier) : 0;
}
module_init(int3_init);

MODULE_DESCRIPTION("Steps over breakpoints of which QEMU keeps a translation");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
