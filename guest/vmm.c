// SPDX-License-Identifier: GPL-2.0-only
/*
 * The suite ptwalk_kvm: memory of a KVM guest.  KVM walks the host's page
 * tables to fill those of the guest, and hears of changes by MMU notifiers.
 * Each case runs a guest that stores to all of its memory, while threads of
 * the host collapse, split, zap, migrate or write-protect that memory; what
 * the guest stored must be what guest and host read.
 *
 * The guest is described in vmm.h, the command line in suite.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"
#include "vmm.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum {
	VCPUS = 3,
	CHUNK = 2 << 20,	/* a THP, on x86 and on radix */
	CHUNKS = 4,
	SIZE = CHUNKS * CHUNK,
	MEMORY_SLOT = 1,
	LONG_SLOT = 2,
	STUCK_SECONDS = 60,	/* without a pass of each vCPU */
	STARVED_SECONDS = 2,	/* without a pass of any */
	COLLAPSE_SECONDS = 30,	/* until memory that can be collapsed is */
	BITS = 8 * sizeof(long),
};

/* Where the memory is in the host: a multiple of CHUNK, as in the guest */
#define MEMORY_HVA	0x200000000000UL

/*
 * Memory that nobody touches, and whose dirty log takes long to read.  The physical
 * addresses of the host are among those that it has in the guest, so that the log
 * shows where KVM takes one for the other.
 */
#define LONG_GPA	0x2000000UL
#define LONG_SIZE	0x7e000000UL

enum flags {
	ZAPS		= 1 << 0,	/* the guest may read zero */
	PROTECTS	= 1 << 1,	/* KVM_RUN may be refused */
	LOGS		= 1 << 2,	/* the dirty log is on */
	IDLE		= 1 << 3,	/* no vCPU runs */
	LOGS_LONG	= 1 << 4,	/* the dirty log of the long slot is on */
	SHMEM		= 1 << 5,	/* its memory is shmem, and mapped twice */
	HUGETLB		= 1 << 6,	/* its memory is a private mapping of hugetlb */
};

struct storm {
	const char *what;
	void (*once)(struct storm *storm);
	unsigned int done;
	int error;			/* the last errno */
	unsigned int random;
	pthread_t thread;
};

struct kvm_case {
	const char *name;
	enum flags flags;
	void (*storms[6])(struct storm *storm);
	void (*run)(void);		/* instead of storms, once the guest is there */
	size_t slot_size;		/* of the memory, if not all of it */
	double seconds;			/* that it takes at least to show the fault */
};

/* The VM of the current case */
static struct {
	const struct kvm_case *test;
	int fd;
	char *code, *memory, *copy, *unused, *second;
	long hugepages;			/* that there were before */
	struct vcpu vcpu[VCPUS];
	pthread_t thread[VCPUS];
	atomic_uint passes[VCPUS], zeros, refused;
	unsigned int vcpus;
	atomic_bool stop_vcpus, stop_storms;
} vm;

static int kvm_fd;
static bool huge_pages;
static size_t page_size, pages, run_size;
static unsigned int seed = 1;

/* ---------------------------------------------------------------- contents */

static volatile uint32_t *word(char *memory, size_t page, int vcpu)
{
	return (volatile uint32_t *)(memory + page * page_size) + vcpu;
}

static void fill(char *memory)
{
	for (size_t i = 0; i < SIZE / sizeof(uint64_t); i++)
		((uint64_t *)memory)[i] = i * 0x9e3779b97f4a7c15 | 1;
	for (size_t page = 0; page < pages; page++)
		for (int v = 0; v < VCPUS; v++)
			*word(memory, page, v) = guest_tag(page, 0);
}

/*
 * What the host reads while the guest stores: no word is older than the pass
 * that was completed before, unless the page was zapped since and it is zero.
 */
static void check_words(char *memory, size_t first, size_t count,
			const unsigned int *passes, bool zero_ok)
{
	for (size_t page = first; page < first + count; page++) {
		for (int v = 0; v < VCPUS; v++) {
			uint32_t found = *word(memory, page, v);
			uint32_t ahead = found - guest_tag(page, passes[v]);

			/* Any number of passes: the check may have been preempted. */
			if (!(ahead >> TAG_SHIFT) || (!found && zero_ok))
				continue;
			return fail("host reads %#x of vCPU %d in page %zu, which stored %#x",
				    found, v, page, guest_tag(page, passes[v]));
		}
	}
}

static void read_passes(unsigned int *passes)
{
	for (int v = 0; v < VCPUS; v++)
		passes[v] = vm.passes[v];
}

/* All of the memory, of a guest that was stopped at the end of a pass */
static void check_memory(char *memory, const char *whose)
{
	bool zaps = vm.test->flags & ZAPS;
	size_t per_page = page_size / sizeof(uint64_t);
	size_t words = (VCPUS * sizeof(uint32_t) + 7) / 8;

	for (size_t page = 0; page < pages && !over(); page++) {
		uint64_t *p = (uint64_t *)(memory + page * page_size);
		bool zapped = zaps && !p[words];

		for (int v = 0; v < VCPUS; v++) {
			uint32_t found = *word(memory, page, v);

			if (found != guest_tag(page, vm.passes[v]) && !(zaps && !found))
				fail("%s: word of vCPU %d in page %zu is %#x, stored was %#x",
				     whose, v, page, found, guest_tag(page, vm.passes[v]));
		}
		for (size_t i = words; i < per_page; i++) {
			uint64_t fills = (page * per_page + i) * 0x9e3779b97f4a7c15 | 1;

			if (p[i] != (zapped ? 0 : fills))
				return fail("%s: page %zu has %#llx at %#zx, not %#llx", whose,
					    page, (unsigned long long)p[i], i * 8,
					    (unsigned long long)(zapped ? 0 : fills));
		}
	}
}

/* ------------------------------------------------------------------- vCPUs */

static void mismatch(int v, const struct guest_mismatch *m)
{
	if (!m->found && (vm.test->flags & ZAPS)) {
		vm.zeros++;
		return;
	}
	fail("vCPU %d reads %#x at %#lx, it stored %#x", v, m->found,
	     m->address - MEMORY_GPA, m->expected);
}

/* One exit; false at the end */
static bool run_once(struct vcpu *vcpu)
{
	struct guest_mismatch m;

	if (ioctl(vcpu->fd, KVM_RUN, 0)) {
		if (errno == EINTR || errno == EAGAIN)
			return !over();
		if (errno != EFAULT || !(vm.test->flags & PROTECTS)) {
			fail("KVM_RUN of vCPU %d: %s", vcpu->id, strerror(errno));
			return false;
		}
		vm.refused++;
		usleep(200);
		return !over();
	}
	switch (arch_guest_exit(vcpu, &m)) {
	case GUEST_PASS:
		vm.passes[vcpu->id]++;
		return !vm.stop_vcpus;
	case GUEST_MISMATCH:
		mismatch(vcpu->id, &m);
		return !over();
	default:
		fail("vCPU %d is lost: exit reason %u (MMIO at %#llx, if it is 6)", vcpu->id,
		     vcpu->run->exit_reason, (unsigned long long)vcpu->run->mmio.phys_addr);
		return false;
	}
}

static void *run_vcpu(void *arg)
{
	while (run_once(arg))
		;
	return NULL;
}

/* Until each vCPU has done @more passes from now; false if they do not. */
static bool wait_passes(unsigned int more)
{
	unsigned int from[VCPUS];
	double until = now() + STUCK_SECONDS;

	read_passes(from);
	for (unsigned int v = 0; v < vm.vcpus; v++) {
		while (vm.passes[v] - from[v] < more && !over()) {
			if (now() > until)
				fail("vCPU %d has not ended pass %u for %d s", v,
				     vm.passes[v] + 1, STUCK_SECONDS);
			usleep(500);
		}
	}
	return !over();
}

/* ------------------------------------------------------------------ storms */

static unsigned int draw(struct storm *storm, unsigned int below)
{
	return rand_r(&storm->random) / 7 % below;
}

static char *draw_chunk(struct storm *storm)
{
	return vm.memory + draw(storm, CHUNKS) * CHUNK;
}

static void count(struct storm *storm, const char *what, bool done)
{
	storm->what = what;
	if (done)
		storm->done++;
	else
		storm->error = errno;
}

static void collapse(struct storm *storm)
{
	count(storm, "collapses", !madvise(draw_chunk(storm), CHUNK, MADV_COLLAPSE));
	usleep(1000 + draw(storm, 5000));
}

/* By the other mapping: the tables of this one are retracted. */
static void collapse_second(struct storm *storm)
{
	char *chunk = vm.second + (draw_chunk(storm) - vm.memory);

	count(storm, "collapses", !madvise(chunk, CHUNK, MADV_COLLAPSE));
	usleep(1000 + draw(storm, 5000));
}

/* Splits the VMA inside a huge page, so the PMD, and leaves the page as it is */
static void split_pmd(struct storm *storm)
{
	char *page = draw_chunk(storm) + draw(storm, CHUNK / page_size) * page_size;

	count(storm, "PMD splits", !madvise(page, page_size, MADV_DONTDUMP) &&
				   !madvise(page, page_size, MADV_DODUMP));
	usleep(1000 + draw(storm, 5000));
}

/* Splits the page itself, by migration entries */
static void split_page(struct storm *storm)
{
	char *chunk = draw_chunk(storm);
	long before = number_in("/proc/vmstat", "thp_split_page");
	char text[80];

	snprintf(text, sizeof(text), "%d,%p,%p", getpid(), chunk, chunk + CHUNK);
	storm->what = "page splits";
	if (write_file("/sys/kernel/debug/split_huge_pages", text))
		storm->done += number_in("/proc/vmstat", "thp_split_page") - before;
	else
		storm->error = errno;
	usleep(1000 + draw(storm, 5000));
}

/* Changes with each store of the guest. */
static uint64_t sum_of_words(void)
{
	uint64_t sum = 0;

	for (size_t page = 0; page < pages; page++)
		for (int v = 0; v < VCPUS; v++)
			sum += *word(vm.memory, page, v);
	return sum;
}

/* The pagemap entries of the guest's memory; 0 if they cannot be read */
static void read_entries(uint64_t *entries)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t len = pages * sizeof(*entries);

	if (pread(pagemap, entries, len, (size_t)vm.memory / page_size * sizeof(*entries)) != len)
		memset(entries, 0, len);
	close(pagemap);
}

/* A collapse moves a page, too, but to its place in a huge page. */
static bool has_migrated(size_t page, uint64_t before, uint64_t after)
{
	return before & after & PM_PRESENT && (before ^ after) & PM_PFN &&
	       ((after & PM_PFN) - page) % (CHUNK / page_size);
}

static void migrate(struct storm *storm)
{
	static uint64_t before[SIZE / 4096], after[SIZE / 4096];
	long success = number_in("/proc/vmstat", "pgmigrate_success"), moved = 0;
	uint64_t sum = sum_of_words();

	read_entries(before);
	storm->what = "migrations of pages of the guest while it stores";
	if (write_file("/proc/sys/vm/compact_memory", "1")) {
		success = number_in("/proc/vmstat", "pgmigrate_success") - success;
		read_entries(after);
		for (size_t page = 0; page < pages; page++)
			moved += has_migrated(page, before[page], after[page]);
		/* A page that was zapped has moved as well. */
		if (sum_of_words() != sum)
			storm->done += moved < success ? moved : success;
	} else {
		storm->error = errno;
	}
	usleep(20000 + draw(storm, 20000));	/* or faults would never be done */
}

/*
 * Once each vCPU has stored to all its pages, the host has to see that: the
 * guest must not have stored to the pages that were taken away.
 */
static void zap(struct storm *storm)
{
	size_t per_chunk = CHUNK / page_size;
	size_t first = draw(storm, CHUNKS) * per_chunk, n = per_chunk;
	unsigned int passes[VCPUS];

	if (draw(storm, 2)) {		/* a part, which splits the PMD */
		first += draw(storm, per_chunk / 2);
		n = 1 + draw(storm, per_chunk / 2);
	}
	count(storm, "zaps", !madvise(vm.memory + first * page_size, n * page_size,
				      MADV_DONTNEED));
	if (!wait_passes(2))
		return;
	read_passes(passes);
	check_words(vm.memory, first, n, passes, false);
}

/* While the memory is read-only it must not change; so not beside zap(). */
static void protect(struct storm *storm)
{
	static char before[CHUNK];
	char *chunk = draw_chunk(storm);
	unsigned int refused = vm.refused;

	storm->what = "write protections that refused a store";
	if (mprotect(chunk, CHUNK, PROT_READ))
		return count(storm, storm->what, false);
	memcpy(before, chunk, CHUNK);
	usleep(1000 + draw(storm, 4000));
	for (size_t at = 0; at < CHUNK && !over(); at += page_size)
		if (memcmp(before + at, chunk + at, page_size))
			fail("page %zu changes while it is read-only",
			     (chunk + at - vm.memory) / page_size);
	storm->done += vm.refused != refused;
	mprotect(chunk, CHUNK, PROT_READ | PROT_WRITE);
	wait_passes(1);
}

/* The child has the memory of the time of the fork. */
static void copy_on_write(struct storm *storm)
{
	pid_t pid = fork();
	uint64_t sum;
	int status = -1;

	if (!pid) {
		memcpy(vm.copy, vm.memory, SIZE);
		usleep(3000);
		_exit(!!memcmp(vm.copy, vm.memory, SIZE));
	}
	storm->what = "forks with stores in the child's life";
	if (pid < 0)
		return count(storm, storm->what, false);
	sum = sum_of_words();
	waitpid(pid, &status, 0);
	storm->done += sum_of_words() != sum;
	if (status)
		fail("what the guest stores is seen in a child of an earlier fork (status %#x)",
		     status);
	wait_passes(1);
}

static int set_memory(unsigned int flags)
{
	return guest_set_slot(vm.fd, MEMORY_SLOT, flags, MEMORY_GPA, vm.memory,
			      vm.test->slot_size ?: SIZE);
}

/* Huge mappings in the guest's tables come and go. */
static void switch_dirty_log(struct storm *storm)
{
	count(storm, "dirty log switches", !set_memory(KVM_MEM_LOG_DIRTY_PAGES) &&
					   wait_passes(1) && !set_memory(0));
	wait_passes(1);
}

/* While it is on the guest gets small pages, and huge ones in their place then. */
static void flap_dirty_log(struct storm *storm)
{
	bool on = !set_memory(KVM_MEM_LOG_DIRTY_PAGES);

	usleep(draw(storm, 10000));
	count(storm, "dirty log flaps", on && !set_memory(0));
	usleep(draw(storm, 10000));
}

/* Live migration: copies what the log says, and nothing else. */
static void copy_dirty_pages(struct storm *storm)
{
	static unsigned long bitmap[SIZE / 4096 / BITS];
	struct kvm_dirty_log log = { .slot = MEMORY_SLOT, .dirty_bitmap = bitmap };

	count(storm, "dirty log reads", !ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log));
	for (size_t page = 0; page < pages; page++)
		if (bitmap[page / BITS] >> page % BITS & 1)
			memcpy(vm.copy + page * page_size, vm.memory + page * page_size,
			       page_size);
	usleep(draw(storm, 5000));
}

/* A guest that reboots: its tables become those of the other kind, and back. */
static void switch_tables(struct storm *storm)
{
	count(storm, "table switches", !arch_switch_tables(vm.fd, true) &&
				       !arch_switch_tables(vm.fd, false));
}

/* Looks up each page of a large slot in tables that are about to go */
static void read_long_log(struct storm *storm)
{
	static unsigned long bitmap[LONG_SIZE / 4096 / BITS];
	struct kvm_dirty_log log = { .slot = LONG_SLOT, .dirty_bitmap = bitmap };

	count(storm, "long log reads", !ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log));
	for (size_t i = 0; i < ARRAY_SIZE(bitmap); i++)
		if (bitmap[i])
			fail("a page that nobody touched is dirty: %#lx",
			     LONG_GPA + i * BITS * page_size);
}

static void check_while_running(struct storm *storm)
{
	unsigned int passes[VCPUS];

	read_passes(passes);
	check_words(vm.memory, 0, pages, passes, vm.test->flags & ZAPS);
	count(storm, "checks", true);
	usleep(5000);
}

static unsigned int all_passes(void)
{
	unsigned int passes[VCPUS];

	read_passes(passes);
	return passes[0] + passes[1] + passes[2];
}

/* On a slow machine a guest may find nothing mapped long enough: let it get on. */
static void *run_storm(void *arg)
{
	struct storm *storm = arg;
	unsigned int passes = 0, before;
	double since = now();

	while (!vm.stop_storms && !over()) {
		storm->once(storm);
		before = passes;
		passes = all_passes();
		if (!vm.vcpus || passes != before)
			since = now();
		else if (now() - since > STARVED_SECONDS)
			usleep(200000);
	}
	return NULL;
}

/* ------------------------------------------------------------- the machine */

static char *map(char *at, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0);
	char *p = mmap(at, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Where the same memory is once more: a multiple of CHUNK, too */
#define SECOND_HVA	(MEMORY_HVA + 16 * SIZE)

static bool map_shmem(void)
{
	int fd = memfd_create("ptwalk", MFD_CLOEXEC), flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
	char *memory, *second;

	if (fd < 0 || ftruncate(fd, SIZE))
		return false;
	memory = mmap((char *)MEMORY_HVA, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
	second = mmap((char *)SECOND_HVA, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
	close(fd);
	vm.memory = memory == MAP_FAILED ? NULL : memory;
	vm.second = second == MAP_FAILED ? NULL : second;
	return vm.memory && vm.second;
}

/* Of 2M, also where that is not the usual size */
#define NR_HUGEPAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

static bool set_hugepages(long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	return write_file(NR_HUGEPAGES, text);
}

static bool map_hugetlb(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_HUGETLB | MAP_HUGE_2MB;
	char *memory;

	vm.hugepages = number_in(NR_HUGEPAGES, "");
	if (!set_hugepages(vm.hugepages + CHUNKS))
		return false;
	memory = mmap((char *)MEMORY_HVA, SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
	vm.memory = memory == MAP_FAILED ? NULL : memory;
	return vm.memory;
}

static bool map_memory(void)
{
	if (vm.test->flags & SHMEM)
		return map_shmem();
	if (vm.test->flags & HUGETLB)
		return map_hugetlb();
	vm.memory = map((char *)MEMORY_HVA, SIZE);
	return vm.memory;
}

static bool create_vcpu(int v)
{
	struct guest_loop loop = {
		.first = MEMORY_GPA + v * sizeof(uint32_t),
		.stride = page_size, .pages = pages,
	};
	struct vcpu *vcpu = &vm.vcpu[v];

	vcpu->id = v;
	vcpu->fd = ioctl(vm.fd, KVM_CREATE_VCPU, v);
	if (vcpu->fd < 0)
		return false;
	vm.vcpus++;
	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	return vcpu->run != MAP_FAILED && !arch_init_vcpu(vcpu, &loop);
}

static bool create_vm(void)
{
	unsigned int flags = vm.test->flags & LOGS ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	unsigned int long_flags = vm.test->flags & LOGS_LONG ? KVM_MEM_LOG_DIRTY_PAGES : 0;

	vm.code = map(NULL, CODE_SIZE);
	vm.copy = map(NULL, SIZE);
	vm.unused = map(NULL, LONG_SIZE);
	vm.fd = ioctl(kvm_fd, KVM_CREATE_VM, arch_vm_type());
	if (!vm.code || !map_memory() || !vm.copy || !vm.unused || vm.fd < 0 || arch_init_vm(vm.fd))
		return false;
	memcpy(vm.code + CODE_ENTRY, guest_code, guest_code_end - guest_code);
	fill(vm.memory);
	if (guest_set_slot(vm.fd, 0, 0, CODE_GPA, vm.code, CODE_SIZE) || set_memory(flags) ||
	    guest_set_slot(vm.fd, LONG_SLOT, long_flags, LONG_GPA, vm.unused, LONG_SIZE))
		return false;
	memcpy(vm.copy, vm.memory, SIZE);
	if (vm.test->flags & IDLE)
		return true;
	for (int v = 0; v < VCPUS; v++)
		if (!create_vcpu(v))
			return false;
	return true;
}

static void destroy_vm(void)
{
	for (unsigned int v = 0; v < vm.vcpus; v++) {
		if (vm.vcpu[v].run != MAP_FAILED)
			munmap(vm.vcpu[v].run, run_size);
		close(vm.vcpu[v].fd);
	}
	if (vm.fd >= 0)
		close(vm.fd);
	if (vm.memory)
		munmap(vm.memory, SIZE);
	if (vm.test->flags & HUGETLB)
		set_hugepages(vm.hugepages);
	if (vm.second)
		munmap(vm.second, SIZE);
	if (vm.code)
		munmap(vm.code, CODE_SIZE);
	if (vm.copy)
		munmap(vm.copy, SIZE);
	if (vm.unused)
		munmap(vm.unused, LONG_SIZE);
}

/* A kernel, or a machine, that has no such thing; anything else may pass. */
static bool cannot_be_had(const struct storm *storm)
{
	return storm->error == ENOENT || storm->error == ENOSYS ||
	       storm->error == EOPNOTSUPP;
}

/* -------------------------------------------------- cases without a storm */

/* The first vCPU, until KVM_RUN returns for another reason than a signal */
static enum guest_exit run_first(struct guest_mismatch *m)
{
	double until = now() + STUCK_SECONDS;

	while (ioctl(vm.vcpu[0].fd, KVM_RUN, 0)) {
		if ((errno == EINTR || errno == EAGAIN) && now() < until)
			continue;
		fail("KVM_RUN: %s", strerror(errno));
		return GUEST_LOST;
	}
	return arch_guest_exit(&vm.vcpu[0], m);
}

/* Memory may be short, or a page in use for a moment. */
static bool collapse_in(char *chunk, double seconds)
{
	double until = now() + seconds;

	while (madvise(chunk, CHUNK, MADV_COLLAPSE)) {
		if (now() > until)
			return false;
		usleep(10000);
	}
	return true;
}

/*
 * The slot ends in the middle of a huge page of the host.  The loop goes on behind
 * it, where the host has more memory that looks like what it stored there.
 */
static void load_behind_slot(void)
{
	unsigned long end = MEMORY_GPA + vm.test->slot_size;
	struct kvm_run *run = vm.vcpu[0].run;
	struct guest_mismatch m;
	enum guest_exit why;

	if (!huge_pages)
		return skip("no huge pages");
	for (size_t i = 0; i < CHUNKS; i++)
		madvise(vm.memory + i * CHUNK, CHUNK, MADV_COLLAPSE);
	/* That in which the slot ends has to be one huge page. */
	if (!collapse_in(vm.memory + vm.test->slot_size / CHUNK * CHUNK, COLLAPSE_SECONDS))
		return fail("MADV_COLLAPSE: %s", strerror(errno));
	why = run_first(&m);
	if (over())
		return;
	if (why == GUEST_PASS)
		return fail("the guest stores to %zu kB behind its slot",
			    (SIZE - vm.test->slot_size) >> 10);
	if (why == GUEST_MISMATCH)
		return fail("the guest reads %#x at %#lx", m.found, m.address);
	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != end)
		fail("exit reason %u, at %#llx if it is MMIO; expected at %#lx",
		     run->exit_reason, (unsigned long long)run->mmio.phys_addr, end);
}

/* What the guest stores is in the log, also if its tables are replaced after that. */
static void log_across_switch(void)
{
	struct storm storm = { 0 };
	struct guest_mismatch m;

	copy_dirty_pages(&storm);
	if (run_first(&m) != GUEST_PASS)
		return fail("the guest is lost");
	vm.passes[0]++;
	switch_tables(&storm);
	if (cannot_be_had(&storm))
		return skip("no %s: %s", storm.what, strerror(storm.error));
	if (storm.error)
		return fail("no %s: %s", storm.what, strerror(storm.error));
	copy_dirty_pages(&storm);
	check_memory(vm.copy, "the copy by the dirty log");
}

/* Whether the kernel has logged a warning since log was opened or read */
static bool warned(int log)
{
	char record[8192];
	bool found = false;
	ssize_t n;

	while ((n = read(log, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = 0;
		found |= !!strstr(record, ";WARNING: ");
	}
	return found;
}

/*
 * A load maps a page of the host read-only and clean; the store after it makes the
 * host's PTE writable and dirty in place.
 */
static void load_then_store(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	enum guest_exit why = GUEST_LOST;
	struct guest_mismatch m;

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		fail("/dev/kmsg: %s", strerror(errno));
	else if (!write_file("/sys/kernel/debug/clear_warn_once", "1"))
		fail("clear_warn_once: %s", strerror(errno));
	else if (madvise(vm.memory, SIZE, MADV_DONTNEED))
		fail("MADV_DONTNEED: %s", strerror(errno));
	while (!over()) {
		why = run_first(&m);
		if (why != GUEST_MISMATCH || m.found)
			break;
	}
	if (!over() && why == GUEST_MISMATCH)
		fail("the guest reads %#x at %#lx", m.found, m.address);
	if (!over() && why != GUEST_PASS)
		fail("the guest is lost");
	for (size_t page = 0; page < pages && !over(); page++)
		if (*word(vm.memory, page, 0) != guest_tag(page, 1))
			fail("page %zu lacks what the guest stored", page);
	if (!over() && warned(log))
		fail("the host warns while the guest loads and stores");
	close(log);
}

#define SMALL_PAGE	4096UL	/* of the call, whatever the page size of the host */

/* A page at the end of a slot lies within the slot, as the source and as the target. */
static void copy_pages_of_slot(void)
{
	static const size_t last = SIZE - SMALL_PAGE;
	static const struct { size_t to, from; } copies[] = {
		{ 0, SMALL_PAGE }, { 0, last }, { last, 2 * SMALL_PAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(copies) && !over(); i++) {
		size_t to = copies[i].to, from = copies[i].from;
		int refused = arch_copy_page(vm.fd, &vm.vcpu[0], MEMORY_GPA + to, MEMORY_GPA + from);

		if (refused < 0 && errno == EOPNOTSUPP)
			return skip("guests of this architecture cannot ask for that");
		if (refused < 0)
			fail("the call: %s", strerror(errno));
		else if (refused)
			fail("KVM refuses to copy from %#zx to %#zx in a slot of %#x", from, to, SIZE);
		else if (memcmp(vm.memory + to, vm.memory + from, SMALL_PAGE))
			fail("the page at %#zx is no copy of that at %#zx", to, from);
	}
}

/* ------------------------------------------------------------------- cases */

static const struct kvm_case cases[] = {
	/*
	 * Broken: only if the guest or the checks do not work: the control of
	 * the other cases.
	 */
	{ "guest_memory_at_rest", .flags = 0 },
	/* Broken: a guest loses stores when its memory is collapsed or split. */
	{ "collapse_and_split", .storms = { collapse, split_pmd, split_page } },
	/* Broken: a guest loses stores when another mapping of its shmem is collapsed. */
	{ "collapse_of_shmem", SHMEM, .storms = { collapse_second, split_page } },
	/* Broken: a guest keeps memory that was given back, or loses later stores. */
	{ "zap", ZAPS, .storms = { zap } },
	/* Broken: the same, while memory is collapsed and split. */
	{ "zap_and_collapse", ZAPS, .storms = { zap, collapse, split_page } },
	/* Broken: a guest loses stores when compaction moves its memory. */
	{ "migration", .storms = { migrate, collapse, split_page } },
	/* Broken: memory that mprotect() made read-only changes. */
	{ "write_protection", PROTECTS, .storms = { protect, collapse } },
	/* Broken: a child of the VMM sees what the guest stores after the fork. */
	{ "copy_on_write", .storms = { copy_on_write, collapse } },
	/* Broken: live migration misses pages that the guest has stored to. */
	{ "dirty_log", LOGS, .storms = { copy_dirty_pages } },
	/* Broken: the same, while memory is collapsed and split. */
	{ "dirty_log_and_collapse", LOGS, .storms = { copy_dirty_pages, collapse, split_page } },
	/* Broken: the same, while compaction moves memory. */
	{ "dirty_log_and_migration", LOGS, .storms = { copy_dirty_pages, migrate, collapse, split_page } },
	/* Broken: a guest loses stores when logging is switched on or off. */
	{ "dirty_log_switched", ZAPS, .storms = { switch_dirty_log, zap, collapse, split_page } },
	/* Broken: the dirty log of another slot has pages when huge mappings are split. */
	{ "dirty_log_switched_off", LOGS_LONG, .storms = { flap_dirty_log, read_long_log },
	  .seconds = 4 },
	/*
	 * Broken: the host oopses when the dirty log is read while the guest's
	 * tables are replaced.
	 */
	{ "dirty_log_while_tables_go", LOGS_LONG | IDLE, .storms = { read_long_log, switch_tables } },
	/*
	 * Broken: live migration misses pages if the guest's tables were
	 * replaced meanwhile.
	 */
	{ "dirty_log_survives_switch", LOGS, .run = log_across_switch },
	/* Broken: a guest reads memory of its VMM beyond its own. */
	{ "load_behind_slot_exits", .run = load_behind_slot, .slot_size = CHUNK + CHUNK / 2 },
	/* Broken: a guest cannot copy the last page of its memory by a call (H_PAGE_INIT). */
	{ "page_init_copies_the_last_page", .run = copy_pages_of_slot },
	/* Broken: a host with panic_on_warn panics when a guest uses a hugetlb page. */
	{ "hugetlb_load_then_store", HUGETLB | ZAPS, .run = load_then_store },
	/* Broken: any of the above, when all of it happens at once. */
	{ "everything", ZAPS, .storms = { switch_dirty_log, zap, collapse, migrate, split_page } },
};

/* On a slow machine a storm may need longer to do anything. */
static bool all_had_a_turn(const struct storm *storms, int n)
{
	for (int i = 0; i < n; i++)
		if (!storms[i].done && !cannot_be_had(&storms[i]))
			return false;
	return true;
}

/* Nothing can be tested without, and there is nobody to join then. */
static void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	errno = pthread_create(thread, NULL, fn, arg);
	if (!errno)
		return;
	printf("    # pthread_create: %m: MEM= gives the machine more memory\n");
	exit(1);
}

static void run_guest(struct storm *storms, int n)
{
	double seconds = case_seconds();
	double until = now() + (seconds > vm.test->seconds ? seconds : vm.test->seconds);
	unsigned int v;

	for (v = 0; v < vm.vcpus; v++)
		start_thread(&vm.thread[v], run_vcpu, &vm.vcpu[v]);
	for (int i = 0; i < n; i++) {
		storms[i].random = seed + i;
		start_thread(&storms[i].thread, run_storm, &storms[i]);
	}
	while ((now() < until ||
		(now() < until + STUCK_SECONDS && !all_had_a_turn(storms, n))) && wait_passes(1))
		usleep(10000);
	vm.stop_storms = true;
	for (int i = 0; i < n; i++)
		pthread_join(storms[i].thread, NULL);
	vm.stop_vcpus = true;
	for (v = 0; v < vm.vcpus; v++) {
		/* At the end of its pass; or at once, as soon as the case is over. */
		while (pthread_tryjoin_np(vm.thread[v], NULL)) {
			if (over()) {
				vm.vcpu[v].run->immediate_exit = 1;
				pthread_kill(vm.thread[v], SIGUSR1);
			}
			usleep(1000);
		}
	}
}

static void describe(const struct storm *storms, int n)
{
	printf("    # %s: %u passes, %u zeros, %u refused", vm.test->name,
	       all_passes(), vm.zeros, vm.refused);
	for (int i = 0; i < n; i++)
		printf(", %u %s", storms[i].done, storms[i].what);
	printf("\n");
}

/* A storm that did nothing: the machine cannot, or the case proves nothing. */
static void judge_storm(const struct storm *storm)
{
	if (storm->done)
		return;
	if (cannot_be_had(storm))
		skip("no %s: %s", storm->what, strerror(storm->error));
	else if (storm->error)
		fail("no %s in %g s: %s", storm->what, case_seconds(),
		     strerror(storm->error));
	else
		fail("no %s in %g s", storm->what ?: "turn for a thread", case_seconds());
}

/* The storms of a case that this machine can have; their number */
static int choose_storms(const struct kvm_case *test, struct storm *storms)
{
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(test->storms) && test->storms[i]; i++) {
		void (*once)(struct storm *storm) = test->storms[i];

		if (huge_pages || (once != collapse && once != collapse_second && once != split_pmd && once != split_page))
			storms[n++].once = once;
	}
	return n;
}

static void run_guest_case(const struct kvm_case *test)
{
	struct storm storms[ARRAY_SIZE(test->storms) + 1] = { 0 }, last = { 0 };
	int n = choose_storms(test, storms);

	memset(&vm, 0, sizeof(vm));
	vm.test = test;
	if (!n && test->storms[0])
		return skip("no huge pages");
	if (test->flags & HUGETLB && number_in(NR_HUGEPAGES, "") < 0)
		return skip("no hugetlb pages");
	if (!create_vm()) {
		fail("cannot create the guest: %s", strerror(errno));
		destroy_vm();
		return;
	}
	if (test->run) {
		test->run();
		return destroy_vm();
	}
	storms[n++].once = check_while_running;
	run_guest(storms, n);
	if (test->flags & LOGS && !over()) {
		copy_dirty_pages(&last);
		check_memory(vm.copy, "the copy by the dirty log");
	}
	check_memory(vm.memory, "the host's memory");
	describe(storms, n);
	for (int i = 0; i < n && !over(); i++)
		judge_storm(&storms[i]);
	destroy_vm();
}

static bool can_collapse(void)
{
	char *p = map((char *)MEMORY_HVA, CHUNK);
	bool can;

	if (!p)
		return false;
	memset(p, 1, CHUNK);
	can = !madvise(p, CHUNK, MADV_COLLAPSE) || errno != EINVAL;
	munmap(p, CHUNK);
	return can;
}

static const char *setup(void)
{
	static char reason[128];
	cpu_set_t cpus;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0) {
		snprintf(reason, sizeof(reason), "/dev/kvm: %s", strerror(errno));
		return reason;
	}
	run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	page_size = sysconf(_SC_PAGESIZE);
	pages = SIZE / page_size;
	huge_pages = can_collapse();
	if (!sched_getaffinity(0, sizeof(cpus), &cpus)) {
		arch_choose_cpus(&cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	return arch_lacks(kvm_fd);
}

static void wake(int signal)
{
	(void)signal;
}

static const char *case_name(unsigned int i)
{
	return i < ARRAY_SIZE(cases) ? cases[i].name : NULL;
}

static const char *lacks;

static void run_case(unsigned int i)
{
	if (lacks)
		skip("%s", lacks);
	else
		run_guest_case(&cases[i]);
}

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_kvm", .seconds = 2,
		.case_name = case_name, .run = run_case,
	};
	struct sigaction sa = { .sa_handler = wake };

	sigaction(SIGUSR1, &sa, NULL);
	lacks = setup();
	return run_suite(&suite, argc, argv);
}
