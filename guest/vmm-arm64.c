// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk_kvm on arm64: a guest at EL1 with its MMU off, so that only the tables of
 * stage 2 translate.  Its accesses are then uncached: an emulator has no caches, a
 * machine that has some would need the guest to have tables of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "vmm.h"

/* Addresses that are in no slot, so that a store to them comes to us */
#define MMIO_PASS	0x100000UL
#define MMIO_MISMATCH	(MMIO_PASS + 8)

#define REG_X(n)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			 KVM_REG_ARM_CORE_REG(regs.regs[n]))
#define REG_PC		(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
			 KVM_REG_ARM_CORE_REG(regs.pc))

/*
 * x19: address of the first word, x20: number of pages, x21: stride, x22: last
 * pass; x23: address of the word, x24: its tag in the last pass, x25: what is
 * there, x26: pages left, x27: MMIO_PASS.
 */
asm(".pushsection .rodata\n"
    ".globl guest_code, guest_code_end\n"
    ".balign 4\n"
    "guest_code:\n"
    "	mov	x23, x19\n"
    "	mov	x26, x20\n"
    "	add	w24, w22, #0x100, lsl #12\n"
    "1:	ldr	w25, [x23]\n"
    "	cmp	w25, w24\n"
    "	b.eq	2f\n"
    "	str	w25, [x27, #8]\n"
    "2:	add	w25, w24, #1\n"
    "	str	w25, [x23]\n"
    "	add	x23, x23, x21\n"
    "	add	w24, w24, #0x100, lsl #12\n"
    "	subs	x26, x26, #1\n"
    "	b.ne	1b\n"
    "	add	w22, w22, #1\n"
    "	str	w22, [x27]\n"
    "	b	guest_code\n"
    "guest_code_end:\n"
    ".popsection\n");

unsigned long arch_vm_type(void)
{
	return 0;
}

const char *arch_lacks(int kvm)
{
	(void)kvm;
	return NULL;
}

void arch_choose_cpus(cpu_set_t *cpus)
{
	(void)cpus;
}

int arch_switch_tables(int vm, bool other)
{
	(void)vm;
	errno = EOPNOTSUPP;
	return other ? -1 : 0;
}

static struct kvm_vcpu_init target;	/* the CPU of all VMs: the host's */

int arch_init_vm(int vm)
{
	return ioctl(vm, KVM_ARM_PREFERRED_TARGET, &target);
}

static int set_reg(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg);
}

static int get_reg(struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg);
}

int arch_init_vcpu(struct vcpu *vcpu, const struct guest_loop *loop)
{
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &target) ||
	    set_reg(vcpu, REG_PC, CODE_GPA + CODE_ENTRY) ||
	    set_reg(vcpu, REG_X(19), loop->first) ||
	    set_reg(vcpu, REG_X(20), loop->pages) ||
	    set_reg(vcpu, REG_X(21), loop->stride) ||
	    set_reg(vcpu, REG_X(22), 0))
		return -1;
	return set_reg(vcpu, REG_X(27), MMIO_PASS);
}

int arch_copy_page(int vm, struct vcpu *vcpu, unsigned long to, unsigned long from)
{
	(void)vm, (void)vcpu, (void)to, (void)from;
	errno = EOPNOTSUPP;
	return -1;
}

enum guest_exit arch_guest_exit(struct vcpu *vcpu, struct guest_mismatch *mismatch)
{
	struct kvm_run *run = vcpu->run;
	uint64_t address, found, expected;

	if (run->exit_reason != KVM_EXIT_MMIO || !run->mmio.is_write)
		return GUEST_LOST;
	if (run->mmio.phys_addr == MMIO_PASS)
		return GUEST_PASS;
	if (run->mmio.phys_addr != MMIO_MISMATCH || get_reg(vcpu, REG_X(23), &address) ||
	    get_reg(vcpu, REG_X(25), &found) || get_reg(vcpu, REG_X(24), &expected))
		return GUEST_LOST;
	mismatch->address = address;
	mismatch->found = found;
	mismatch->expected = expected;
	return GUEST_MISMATCH;
}
