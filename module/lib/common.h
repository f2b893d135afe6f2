/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all modules use, those included that no suite is in: tracepoints, the
 * range of a parameter, the way to a PMD entry, the first word of a page.
 */
#ifndef _PTWALK_COMMON_H
#define _PTWALK_COMMON_H

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

/**
 * struct ptwalk_probe - a function to call at a tracepoint
 * @name: name of the tracepoint, which need not be exported to modules
 * @fn: the function, called with @data and the arguments of the tracepoint
 * @data: first argument of @fn
 * @tp: the tracepoint, NULL if the function could not be attached
 *
 * Code of a module must not run in a hash fault of powerpc: hash faults map the
 * memory of modules themselves, so a tracepoint there would never end.  There,
 * @fn is complete(), a function of the kernel that counts, and @data is memory
 * from kmalloc().
 */
struct ptwalk_probe {
	const char *name;
	void *fn;
	void *data;
	struct tracepoint *tp;
};

static inline void ptwalk_match_tracepoint(struct tracepoint *tp, void *probe)
{
	struct ptwalk_probe *p = probe;

	if (!strcmp(tp->name, p->name))
		p->tp = tp;
}

/**
 * ptwalk_attach() - attach functions to tracepoints
 * @probe: an array of probes; those that cannot be attached have no @tp then
 * @nr: number of probes
 *
 * Context: may sleep.
 * Return: 0, or the error of the last probe that failed: -ENOENT if the kernel
 * has no such tracepoint.
 */
static inline int ptwalk_attach(struct ptwalk_probe *probe, unsigned int nr)
{
	int err, ret = 0;

	for (; nr--; probe++) {
		probe->tp = NULL;
		for_each_kernel_tracepoint(ptwalk_match_tracepoint, probe);
		err = !probe->tp ? -ENOENT :
		      tracepoint_probe_register(probe->tp, probe->fn, probe->data);
		if (!err)
			continue;
		pr_info("no tracepoint %s in this kernel: %d\n", probe->name, err);
		probe->tp = NULL;
		ret = err;
	}
	return ret;
}

/**
 * ptwalk_detach() - detach the functions that are attached
 * @probe: an array of probes, to be detached once after ptwalk_attach()
 * @nr: number of probes
 *
 * Context: may sleep, until no CPU runs one of the functions.
 */
static inline void ptwalk_detach(struct ptwalk_probe *probe, unsigned int nr)
{
	for (; nr--; probe++)
		if (probe->tp)
			tracepoint_probe_unregister(probe->tp, probe->fn, probe->data);
	tracepoint_synchronize_unregister();
}

/**
 * ptwalk_check_range() - check the value of a module parameter
 * @name: name of the parameter
 * @value: its value
 * @least: the smallest value that is allowed
 * @most: the largest one
 *
 * Return: 0, or -EINVAL after a message in the kernel log.
 */
static inline int ptwalk_check_range(const char *name, unsigned int value,
				     unsigned int least, unsigned int most)
{
	if (value >= least && value <= most)
		return 0;
	pr_err("%s=%u is out of range: %u to %u\n", name, value, least, most);
	return -EINVAL;
}

/**
 * ptwalk_pmd_offset() - walk to a PMD entry without locks
 * @mm: the address space
 * @addr: user address
 *
 * Context: the caller holds mmap_lock, has interrupts off, or knows otherwise
 * that the upper tables stay.
 * Return: the entry, or NULL if an upper level is empty.
 */
static inline pmd_t *ptwalk_pmd_offset(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(READ_ONCE(*pud)))
		return NULL;
	return pmd_offset(pud, addr);
}

/**
 * ptwalk_first_word() - read the first word of a page
 * @page: the page; the caller has a reference
 *
 * Return: the word.
 */
static inline u64 ptwalk_first_word(struct page *page)
{
	u64 *ptr = kmap_local_page(page);
	u64 word = READ_ONCE(*ptr);

	kunmap_local(ptr);
	return word;
}

#endif /* _PTWALK_COMMON_H */
