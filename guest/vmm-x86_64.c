// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk_kvm on x86: a guest in 32-bit protected mode without paging, so that
 * only the nested tables translate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "file.h"
#include "vmm.h"

#define PORT_PASS	0x10
#define PORT_MISMATCH	0x11

/*
 * ebx: address of the first word, edx: stride, ebp: number of pages,
 * esi: last pass; edi: address of the word, ecx: pages left, esp: its tag in
 * the last pass (there is neither a stack nor an interrupt).
 */
asm(".pushsection .rodata\n"
    ".globl guest_code, guest_code_end\n"
    "guest_code:\n"
    "	.code32\n"
    "	mov	%ebx, %edi\n"
    "	mov	%ebp, %ecx\n"
    "	lea	0x100000(%esi), %esp\n"
    "1:	mov	(%edi), %eax\n"
    "	cmp	%esp, %eax\n"
    "	je	2f\n"
    "	out	%al, $" TEXT(PORT_MISMATCH) "\n"
    "2:	lea	1(%esp), %eax\n"
    "	mov	%eax, (%edi)\n"
    "	add	%edx, %edi\n"
    "	add	$0x100000, %esp\n"
    "	dec	%ecx\n"
    "	jnz	1b\n"
    "	inc	%esi\n"
    "	out	%al, $" TEXT(PORT_PASS) "\n"
    "	jmp	guest_code\n"
    "	.code64\n"
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

/*
 * Under TCG each FXRSTOR and XRSTOR, of any CPU, rewrites a word of the first
 * CPU's state, without a lock (cpu_clear_ignne() of QEMU): what VMRUN, VMEXIT,
 * STGI and CLGI do to that word at the same time may be undone.
 */
void arch_choose_cpus(cpu_set_t *cpus)
{
	if (cpuinfo_says("model name", "QEMU TCG") && CPU_COUNT(cpus) > 1)
		CPU_CLR(0, cpus);
}

int arch_switch_tables(int vm, bool other)
{
	(void)vm;
	errno = EOPNOTSUPP;
	return other ? -1 : 0;
}

int arch_init_vm(int vm)
{
	(void)vm;
	return 0;
}

static struct kvm_segment flat(int selector, int type)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff, .selector = selector, .type = type,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
}

int arch_init_vcpu(struct vcpu *vcpu, const struct guest_loop *loop)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA + CODE_ENTRY, .rflags = 2,
		.rbx = loop->first, .rdx = loop->stride, .rbp = loop->pages,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cr0 |= 1;			/* PE */
	sregs.cs = flat(8, 11);		/* code, read, accessed */
	sregs.ds = flat(16, 3);		/* data, write, accessed */
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return -1;
	return ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

int arch_copy_page(int vm, struct vcpu *vcpu, unsigned long to, unsigned long from)
{
	(void)vm, (void)vcpu, (void)to, (void)from;
	errno = EOPNOTSUPP;
	return -1;
}

enum guest_exit arch_guest_exit(struct vcpu *vcpu, struct guest_mismatch *mismatch)
{
	struct kvm_regs regs;

	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return GUEST_LOST;
	if (vcpu->run->io.port == PORT_PASS)
		return GUEST_PASS;
	if (vcpu->run->io.port != PORT_MISMATCH || ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		return GUEST_LOST;
	mismatch->address = regs.rdi;
	mismatch->found = regs.rax;
	mismatch->expected = regs.rsp;
	return GUEST_MISMATCH;
}
