/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest of KVM: what vmm.c (the suite ptwalk_kvm) and torture.c share with the
 * architectures' halves.
 *
 * The guest is a loop of a dozen instructions.  In every page each vCPU owns
 * one 32-bit word, which holds the tag of the page and the number of the pass:
 * it reads the word, reports what is not the tag of its last pass, and stores
 * that of this one.  At the end of each pass it exits.
 */
#ifndef GUEST_VMM_H
#define GUEST_VMM_H

#include <linux/kvm.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Physical addresses of the guest */
#define CODE_GPA	0x0UL
#define CODE_SIZE	0x10000UL
#define CODE_ENTRY	0x8000UL	/* what is below are powerpc's vectors */
#define MEMORY_GPA	0x1000000UL

/* tag: page number from 1, pass number (which gets into the former, after a million) */
#define TAG_SHIFT	20

#define TEXT_(x)	#x
#define TEXT(x)		TEXT_(x)	/* a macro's value in an asm */

struct vcpu {
	int fd;
	int id;
	struct kvm_run *run;
};

/* What a vCPU begins with */
struct guest_loop {
	unsigned long first;	/* address of its word in the first page */
	unsigned long stride;	/* from page to page, bytes */
	unsigned long pages;
};

enum guest_exit {
	GUEST_PASS,		/* end of a pass */
	GUEST_MISMATCH,		/* another tag than its own, or zero */
	GUEST_LOST,		/* anything else: the guest is lost */
};

struct guest_mismatch {
	unsigned long address;
	uint32_t found, expected;
};

/**
 * guest_tag() - what a vCPU stores in its word of a page
 * @page: number of the page, from 0
 * @pass: number of the pass, from 1; 0 for what is there before
 *
 * Return: the tag.
 */
static inline uint32_t guest_tag(size_t page, unsigned int pass)
{
	return (uint32_t)((page + 1) << TAG_SHIFT) + pass;
}

/**
 * guest_set_slot() - make memory of ours memory of the guest
 * @vm: file descriptor of the VM
 * @slot: number of the slot
 * @flags: KVM_MEM_LOG_DIRTY_PAGES, or 0
 * @gpa: its physical address in the guest
 * @memory: its address here
 * @size: in bytes
 *
 * Return: 0, or -1 with errno.
 */
static inline int guest_set_slot(int vm, int slot, unsigned int flags, unsigned long gpa,
				 void *memory, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

extern const char guest_code[], guest_code_end[];

/**
 * arch_vm_type() - the kind of VM
 *
 * Return: argument of KVM_CREATE_VM.
 */
unsigned long arch_vm_type(void);

/**
 * arch_lacks() - why there can be no guest on this machine
 * @kvm: file descriptor of /dev/kvm
 *
 * Return: the reason, or NULL.
 */
const char *arch_lacks(int kvm);

/**
 * arch_choose_cpus() - leave out CPUs whose emulation does not bear a guest
 * @cpus: those that the threads of the VMM may run on
 */
void arch_choose_cpus(cpu_set_t *cpus);

/**
 * arch_init_vm() - before the first vCPU
 * @vm: file descriptor of the VM
 *
 * Return: 0, or -1 with errno.
 */
int arch_init_vm(int vm);

/**
 * arch_switch_tables() - have KVM replace the tables of a VM
 * @vm: file descriptor of the VM, no vCPU of which runs
 * @other: to those of the other kind of MMU, or back
 *
 * Return: 0, or -1 with errno where there is but one kind.
 */
int arch_switch_tables(int vm, bool other);

/**
 * arch_init_vcpu() - put a vCPU before the first instruction of its loop
 * @vcpu: just created
 * @loop: what it works on
 *
 * Return: 0, or -1 with errno.
 */
int arch_init_vcpu(struct vcpu *vcpu, const struct guest_loop *loop);

/**
 * arch_copy_page() - have a guest ask KVM to copy a page of 4 kB in its memory
 * @vm: file descriptor of the VM
 * @vcpu: must be stopped; its loop ends here
 * @to: physical address of the guest
 * @from: likewise
 *
 * Return: 0 if KVM has done that, 1 if it refused; -1 with errno, which is EOPNOTSUPP where
 * guests cannot ask for that.
 */
int arch_copy_page(int vm, struct vcpu *vcpu, unsigned long to, unsigned long from);

/**
 * arch_guest_exit() - why KVM_RUN returned
 * @vcpu: the one that ran
 * @mismatch: filled for GUEST_MISMATCH
 *
 * Return: the reason.
 */
enum guest_exit arch_guest_exit(struct vcpu *vcpu, struct guest_mismatch *mismatch);

#endif /* GUEST_VMM_H */
