/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces of mm that libc does not know, or that take several steps. */
#ifndef GUEST_MM_H
#define GUEST_MM_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef UFFDIO_MOVE
struct uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_move)
#define UFFD_FEATURE_MOVE	(1 << 16)
#endif

/* The kernel may share PMD tables of hugetlb files on these architectures. */
#if defined(__x86_64__) || defined(__aarch64__)
#define SHARES_PMD_TABLES
#endif

/**
 * thp_size() - bytes of a transparent huge page
 *
 * Return: 0 if this kernel, or this MMU, has none.
 */
size_t thp_size(void);

/**
 * uffd_open() - a new userfaultfd
 * @features: UFFD_FEATURE_*, all of them needed
 *
 * Return: a file descriptor; -1 if it cannot do that, and errno says why.
 */
int uffd_open(uint64_t features);

/**
 * uffd_register() - watches a mapping
 * @uffd: of uffd_open()
 * @addr: where it begins
 * @len: its bytes
 * @mode: UFFDIO_REGISTER_MODE_*
 *
 * Return: true if done; otherwise errno says why.
 */
bool uffd_register(int uffd, char *addr, size_t len, uint64_t mode);

#define PM_PRESENT	(1ULL << 63)
#define PM_SWAP		(1ULL << 62)	/* swapped out, or being migrated */
#define PM_PFN		((1ULL << 55) - 1)	/* for root */
#define PM_UFFD_WP	(1ULL << 57)

/**
 * pagemap_entry() - what an address is mapped to, without a fault
 * @pagemap: file descriptor of /proc/PID/pagemap
 * @addr: the address
 *
 * Return: PM_PRESENT and so on; 0, too, if it cannot be read, and errno says why.
 */
uint64_t pagemap_entry(int pagemap, const char *addr);

/**
 * times_mapped() - how many page tables map a page
 * @addr: an address of this process
 *
 * A page in a table that processes share counts once.
 *
 * Return: 0 if it is not mapped here; -1 if it cannot be known, and errno says why.
 */
int times_mapped(const volatile void *addr);

/**
 * swap_to() - format a block device for swap, and swap to it
 * @device: its path
 *
 * Return: true if done; otherwise errno says why.
 */
bool swap_to(const char *device);

#endif /* GUEST_MM_H */
