// SPDX-License-Identifier: GPL-2.0-only
/* See mm.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"

size_t thp_size(void)
{
	long size = number_in("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "");

	return size < 0 ? 0 : size;
}

int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC), err;

	if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

bool uffd_register(int uffd, char *addr, size_t len, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)addr, len }, .mode = mode,
	};

	return !ioctl(uffd, UFFDIO_REGISTER, &reg);
}

uint64_t pagemap_entry(int pagemap, const char *addr)
{
	off_t at = (uintptr_t)addr / sysconf(_SC_PAGESIZE) * sizeof(uint64_t);
	uint64_t entry = 0;

	return pread(pagemap, &entry, sizeof(entry), at) == sizeof(entry) ? entry : 0;
}

int times_mapped(const volatile void *addr)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int counts = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
	uint64_t entry = pagemap_entry(pagemap, (const char *)addr), count = 0;
	int times = -1;

	if (pagemap < 0 || counts < 0)
		;
	else if (!(entry & PM_PRESENT))
		times = 0;
	else if (pread(counts, &count, sizeof(count),
		       (entry & PM_PFN) * sizeof(count)) == sizeof(count))
		times = count;
	close(pagemap);
	close(counts);
	return times;
}

/* What mkswap(8) does */
bool swap_to(const char *device)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);
	long page = sysconf(_SC_PAGESIZE);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	uint32_t header[3] = { 1, size / page - 1, 0 };	/* version, last page, bad ones */
	bool done = size > page &&
		    pwrite(fd, header, sizeof(header), 1024) == sizeof(header) &&
		    pwrite(fd, "SWAPSPACE2", 10, page - 10) == 10 && !fsync(fd) &&
		    !swapon(device, 0);

	if (fd >= 0)
		close(fd);
	return done;
}
