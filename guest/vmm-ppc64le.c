// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk_kvm on powerpc: a radix guest of KVM-HV in real mode, so that only
 * the partition-scoped tables translate.  Works on bare metal (powernv) and
 * where the hypervisor offers nested HV (pseries).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "file.h"
#include "vmm.h"

#define PATB_GR		(1ULL << 63)
#define MSR_SF		(1ULL << 63)
#define MSR_LE		1ULL

/* Numbers that no hypervisor call has, so that they come to us */
#define HCALL_PASS	0xf100
#define HCALL_MISMATCH	0xf104
#define HCALL_RETURN	0xf108

#define H_PAGE_INIT	0x2c
#define H_COPY_PAGE	(1UL << (63 - 49))

/*
 * r14: address of the first word, r15: number of pages, r16: stride, r17: last
 * pass; r18: address of the word, r19: its tag in the last pass, r21: pages left
 * (a hypervisor call may clobber CTR).
 */
asm(".pushsection .rodata\n"
    ".globl guest_code, guest_call, guest_code_end\n"
    ".balign 4\n"
    "guest_code:\n"
    "	mr	18, 14\n"
    "	mr	21, 15\n"
    "	addis	19, 17, 0x10\n"
    "1:	lwz	20, 0(18)\n"
    "	cmplw	20, 19\n"
    "	beq	2f\n"
    "	li	3, 0\n"
    "	ori	3, 3, " TEXT(HCALL_MISMATCH) "\n"
    "	mr	4, 18\n"
    "	mr	5, 20\n"
    "	mr	6, 19\n"
    "	sc	1\n"
    "2:	addi	20, 19, 1\n"
    "	stw	20, 0(18)\n"
    "	add	18, 18, 16\n"
    "	addis	19, 19, 0x10\n"
    "	addic.	21, 21, -1\n"
    "	bne	1b\n"
    "	addi	17, 17, 1\n"
    "	li	3, 0\n"
    "	ori	3, 3, " TEXT(HCALL_PASS) "\n"
    "	sc	1\n"
    "	b	guest_code\n"
    /* Another one: a hypervisor call of r14 to r17, then what it returned */
    "guest_call:\n"
    "	mr	3, 14\n"
    "	mr	4, 15\n"
    "	mr	5, 16\n"
    "	mr	6, 17\n"
    "	sc	1\n"
    "	mr	4, 3\n"
    "	li	3, 0\n"
    "	ori	3, 3, " TEXT(HCALL_RETURN) "\n"
    "	sc	1\n"
    "guest_code_end:\n"
    ".popsection\n");

extern const char guest_call[];

unsigned long arch_vm_type(void)
{
	return KVM_VM_PPC_HV;
}

const char *arch_lacks(int kvm)
{
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) <= 0)
		return "KVM offers no radix guest, which needs a radix host";
	return NULL;
}

/*
 * QEMU, as the hypervisor below a pseries, flushes a CPU's TLB when it enters
 * or leaves a guest, and takes H_TLB_INVALIDATE for done.
 */
void arch_choose_cpus(cpu_set_t *cpus)
{
	if (cpuinfo_says("platform", "pSeries")) {
		CPU_ZERO(cpus);
		CPU_SET(sched_getcpu(), cpus);
	}
}

/* Radix, or the hashed page table, which only a bare-metal KVM has (or EINVAL) */
int arch_switch_tables(int vm, bool other)
{
	struct kvm_ppc_mmuv3_cfg radix = {
		.flags = KVM_PPC_MMUV3_RADIX,
		.process_table = PATB_GR,
	}, hpt = { 0 };

	if (!ioctl(vm, KVM_PPC_CONFIGURE_V3_MMU, other ? &hpt : &radix))
		return 0;
	if (other && errno == EINVAL)
		errno = EOPNOTSUPP;
	return -1;
}

int arch_init_vm(int vm)
{
	return arch_switch_tables(vm, false);
}

int arch_init_vcpu(struct vcpu *vcpu, const struct guest_loop *loop)
{
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	struct kvm_regs regs = {
		.pc = CODE_GPA + CODE_ENTRY, .msr = MSR_SF | MSR_LE,
		.gpr[14] = loop->first, .gpr[15] = loop->pages,
		.gpr[16] = loop->stride,
	};
	struct kvm_sregs sregs;

	/* The CPU has to be the host's, and has to be set. */
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) ||
	    ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu->fd, KVM_ENABLE_CAP, &papr))
		return -1;
	return ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

int arch_copy_page(int vm, struct vcpu *vcpu, unsigned long to, unsigned long from)
{
	struct kvm_enable_cap call = {
		.cap = KVM_CAP_PPC_ENABLE_HCALL, .args = { H_PAGE_INIT, 1 },
	};
	struct kvm_regs regs = {
		.pc = CODE_GPA + CODE_ENTRY + (guest_call - guest_code),
		.msr = MSR_SF | MSR_LE,
		.gpr[14] = H_PAGE_INIT, .gpr[15] = H_COPY_PAGE, .gpr[16] = to, .gpr[17] = from,
	};
	struct kvm_run *run = vcpu->run;

	if (ioctl(vm, KVM_ENABLE_CAP, &call) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return -1;
	while (ioctl(vcpu->fd, KVM_RUN, 0))
		if (errno != EINTR && errno != EAGAIN)
			return -1;
	if (run->exit_reason != KVM_EXIT_PAPR_HCALL || run->papr_hcall.nr != HCALL_RETURN) {
		errno = EPROTO;
		return -1;
	}
	run->papr_hcall.ret = 0;
	return !!run->papr_hcall.args[0];
}

enum guest_exit arch_guest_exit(struct vcpu *vcpu, struct guest_mismatch *mismatch)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
		return GUEST_LOST;
	run->papr_hcall.ret = 0;
	if (run->papr_hcall.nr == HCALL_PASS)
		return GUEST_PASS;
	if (run->papr_hcall.nr != HCALL_MISMATCH)
		return GUEST_LOST;
	mismatch->address = run->papr_hcall.args[0];
	mismatch->found = run->papr_hcall.args[1];
	mismatch->expected = run->papr_hcall.args[2];
	return GUEST_MISMATCH;
}
